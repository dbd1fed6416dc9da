/* celery/message.h: messages of our own. */

#include "tests/unit/check.h"

#include "base/clock.h"
#include "base/json_scan.h"
#include "celery/message.h"

#define ARENA_BYTES ((size_t)1 << 20)

static struct celery_message
make_message(void)
{
    struct celery_message message;

    celery_message_init(&message, STR("proj.add"), STR("f9b23158"));
    message.origin = STR("gen1@host1");
    message.routing_key = STR("celery");
    message.delivery_tag = STR("8321257d");
    return message;
}

static void
test_defaults(void **state)
{
    struct celery_message message = make_message();
    struct buf out = BUF_INIT(10000);
    struct error err;

    (void)state;
    message.args = STR("[2, 3]");
    assert_ok(celery_message_encode_envelope(&message, &out, &err), err);
    assert_str_equal(
        buf_str(&out),
        "{\"body\": "
        "\"W1syLCAzXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbn"
        "VsbCwgImNob3JkIjogbnVsbH1d\", \"content-encoding\": \"utf-8\", \"content-type\":"
        " \"application/json\", \"headers\": {\"lang\": \"py\", \"task\": \"proj.add\", \"id\":"
        " \"f9b23158\", \"shadow\": null, \"eta\": null, \"expires\": null, \"group\": null,"
        " \"group_index\": null, \"retries\": 0, \"timelimit\": [null, null], \"root_id\": "
        "\"f9b23158\","
        " \"parent_id\": null, \"argsrepr\": \"(2, 3)\", \"kwargsrepr\": \"{}\", \"origin\":"
        " \"gen1@host1\", \"ignore_result\": false, \"replaced_task_nesting\": 0, "
        "\"stamped_headers\":"
        " null, \"stamps\": {}}, \"properties\": {\"correlation_id\": \"f9b23158\", \"reply_to\": "
        "\"\","
        " \"delivery_mode\": 2, \"delivery_info\": {\"exchange\": \"\", \"routing_key\": "
        "\"celery\"},"
        " \"priority\": 0, \"body_encoding\": \"base64\", \"delivery_tag\": \"8321257d\"}}");
    buf_fini(&out);
}

static void
test_everything(void **state)
{
    struct celery_message message = make_message();
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct buf out = BUF_INIT(10000);
    struct error err;

    (void)state;
    assert_ok(celery_message_set_eta(&message, INT64_C(1795436816633048), &arena, &err), err);
    assert_ok(celery_message_set_expires(&message, INT64_C(1795436936000000),
                                         INT64_C(1795436816000001), &arena, &err),
              err);
    message.shadow = STR("add\xC3\xA9\xED\xA0\x80");
    message.group = STR("g");
    message.group_index = 3;
    message.retries = 2;
    message.timelimit = (struct celery_limits){30, 12.5};
    message.root_id = STR("r");
    message.parent_id = STR("p");
    message.kwargs = STR("{\"y\":1.10}");
    message.ignore_result = CELERY_UNSET;
    message.stamped_headers = STR("[\"s\"]");
    message.stamps = STR("{\"s\":\"\\ud800\"}");
    message.headers = STR("{\"xh\":-0.0,\"task\":\"old\",\"compression\":\"zlib\"}");
    message.properties = STR("{\"app_id\":\"me\",\"priority\":9,\"delivery_info\":{}}");
    message.embed = STR("{\"chain\":[1],\"extra\":1e2}");
    message.chain = STR("[]");
    message.reply_to = STR("q");
    message.priority = 5;
    assert_ok(celery_message_encode_headers(&message, &out, &err), err);
    assert_str_equal(
        buf_str(&out),
        "{\"lang\": \"py\", \"task\": \"proj.add\", \"id\": \"f9b23158\", \"shadow\":"
        " \"add\\u00e9\\ud800\", \"eta\": \"2026-11-23T12:26:56.633048+00:00\", \"expires\":"
        " \"2026-11-23T12:28:56+00:00\", \"group\": \"g\", \"group_index\": 3, \"retries\": 2,"
        " \"timelimit\": [30, 12.5], \"root_id\": \"r\", \"parent_id\": \"p\", \"argsrepr\": "
        "\"()\","
        " \"kwargsrepr\": \"{'y': 1.1}\", \"origin\": \"gen1@host1\", \"ignore_result\": null, "
        "\"replaced_task_nesting\": 0,"
        " \"stamped_headers\": [\"s\"], \"stamps\": {\"s\":\"\\ud800\"}, \"xh\": -0.0}");
    buf_clear(&out);
    assert_ok(celery_message_encode_body(&message, &out, &err), err);
    assert_str_equal(buf_str(&out), "[[], {\"y\":1.10}, {\"callbacks\": null, \"errbacks\": null,"
                                    " \"chain\": [], \"chord\": null, \"extra\": 1e2}]");
    buf_clear(&out);
    assert_ok(celery_message_encode_envelope(&message, &out, &err), err);
    assert_non_null(strstr(buf_cstr(&out),
                           "\"properties\": {\"correlation_id\": \"f9b23158\", \"reply_to\": \"q\","
                           " \"app_id\": \"me\", \"delivery_mode\": 2, \"expiration\": \"119999\","
                           " \"delivery_info\": {\"exchange\": \"\", \"routing_key\": \"celery\"},"
                           " \"priority\": 5,"));
    buf_fini(&out);
    arena_fini(&arena);
}

