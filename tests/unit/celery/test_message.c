/* celery/message.h: what is read, what is refused and why. */

#include "tests/unit/check.h"

#include "base/json_scan.h"
#include "celery/codec_base64.h"
#include "celery/codec_compress.h"
#include "celery/message.h"

#define ARENA_BYTES ((size_t)64 << 20)
#define KIB         ((size_t)1 << 10)
#define MIB         ((size_t)1 << 20)

#define HEADERS "{\"task\": \"t\", \"id\": \"i\"}"
#define BODY    "[[1], {\"a\": 2}, {}]"

/* Parts to a record; the message is a protocol 2 one of JSON but for what is given. */
struct given {
    const char *headers;
    const char *body;
    const char *type;
    const char *encoding;
    const char *properties;
};

static int
decode(const struct given *given, struct arena *arena, struct celery_message *out,
       struct celery_refusal *refusal, struct error *err)
{
    struct celery_parts parts = {
        .headers = str_from_cstr(given->headers),
        .properties = str_from_cstr(given->properties),
        .body = str_from_cstr(given->body ? given->body : BODY),
        .content_type = given->type ? str_from_cstr(given->type) : STR("application/json"),
        .content_encoding = given->encoding ? str_from_cstr(given->encoding) : STR("utf-8"),
    };

    return celery_message_decode(&parts, NULL, arena, out, refusal, err);
}

static void
test_defaults(void **state)
{
    struct given given = {.headers = HEADERS};
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct celery_message message;
    struct error err;

    (void)state;
    assert_ok(decode(&given, &arena, &message, NULL, &err), err);
    assert_int_equal(message.protocol, CELERY_PROTOCOL_2);
    assert_str_equal(message.root_id, "i");
    assert_null(message.parent_id.ptr);
    assert_null(message.group.ptr);
    assert_int_equal(message.group_index, CELERY_NO_INDEX);
    assert_int_equal(message.eta.us, CELERY_NO_TIME);
    assert_int_equal(message.expires.us, CELERY_NO_TIME);
    assert_int_equal(message.retries, 0);
    assert_int_equal(message.ignore_result, CELERY_UNSET);
    assert_int_equal(message.delivery_mode, 2);
    assert_int_equal(message.priority, 0);
    assert_str_equal(message.args, "[1]");
    assert_str_equal(message.kwargs, "{\"a\": 2}");
    assert_null(message.chain.ptr);
    assert_null(message.lang.ptr);
    assert_int_equal(arena.used, 0); /* all of it is cut from the input */
    arena_fini(&arena);
}

static void
test_slices_keep_their_spelling(void **state)
{
    struct given given = {
        .headers = "{\"task\":\"t\",\"i\\u0064\":\"\\u0069\\ud800\",\"stamps\":{\"a\":[1e2, NaN]},"
                   "\"stamped_headers\":[\"a\"],\"timelimit\":[30, 1.5],\"x\\u0031\":-0.0}",
        .body = " [ [ 123456789012345678901234567890 , -0.0,NaN,\"\\ud800\"] ,{ \"k\" :1.10}, "
                "{\"chain\":[{\"__type__\": \"decimal\", \"__value__\":\"1.10\"}],\"chord\":null,"
                "\"callbacks\":[],\"more\": 1}]\n",
    };
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct celery_message message;
    struct json_cursor others;
    struct json_slice other;
    struct error err;

    (void)state;
    assert_ok(decode(&given, &arena, &message, NULL, &err), err);
    assert_str_equal(message.id, "i\xED\xA0\x80");
    assert_str_equal(message.args, "[ 123456789012345678901234567890 , -0.0,NaN,\"\\ud800\"]");
    assert_str_equal(message.kwargs, "{ \"k\" :1.10}");
    assert_str_equal(message.chain, "[{\"__type__\": \"decimal\", \"__value__\":\"1.10\"}]");
    assert_null(message.chord.ptr);
    assert_str_equal(message.callbacks, "[]");
    assert_str_equal(message.stamps, "{\"a\":[1e2, NaN]}");
    assert_str_equal(message.stamped_headers, "[\"a\"]");
    assert_true(message.timelimit.hard_s > 29.9 && message.timelimit.hard_s < 30.1);
    assert_true(message.timelimit.soft_s > 1.4 && message.timelimit.soft_s < 1.6);
    others = json_cursor_open(message.headers);
    assert_true(celery_message_next_other(CELERY_HEADERS, &others, &other));
    assert_str_equal(other.name, "x\\u0031");
    assert_str_equal(other.value, "-0.0");
    assert_false(celery_message_next_other(CELERY_HEADERS, &others, &other));
    others = json_cursor_open(message.embed);
    assert_true(celery_message_next_other(CELERY_EMBED, &others, &other));
    assert_str_equal(other.name, "more");
    arena_fini(&arena);
}

