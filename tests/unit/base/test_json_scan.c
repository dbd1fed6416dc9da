/* base/json_scan.h, and the parts of json.h and json_writer.h that keep what Python writes. */

#include "tests/unit/check.h"

#include "base/json_scan.h"
#include "base/json_writer.h"

#define ARENA_BYTES ((size_t)1 << 20)

static void
test_scan(void **state)
{
    static const struct {
        const char *text;
        unsigned flags;
        int rc;
    } rows[] = {
        {" {\"a\": [1, -0.0, {\"b\": 2}], \"c\": \"\\u00e9\"} ", 0, 0},
        {"[]", 0, 0},
        {"{}", 0, 0},
        {"[[],{},[[]]]", 0, 0},
        {"\"x\"", 0, 0},
        {"12345678901234567890123", 0, 0},
        {"", 0, -ERR_INVALID},
        {"tru", 0, -ERR_INVALID},
        {"nullx", 0, -ERR_INVALID},
        {"[1,]", 0, -ERR_INVALID},
        {"[,1]", 0, -ERR_INVALID},
        {"[1 2]", 0, -ERR_INVALID},
        {"[1}", 0, -ERR_INVALID},
        {"{\"a\":1]", 0, -ERR_INVALID},
        {"{\"a\" 1}", 0, -ERR_INVALID},
        {"{\"a\":1,}", 0, -ERR_INVALID},
        {"{\"a\":}", 0, -ERR_INVALID},
        {"{a:1}", 0, -ERR_INVALID},
        {"{\"a\":1", 0, -ERR_INVALID},
        {"[", 0, -ERR_INVALID},
        {"01", 0, -ERR_INVALID},
        {"1.", 0, -ERR_INVALID},
        {"-", 0, -ERR_INVALID},
        {"1e+", 0, -ERR_INVALID},
        {"\"a", 0, -ERR_INVALID},
        {"\"a\\\"", 0, -ERR_INVALID},
        {"\"\\", 0, -ERR_INVALID},
        {"\"\\x\"", 0, -ERR_INVALID},
        {"\"\\u12\"", 0, -ERR_INVALID},
        {"\"a\nb\"", 0, -ERR_INVALID},
        {"NaN", 0, -ERR_INVALID},
        {"[NaN, Infinity, -Infinity]", JSON_ALLOW_NAN, 0},
        {"-NaN", JSON_ALLOW_NAN, -ERR_INVALID},
        {"\"\xFF\"", 0, 0},
        {"\"\xFF\"", JSON_STRICT_UTF8, -ERR_INVALID},
        {"\"\xED\xA0\x80\"", JSON_STRICT_UTF8 | JSON_KEEP_SURROGATES, -ERR_INVALID},
        {"\"\\udc00\"", JSON_STRICT_UTF8, -ERR_INVALID},
        {"\"\\ud800\\ud800\\udc00\"", JSON_STRICT_UTF8, -ERR_INVALID},
        {"\"\\udc00\"", JSON_STRICT_UTF8 | JSON_KEEP_SURROGATES, 0},
        {"\"\\ud83d\\ude00\"", JSON_STRICT_UTF8, 0},
        {"1 2", 0, -ERR_INVALID},
        {"[[[{}]]]", 0, -ERR_TOO_LARGE},
        {"[[[1]]]", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct json_limits limits = {.flags = rows[i].flags, .max_depth = 3};
        struct str text = str_from_cstr(rows[i].text);
        struct str value = STR("before");
        struct json parsed;

        assert_int_equal(json_scan(text, &limits, &value, NULL), rows[i].rc);
        if (rows[i].rc < 0)
            assert_str_equal(value, "before");
        else
            assert_true(str_equal(value, str_trim(text)));
        assert_int_equal(json_parse(text, &limits, &arena, &parsed, NULL), rows[i].rc);
        arena_fini(&arena);
    }
}

static void
test_depth_has_a_ceiling(void **state)
{
    struct json_limits limits = {.max_depth = SIZE_MAX};
    struct str value;
    char text[4096];

    (void)state;
    (void)memset(text, '[', sizeof(text) / 2);
    (void)memset(text + sizeof(text) / 2, ']', sizeof(text) / 2);
    for (size_t depth = 1; depth <= sizeof(text) / 2; depth *= 2) {
        struct str nested = {text + sizeof(text) / 2 - depth, 2 * depth};

        assert_int_equal(json_scan(nested, &limits, &value, NULL),
                         depth <= JSON_SCAN_DEPTH_MAX ? 0 : -ERR_TOO_LARGE);
    }
}

static void
test_cursor(void **state)
{
    static const struct {
        const char *text;
        const char *joined; /* name=value; of every element */
    } rows[] = {
        {"[1, -0.0 ,\"a,]\\\"\", [2,[3]], {\"x\":\"}\"},null]",
         "=1;=-0.0;=\"a,]\\\"\";=[2,[3]];={\"x\":\"}\"};=null;"},
        {"{ \"a\" : 1.10 ,\"b\\\"\":[] , \"\":{} , \"a\":NaN }", "a=1.10;b\\\"=[];={};a=NaN;"},
        {"{\"a\":\"\\\\\"}", "a=\"\\\\\";"},
        {"[]", ""},
        {"{ }", ""},
        {"12", ""},
        {"\"[1]\"", ""},
        {"", ""},
        {"[", ""},
        {"{\"a", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct json_cursor cursor = json_cursor_open(str_from_cstr(rows[i].text));
        struct json_slice slice;
        struct buf out = BUF_INIT(1000);

        while (json_cursor_next(&cursor, &slice)) {
            buf_append(&out, slice.name);
            buf_append_char(&out, '=');
            buf_append(&out, slice.value);
            buf_append_char(&out, ';');
        }
        assert_str_equal(buf_str(&out), rows[i].joined);
        buf_fini(&out);
    }
}

static void
test_names(void **state)
{
    static const struct {
        const char *name;
        const char *wanted;
        bool is_equal;
    } rows[] = {
        {"id", "id", true},       {"i\\u0064", "id", true},   {"\\u0069d", "id", true},
        {"i\\/d", "i/d", true},   {"i\\n", "i\n", true},      {"i\\\"", "i\"", true},
        {"id2", "id", false},     {"i", "id", false},         {"\\u0069d2", "id", false},
        {"\\u0069", "id", false}, {"\\u00e9", "\xE9", false}, {"\\ud83d", "", false},
        {"", "", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct json_slice member = {str_from_cstr(rows[i].name), STR("1")};

        assert_int_equal(json_slice_is_named(&member, str_from_cstr(rows[i].wanted)),
                         rows[i].is_equal);
    }
}

static void
test_slice_types(void **state)
{
    static const struct {
        const char *text;
        enum json_type type;
    } rows[] = {
        {"{}", JSON_OBJECT},  {"[]", JSON_ARRAY},  {"\"\"", JSON_STRING}, {"true", JSON_BOOL},
        {"false", JSON_BOOL}, {"null", JSON_NULL}, {"-1", JSON_NUMBER},   {"NaN", JSON_NUMBER},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(json_slice_type(str_from_cstr(rows[i].text)), rows[i].type);
}

/* What Python reads and writes again, byte for byte. */
static void
test_python_style(void **state)
{
    static const char *const texts[] = {
        "[1, -0.0, NaN, -Infinity, 123456789012345678901234567890]",
        "{\"a\": {}, \"b\": [[], \"x\"], \"c\": null}",
        "\"\\u00e9\\u20ac\\ud83d\\ude00\\u007f\\u0000\\\"\\\\\\n\\t/\"",
        "\"\\ud800\"",
        "\"\\udfff \\udc00\\ud800 x\"",
        "{\"\\ud83d\": true, \"e\": false}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct json_limits limits = {.flags =
                                         JSON_ALLOW_NAN | JSON_STRICT_UTF8 | JSON_KEEP_SURROGATES};
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct buf out = BUF_INIT(1000);
        struct json_writer writer = {.out = &out, .style = JSON_STYLE_PYTHON};
        struct error err;
        struct json value;

        assert_ok(json_parse(str_from_cstr(texts[i]), &limits, &arena, &value, &err), err);
        json_value(&writer, &value);
        assert_str_equal(buf_str(&out), texts[i]);
        buf_fini(&out);
        arena_fini(&arena);
    }
}

static void
test_python_style_replaces_bad_bytes(void **state)
{
    struct buf out = BUF_INIT(100);

    (void)state;
    json_append_quoted(&out, STR("\xFF\xED\xA0"), JSON_STYLE_PYTHON);
    assert_str_equal(buf_str(&out), "\"\\ufffd\\ufffd\\ufffd\"");
    buf_clear(&out);
    json_append_quoted(&out, STR("\xED\xA0\x80"), JSON_STYLE_COMPACT); /* no escape: not UTF-8 */
    assert_str_equal(buf_str(&out), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    buf_fini(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_depth_has_a_ceiling),
        cmocka_unit_test(test_cursor),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_slice_types),
        cmocka_unit_test(test_python_style),
        cmocka_unit_test(test_python_style_replaces_bad_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
