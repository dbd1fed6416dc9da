/* See send_record.h. */

#include "celery/send_record.h"

#include <inttypes.h>
#include <string.h>

#include <trawl/task.h>

#include "base/json_fields.h"
#include "base/json_scan.h"
#include "base/json_writer.h"
#include "base/uuid.h"
#include "celery/broker/broker.h"

#define NAME_BYTES_MAX ((size_t)255)
#define SPAN_MAX_MS    (INT64_C(1) << 40) /* 34 years */

void
send_record_append(const struct send_record *record, struct buf *out)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    if (out->len)
        buf_append_char(out, ',');
    json_begin_object(&json);
    json_member_str(&json, STR("id"), record->id);
    json_member_str(&json, STR("task"), record->task);
    json_name(&json, STR("args"));
    json_raw(&json, record->args);
    json_name(&json, STR("kwargs"));
    json_raw(&json, record->kwargs);
    if (record->queue.ptr)
        json_member_str(&json, STR("queue"), record->queue);
    json_member_i64(&json, STR("priority"), record->priority);
    json_member_i64(&json, STR("countdown_ms"), record->countdown_ms);
    json_member_i64(&json, STR("expires_in_ms"), record->expires_in_ms);
    json_member_bool(&json, STR("is_replacement"), record->is_replacement);
    json_end_object(&json);
}

static int
check_json(struct str text, enum json_type wanted, const char *what, struct error *err)
{
    static const struct json_limits limits = {JSON_ALLOW_NAN | JSON_KEEP_SURROGATES, 0};
    struct str value;

    if (json_scan(text, &limits, &value, err) < 0) {
        if (err)
            err->code = ERR_ARGS;
        return error_wrap(err, -ERR_ARGS, "%s are not JSON", what);
    }
    if (json_slice_type(value) != wanted)
        return error_set(err, ERR_ARGS, "%s must be a JSON %s, got %s", what,
                         json_type_name(wanted), json_type_name(json_slice_type(value)));
    return 0;
}

static bool
is_printable(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return false;
    }
    return text.len > 0 && text.len <= NAME_BYTES_MAX;
}

int
send_record_check(const struct send_record *record, struct error *err)
{
    int rc;

    if (!is_printable(record->task))
        return error_set(err, ERR_INVALID,
                         "a task's name has 1 to %zu bytes, no blanks among them: '%.*s'",
                         NAME_BYTES_MAX, STR_ARG(str_slice(record->task, 0, 64)));
    if (record->queue.ptr && !is_printable(record->queue))
        return error_set(err, ERR_INVALID,
                         "a queue's name has 1 to %zu bytes, no blanks among them: '%.*s'",
                         NAME_BYTES_MAX, STR_ARG(str_slice(record->queue, 0, 64)));
    if (record->priority < 0 || record->priority > BROKER_MAX_PRIORITY)
        return error_set(err, ERR_INVALID, "priority must be 0 to %d, got %" PRId64,
                         BROKER_MAX_PRIORITY, record->priority);
    if (record->countdown_ms < 0 || record->countdown_ms > SPAN_MAX_MS ||
        record->expires_in_ms < 0 || record->expires_in_ms > SPAN_MAX_MS)
        return error_set(err, ERR_INVALID,
                         "countdown and expiry are milliseconds from 0 to %" PRId64 ", got %" PRId64
                         " and %" PRId64,
                         SPAN_MAX_MS, record->countdown_ms, record->expires_in_ms);
    rc = check_json(record->args, JSON_ARRAY, "positional arguments", err);
    return rc < 0 ? rc : check_json(record->kwargs, JSON_OBJECT, "named arguments", err);
}

static const struct json_field fields[] = {
    JSON_FIELD(STR, struct send_record, id, "id", JSON_REQUIRED),
    JSON_FIELD(STR, struct send_record, task, "task", JSON_REQUIRED),
    JSON_FIELD(STR, struct send_record, queue, "queue", 0),
    JSON_FIELD(I64, struct send_record, priority, "priority", JSON_REQUIRED),
    JSON_FIELD(I64, struct send_record, countdown_ms, "countdown_ms", JSON_REQUIRED),
    JSON_FIELD(I64, struct send_record, expires_in_ms, "expires_in_ms", JSON_REQUIRED),
    JSON_FIELD(BOOL, struct send_record, is_replacement, "is_replacement", JSON_REQUIRED),
    JSON_FIELDS_END,
};

/* args and kwargs stay the text that they were. */
static int
read_record(struct str text, struct arena *arena, struct send_record *out, struct error *err)
{
    static const struct json_limits limits = {JSON_ALLOW_NAN | JSON_KEEP_SURROGATES, 0};
    struct json_cursor members = json_cursor_open(text);
    struct json_slice member;
    struct json json;
    int rc = json_parse(text, &limits, arena, &json, err);

    if (rc == 0)
        rc = json_fields_read(&json, fields, out, NULL, err);
    while (rc == 0 && json_cursor_next(&members, &member)) {
        if (json_slice_is_named(&member, STR("args")))
            out->args = member.value;
        else if (json_slice_is_named(&member, STR("kwargs")))
            out->kwargs = member.value;
    }
    if (rc == 0 && !uuid_is_valid(out->id) && !is_printable(out->id))
        rc = error_set(err, ERR_INVALID, "what was sent has no id");
    return rc < 0 ? rc : send_record_check(out, err);
}

int
send_list_decode(struct str text, struct arena *arena, struct send_list *out, struct error *err)
{
    static const struct json_limits limits = {JSON_ALLOW_NAN | JSON_KEEP_SURROGATES, 0};
    char *copy = arena_alloc(arena, text.len + 2);
    struct send_list list = {.items = NULL};
    struct json_cursor cursor;
    struct json_slice slice;
    struct str array;
    int rc;

    if (!copy)
        return error_set(err, ERR_NOMEM, "no memory for what a task has sent");
    copy[0] = '[';
    (void)memcpy(copy + 1, text.ptr, text.len);
    copy[text.len + 1] = ']';
    rc = json_scan((struct str){copy, text.len + 2}, &limits, &array, err);
    if (rc < 0)
        return error_wrap(err, rc, "what a task has sent");
    list.items = arena_calloc(arena, CELERY_SUBTASKS_MAX, sizeof(*list.items));
    if (!list.items)
        return error_set(err, ERR_NOMEM, "no memory for what a task has sent");
    cursor = json_cursor_open(array);
    while (json_cursor_next(&cursor, &slice)) {
        if (list.n_items == CELERY_SUBTASKS_MAX)
            return error_set(err, ERR_TOO_LARGE, "a task has sent more than %d others",
                             CELERY_SUBTASKS_MAX);
        if (json_slice_type(slice.value) != JSON_OBJECT)
            return error_set(err, ERR_INVALID, "what a task has sent is no object");
        rc = read_record(slice.value, arena, &list.items[list.n_items], err);
        if (rc < 0)
            return rc;
        list.n_items++;
    }
    *out = list;
    return 0;
}
