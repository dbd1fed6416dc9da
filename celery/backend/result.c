/* States, precedence and the writing of documents; result_decode.c reads them. */

#include "celery/backend/result.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/timestamp.h"

#define RUN_ATTEMPT_BITS 32
#define RUN_HALF_MAX     ((int64_t)INT32_MAX)

static const struct {
    struct str name;
    int rank;
    bool is_ready;
    bool is_exception;
    bool is_stored;
} states[] = {
#define RESULT_STATE_ROW(state, name, rank, ready, exception, stored)                              \
    [state] = {STR_INIT(name), rank, ready, exception, stored},
    RESULT_STATES(RESULT_STATE_ROW)
#undef RESULT_STATE_ROW
};

enum result_state
result_state_of(struct str status)
{
    for (size_t i = 0; i < COUNT_OF(states); i++)
        if (str_equal(states[i].name, status))
            return (enum result_state)i;
    return RESULT_CUSTOM;
}

struct str
result_state_name(enum result_state state)
{
    return states[state].name;
}

bool
result_state_is_ready(enum result_state state)
{
    return states[state].is_ready;
}

bool
result_state_is_exception(enum result_state state)
{
    return states[state].is_exception;
}

bool
result_state_is_stored(enum result_state state)
{
    return states[state].is_stored;
}

static int64_t
clamp(int64_t value, int64_t min)
{
    return value < min ? min : value > RUN_HALF_MAX ? RUN_HALF_MAX : value;
}

/* retries above, attempt below: a retry is a new message, whose attempts count from 1 again. */
int64_t
result_run(int64_t retries, int64_t attempt)
{
    return (int64_t)((uint64_t)clamp(retries, 0) << RUN_ATTEMPT_BITS) + clamp(attempt, 1);
}

bool
result_may_replace(struct result_standing old, struct result_standing fresh)
{
    if (old.state == RESULT_SUCCESS)
        return false;
    if (fresh.state == RESULT_SUCCESS)
        return true;
    if (old.run != 0 && fresh.run != 0 && old.run != fresh.run)
        return fresh.run > old.run;
    return states[fresh.state].rank >= states[old.state].rank;
}

static void
write_text(struct json_writer *json, struct str name, struct str text)
{
    if (text.ptr)
        json_member_str(json, name, text);
}

static void
write_raw(struct json_writer *json, struct str name, struct str value, struct str fallback)
{
    json_name(json, name);
    json_raw(json, value.ptr ? value : fallback);
}

/* Six digits and an offset, always: Python's isoformat, which every version reads. */
static void
write_date(struct json_writer *json, int64_t time_us)
{
    char text[TIMESTAMP_TEXT_BYTES];
    char date[TIMESTAMP_TEXT_BYTES + 16];
    int64_t fraction_us = time_us % US_PER_S;

    if (fraction_us < 0)
        fraction_us += US_PER_S;
    (void)timestamp_format(time_us, text);
    (void)snprintf(date, sizeof(date), "%.19s.%06u+00:00", text, (unsigned)fraction_us);
    json_member_str(json, STR("date_done"), str_from_cstr(date));
}

static void
write_extended(struct json_writer *json, const struct result *result)
{
    json_member_str(json, STR("name"), result->name);
    write_raw(json, STR("args"), result->args, STR("[]"));
    write_raw(json, STR("kwargs"), result->kwargs, STR("{}"));
    json_member_str(json, STR("worker"), result->worker);
    json_name(json, STR("retries"));
    if (result->retries == RESULT_NO_RETRIES)
        json_null(json);
    else
        json_i64(json, result->retries);
    json_member_str(json, STR("queue"), result->queue);
}

int
result_encode(const struct result *result, struct buf *out, struct error *err)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    if (result->status.len == 0 || result->task_id.len == 0)
        return error_set(
            err, ERR_INVALID, "a result needs a status and a task_id, not '%.*s', '%.*s'",
            STR_ARG(str_slice(result->status, 0, 40)), STR_ARG(str_slice(result->task_id, 0, 40)));
    json_begin_object(&json);
    json_member_str(&json, STR("status"), result->status);
    write_raw(&json, STR("result"), result->result, STR("null"));
    json_member_str(&json, STR("traceback"), result->traceback);
    write_raw(&json, STR("children"), result->children, STR("[]"));
    if (result->date_done_us != TIME_UNKNOWN &&
        result_state_is_ready(result_state_of(result->status)))
        write_date(&json, result->date_done_us);
    else
        json_member_str(&json, STR("date_done"), STR_NULL);
    write_text(&json, STR("group_id"), result->group_id);
    write_text(&json, STR("parent_id"), result->parent_id);
    if (result->is_extended)
        write_extended(&json, result);
    for (size_t i = 0; i < result->n_extras; i++)
        write_raw(&json, result->extras[i].name, result->extras[i].value, STR("null"));
    json_member_str(&json, STR("task_id"), result->task_id);
    json_end_object(&json);
    return buf_status(out, err);
}

void
result_write_started(struct json_writer *json, int64_t pid, struct str hostname)
{
    json_begin_object(json);
    json_member_i64(json, STR("pid"), pid);
    json_member_str(json, STR("hostname"), hostname);
    json_end_object(json);
}

void
result_write_progress(struct json_writer *json, int64_t current, int64_t total)
{
    json_begin_object(json);
    json_member_i64(json, STR("current"), current);
    json_member_i64(json, STR("total"), total);
    json_end_object(json);
}

void
result_write_child(struct json_writer *json, struct str task_id)
{
    json_begin_array(json);
    json_begin_array(json);
    json_str(json, task_id);
    json_null(json);
    json_end_array(json);
    json_null(json);
    json_end_array(json);
}