static void
test_protocol_1(void **state)
{
    struct given given = {
        .headers = "{\"xh\": 1, \"retries\": 9, \"root_id\": \"not ours\"}",
        .body =
            "{\"task\": \"t\", \"id\": \"p1\", \"args\": [\"it's\"], \"kwargs\": {\"y\": 3},"
            " \"retries\": 2, \"eta\": \"2026-01-02T03:04:05\", \"expires\": "
            "\"2026-01-02T03:04:05Z\","
            " \"utc\": false, \"group\": \"new\", \"taskset\": \"old\", \"timelimit\": [30, null],"
            " \"callbacks\": [1], \"errbacks\": null, \"chord\": {}, \"chain\": [2], \"root_id\": "
            "\"r\"}",
    };
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct celery_message message;
    struct error err;

    (void)state;
    assert_ok(decode(&given, &arena, &message, NULL, &err), err);
    assert_int_equal(message.protocol, CELERY_PROTOCOL_1);
    assert_str_equal(message.task, "t");
    assert_str_equal(message.group, "old");
    assert_int_equal(message.retries, 2);
    assert_null(message.root_id.ptr);
    assert_str_equal(message.argsrepr, "['it\\'s']");
    assert_str_equal(message.kwargsrepr, "{'y': 3}");
    assert_str_equal(message.callbacks, "[1]");
    assert_str_equal(message.chord, "{}");
    assert_null(message.chain.ptr);
    assert_true(message.eta.is_local);
    assert_false(message.expires.is_local);
    assert_int_equal(message.eta.us, message.expires.us);
    arena_fini(&arena);
}

static void
test_protocol_1_defaults(void **state)
{
    struct given given = {
        .body = "{\"task\": \"t\", \"id\": \"p1\", \"group\": \"g\", \"taskset\": null}"};
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct celery_message message;
    struct error err;

    (void)state;
    assert_ok(decode(&given, &arena, &message, NULL, &err), err);
    assert_str_equal(message.args, "[]");
    assert_str_equal(message.kwargs, "{}");
    assert_str_equal(message.argsrepr, "[]");
    assert_null(message.group.ptr);
    arena_fini(&arena);
}

static void
test_hybrid(void **state)
{
    struct given given = {
        .headers = "{\"task\": \"t\", \"id\": \"head\", \"retries\": 1, \"group\": null}",
        .body =
            "{\"task\": \"body\", \"id\": \"body\", \"args\": [1], \"retries\": 7, \"group\": "
            "\"g\","
            " \"root_id\": \"r\", \"parent_id\": \"p\", \"argsrepr\": \"(x)\", \"callbacks\": [1]}",
    };
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct celery_message message;
    struct error err;

    (void)state;
    assert_ok(decode(&given, &arena, &message, NULL, &err), err);
    assert_int_equal(message.protocol, CELERY_PROTOCOL_HYBRID);
    assert_str_equal(message.task, "t");
    assert_str_equal(message.id, "head");
    assert_int_equal(message.retries, 1);
    assert_str_equal(message.root_id, "r");
    assert_str_equal(message.parent_id, "p");
    assert_str_equal(message.argsrepr, "(x)");
    assert_str_equal(message.kwargsrepr, "{}");
    assert_str_equal(message.callbacks, "[1]");
    arena_fini(&arena);
}

