/* Sending a task of the history again: the same name, queue and arguments, a new id. */

#include "base/clock.h"
#include "celery/client.h"
#include "cli/history.h"

#define JUDGE_BYTES ((size_t)64 << 20)

const char *
cli_retry_reason(enum cli_retry_verdict verdict)
{
    static const char *const reasons[CLI_RETRY_N_VERDICTS] = {
        [CLI_RETRY_SENT] = "sent",
        [CLI_RETRY_DONE_BEFORE] = "sent again before (--again repeats it)",
        [CLI_RETRY_REDACTED] = "their sender shows other arguments than it sends: not kept",
        [CLI_RETRY_CUT] = "too long to be kept whole",
    };

    return reasons[verdict];
}

int
cli_retry_judge(struct history *history, const struct history_record *record, bool may_repeat,
                enum cli_retry_verdict *out, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(JUDGE_BYTES);
    struct history_task task;
    int rc;

    *out = record->flags & HISTORY_REDACTED ? CLI_RETRY_REDACTED
           : record->flags & HISTORY_CUT    ? CLI_RETRY_CUT
                                            : CLI_RETRY_SENT;
    if (*out != CLI_RETRY_SENT || may_repeat)
        return 0;
    rc = history_get(history, record->task_id, &arena, &task, err);
    if (rc == 0 && task.n_retried_as > 0)
        *out = CLI_RETRY_DONE_BEFORE;
    return rc;
}

int
cli_retry_send(struct celery_client *client, struct history *history,
               const struct history_record *record, char id[UUID_TEXT_BYTES], struct error *err)
{
    struct celery_request request = CELERY_REQUEST_INIT;
    struct error note_err;
    int rc;

    id[0] = '\0';
    request.task = record->name;
    request.queue = record->queue;
    request.args = record->args;
    request.kwargs = record->kwargs;
    rc = celery_client_send(client, &request, id, err);
    /* Also of one that may be on its way: it must not be sent twice unasked. */
    if (id[0] &&
        history_note_retry(history, str_from_cstr(id), record->task_id, clock_now_us(&clock_system),
                           &note_err) < 0 &&
        rc == 0)
        rc = error_set(err, note_err.code, "sent as %s, which cannot be noted: %s", id,
                       note_err.message);
    return rc;
}
