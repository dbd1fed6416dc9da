/* Commands that tell about a node itself: ping, clock, hello, registered, active_queues. */

#include <stdlib.h>
#include <string.h>

#include "celery/control/command.h"
#include "celery/worker.h"

#define TASKINFO_MAX ((size_t)64)

static int
run_ping(struct control_run *run, struct error *err)
{
    (void)err;
    control_write_ok(run, STR("pong"));
    return 0;
}

static int
run_clock(struct control_run *run, struct error *err)
{
    (void)err;
    json_begin_object(run->json);
    json_member_i64(run->json, STR("clock"), run->node->clock);
    json_end_object(run->json);
    return 0;
}

/* Python insists on floating point numbers, and ignores what they say. */
static void
write_revoked(struct control_run *run)
{
    const struct revoked_id *position = NULL;
    struct str id;

    json_name(run->json, STR("revoked"));
    json_begin_object(run->json);
    while (revoked_next(&run->node->revoked, &position, &id)) {
        json_name(run->json, id);
        json_raw(run->json, STR("0.0"));
    }
    json_end_object(run->json);
}

/* A node that starts tells what it knows to be revoked, and hears what we know. */
static int
run_hello(struct control_run *run, struct error *err)
{
    const struct json *revoked = json_get(run->arguments, STR("revoked"));
    struct control_node *node = run->node;
    struct str from;
    int rc = control_need_text(run, STR("from_node"), &from, err);

    if (rc < 0)
        return rc;
    if (str_equal(from, node->name)) {
        json_null(run->json);
        return 0;
    }
    if (revoked)
        rc = control_learn_revoked(node, revoked, run->arena, err);
    if (rc < 0)
        return rc;
    json_begin_object(run->json);
    write_revoked(run);
    json_member_i64(run->json, STR("clock"), ++node->clock);
    json_end_object(run->json);
    return 0;
}

/* The parameters that a call may give, as {"name": default}; ours alone. */
static void
write_parameters(const struct celery_task *task, struct buf *out)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    json_begin_object(&json);
    for (const struct celery_param *param = task->params; param && param->name; param++) {
        json_name(&json, str_from_cstr(param->name));
        if (param->type == CELERY_PARAM_STR)
            json_str(&json, str_from_cstr(param->fallback_text));
        else if (param->type == CELERY_PARAM_BOOL)
            json_bool(&json, param->fallback != 0);
        else
            json_i64(&json, param->fallback);
    }
    json_end_object(&json);
}

/* One attribute of a task as Python's str() shows it; false: it has none of that name. */
static bool
write_attribute(const struct control_node *node, const struct celery_task *task, struct str name,
                struct buf *out)
{
    static const struct {
        struct str name;
        const char *value;
    } fixed[] = {
        {STR_INIT("acks_late"), "True"},      {STR_INIT("acks_on_failure_or_timeout"), "True"},
        {STR_INIT("ignore_result"), "False"}, {STR_INIT("reject_on_worker_lost"), "True"},
        {STR_INIT("serializer"), "json"},     {STR_INIT("track_started"), "True"},
    };

    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        if (str_equal(fixed[i].name, name)) {
            buf_append(out, str_from_cstr(fixed[i].value));
            return true;
        }
    }
    if (str_equal(name, STR("rate_limit"))) {
        struct str rate = node->ops->get_rate(node->context, task);

        buf_append(out, rate);
        return rate.ptr != NULL;
    }
    if (str_equal(name, STR("name")))
        buf_append(out, str_from_cstr(task->name));
    else if (str_equal(name, STR("max_retries")))
        buf_printf(out, "%d", CELERY_WORKER_MAX_RETRIES);
    else if (str_equal(name, STR("arguments")))
        write_parameters(task, out);
    else
        return false;
    return true;
}

static int
write_registered(struct control_run *run, const struct celery_task *task,
                 const struct str_list *attributes, struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(65536);
    size_t n_shown = 0;

    buf_append(&text, str_from_cstr(task->name));
    for (size_t i = 0; i < attributes->n_items; i++) {
        CLEANUP(buf_fini) struct buf value = BUF_INIT(65536);

        if (!write_attribute(run->node, task, attributes->items[i], &value))
            continue;
        buf_printf(&text, "%s%.*s=%.*s", n_shown++ ? " " : " [", STR_ARG(attributes->items[i]),
                   STR_ARG(buf_str(&value)));
    }
    if (n_shown)
        buf_append_char(&text, ']');
    json_str(run->json, buf_str(&text));
    return buf_status(&text, err);
}