static void
test_tolerated(void **state)
{
    static const struct given rows[] = {
        {.headers = HEADERS, .encoding = ""},
        {.headers = HEADERS, .encoding = "UTF-8"},
        {.headers = HEADERS, .encoding = "us-ascii"},
        {.headers = HEADERS, .encoding = "binary"},
        {.headers = HEADERS, .body = "[[], {}, null]"},
        {.headers = HEADERS, .properties = "null"},
        {.headers = HEADERS, .properties = "{\"priority\": null, \"delivery_mode\": 2.0}"},
        {.headers = "{\"task\":\"t\",\"id\":\"i\",\"lang\":1,\"argsrepr\":[],\"origin\":{}}"},
        {.headers =
             "{\"task\":\"t\",\"id\":\"i\",\"timelimit\":null,\"retries\":null,\"stamps\":null}"},
        {.headers = "{\"task\":\"t\",\"id\":\"i\",\"eta\":\"2026-11-23 12:26:56+05:30\"}"},
        {.headers = "{\"task\":\"t\",\"id\":\"i\",\"x\":1,\"x\":2}"}, /* nobody reads it */
        {.headers = "{\"task\":\"t\",\"id\":\"i\",\"compression\":\"\"}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct celery_message message;
        struct error err;

        assert_ok(decode(&rows[i], &arena, &message, NULL, &err), err);
        assert_str_equal(message.id, "i");
        arena_fini(&arena);
    }
}

static void
test_refused(void **state)
{
    static const struct {
        struct given given;
        enum celery_refusal_kind kind;
    } rows[] = {
        {{.headers = HEADERS, .body = ""}, CELERY_REFUSED_MALFORMED},
        {{.headers = HEADERS, .body = "[[], {}, {}"}, CELERY_REFUSED_MALFORMED},
        {{.headers = HEADERS, .body = "[[01], {}, {}]"}, CELERY_REFUSED_MALFORMED},
        {{.headers = HEADERS, .body = "[[], {}, {}] x"}, CELERY_REFUSED_MALFORMED},
        {{.headers = HEADERS, .body = "[[\"\xFF\"], {}, {}]"}, CELERY_REFUSED_BAD_UTF8},
        {{.headers = HEADERS, .body = "[[\"\xED\xA0\x80\"], {}, {}]"}, CELERY_REFUSED_BAD_UTF8},
        {{.headers = "{\"task\""}, CELERY_REFUSED_MALFORMED},
        {{.headers = "{\"task\": \"\xC3\"}"}, CELERY_REFUSED_BAD_UTF8},
        {{.headers = "[]"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = HEADERS, .properties = "7"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = HEADERS, .properties = "{\"delivery_info\": 1}"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = HEADERS, .properties = "{\"priority\": \"9\"}"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = HEADERS, .properties = "{\"correlation_id\": 5}"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{}"}, CELERY_REFUSED_UNKNOWN_MESSAGE},
        {{.headers = "null"}, CELERY_REFUSED_UNKNOWN_MESSAGE},
        {{.headers = NULL}, CELERY_REFUSED_UNKNOWN_MESSAGE},
        {{.headers = "{\"task\": null, \"id\": \"i\"}"}, CELERY_REFUSED_UNKNOWN_MESSAGE},
        {{.headers = "{}", .body = "{\"id\": \"i\"}"}, CELERY_REFUSED_UNKNOWN_MESSAGE},
        {{.headers = "{\"task\": \"t\"}"}, CELERY_REFUSED_MISSING},
        {{.headers = "{\"task\": \"t\", \"id\": \"\"}"}, CELERY_REFUSED_MISSING},
        {{.headers = "{}", .body = "{\"task\": \"t\"}"}, CELERY_REFUSED_MISSING},
        {{.headers = "{\"task\": 1, \"id\": \"i\"}"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\": \"t\", \"id\": {}}"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"retries\":-1}"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"retries\":1.5}"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"retries\":99999999999999999999}"},
         CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"retries\":true}"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"timelimit\":30}"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"timelimit\":[1]}"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"timelimit\":[1,2,3]}"},
         CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"timelimit\":[NaN,1]}"},
         CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"timelimit\":[-1,1]}"},
         CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"timelimit\":{\"a\":1,\"b\":2}}"},
         CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"ignore_result\":1}"},
         CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"stamps\":[]}"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"stamped_headers\":{}}"},
         CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"eta\":\"soon\"}"}, CELERY_REFUSED_BAD_TIME},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"eta\":\"\"}"}, CELERY_REFUSED_BAD_TIME},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"eta\":17}"}, CELERY_REFUSED_BAD_TIME},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"expires\":\"2026-02-30T00:00:00\"}"},
         CELERY_REFUSED_BAD_TIME},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"id\":\"j\"}"}, CELERY_REFUSED_DUPLICATE},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"i\\u0064\":\"j\"}"}, CELERY_REFUSED_DUPLICATE},
        {{.headers = HEADERS, .properties = "{\"priority\":1,\"priority\":null}"},
         CELERY_REFUSED_DUPLICATE},
        {{.headers = HEADERS, .body = "[[], {}, {\"chain\": [], \"chain\": []}]"},
         CELERY_REFUSED_DUPLICATE},
        {{.headers = "{}", .body = "{\"task\":\"t\",\"id\":\"i\",\"args\":[],\"args\":[1]}"},
         CELERY_REFUSED_DUPLICATE},
        {{.headers = HEADERS, .type = ""}, CELERY_REFUSED_FOREIGN_TYPE},
        {{.headers = HEADERS, .type = "application/x-python-serialize"},
         CELERY_REFUSED_FOREIGN_TYPE},
        {{.headers = HEADERS, .type = "application/x-yaml"}, CELERY_REFUSED_FOREIGN_TYPE},
        {{.headers = HEADERS, .type = "application/x-msgpack"}, CELERY_REFUSED_FOREIGN_TYPE},
        {{.headers = HEADERS, .type = "application/data"}, CELERY_REFUSED_FOREIGN_TYPE},
        {{.headers = HEADERS, .type = "text/html"}, CELERY_REFUSED_FOREIGN_TYPE},
        {{.headers = HEADERS, .encoding = "utf-16"}, CELERY_REFUSED_FOREIGN_CODING},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"compression\":\"application/zstd\"}"},
         CELERY_REFUSED_FOREIGN_CODING},
        {{.headers = "{\"task\":\"t\",\"id\":\"i\",\"compression\":\"zlib\"}"},
         CELERY_REFUSED_MALFORMED},
        {{.headers = HEADERS, .body = "[]"}, CELERY_REFUSED_BAD_BODY},
        {{.headers = HEADERS, .body = "[[], {}]"}, CELERY_REFUSED_BAD_BODY},
        {{.headers = HEADERS, .body = "[[], {}, {}, {}]"}, CELERY_REFUSED_BAD_BODY},
        {{.headers = HEADERS, .body = "\"x\""}, CELERY_REFUSED_BAD_BODY},
        {{.headers = HEADERS, .body = "{\"kwargs\": {}}"}, CELERY_REFUSED_BAD_BODY},
        {{.headers = HEADERS, .body = "[{}, {}, {}]"}, CELERY_REFUSED_BAD_ARGUMENTS},
        {{.headers = HEADERS, .body = "[null, {}, {}]"}, CELERY_REFUSED_BAD_ARGUMENTS},
        {{.headers = HEADERS, .body = "[[], [], {}]"}, CELERY_REFUSED_BAD_ARGUMENTS},
        {{.headers = HEADERS, .body = "[[], {}, []]"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = HEADERS, .body = "[[], {}, {\"chain\": {}}]"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = HEADERS, .body = "[[], {}, {\"chord\": []}]"}, CELERY_REFUSED_WRONG_TYPE},
        {{.headers = "{}", .body = "{\"task\":\"t\",\"id\":\"i\",\"kwargs\":[]}"},
         CELERY_REFUSED_BAD_ARGUMENTS},
        {{.headers = "{}", .body = "{\"task\":\"t\",\"id\":\"i\",\"taskset\":3}"},
         CELERY_REFUSED_WRONG_TYPE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct celery_message message = {.retries = 77};
        struct celery_refusal refusal = {.kind = CELERY_NOT_REFUSED};
        struct error err = {.message = ""};
        int rc = decode(&rows[i].given, &arena, &message, &refusal, &err);

        if (refusal.kind != rows[i].kind)
            fail_msg("row %zu: %s, not %s: %s", i, celery_refusal_reason(refusal.kind),
                     celery_refusal_reason(rows[i].kind), err.message);
        assert_int_equal(rc, -(int)err.code);
        assert_true(rc < 0 && err.message[0]);
        assert_int_equal(message.retries, 77); /* out survives a failure */
        arena_fini(&arena);
    }
}

