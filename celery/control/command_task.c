/* Commands about the messages that a node holds: active, reserved, scheduled, revoked, query_task.
 */

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "celery/codec_repr.h"
#include "celery/control/command.h"
#include "celery/message.h"

#define SHOWN_ARGS_BYTES ((size_t)65536) /* larger ones are shown as Python shows them, and cut */

static void
write_repr(struct control_run *run, struct str json, struct str repr, enum celery_repr_form form)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)1 << 20);

    if (repr.len) {
        json_str(run->json, repr);
        return;
    }
    celery_repr_append(&text, json, form);
    json_str(run->json, buf_str(&text));
}

static void
write_arguments(struct control_run *run, const struct control_task *task, bool is_safe)
{
    struct str args = task->args.ptr ? task->args : STR("[]");
    struct str kwargs = task->kwargs.ptr ? task->kwargs : STR("{}");

    json_name(run->json, STR("args"));
    if (is_safe || args.len > SHOWN_ARGS_BYTES)
        write_repr(run, args, task->argsrepr, CELERY_REPR_SAFE_TUPLE);
    else
        json_raw(run->json, args);
    json_name(run->json, STR("kwargs"));
    if (is_safe || kwargs.len > SHOWN_ARGS_BYTES)
        write_repr(run, kwargs, task->kwargsrepr, CELERY_REPR_SAFE);
    else
        json_raw(run->json, kwargs);
}

static void
write_delivery(struct json_writer *json, const struct control_task *task)
{
    json_name(json, STR("delivery_info"));
    json_begin_object(json);
    json_member_str(json, STR("exchange"), task->exchange.ptr ? task->exchange : STR(""));
    json_member_str(json, STR("routing_key"), task->routing_key);
    json_member_i64(json, STR("priority"), task->priority);
    json_member_bool(json, STR("redelivered"), task->is_redelivered);
    json_end_object(json);
}

void
control_write_task(struct control_run *run, const struct control_task *task, bool is_safe)
{
    struct json_writer *json = run->json;

    json_begin_object(json);
    json_member_str(json, STR("id"), task->id);
    json_member_str(json, STR("name"), task->name);
    write_arguments(run, task, is_safe);
    json_member_str(json, STR("type"), task->type);
    json_member_str(json, STR("hostname"), run->node->name);
    json_name(json, STR("time_start"));
    if (task->started_at_us == TIME_UNKNOWN)
        json_null(json);
    else
        json_f64(json, (double)task->started_at_us / (double)US_PER_S);
    json_member_bool(json, STR("acknowledged"), false); /* only when it has ended */
    write_delivery(json, task);
    json_name(json, STR("worker_pid"));
    if (task->pid)
        json_i64(json, task->pid);
    else
        json_null(json);
    json_end_object(json);
}

static void
list_tasks(struct control_run *run, enum control_stage stage, bool is_safe)
{
    const void *position = NULL;
    struct control_task task;

    json_begin_array(run->json);
    while (control_next_task(run, &position, &task)) {
        if (task.stage == stage)
            control_write_task(run, &task, is_safe);
    }
    json_end_array(run->json);
}

static int
run_active(struct control_run *run, struct error *err)
{
    (void)err;
    list_tasks(run, CONTROL_ACTIVE, control_get_flag(run, STR("safe")));
    return 0;
}

static int
run_reserved(struct control_run *run, struct error *err)
{
    (void)err;
    list_tasks(run, CONTROL_RESERVED, false);
    return 0;
}

/* Priority: of the timer in Python's workers, always the same. */
static int
run_scheduled(struct control_run *run, struct error *err)
{
    const struct control_task *tasks = NULL;
    size_t n_tasks = 0;
    int rc = run->node->ops->list_scheduled(run->node->context, run->arena, &tasks, &n_tasks, err);

    if (rc < 0)
        return rc;
    json_begin_array(run->json);
    for (size_t i = 0; i < n_tasks; i++) {
        char eta[CELERY_TIME_TEXT_BYTES];

        json_begin_object(run->json);
        json_member_str(run->json, STR("eta"),
                        str_from_cstr(celery_time_format(tasks[i].eta_us, eta)));
        json_member_i64(run->json, STR("priority"), 6);
        json_name(run->json, STR("request"));
        control_write_task(run, &tasks[i], false);
        json_end_object(run->json);
    }
    json_end_array(run->json);
    return 0;
}

static int
run_revoked(struct control_run *run, struct error *err)
{
    const struct revoked_id *position = NULL;
    struct str id;

    (void)err;
    json_begin_array(run->json);
    while (revoked_next(&run->node->revoked, &position, &id))
        json_str(run->json, id);
    json_end_array(run->json);
    return 0;
}

static bool
is_among(const struct str_list *ids, struct str id)
{
    for (size_t i = 0; i < ids->n_items; i++)
        if (str_equal(ids->items[i], id))
            return true;
    return false;
}

static int
run_query_task(struct control_run *run, struct error *err)
{
    static const struct str names[] = {
        [CONTROL_RESERVED] = STR_INIT("reserved"),
        [CONTROL_ACTIVE] = STR_INIT("active"),
        [CONTROL_READY] = STR_INIT("ready"),
        [CONTROL_SCHEDULED] = STR_INIT("scheduled"),
    };
    const void *position = NULL;
    struct control_task task;
    struct str_list ids;
    int rc = control_get_texts(run, STR("ids"), CONTROL_MAX_IDS, &ids, err);

    if (rc < 0)
        return rc;
    json_begin_object(run->json);
    while (control_next_task(run, &position, &task)) {
        if (task.stage == CONTROL_LIMITED || !is_among(&ids, task.id))
            continue;
        json_name(run->json, task.id);
        json_begin_array(run->json);
        json_str(run->json, names[task.stage]);
        control_write_task(run, &task, false);
        json_end_array(run->json);
    }
    json_end_object(run->json);
    return 0;
}

const struct control_command control_task_commands[] = {
    {STR_INIT("active"), STR_INIT("dump_active"), run_active},
    {STR_INIT("reserved"), STR_INIT("dump_reserved"), run_reserved},
    {STR_INIT("scheduled"), STR_INIT("dump_schedule"), run_scheduled},
    {STR_INIT("revoked"), STR_INIT("dump_revoked"), run_revoked},
    {STR_INIT("query_task"), {NULL, 0}, run_query_task},
    {{NULL, 0}, {NULL, 0}, NULL},
};
