/* celery/backend/exception.h: from the error table to Celery's form and back. */

#include "tests/unit/check.h"

#include "celery/backend/exception.h"

#define ARENA_BYTES ((size_t)1 << 20)

static const enum error_code codes[] = {
#define CODE(code, exception, retry, status) code,
    ERROR_CODES(CODE)
#undef CODE
};

/* Each row of the error table: what it is on the wire, and that it comes back as itself. */
static void
test_error_table(void **state)
{
    static const struct {
        enum error_code code;
        const char *wire;
    } rows[] = {
        {ERR_INVALID, "{\"exc_type\":\"ValueError\",\"exc_message\":[\"caf\xC3\xA9: \\\"x\\\"\"],"
                      "\"exc_module\":\"builtins\"}"},
        {ERR_CONFIG, "{\"exc_type\":\"ImproperlyConfigured\",\"exc_message\":[\"caf\xC3\xA9: "
                     "\\\"x\\\"\"],\"exc_module\":\"celery.exceptions\"}"},
        {ERR_SOFT_LIMIT, "{\"exc_type\":\"SoftTimeLimitExceeded\",\"exc_message\":[\"caf\xC3\xA9: "
                         "\\\"x\\\"\"],\"exc_module\":\"billiard.exceptions\"}"},
        {ERR_RATE_LIMIT, "{\"exc_type\":\"RateLimited\",\"exc_message\":[\"caf\xC3\xA9: "
                         "\\\"x\\\"\"],\"exc_module\":null}"},
        {ERR_CANCELLED, "{\"exc_type\":\"KeyboardInterrupt\",\"exc_message\":[\"caf\xC3\xA9: "
                        "\\\"x\\\"\"],\"exc_module\":null}"},
    };
    size_t n_checked = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
        CLEANUP(buf_fini) struct buf args = BUF_INIT(4096);
        CLEANUP(buf_fini) struct buf text = BUF_INIT(4096);
        struct json_writer json = JSON_WRITER_INIT(&text);
        struct exception exception;
        struct error error;
        struct error back;
        struct error err;
        int rc;

        rc = error_set(&error, codes[i], "caf\xC3\xA9: \"x\"");
        assert_int_equal(rc, -(int)codes[i]);
        assert_ok(exception_from_error(&error, &args, &exception, &err), err);
        exception_write(&json, &exception);
        for (size_t k = 0; k < COUNT_OF(rows); k++) {
            if (rows[k].code != codes[i])
                continue;
            assert_string_equal(buf_cstr(&text), rows[k].wire);
            n_checked++;
        }
        assert_ok(exception_read(buf_str(&text), &arena, &exception, &err), err);
        rc = exception_to_error(&exception, &arena, &back);
        /* Two codes are OSError. */
        assert_int_equal(rc, codes[i] == ERR_DISK_FULL ? -ERR_IO : -(int)codes[i]);
        assert_true(str_ends_with(str_from_cstr(back.message), STR(": caf\xC3\xA9: \"x\"")));
    }
    assert_int_equal(n_checked, COUNT_OF(rows));
}