static void
test_refusal_tells_what_was_read(void **state)
{
    struct given given = {.headers = HEADERS, .body = "[7, {}, {}]"};
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct celery_message message;
    struct celery_refusal refusal;
    struct error err;

    (void)state;
    assert_int_equal(decode(&given, &arena, &message, &refusal, &err), -ERR_INVALID);
    assert_str_equal(refusal.partial.id, "i");
    assert_str_equal(refusal.partial.task, "t");
    assert_string_equal(err.message, "args must be a list, got number");
    assert_string_equal(celery_refusal_reason(refusal.kind), "bad-arguments");
    assert_int_equal(celery_refusal_verdict(refusal.kind), CELERY_FAIL);
    assert_int_equal(celery_refusal_verdict(CELERY_REFUSED_MALFORMED), CELERY_DROP);
    assert_int_equal(celery_refusal_verdict(CELERY_REFUSED_FOREIGN_TYPE), CELERY_REJECT);
    given = (struct given){.headers = HEADERS, .type = "application/x-python-serialize"};
    assert_int_equal(decode(&given, &arena, &message, &refusal, &err), -ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "task_serializer=\"json\""));
    given = (struct given){.headers = "{\"task\":\"t\",\"retries\":\"abc\"}"};
    assert_int_equal(decode(&given, &arena, &message, &refusal, &err), -ERR_INVALID);
    assert_string_equal(err.message,
                        "header 'retries' must be a whole number from 0, got string \"abc\"");
    assert_int_equal(decode(&given, &arena, &message, NULL, NULL), -ERR_INVALID);
    arena_fini(&arena);
}

