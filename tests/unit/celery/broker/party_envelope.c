/* Texts as arguments of Celery's messages. */

#include "celery/message.h"
#include "tests/unit/celery/broker/party.h"

static bool
is_text(struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (!((bytes.ptr[i] >= '0' && bytes.ptr[i] <= '9') ||
              (bytes.ptr[i] >= 'a' && bytes.ptr[i] <= 'z')))
            return false;
    return bytes.len > 0 && bytes.len < 100;
}

static void
wrap(const struct broker_message *message, struct buf *out)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct celery_message envelope;
    struct error err;

    if (!is_text(message->bytes)) { /* no envelope: a broker has to bear that */
        buf_append(out, message->bytes);
        return;
    }
    celery_message_init(&envelope, STR("test"), message->id.len ? message->id : message->bytes);
    envelope.args = str_from_cstr(arena_printf(&arena, "[\"%.*s\"]", STR_ARG(message->bytes)));
    envelope.routing_key = message->queue;
    envelope.priority = message->priority;
    if (message->eta_us != TIME_UNKNOWN)
        assert_ok(celery_message_set_eta(&envelope, message->eta_us, &arena, &err), err);
    if (message->expires_us != TIME_UNKNOWN)
        assert_ok(celery_message_set_expires(&envelope, message->expires_us, 0, &arena, &err), err);
    assert_ok(celery_message_encode_envelope(&envelope, out, &err), err);
}

static struct str
unwrap(struct str message, struct arena *arena)
{
    struct celery_message envelope;

    if (message.len == 0 || message.ptr[0] != '{' ||
        celery_message_decode_envelope(message, NULL, arena, &envelope, NULL, NULL) < 0 ||
        !str_starts_with(envelope.args, STR("[\"")))
        return message;
    return str_slice(envelope.args, 2, envelope.args.len - 2);
}

const struct party_wire party_wire_envelope = {wrap, unwrap};
