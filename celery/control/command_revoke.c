/* Commands that keep tasks from running: revoke, terminate, revoke_by_stamped_headers.
 *
 * Answers are those of Celery 5.3 and later, its reprs of sets and dictionaries included. */

#include "base/buf.h"
#include "celery/codec_repr.h"
#include "celery/control/command.h"
#include "celery/control/stamps.h"

#define ANSWER_BYTES ((size_t)8 << 20)

/* "tasks {'a', 'b'} flagged as revoked": a set of Python, each id once. */
static void
write_flagged(struct control_run *run, const struct str_list *ids)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(ANSWER_BYTES);

    buf_append(&text, ids->n_items ? STR("tasks {") : STR("tasks set("));
    for (size_t i = 0; i < ids->n_items; i++) {
        buf_append(&text, i ? STR(", ") : STR(""));
        celery_repr_append_text(&text, ids->items[i]);
    }
    buf_append(&text, ids->n_items ? STR("} flagged as revoked") : STR(") flagged as revoked"));
    control_write_ok(run, buf_str(&text));
}

static void
terminate(struct control_run *run, const struct str_list *ids, int signal_number)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(ANSWER_BYTES);
    size_t n_found = 0;

    buf_append(&text, STR("terminate: "));
    for (size_t i = 0; i < ids->n_items; i++) {
        if (!run->node->ops->terminate(run->node->context, ids->items[i], signal_number))
            continue;
        buf_append(&text, n_found++ ? STR(", ") : STR(""));
        buf_append(&text, ids->items[i]);
    }
    if (n_found == 0)
        buf_append(&text, STR("tasks unknown"));
    control_write_ok(run, buf_str(&text));
}

/* Each once, in their order. */
static int
remove_repeated(struct str_list *ids, struct arena *arena, struct error *err)
{
    struct revoked seen = REVOKED_INIT; /* a set, for ten thousand of them */
    struct str *items = arena_calloc(arena, ids->n_items ? ids->n_items : 1, sizeof(*items));
    size_t n = 0;
    int rc = 0;

    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for %zu ids", ids->n_items);
    for (size_t i = 0; rc == 0 && i < ids->n_items; i++) {
        if (revoked_has(&seen, ids->items[i]))
            continue;
        items[n++] = ids->items[i];
        rc = revoked_insert(&seen, ids->items[i], err);
    }
    revoked_fini(&seen);
    *ids = (struct str_list){items, n};
    return rc;
}

static int
revoke(struct control_run *run, bool is_terminated, struct error *err)
{
    struct control_node *node = run->node;
    struct str_list ids;
    int signal_number;
    int rc = control_get_texts(run, STR("task_id"), CONTROL_MAX_IDS, &ids, err);

    if (rc == 0)
        rc = control_get_signal(run, &signal_number, err);
    if (rc == 0)
        rc = remove_repeated(&ids, run->arena, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < ids.n_items; i++) {
        if (ids.items[i].len == 0 || ids.items[i].len > CONTROL_MAX_ID_BYTES)
            return error_set(err, ERR_INVALID, "a task id has %zu bytes, allowed are 1 to %zu",
                             ids.items[i].len, CONTROL_MAX_ID_BYTES);
    }
    for (size_t i = 0; rc == 0 && i < ids.n_items; i++)
        rc = revoked_insert(&node->revoked, ids.items[i], err);
    if (rc == 0 && ids.n_items > 0)
        rc = node->ops->revoke(node->context, ids.items, ids.n_items, err);
    if (rc < 0)
        return rc;
    if (is_terminated)
        terminate(run, &ids, signal_number);
    else
        write_flagged(run, &ids);
    return 0;
}

static int
run_revoke(struct control_run *run, struct error *err)
{
    return revoke(run, control_get_flag(run, STR("terminate")), err);
}

static int
run_terminate(struct control_run *run, struct error *err)
{
    return revoke(run, true, err);
}

/* A list of "header=value" as an object; what stands behind a second '=' is left out, as Celery
 * does. */