static void
test_envelope_refused(void **state)
{
#define PROPERTIES "\"properties\":{\"delivery_tag\":\"x\",\"body_encoding\":\"base64\"}"
#define TYPE       "\"content-type\":\"application/json\",\"content-encoding\":\"utf-8\""
    static const struct {
        const char *text;
        enum celery_refusal_kind kind;
    } rows[] = {
        {"", CELERY_REFUSED_MALFORMED},
        {"[]", CELERY_REFUSED_MALFORMED},
        {"null", CELERY_REFUSED_MALFORMED},
        {"\x80\x04\x95", CELERY_REFUSED_BAD_UTF8},
        {"{}", CELERY_REFUSED_MISSING},
        {"{\"properties\":[]}", CELERY_REFUSED_WRONG_TYPE},
        {"{\"properties\":{},\"properties\":{}}", CELERY_REFUSED_DUPLICATE},
        {"{\"properties\":{\"delivery_tag\":7}}", CELERY_REFUSED_WRONG_TYPE},
        {"{" PROPERTIES "}", CELERY_REFUSED_MISSING},
        {"{" PROPERTIES ",\"headers\":1}", CELERY_REFUSED_WRONG_TYPE},
        {"{" PROPERTIES ",\"body\":null}", CELERY_REFUSED_WRONG_TYPE},
        {"{" PROPERTIES ",\"body\":[1]}", CELERY_REFUSED_WRONG_TYPE},
        {"{" PROPERTIES ",\"body\":\"W10\"}", CELERY_REFUSED_MALFORMED},
        {"{" PROPERTIES ",\"body\":\"\\u0000\"}", CELERY_REFUSED_MALFORMED},
        {"{" PROPERTIES ",\"body\":\"W10=\"}", CELERY_REFUSED_FOREIGN_TYPE},
        {"{" PROPERTIES ",\"content-type\":1}", CELERY_REFUSED_WRONG_TYPE},
        {"{" PROPERTIES "," TYPE ",\"body\":\"W10=\"}", CELERY_REFUSED_UNKNOWN_MESSAGE},
        {"{" PROPERTIES "," TYPE ",\"body\":\"W10=\",\"headers\":null}",
         CELERY_REFUSED_UNKNOWN_MESSAGE},
        {"{" PROPERTIES "," TYPE ",\"body\":\"W10=\",\"headers\":" HEADERS "}",
         CELERY_REFUSED_BAD_BODY},
        {"{\"properties\":{\"delivery_tag\":\"x\",\"body_encoding\":\"hex\"},\"body\":\"\"}",
         CELERY_REFUSED_FOREIGN_CODING},
        {"{\"properties\":{\"delivery_tag\":\"x\"}," TYPE ",\"headers\":" HEADERS
         ",\"body\":\"[[\\\"\\ud800\\\"],{},{}]\"}",
         CELERY_REFUSED_BAD_UTF8},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct celery_message message;
        struct celery_refusal refusal;
        struct error err;

        assert_true(celery_message_decode_envelope(str_from_cstr(rows[i].text), NULL, &arena,
                                                   &message, &refusal, &err) < 0);
        if (refusal.kind != rows[i].kind)
            fail_msg("%s: %s, not %s: %s", rows[i].text, celery_refusal_reason(refusal.kind),
                     celery_refusal_reason(rows[i].kind), err.message);
        arena_fini(&arena);
    }
}