static int
compare_tasks(const void *a, const void *b)
{
    const struct celery_task *const *left = a;
    const struct celery_task *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

static size_t
count_tasks(const struct celery_registry *registry)
{
    size_t n = 0;

    for (const struct celery_task *const *module = registry->modules; *module; module++)
        for (const struct celery_task *task = *module; task->name; task++)
            n++;
    return n;
}

/* Of Celery's three, those that a task here may have. */
static const struct str usual_attributes[] = {STR_INIT("rate_limit")};

/* Names that begin with "celery." are Celery's own and shown only when asked for. */
static int
run_registered(struct control_run *run, struct error *err)
{
    const struct celery_registry *registry = run->node->registry;
    bool has_builtins = control_get_flag(run, STR("builtins"));
    const struct celery_task **tasks;
    struct str_list attributes;
    size_t n = 0;
    int rc = control_get_texts(run, STR("taskinfoitems"), TASKINFO_MAX, &attributes, err);

    if (rc < 0)
        return rc;
    if (attributes.n_items == 0)
        attributes = (struct str_list){usual_attributes, COUNT_OF(usual_attributes)};
    tasks = arena_calloc(run->arena, count_tasks(registry), sizeof(*tasks));
    if (!tasks)
        return error_set(err, ERR_NOMEM, "no memory for the tasks' names");
    for (const struct celery_task *const *module = registry->modules; *module; module++) {
        for (const struct celery_task *task = *module; task->name; task++) {
            if (has_builtins || !str_starts_with(str_from_cstr(task->name), STR("celery.")))
                tasks[n++] = task;
        }
    }
    qsort((void *)tasks, n, sizeof(*tasks), compare_tasks);
    json_begin_array(run->json);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = write_registered(run, tasks[i], &attributes, err);
    json_end_array(run->json);
    return rc;
}

static void
write_exchange(struct json_writer *json, struct str name)
{
    json_name(json, STR("exchange"));
    json_begin_object(json);
    json_member_str(json, STR("name"), name);
    json_member_str(json, STR("type"), STR("direct"));
    json_member_str(json, STR("arguments"), STR_NULL);
    json_member_bool(json, STR("durable"), true);
    json_member_bool(json, STR("passive"), false);
    json_member_bool(json, STR("auto_delete"), false);
    json_member_str(json, STR("delivery_mode"), STR_NULL);
    json_member_bool(json, STR("no_declare"), false);
    json_end_object(json);
}

static void
write_queue(struct json_writer *json, struct str name)
{
    static const struct str nulls[] = {
        STR_INIT("no_declare"), STR_INIT("expires"),          STR_INIT("message_ttl"),
        STR_INIT("max_length"), STR_INIT("max_length_bytes"), STR_INIT("max_priority"),
    };

    json_begin_object(json);
    json_member_str(json, STR("name"), name);
    write_exchange(json, name);
    json_member_str(json, STR("routing_key"), name);
    json_member_str(json, STR("queue_arguments"), STR_NULL);
    json_member_str(json, STR("binding_arguments"), STR_NULL);
    json_member_str(json, STR("consumer_arguments"), STR_NULL);
    json_member_bool(json, STR("durable"), true);
    json_member_bool(json, STR("exclusive"), false);
    json_member_bool(json, STR("auto_delete"), false);
    json_member_bool(json, STR("no_ack"), false);
    json_member_str(json, STR("alias"), STR_NULL);
    json_name(json, STR("bindings"));
    json_begin_array(json);
    json_end_array(json);
    for (size_t i = 0; i < COUNT_OF(nulls); i++)
        json_member_str(json, nulls[i], STR_NULL);
    json_end_object(json);
}

static int
run_active_queues(struct control_run *run, struct error *err)
{
    struct str name;

    (void)err;
    json_begin_array(run->json);
    for (size_t i = 0; (name = run->node->ops->get_queue(run->node->context, i)).ptr; i++)
        write_queue(run->json, name);
    json_end_array(run->json);
    return 0;
}

const struct control_command control_inspect_commands[] = {
    {STR_INIT("ping"), {NULL, 0}, run_ping},
    {STR_INIT("clock"), {NULL, 0}, run_clock},
    {STR_INIT("hello"), {NULL, 0}, run_hello},
    {STR_INIT("registered"), STR_INIT("dump_tasks"), run_registered},
    {STR_INIT("active_queues"), {NULL, 0}, run_active_queues},
    {{NULL, 0}, {NULL, 0}, NULL},
};
