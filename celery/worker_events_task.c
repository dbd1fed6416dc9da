/* Notes about tasks as events: which fields each kind has. */

#include <inttypes.h>
#include <signal.h>

#include "celery/codec_repr.h"
#include "celery/worker_events_internal.h"

#define TEXT_BYTES ((size_t)256 << 10) /* a text of EVENT_TEXT_CHARS, whatever its escapes */

/* clang-format off */
static const struct str types[] = {
    [MOMENT_RECEIVED]  = STR_INIT("task-received"),
    [MOMENT_STARTED]   = STR_INIT("task-started"),
    [MOMENT_SUCCEEDED] = STR_INIT("task-succeeded"),
    [MOMENT_FAILED]    = STR_INIT("task-failed"),
    [MOMENT_RETRIED]   = STR_INIT("task-retried"),
    [MOMENT_REVOKED]   = STR_INIT("task-revoked"),
    [MOMENT_REJECTED]  = STR_INIT("task-rejected"),
};
/* clang-format on */

/* The sender's text for display, else one made of the arguments. */
static void
write_arguments(struct json_writer *json, struct str name, struct str shown, struct str arguments,
                enum celery_repr_form form)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(TEXT_BYTES);

    if (!shown.ptr && arguments.ptr) {
        celery_repr_append(&text, arguments, form);
        shown = buf_str(&text);
    }
    json_member_str(json, name, shown.ptr ? shown : STR(""));
}

static void
write_received(struct json_writer *json, const struct celery_message *message)
{
    json_member_str(json, STR("name"), message->shadow.len ? message->shadow : message->task);
    write_arguments(json, STR("args"), message->argsrepr, message->args, CELERY_REPR_SAFE_TUPLE);
    write_arguments(json, STR("kwargs"), message->kwargsrepr, message->kwargs, CELERY_REPR_SAFE);
    json_member_str(json, STR("root_id"), message->root_id);
    json_member_str(json, STR("parent_id"), message->parent_id);
    json_member_i64(json, STR("retries"), message->retries);
    json_member_str(json, STR("eta"), message->eta.text);
    json_member_str(json, STR("expires"), message->expires.text);
}

static void
write_succeeded(struct json_writer *json, const struct flight *flight, struct str result)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(TEXT_BYTES);

    celery_repr_append(&text, result.len ? result : STR("null"), CELERY_REPR_SAFE);
    json_member_str(json, STR("result"), buf_str(&text));
    json_member_f64(json, STR("runtime"), (double)flight->runtime_us / (double)US_PER_S);
}

/* "ValueError('bad')": the type, and its arguments as Python shows them. */
static void
write_exception(struct json_writer *json, const struct exception *exception)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(TEXT_BYTES);
    struct str args = str_trim(exception->args);
    bool is_list = args.len >= 2 && args.ptr[0] == '[';

    buf_append(&text, exception->type);
    if (is_list) {
        struct buf list = BUF_INIT(TEXT_BYTES);

        celery_repr_append(&list, args, CELERY_REPR_SAFE);
        buf_append_char(&text, '(');
        buf_append(&text, list.len >= 2 ? str_slice(buf_str(&list), 1, list.len - 1) : STR(""));
        buf_append_char(&text, ')');
        buf_fini(&list);
    } else {
        buf_append(&text, STR("()"));
    }
    json_member_str(json, STR("exception"), buf_str(&text));
}

static void
write_failed(struct json_writer *json, const struct worker_note *note)
{
    if (note->exception)
        write_exception(json, note->exception);
    else
        json_member_str(json, STR("exception"), STR("None"));
    if (note->traceback.len)
        json_member_str(json, STR("traceback"), note->traceback);
}

/* Why is the one argument of the exception. */
static void
write_revoked(struct json_writer *json, const struct flight *flight,
              const struct exception *exception)
{
    struct str why = exception ? exception->args : STR_NULL;
    bool is_terminated = str_equal(why, STR("[\"terminated\"]"));

    json_member_bool(json, STR("terminated"), is_terminated);
    json_name(json, STR("signum"));
    if (is_terminated)
        json_i64(json, flight->terminate_signal);
    else
        json_null(json);
    json_member_bool(json, STR("expired"), str_equal(why, STR("[\"expired\"]")));
}

void
worker_events_write_task(struct worker *self, const struct flight *flight,
                         const struct worker_note *note)
{
    struct json_writer json = {.out = &self->events->tasks, .style = JSON_STYLE_PYTHON};

    event_begin(&json, &self->events->source, types[note->moment], worker_events_tick(self),
                clock_now_us(&clock_system));
    json_member_str(&json, STR("uuid"), flight->message.id);
    switch (note->moment) {
    case MOMENT_RECEIVED:
        write_received(&json, &flight->message);
        break;
    case MOMENT_STARTED:
        break;
    case MOMENT_SUCCEEDED:
        write_succeeded(&json, flight, note->result);
        break;
    case MOMENT_FAILED:
    case MOMENT_RETRIED:
        write_failed(&json, note);
        break;
    case MOMENT_REVOKED:
        write_revoked(&json, flight, note->exception);
        break;
    case MOMENT_REJECTED:
        json_member_bool(&json, STR("requeue"), true);
        break;
    }
    json_end_object(&json);
}