/* Bodies that are the text itself, and base64 whose slashes are escaped, as PHP does. */
static void
test_body_encodings(void **state)
{
    static const char *const texts[] = {
        "{\"properties\":{\"delivery_tag\":\"x\"}," TYPE ",\"headers\":" HEADERS
        ",\"body\":\"[[\\\"\\\\ud83d?\\\"], {}, {}]\"}",
        "{\"properties\":{\"delivery_tag\":\"x\",\"body_encoding\":null}," TYPE
        ",\"headers\":" HEADERS ",\"body\":\"[[\\\"\\\\ud83d?\\\"], {}, {}]\"}",
        "{\"properties\":{\"delivery_tag\":\"x\",\"body_encoding\":\"UTF-8\"}," TYPE
        ",\"headers\":" HEADERS ",\"body\":\"[[\\\"\\\\ud83d?\\\"], {}, {}]\"}",
        "{" PROPERTIES "," TYPE ",\"headers\":" HEADERS
        ",\"body\":\"W1siXHVkODNkPyJdLCB7fSwge31d\"}",
        "{" PROPERTIES "," TYPE ",\"headers\":" HEADERS
        ",\"body\":\"W1siXHVkODNk\\u0050yJdLCB7fSwge31d\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct celery_message message;
        struct error err;

        assert_ok(celery_message_decode_envelope(str_from_cstr(texts[i]), NULL, &arena, &message,
                                                 NULL, &err),
                  err);
        assert_str_equal(message.args, "[\"\\ud83d?\"]");
        arena_fini(&arena);
    }
}

