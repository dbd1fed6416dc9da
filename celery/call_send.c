/* Tasks from inside a task, and the task again: what include/trawl/task.h promises of them.
 *
 * Nothing leaves this process before the run has ended: what is sent is written down, and whoever
 * settles the message publishes it first.  So a killed run has sent nothing, and one that is
 * repeated sends the same ids. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/uuid.h"
#include "celery/call.h"
#include "celery/send_record.h"

#define RETRY_MAX_MS (INT64_C(1) << 40) /* 34 years */

_Static_assert(CELERY_SUBTASK_ID_BYTES == UUID_TEXT_BYTES, "a UUID as text");

int
celery_call_retry(struct celery_call *call, int64_t countdown_ms, int64_t max_retries,
                  const char *why, struct error *err)
{
    int64_t retries = call->spec->retries;
    int rc;

    if (countdown_ms < 0 || countdown_ms > RETRY_MAX_MS)
        return error_set(err, ERR_INVALID,
                         "a countdown is milliseconds from 0 to %" PRId64 ", got %" PRId64,
                         RETRY_MAX_MS, countdown_ms);
    if (max_retries >= 0 && retries >= max_retries) /* a kind that nobody tries again */
        return error_set(err, ERR_IO, "gave up after %" PRId64 " retries: %s", retries, why);
    rc = error_set(err, ERR_RETRY, "%s", why);
    if (err)
        err->retry_after_ms = countdown_ms;
    return rc;
}

/* The same number of the same call: the same id, in every run. */
static int
make_id(const struct celery_call *call, char id[UUID_TEXT_BYTES], struct error *err)
{
    char name[512];
    int len = snprintf(name, sizeof(name), "send:%.*s:%zu", STR_ARG(call->spec->id), call->n_sends);

    if (len < 0 || len >= (int)sizeof(name))
        return error_set(err, ERR_INVALID, "an id of %zu bytes is too long", call->spec->id.len);
    return uuid_from_name((struct str){name, (size_t)len}, id, err);
}

/* A plug-in that was compiled with an older header has fewer fields. */
static int
read_subtask(const struct celery_subtask *subtask, struct send_record *out, struct error *err)
{
    struct celery_subtask whole = CELERY_SUBTASK_INIT;

    if (subtask->bytes < offsetof(struct celery_subtask, args))
        return error_set(err, ERR_INVALID,
                         "a struct celery_subtask begins with CELERY_SUBTASK_INIT");
    (void)memcpy(&whole, subtask, subtask->bytes < sizeof(whole) ? subtask->bytes : sizeof(whole));
    *out = (struct send_record){
        .task = whole.task,
        .args = whole.args.ptr ? whole.args : STR("[]"),
        .kwargs = whole.kwargs.ptr ? whole.kwargs : STR("{}"),
        .queue = whole.queue,
        .priority = whole.priority,
        .countdown_ms = whole.countdown_ms,
        .expires_in_ms = whole.expires_in_ms,
    };
    return send_record_check(out, err);
}

static int
append(struct celery_call *call, const struct send_record *record, struct error *err)
{
    if (!call->spec->sends)
        return error_set(err, ERR_UNSUPPORTED, "nobody here can send tasks");
    if (call->n_sends == CELERY_SUBTASKS_MAX)
        return error_set(err, ERR_TOO_LARGE, "a task sends %d others at most", CELERY_SUBTASKS_MAX);
    send_record_append(record, call->spec->sends);
    call->n_sends++;
    return buf_status(call->spec->sends, err);
}

int
celery_call_send(struct celery_call *call, const struct celery_subtask *subtask,
                 char id[CELERY_SUBTASK_ID_BYTES], struct error *err)
{
    char new_id[UUID_TEXT_BYTES];
    struct send_record record;
    int rc = read_subtask(subtask, &record, err);

    if (rc == 0)
        rc = make_id(call, new_id, err);
    if (rc < 0)
        return rc;
    record.id = str_from_cstr(new_id);
    rc = append(call, &record, err);
    if (rc == 0 && id)
        (void)memcpy(id, new_id, sizeof(new_id));
    return rc;
}

int
celery_call_replace(struct celery_call *call, const struct celery_subtask *subtask,
                    struct error *err)
{
    struct send_record record;
    int rc = read_subtask(subtask, &record, err);

    if (rc < 0)
        return rc;
    if (call->is_replaced)
        return error_set(err, ERR_INVALID, "a task is replaced once");
    record.id = call->spec->id;
    record.is_replacement = true;
    call->sends_before_replace = call->spec->sends ? call->spec->sends->len : 0;
    rc = append(call, &record, err);
    call->is_replaced = rc == 0;
    return rc;
}
