/* celery/message: bytes as an envelope, and as the body behind fixed headers.  What is accepted
 * must be encoded to something that is accepted, means the same, and is encoded to the same bytes
 * again. */

#include <assert.h>

#include "celery/message.h"
#include "fuzz/fuzz.h"

#define ARENA_BYTES ((size_t)64 << 20)
#define OUT_BYTES   ((size_t)64 << 20)

/* Beyond it, the envelope of protocol 2 is deeper or has more names than what it was made of. */
static bool
is_limit(enum celery_refusal_kind kind)
{
    return kind == CELERY_REFUSED_TOO_DEEP || kind == CELERY_REFUSED_TOO_MANY ||
           kind == CELERY_REFUSED_TOO_LARGE;
}

static void
check_same(const struct celery_message *a, const struct celery_message *b)
{
    assert(str_equal(a->task, b->task) && str_equal(a->id, b->id));
    assert(str_equal(a->args, b->args) && str_equal(a->kwargs, b->kwargs));
    assert(str_equal(a->callbacks, b->callbacks) && str_equal(a->errbacks, b->errbacks));
    assert(str_equal(a->chain, b->chain) && str_equal(a->chord, b->chord));
    assert(str_equal(a->group, b->group) && str_equal(a->parent_id, b->parent_id));
    assert(str_equal(a->argsrepr, b->argsrepr) || !a->argsrepr.ptr);
    assert(a->eta.us == b->eta.us && a->expires.us == b->expires.us);
    assert(a->retries == b->retries && a->group_index == b->group_index);
    assert(a->ignore_result == b->ignore_result && a->priority == b->priority);
}

static void
check_message(struct celery_message *message, struct arena *arena)
{
    struct buf once = BUF_INIT(OUT_BYTES);
    struct buf twice = BUF_INIT(OUT_BYTES);
    struct celery_refusal refusal;
    struct celery_message again;
    struct error err = {.message = ""};

    assert(message->task.len && message->id.len && message->args.ptr && message->kwargs.ptr);
    if (!message->routing_key.ptr)
        message->routing_key = STR("celery");
    assert(celery_message_encode_envelope(message, &once, &err) == 0);
    if (celery_message_decode_envelope(buf_str(&once), NULL, arena, &again, &refusal, &err) == 0) {
        check_same(message, &again);
        assert(celery_message_encode_envelope(&again, &twice, &err) == 0);
        assert(str_equal(buf_str(&once), buf_str(&twice)));
    } else {
        assert(is_limit(refusal.kind));
    }
    buf_fini(&once);
    buf_fini(&twice);
}

static void
check_envelope(struct str bytes)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct celery_refusal refusal = {.kind = CELERY_NOT_REFUSED};
    struct celery_message message;
    struct error err = {.message = ""};
    int rc = celery_message_decode_envelope(bytes, NULL, &arena, &message, &refusal, &err);

    assert(rc == 0 ||
           (refusal.kind != CELERY_NOT_REFUSED && err.message[0] && rc == -(int)err.code));
    if (rc < 0 && !refusal.partial.compression.ptr)
        assert(arena.used <= 4 * bytes.len + ((size_t)16 << 10));
    if (rc == 0)
        check_message(&message, &arena);
    arena_fini(&arena);
}

static void
check_body(struct str bytes, const char *headers)
{
    struct celery_parts parts = {
        .headers = str_from_cstr(headers),
        .properties = STR("{\"delivery_tag\": \"d\"}"),
        .body = bytes,
        .content_type = STR("application/json"),
    };
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct celery_message message;

    if (celery_message_decode(&parts, NULL, &arena, &message, NULL, NULL) == 0)
        check_message(&message, &arena);
    arena_fini(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};

    check_envelope(bytes);
    check_body(bytes, "{\"task\": \"t\", \"id\": \"i\"}");
    check_body(bytes, "{}");
    check_body(bytes, "{\"task\": \"t\", \"id\": \"i\", \"compression\": \"application/x-gzip\"}");
    check_body(bytes, "{\"task\": \"t\", \"id\": \"i\", \"compression\": \"application/x-bz2\"}");
    return 0;
}