/* An envelope of a body, for tests of size. */
static void
wrap(struct buf *out, struct str headers, struct str body)
{
    buf_clear(out);
    buf_append(out, STR("{" PROPERTIES "," TYPE ",\"headers\":"));
    buf_append(out, headers);
    buf_append(out, STR(",\"body\":\""));
    celery_base64_append(out, body);
    buf_append(out, STR("\"}"));
}

static void
fill(struct buf *out, struct str before, struct str piece, size_t n, struct str after)
{
    buf_clear(out);
    buf_append(out, before);
    while (n--)
        buf_append(out, piece);
    buf_append(out, after);
}

static void
check_size(struct buf *envelope, enum celery_refusal_kind kind)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct celery_refusal refusal = {.kind = CELERY_NOT_REFUSED};
    struct celery_message message;
    struct error err = {.message = ""};
    int rc =
        celery_message_decode_envelope(buf_str(envelope), NULL, &arena, &message, &refusal, &err);

    assert_int_equal(rc < 0, kind != CELERY_NOT_REFUSED);
    if (refusal.kind != kind)
        fail_msg("%s, not %s: %s", celery_refusal_reason(refusal.kind), celery_refusal_reason(kind),
                 err.message);
    assert_true(arena.used <= 4 * envelope->len + 16 * KIB);
    arena_fini(&arena);
}

static void
test_sizes(void **state)
{
    static const struct {
        struct str before;
        struct str piece;
        size_t n;
        struct str after;
        enum celery_refusal_kind kind;
    } bodies[] = {
        /* a tree of values would take 24 times the text: the check is that none is built */
        {STR_INIT("[[0"), STR_INIT(",0"), 1 << 20, STR_INIT("],{},{}]"), CELERY_NOT_REFUSED},
        {STR_INIT("[[0"), STR_INIT(",0"), (2 << 20) - 1, STR_INIT("],{},{}]"),
         CELERY_REFUSED_TOO_LARGE},
        {STR_INIT("[[],{\"a\":0"), STR_INIT(",\"\":0"), 800000, STR_INIT("},{}]"),
         CELERY_NOT_REFUSED},
        {STR_INIT("[[\""), STR_INIT("\\u0000"), 699050, STR_INIT("\"],{},{}]"),
         CELERY_REFUSED_TOO_LARGE},
        {STR_INIT("[[\""), STR_INIT("\\u0000"), 699040, STR_INIT("\"],{},{}]"), CELERY_NOT_REFUSED},
        {STR_INIT("[[],{},{\"chain\":[0"), STR_INIT(",0"), 5 << 20, STR_INIT("]}]"),
         CELERY_NOT_REFUSED},
        {STR_INIT("[[],{},{\"chain\":[0"), STR_INIT(",0"), 8 << 20, STR_INIT("]}]"),
         CELERY_REFUSED_TOO_LARGE},
        {STR_INIT("[["), STR_INIT("["), 510, STR_INIT("x"), CELERY_REFUSED_MALFORMED},
        {STR_INIT("[["), STR_INIT("["), 511, STR_INIT("x"), CELERY_REFUSED_TOO_DEEP},
        {STR_INIT("["), STR_INIT("{\"a\":"), 3 << 20, STR_INIT(""), CELERY_REFUSED_TOO_DEEP},
    };
    struct buf body = BUF_INIT(40 * MIB);
    struct buf envelope = BUF_INIT(64 * MIB);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        fill(&body, bodies[i].before, bodies[i].piece, bodies[i].n, bodies[i].after);
        wrap(&envelope, STR(HEADERS), buf_str(&body));
        check_size(&envelope, bodies[i].kind);
    }
    fill(&body, STR("\""), STR(" "), 33 << 20, STR("\""));
    check_size(&body, CELERY_REFUSED_TOO_LARGE);
    fill(&body, STR("{\"a\":0"), STR(",\"\":0"), 1023, STR("}"));
    wrap(&envelope, buf_str(&body), STR("[]"));
    check_size(&envelope, CELERY_REFUSED_UNKNOWN_MESSAGE);
    fill(&body, STR("{\"a\":0"), STR(",\"\":0"), 1024, STR("}"));
    wrap(&envelope, buf_str(&body), STR("[]"));
    check_size(&envelope, CELERY_REFUSED_TOO_MANY);
    fill(&body, STR("{\"task\":\"t\",\"id\":\""), STR("\\u0001"), 4096, STR("\"}"));
    wrap(&envelope, buf_str(&body), STR("[[],{},{}]"));
    check_size(&envelope, CELERY_NOT_REFUSED);
    fill(&body, STR("{\"task\":\"t\",\"id\":\""), STR("\\u0001"), 4097, STR("\"}"));
    wrap(&envelope, buf_str(&body), STR("[[],{},{}]"));
    check_size(&envelope, CELERY_REFUSED_TOO_LARGE);
    fill(&body, STR("{\"task\":\"t\",\"id\":\""), STR("x"), 1 << 20, STR("\"}"));
    wrap(&envelope, buf_str(&body), STR("[[],{},{}]"));
    check_size(&envelope, CELERY_REFUSED_TOO_LARGE);
    fill(&body, STR("{\"task\":\"t\",\"id\":\"i\",\"argsrepr\":\""), STR("\\u0001"), 1 << 20,
         STR("\"}"));
    wrap(&envelope, buf_str(&body), STR("[[],{},{}]"));
    check_size(&envelope, CELERY_NOT_REFUSED);
    buf_fini(&envelope);
    buf_fini(&body);
}

