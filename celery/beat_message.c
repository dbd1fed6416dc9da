/* Source: Celery 5.7, celery/beat.py: apply_entry and apply_async. */

#include "celery/beat_message.h"

#include "celery/client.h"
#include "celery/codec_repr.h"
#include "celery/message.h"

#define REPR_BYTES ((size_t)1 << 16)

static int
set_expiry(const struct celery_schedule *row, int64_t now_us, struct celery_message *message,
           int64_t *expires_us, struct arena *arena, struct error *err)
{
    if (!row->expires_s)
        return 0;
    *expires_us = now_us + row->expires_s * US_PER_S;
    return celery_message_set_expires(message, *expires_us, now_us, arena, err);
}

int
beat_message_encode(const struct celery_schedule *row, struct str id, struct str origin,
                    int64_t now_us, struct buf *bytes, struct broker_message *out,
                    struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(65536);
    CLEANUP(buf_fini) struct buf repr = BUF_INIT(REPR_BYTES);
    struct celery_message message;
    int64_t expires_us = TIME_UNKNOWN;
    int rc;

    celery_message_init(&message, str_from_cstr(row->task), id);
    if (row->args) { /* shown as the list that the configuration has, not as a call's tuple */
        message.args = str_trim(str_from_cstr(row->args));
        celery_repr_append(&repr, message.args, CELERY_REPR_SAFE);
        message.argsrepr = buf_str(&repr);
    }
    if (row->kwargs)
        message.kwargs = str_from_cstr(row->kwargs);
    message.origin = origin;
    message.priority = row->priority;
    message.routing_key = str_from_cstr(row->queue ? row->queue : CELERY_DEFAULT_QUEUE);
    rc = buf_status(&repr, err);
    if (rc == 0)
        rc = set_expiry(row, now_us, &message, &expires_us, &arena, err);
    if (rc == 0)
        rc = celery_message_encode_envelope(&message, bytes, err);
    if (rc < 0)
        return error_wrap(err, rc, "schedule '%s'", row->name);
    *out = (struct broker_message){
        .queue = message.routing_key,
        .id = id,
        .bytes = buf_str(bytes),
        .priority = row->priority,
        .eta_us = TIME_UNKNOWN,
        .expires_us = expires_us,
    };
    return 0;
}