static void
test_a_delivery_tag_is_made(void **state)
{
    struct celery_message message = make_message();
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct celery_message found[2];
    struct error err;

    (void)state;
    message.delivery_tag = STR_NULL;
    for (size_t i = 0; i < 2; i++) {
        struct buf out = BUF_INIT(10000);
        bool ok = true;

        assert_ok(celery_message_encode_envelope(&message, &out, &err), err);
        assert_ok(celery_message_decode_envelope(arena_dup(&arena, buf_str(&out), &ok), NULL,
                                                 &arena, &found[i], NULL, &err),
                  err);
        assert_int_equal(found[i].delivery_tag.len, 36);
        buf_fini(&out);
    }
    assert_false(str_equal(found[0].delivery_tag, found[1].delivery_tag));
    arena_fini(&arena);
}

static void
test_compressed(void **state)
{
    static const struct {
        const char *name;
        const char *header;
    } rows[] = {
        {"zlib", "application/x-gzip"},
        {"application/x-bz2", "application/x-bz2"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct celery_message message = make_message();
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct buf out = BUF_INIT(10000);
        struct celery_message again;
        struct error err;

        message.args = STR("[\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\", 1]");
        message.compression = str_from_cstr(rows[i].name);
        assert_ok(celery_message_encode_envelope(&message, &out, &err), err);
        assert_ok(celery_message_decode_envelope(buf_str(&out), NULL, &arena, &again, NULL, &err),
                  err);
        assert_str_equal(again.compression, rows[i].header);
        assert_true(str_equal(again.args, message.args));
        buf_fini(&out);
        arena_fini(&arena);
    }
}

static void
test_refused(void **state)
{
    static const struct {
        size_t offset;
        const char *text;
        int rc;
    } rows[] = {
        {offsetof(struct celery_message, task), "", -ERR_ARGS},
        {offsetof(struct celery_message, id), NULL, -ERR_ARGS},
        {offsetof(struct celery_message, routing_key), NULL, -ERR_ARGS},
        {offsetof(struct celery_message, args), "{}", -ERR_INVALID},
        {offsetof(struct celery_message, args), "[1], [2]", -ERR_INVALID}, /* four elements */
        {offsetof(struct celery_message, args), "[\"\xFF\"]", -ERR_INVALID},
        {offsetof(struct celery_message, kwargs), "[]", -ERR_INVALID},
        {offsetof(struct celery_message, chain), "{}", -ERR_INVALID},
        {offsetof(struct celery_message, chord), "{", -ERR_INVALID},
        {offsetof(struct celery_message, stamps), "1", -ERR_INVALID},
        {offsetof(struct celery_message, headers), "[]", -ERR_INVALID},
        {offsetof(struct celery_message, properties), "{]", -ERR_INVALID},
        {offsetof(struct celery_message, embed), "7", -ERR_INVALID},
        {offsetof(struct celery_message, compression), "lzma", -ERR_UNSUPPORTED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct celery_message message = make_message();
        struct buf out = BUF_INIT(10000);
        struct error err;

        buf_append(&out, STR("before"));
        *(struct str *)((char *)&message + rows[i].offset) = str_from_cstr(rows[i].text);
        assert_int_equal(celery_message_encode_envelope(&message, &out, &err), rows[i].rc);
        assert_str_equal(buf_str(&out), "before");
        buf_fini(&out);
    }
}

static void
test_every_ceiling(void **state)
{
    struct celery_message message = make_message();
    struct buf whole = BUF_INIT(10000);
    size_t n_bytes;

    (void)state;
    assert_int_equal(celery_message_encode_envelope(&message, &whole, NULL), 0);
    n_bytes = whole.len;
    for (size_t max = 0; max < n_bytes; max++) {
        struct buf out = BUF_INIT(max);

        assert_int_equal(celery_message_encode_envelope(&message, &out, NULL), -ERR_TOO_LARGE);
        assert_int_equal(out.len, 0);
        buf_fini(&out);
    }
    buf_fini(&whole);
}

static void
test_time_format(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00+00:00"},
        {INT64_C(1795436816633048), "2026-11-23T12:26:56.633048+00:00"},
        {INT64_C(1795436816000001), "2026-11-23T12:26:56.000001+00:00"},
        {INT64_C(1795436816500000), "2026-11-23T12:26:56.500000+00:00"},
        {-1, "1969-12-31T23:59:59.999999+00:00"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[CELERY_TIME_TEXT_BYTES];

        assert_string_equal(celery_time_format(rows[i].us, text), rows[i].text);
    }
}

static void
test_expiration(void **state)
{
    static const struct {
        int64_t expires_us;
        int64_t now_us;
        const char *text;
    } rows[] = {
        {120 * US_PER_S, 0, "120000"},
        {1999, 0, "1"},
        {0, 5, "0"},
        {US_PER_S, INT64_MIN, "0"}, /* beyond counting */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct celery_message message = make_message();
        struct error err;

        assert_ok(
            celery_message_set_expires(&message, rows[i].expires_us, rows[i].now_us, &arena, &err),
            err);
        assert_str_equal(message.expiration, rows[i].text);
        assert_int_equal(message.expires.us, rows[i].expires_us);
        arena_fini(&arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_a_delivery_tag_is_made),
        cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_ceiling),
        cmocka_unit_test(test_time_format),
        cmocka_unit_test(test_expiration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