static void
test_bomb(void **state)
{
    static const struct str headers =
        STR_INIT("{\"task\":\"t\",\"id\":\"i\",\"compression\":\"application/x-gzip\"}");
    struct buf body = BUF_INIT(64 * MIB);
    struct buf packed = BUF_INIT(64 * MIB);
    struct buf envelope = BUF_INIT(MIB);

    (void)state;
    fill(&body, STR("[[\""), STR("          "), 3 << 20, STR("\"],{},{}]"));
    assert_int_equal(celery_compress(CELERY_COMPRESSION_ZLIB, buf_str(&body), &packed, NULL), 0);
    wrap(&envelope, headers, buf_str(&packed));
    check_size(&envelope, CELERY_REFUSED_TOO_LARGE);
    buf_fini(&envelope);
    buf_fini(&packed);
    buf_fini(&body);
}

/* Memory that runs out is nobody's fault: the broker tries again later. */
static void
test_no_memory(void **state)
{
    struct buf packed = BUF_INIT(MIB);
    struct buf envelope = BUF_INIT(MIB);
    struct celery_refusal refusal;
    struct celery_message message;
    struct error err;
    size_t n_failed = 0;

    (void)state;
    assert_int_equal(celery_compress(CELERY_COMPRESSION_ZLIB, STR("[[], {}, {}]"), &packed, NULL),
                     0);
    wrap(&envelope, STR("{\"task\":\"\\u0074\",\"id\":\"i\",\"compression\":\"zlib\"}"),
         buf_str(&packed));
    for (size_t bytes = 0; bytes < 200; bytes++) {
        struct arena arena = ARENA_INIT(bytes);
        int rc = celery_message_decode_envelope(buf_str(&envelope), NULL, &arena, &message,
                                                &refusal, &err);

        if (rc == -ERR_NOMEM) {
            assert_int_equal(refusal.kind, CELERY_NOT_REFUSED);
            n_failed++;
        } else {
            assert_ok(rc, err);
            assert_str_equal(message.args, "[]");
        }
        arena_fini(&arena);
    }
    assert_true(n_failed > 10 && n_failed < 190);
    buf_fini(&packed);
    buf_fini(&envelope);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_slices_keep_their_spelling),
        cmocka_unit_test(test_protocol_1),
        cmocka_unit_test(test_protocol_1_defaults),
        cmocka_unit_test(test_hybrid),
        cmocka_unit_test(test_tolerated),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refusal_tells_what_was_read),
        cmocka_unit_test(test_envelope_refused),
        cmocka_unit_test(test_body_encodings),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
