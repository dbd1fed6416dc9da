/* What a task has sent: decoded when the task ends, published before its message is settled.
 *
 * The order is what makes it whole: record, then messages, then verdict.  A worker that dies
 * between any two of them leaves the message to be run again; the second run sends the same ids. */

#include "base/json_writer.h"
#include "base/log.h"
#include "celery/send_record.h"
#include "celery/worker_internal.h"

#define MAX_ENVELOPE_BYTES ((size_t)16 << 20)

struct worker_sends {
    struct send_list list;
    size_t n_sent;
};

void
worker_sends_take(struct flight *flight, struct str text)
{
    struct worker_sends *sends;
    struct error err = {0};
    int rc = -ERR_NOMEM;

    if (text.len == 0)
        return;
    sends = arena_calloc(&flight->arena, 1, sizeof(*sends));
    if (sends)
        rc = send_list_decode(text, &flight->arena, &sends->list, &err);
    if (rc == 0)
        flight->sends = sends;
    else
        log_error("what a task has sent cannot be read, it is not sent: id=%.*s reason=%s",
                  STR_ARG(flight->message.id), sends ? err.message : "no memory");
}

void
worker_sends_drop(struct flight *flight)
{
    flight->sends = NULL;
}

bool
worker_sends_has_replacement(const struct flight *flight)
{
    const struct worker_sends *sends = flight->sends;

    return sends && sends->list.n_items &&
           sends->list.items[sends->list.n_items - 1].is_replacement;
}

struct str
worker_sends_children(struct flight *flight)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)1 << 20);
    struct json_writer json = JSON_WRITER_INIT(&text);
    bool ok = true;

    if (!flight->sends)
        return flight->children;
    json_begin_array(&json);
    for (size_t i = 0; i < flight->sends->list.n_items; i++) {
        json_begin_array(&json);
        json_begin_array(&json);
        json_str(&json, flight->sends->list.items[i].id);
        json_null(&json);
        json_end_array(&json);
        json_null(&json);
        json_end_array(&json);
    }
    if (flight->children.len > 2) /* without its brackets: a list of its own, to go on with */
        json_raw(&json, str_slice(flight->children, 1, flight->children.len - 1));
    json_end_array(&json);
    return buf_status(&text, NULL) == 0 ? arena_dup(&flight->arena, buf_str(&text), &ok) : STR_NULL;
}

/* A message of its own, or the task's own with another name and other arguments. */
static void
make_message(const struct worker *self, const struct flight *flight,
             const struct send_record *record, struct celery_message *out)
{
    const struct celery_message *own = &flight->message;

    if (record->is_replacement) {
        *out = *own;
        out->task = record->task;
        out->retries = 0;
        out->replaced_task_nesting++;
        out->argsrepr = STR_NULL;
        out->kwargsrepr = STR_NULL;
        out->shadow = STR_NULL;
        out->delivery_tag = STR_NULL;
        out->eta = (struct celery_time){.us = CELERY_NO_TIME};
        out->expires = (struct celery_time){.us = CELERY_NO_TIME};
        out->expiration = STR_NULL;
        out->timelimit = (struct celery_limits){0};
    } else {
        celery_message_init(out, record->task, record->id);
        out->root_id = own->root_id.ptr ? own->root_id : own->id;
        out->origin = self->options->name;
    }
    out->args = record->args;
    out->kwargs = record->kwargs;
    out->parent_id = own->id;
    out->priority = record->priority;
    out->exchange = STR_NULL;
    out->routing_key = record->queue.ptr ? record->queue : flight->queue;
}

static int
publish(struct worker *self, struct flight *flight, const struct send_record *record,
        struct error *err)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(MAX_ENVELOPE_BYTES);
    int64_t now_us = clock_now_us(&clock_system);
    struct celery_message message;
    struct broker_message sent = {
        .id = record->id,
        .priority = (int)record->priority,
        .eta_us = TIME_UNKNOWN,
        .expires_us = TIME_UNKNOWN,
    };
    int rc = 0;

    make_message(self, flight, record, &message);
    if (record->countdown_ms) {
        sent.eta_us = now_us + record->countdown_ms * US_PER_MS;
        rc = celery_message_set_eta(&message, sent.eta_us, &flight->arena, err);
    }
    if (rc == 0 && record->expires_in_ms) {
        sent.expires_us = now_us + record->expires_in_ms * US_PER_MS;
        rc = celery_message_set_expires(&message, sent.expires_us, now_us, &flight->arena, err);
    }
    if (rc == 0)
        rc = celery_message_encode_envelope(&message, &bytes, err);
    if (rc < 0)
        return rc;
    sent.queue = message.routing_key;
    sent.bytes = buf_str(&bytes);
    return broker_publish(self->broker, &sent, &flight->verdict.after, err);
}

/* It has succeeded, and nobody would ever answer for its id: it is kept for a person to see. */
static void
give_up_replacement(struct flight *flight, const struct error *err)
{
    bool ok = true;

    flight->verdict = (struct broker_verdict){
        .action = BROKER_BURY,
        .reason =
            arena_dup(&flight->arena,
                      str_slice(str_from_cstr(err->message), 0, BROKER_MAX_REASON_BYTES), &ok),
    };
    if (!ok)
        flight->verdict.reason = STR("its replacement cannot be sent");
}

int
worker_sends_publish(struct worker *self, struct flight *flight, struct error *err)
{
    struct worker_sends *sends = flight->sends;

    if (!sends || flight->verdict.action != BROKER_ACK)
        return 0;
    for (; sends->n_sent < sends->list.n_items; sends->n_sent++) {
        const struct send_record *record = &sends->list.items[sends->n_sent];
        int rc = publish(self, flight, record, err);

        if (rc == -ERR_BUSY || rc == -ERR_NOMEM)
            return rc;
        if (rc < 0) {
            log_error("task not sent: id=%.*s name=%.*s parent=%.*s reason=%s", STR_ARG(record->id),
                      STR_ARG(record->task), STR_ARG(flight->message.id), err->message);
            if (record->is_replacement)
                give_up_replacement(flight, err);
        }
    }
    return 0;
}