static void
test_foreign(void **state)
{
    static const struct {
        struct str json;
        struct str args;
        int rc;
        const char *message;
    } rows[] = {
        {STR_INIT("{\"exc_type\": \"KeyError\", \"exc_message\": [\"boo\", 1],"
                  " \"exc_module\": \"builtins\"}"),
         STR_INIT("[\"boo\", 1]"), -ERR_INVALID, "KeyError: boo, 1"},
        {STR_INIT("{\"exc_type\": \"TimeoutError\", \"exc_message\": [],"
                  " \"exc_module\": \"builtins\"}"),
         STR_INIT("[]"), -ERR_TIMEOUT, "TimeoutError"},
        {STR_INIT("{\"exc_type\": \"TimeoutError\", \"exc_message\": [\"x\"],"
                  " \"exc_module\": \"requests.exceptions\"}"),
         STR_INIT("[\"x\"]"), -ERR_INVALID, "TimeoutError: x"},
        {STR_INIT("{\"exc_type\": \"ValueError\", \"exc_message\": \"old form\"}"),
         STR_INIT("\"old form\""), -ERR_INVALID, "ValueError: old form"},
        {STR_INIT("{\"exc_type\": \"Odd\", \"exc_message\": [{\"a\": NaN}, null]}"),
         STR_INIT("[{\"a\": NaN}, null]"), -ERR_INVALID, "Odd: {\"a\":NaN}, null"},
        {STR_INIT("{\"exc_type\": \"Odd\"}"), {NULL, 0}, -ERR_INVALID, "Odd"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct exception exception;
        struct error back;
        struct error err;

        assert_ok(exception_read(rows[i].json, &arena, &exception, &err), err);
        assert_true(str_equal(exception.args, rows[i].args));
        assert_int_equal(exception_to_error(&exception, &arena, &back), rows[i].rc);
        assert_string_equal(back.message, rows[i].message);
        assert_int_equal(exception_to_error(&exception, &arena, NULL), rows[i].rc);
    }
}

static void
test_read_refuses(void **state)
{
    static const struct str rows[] = {
        STR_INIT(""),
        STR_INIT("null"),
        STR_INIT("[]"),
        STR_INIT("{}"),
        STR_INIT("{\"exc_type\": 5}"),
        STR_INIT("{\"exc_type\": \"\"}"),
        STR_INIT("{\"exc_type\": [\"os\", \"system\"], \"exc_message\": \"id\"}"),
        {NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct exception exception = {.type = STR("kept")};

        assert_int_equal(exception_read(rows[i], &arena, &exception, NULL), -ERR_INVALID);
        assert_str_equal(exception.type, "kept");
    }
}

static void
test_long_message_is_cut(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
    CLEANUP(buf_fini) struct buf args = BUF_INIT(65536);
    struct exception exception = {.type = STR("ValueError"), .module = STR("builtins")};
    struct error back;

    (void)state;
    buf_append(&args, STR("[\""));
    for (size_t i = 0; i < 10000; i++)
        buf_append(&args, STR("\xC3\xA9"));
    buf_append(&args, STR("\"]"));
    exception.args = buf_str(&args);
    assert_int_equal(exception_to_error(&exception, &arena, &back), -ERR_INVALID);
    assert_int_equal(strlen(back.message), sizeof(back.message) - 2); /* a whole character */
}

static void
test_kinds(void **state)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(4096);
    struct json_writer json = JSON_WRITER_INIT(&text);
    struct exception revoked = exception_of_kind(EXCEPTION_REVOKED, STR("[\"terminated\"]"));
    struct exception limit = exception_of_kind(EXCEPTION_SOFT_LIMIT, STR_NULL);

    (void)state;
    json_begin_array(&json);
    exception_write(&json, &revoked);
    exception_write(&json, &limit);
    json_end_array(&json);
    assert_string_equal(buf_cstr(&text),
                        "[{\"exc_type\":\"TaskRevokedError\",\"exc_message\":[\"terminated\"],"
                        "\"exc_module\":\"celery.exceptions\"},"
                        "{\"exc_type\":\"SoftTimeLimitExceeded\",\"exc_message\":[],"
                        "\"exc_module\":\"billiard.exceptions\"}]");
}

static void
test_traceback(void **state)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(4096);
    struct error error = {.code = ERR_NETWORK, .line = 12, .file = "lib/x.c", .message = "refused"};
    struct error err;

    (void)state;
    assert_ok(exception_format_traceback(&error, &text, &err), err);
    assert_string_equal(buf_cstr(&text), "Traceback (most recent call last):\n"
                                         "  File \"lib/x.c\", line 12\n"
                                         "ConnectionError: refused\n");
    text.max_bytes = 100;
    assert_int_equal(exception_format_traceback(&error, &text, NULL), -ERR_TOO_LARGE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_table),  cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_read_refuses), cmocka_unit_test(test_long_message_is_cut),
        cmocka_unit_test(test_kinds),        cmocka_unit_test(test_traceback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