static int
read_pairs(struct control_run *run, const struct json *list, struct json *out, struct error *err)
{
    size_t n = list->array.n_items;
    struct json_member *members;

    if (n > CONTROL_MAX_IDS)
        return error_set(err, ERR_INVALID, "%zu stamps at a time, allowed are %zu", n,
                         CONTROL_MAX_IDS);
    members = arena_calloc(run->arena, n ? n : 1, sizeof(*members));
    if (!members)
        return error_set(err, ERR_NOMEM, "no memory for %zu stamps", n);
    for (size_t i = 0; i < n; i++) {
        const struct json *item = &list->array.items[i];
        struct str rest = item->type == JSON_STRING ? item->text : STR_NULL;
        struct str name;
        struct str value;

        if (!str_split(&rest, '=', &name) || !str_split(&rest, '=', &value)) {
            run->exception = "IndexError";
            return error_set(err, ERR_INVALID, "list index out of range");
        }
        members[i].name = name;
        members[i].value = (struct json){.type = JSON_STRING, .text = value};
    }
    *out = (struct json){.type = JSON_OBJECT};
    out->object.members = members;
    out->object.n_members = n;
    return 0;
}

static int
get_headers(struct control_run *run, struct json *out, struct error *err)
{
    const struct json *value = json_get(run->arguments, STR("headers"));

    if (!value || value->type == JSON_NULL)
        return error_set(err, ERR_ARGS, "missing 1 required argument: 'headers'");
    if (value->type == JSON_ARRAY)
        return read_pairs(run, value, out, err);
    if (value->type != JSON_OBJECT)
        return error_set(err, ERR_ARGS, "argument 'headers' must be an object or a list, got %s",
                         json_type_name(value->type));
    *out = *value;
    return 0;
}

/* "headers {'mtag': ['x1']} ..." */
static void
answer_headers(struct control_run *run, const struct json *headers, struct str what)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(ANSWER_BYTES);
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(ANSWER_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&bytes);

    json_value(&json, headers);
    buf_append(&text, STR("headers "));
    celery_repr_append(&text, buf_str(&bytes), CELERY_REPR_PYTHON);
    buf_append(&text, what);
    control_write_ok(run, buf_str(&text));
}

/* End those that run and carry one of them; how many. */
static size_t
terminate_stamped(struct control_run *run, const struct revoked *stamps, int signal_number)
{
    const void *position = NULL;
    struct control_task task;
    size_t n = 0;

    while (control_next_task(run, &position, &task)) {
        if (task.stage == CONTROL_ACTIVE && stamps_are_revoked(stamps, task.stamps))
            n += run->node->ops->terminate(run->node->context, task.id, signal_number);
    }
    return n;
}

static int
revoke_stamps(struct control_run *run, const struct str *keys, size_t n_keys,
              struct revoked *stamps, struct error *err)
{
    struct control_node *node = run->node;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n_keys; i++) {
        rc = revoked_insert(&node->revoked_stamps, keys[i], err);
        if (rc == 0)
            rc = revoked_insert(stamps, keys[i], err);
    }
    return rc == 0 && n_keys > 0 ? node->ops->revoke_stamps(node->context, keys, n_keys, err) : rc;
}

static int
run_revoke_by_stamped_headers(struct control_run *run, struct error *err)
{
    struct revoked stamps = REVOKED_INIT;
    bool is_terminated = control_get_flag(run, STR("terminate"));
    struct json headers;
    struct str *keys;
    size_t n_keys;
    int signal_number;
    int rc = control_get_signal(run, &signal_number, err);

    if (rc == 0)
        rc = get_headers(run, &headers, err);
    if (rc == 0)
        rc = stamps_list_keys(&headers, CONTROL_MAX_IDS, run->arena, &keys, &n_keys, err);
    if (rc == 0)
        rc = revoke_stamps(run, keys, n_keys, &stamps, err);
    if (rc == 0 && !is_terminated)
        answer_headers(run, &headers, STR(" flagged as revoked, but not terminated"));
    else if (rc == 0)
        answer_headers(run, &headers,
                       terminate_stamped(run, &stamps, signal_number)
                           ? STR(" revoked")
                           : STR(" were not terminated"));
    revoked_fini(&stamps);
    return rc;
}

const struct control_command control_revoke_commands[] = {
    {STR_INIT("revoke"), {NULL, 0}, run_revoke},
    {STR_INIT("terminate"), {NULL, 0}, run_terminate},
    {STR_INIT("revoke_by_stamped_headers"), {NULL, 0}, run_revoke_by_stamped_headers},
    {{NULL, 0}, {NULL, 0}, NULL},
};
