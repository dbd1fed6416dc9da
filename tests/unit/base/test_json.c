/* base/json.h and base/json_writer.h. */

#include "tests/unit/check.h"

#include "base/json.h"
#include "base/json_writer.h"

#define ARENA_BYTES ((size_t)1 << 20)

static void
test_parse_and_write_back(void **state)
{
    static const struct {
        const char *text;
        const char *written;
    } rows[] = {
        {" null ", "null"},
        {"[true,false , 1]", "[true,false,1]"},
        {"{\"a\":{\"b\":[]},\"c\":{}}", "{\"a\":{\"b\":[]},\"c\":{}}"},
        {"123456789012345678901234567890", "123456789012345678901234567890"},
        {"-0.5e-3", "-0.5e-3"},
        {"\"a\\u00e9\\n\\/\"", "\"a\xC3\xA9\\n/\""},
        {"\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\""},
        {"\"\\ud83d x\"", "\"\xEF\xBF\xBD x\""},
        {"\"\xC3\"", "\"\xEF\xBF\xBD\""},
        {"\"\xF0\x9F\x98\"", "\"\xEF\xBF\xBD\""},
        {"\"\\u0000\"", "\"\\u0000\""},
        {"{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct buf out = BUF_INIT(1000);
        struct json_writer writer = JSON_WRITER_INIT(&out);
        struct error err;
        struct json value;

        assert_ok(json_parse(str_from_cstr(rows[i].text), NULL, &arena, &value, &err), err);
        json_value(&writer, &value);
        assert_str_equal(buf_str(&out), rows[i].written);
        buf_fini(&out);
        arena_fini(&arena);
    }
}

static void
test_refuse(void **state)
{
    static const struct {
        const char *text;
        unsigned flags;
        int rc;
    } rows[] = {
        {"", 0, -ERR_INVALID},
        {"tru", 0, -ERR_INVALID},
        {"[1,]", 0, -ERR_INVALID},
        {"[1 2]", 0, -ERR_INVALID},
        {"{\"a\" 1}", 0, -ERR_INVALID},
        {"{a:1}", 0, -ERR_INVALID},
        {"01", 0, -ERR_INVALID},
        {"1.", 0, -ERR_INVALID},
        {"1e", 0, -ERR_INVALID},
        {"\"a", 0, -ERR_INVALID},
        {"\"a\\\"", 0, -ERR_INVALID},
        {"\"\\x\"", 0, -ERR_INVALID},
        {"\"\\u12\"", 0, -ERR_INVALID},
        {"\"a\nb\"", 0, -ERR_INVALID},
        {"NaN", 0, -ERR_INVALID},
        {"NaN", JSON_ALLOW_NAN, 0},
        {"-Infinity", JSON_ALLOW_NAN, 0},
        {"-NaN", JSON_ALLOW_NAN, -ERR_INVALID},
        {"\"\xFF\"", JSON_STRICT_UTF8, -ERR_INVALID},
        {"\"\\udc00\"", JSON_STRICT_UTF8, -ERR_INVALID},
        {"1 2", 0, -ERR_INVALID},
        {"[[[[1]]]]", 0, -ERR_TOO_LARGE},
        {"[[[1]]]", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct json_limits limits = {.flags = rows[i].flags, .max_depth = 3};
        struct json value = {.type = JSON_BOOL};

        assert_int_equal(json_parse(str_from_cstr(rows[i].text), &limits, &arena, &value, NULL),
                         rows[i].rc);
        if (rows[i].rc < 0)
            assert_int_equal(value.type, JSON_BOOL); /* out survives a failure */
        arena_fini(&arena);
    }
}

static void
test_get(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct error err;
    struct json value;
    int64_t number = 0;

    (void)state;
    assert_ok(json_parse(STR("{\"a\":1,\"s\":\"x\",\"a\":5.0,\"n\":null,\"big\":1e300}"), NULL,
                         &arena, &value, &err),
              err);
    assert_true(json_is_i64(json_get(&value, STR("a")), &number)); /* the last one wins */
    assert_int_equal(number, 5);
    assert_false(json_is_i64(json_get(&value, STR("big")), &number));
    assert_false(json_is_i64(json_get(&value, STR("s")), &number));
    assert_str_equal(json_get_str(&value, STR("s")), "x");
    assert_null(json_get_str(&value, STR("n")).ptr);
    assert_null(json_get(&value, STR("absent")));
    assert_null(json_get(json_get(&value, STR("s")), STR("x")));
    arena_fini(&arena);
}

static void
test_arena_ceiling(void **state)
{
    struct arena arena = ARENA_INIT(256);
    struct json value;

    (void)state;
    assert_int_equal(json_parse(STR("[1,2,3,4,5,6,7,8,9,10,11,12]"), NULL, &arena, &value, NULL),
                     -ERR_NOMEM);
    arena_fini(&arena);
}

static void
test_write_numbers(void **state)
{
    struct buf out = BUF_INIT(1000);
    struct json_writer json = JSON_WRITER_INIT(&out);

    (void)state;
    json_begin_object(&json);
    json_member_f64(&json, STR("third"), 0.1);
    json_member_f64(&json, STR("nan"), 0.0 / 0.0);
    json_member_i64(&json, STR("min"), INT64_MIN);
    json_member_str(&json, STR("absent"), STR_NULL);
    json_member_bool(&json, STR("yes"), true);
    json_name(&json, STR("list"));
    json_begin_array(&json);
    json_str(&json, STR("a\"\x01\xFF"));
    json_null(&json);
    json_end_array(&json);
    json_end_object(&json);
    assert_str_equal(buf_str(&out), "{\"third\":0.1,\"nan\":null,\"min\":-9223372036854775808,"
                                    "\"absent\":null,\"yes\":true,"
                                    "\"list\":[\"a\\\"\\u0001\xEF\xBF\xBD\",null]}");
    buf_fini(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_write_back),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_arena_ceiling),
        cmocka_unit_test(test_write_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
