/* celery/codec_repr.h, against what Python 3.11 and Celery 5.7's saferepr print. */

#include "tests/unit/check.h"

#include "celery/codec_repr.h"

struct row {
    const char *json;
    const char *text;
};

static void
check_rows(const struct row *rows, size_t n_rows, enum celery_repr_form form)
{
    for (size_t i = 0; i < n_rows; i++) {
        struct buf out = BUF_INIT(1 << 16);

        celery_repr_append(&out, str_from_cstr(rows[i].json), form);
        assert_str_equal(buf_str(&out), rows[i].text);
        assert_int_equal(out.rc, 0);
        buf_fini(&out);
    }
}

static void
test_scalars(void **state)
{
    static const struct row rows[] = {
        {"null", "None"},
        {"true", "True"},
        {"false", "False"},
        {"0", "0"},
        {"-0", "0"},
        {"-0.0", "-0.0"},
        {"-17", "-17"},
        {"123456789012345678901234567890", "123456789012345678901234567890"},
        {"1.0", "1.0"},
        {"1e0", "1.0"},
        {"0.1", "0.1"},
        {"100000", "100000"},
        {"1e5", "100000.0"},
        {"123456.789", "123456.789"},
        {"1e15", "1000000000000000.0"},
        {"1e16", "1e+16"},
        {"9999999999999998.0", "9999999999999998.0"},
        {"1.5e300", "1.5e+300"},
        {"0.0001", "0.0001"},
        {"0.00012", "0.00012"},
        {"0.00001", "1e-05"},
        {"1.25e-7", "1.25e-07"},
        {"5e-324", "5e-324"},
        {"1.7976931348623157e308", "1.7976931348623157e+308"},
        {"1e400", "inf"},
        {"-1E400", "-inf"},
        {"0.1000000000000000055511151231257827021181583404541015625", "0.1"},
        {"NaN", "nan"},
        {"Infinity", "inf"},
        {"-Infinity", "-inf"},
    };

    (void)state;
    check_rows(rows, COUNT_OF(rows), CELERY_REPR_PYTHON);
    check_rows(rows, COUNT_OF(rows), CELERY_REPR_SAFE);
}

static void
test_python_strings(void **state)
{
    static const struct row rows[] = {
        {"\"\"", "''"},
        {"\"a b\"", "'a b'"},
        {"\"it's\"", "\"it's\""},
        {"\"\\\"q\\\"\"", "'\"q\"'"},
        {"\"it's \\\"q\\\"\"", "'it\\'s \"q\"'"},
        {"\"\\\\ \\n\\r\\t\\b\\f\\u0000\\u001b\\u007f\\/\"",
         "'\\\\ \\n\\r\\t\\x08\\x0c\\x00\\x1b\\x7f/'"},
        {"\"\\u00e9 \xC3\xA9 \\u20ac\"", "'\xC3\xA9 \xC3\xA9 \xE2\x82\xAC'"},
        {"\"\\ud83d\\ude00\"", "'\xF0\x9F\x98\x80'"},
        {"\"\\u00a0\\u00ad\\u200b\\u2028\\ufeff\\ue000\"",
         "'\\xa0\\xad\\u200b\\u2028\\ufeff\\ue000'"},
        {"\"\\ud800 \\udfff \\ud800\\u0041\"", "'\\ud800 \\udfff \\ud800A'"},
        {"\"\\udb40\\udc01\"", "'\\U000e0001'"},
    };

    (void)state;
    check_rows(rows, COUNT_OF(rows), CELERY_REPR_PYTHON);
}

static void
test_python_containers(void **state)
{
    static const struct row rows[] = {
        {"[]", "[]"},
        {"{}", "{}"},
        {"[1,[2,[3,[4,[5]]]]]", "[1, [2, [3, [4, [5]]]]]"},
        {"{\"a\":[true,null],\"it's\":{}}", "{'a': [True, None], \"it's\": {}}"},
    };

    (void)state;
    check_rows(rows, COUNT_OF(rows), CELERY_REPR_PYTHON);
}

static void
test_safe(void **state)
{
    static const struct row rows[] = {
        {"[2, 3]", "[2, 3]"},
        {"[1,[2,[3,[4,[5]]]]]", "[1, [2, [3, [...]]]]"},
        {"{\"a\":{\"b\":{\"c\":{\"d\":1}}}}", "{'a': {'b': {'c': {...}}}}"},
        {"[[[[]]]]", "[[[[...]]]]"},
        {"\"it's \\\"q\\\" \\\\ \\n\"", "'it\\'s \"q\" \\ \n'"},
        {"{\"k'\":null}", "{'k\\'': None}"},
        {"\"\\ud800\"", "'\xED\xA0\x80'"},
    };
    static const struct row tuples[] = {
        {"[]", "()"},
        {"[2]", "(2,)"},
        {"[2, [3]]", "(2, [3])"},
        {"[[1]]", "([1],)"},
    };

    (void)state;
    check_rows(rows, COUNT_OF(rows), CELERY_REPR_SAFE);
    check_rows(tuples, COUNT_OF(tuples), CELERY_REPR_SAFE_TUPLE);
}

/* n times a piece between two texts. */
static const char *
repeat(struct buf *out, const char *before, const char *piece, size_t n, const char *after)
{
    buf_clear(out);
    buf_printf(out, "%s", before);
    while (n--)
        buf_printf(out, "%s", piece);
    buf_printf(out, "%s", after);
    return buf_cstr(out);
}

static void
test_cut(void **state)
{
    static const struct {
        const char *json[3];
        size_t n_json;
        const char *text[3];
        size_t n_text;
    } rows[] = {
        /* a string is cut at the limit, or at the last space before it */
        {{"\"", "x", "\""}, 1023, {"'", "x", "'"}, 1023},
        {{"\"", "x", "\""}, 1024, {"'", "x", "...'"}, 1024},
        {{"\"", "x", "\""}, 5000, {"'", "x", "...'"}, 1024},
        {{"\"", "word ", "\""}, 300, {"'word", " word", "...'"}, 203},
        {{"\"", "\\u00e9", "\""}, 2000, {"'", "\xC3\xA9", "...'"}, 1024},
        {{"", "7", ""}, 3000, {"", "7", "..."}, 1024},
        /* elements after the limit are left out; what is open is closed */
        {{"[", "1, ", "2]"}, 1000, {"[", "1, ", ", ...]"}, 341},
        {{"[[[", "10, ", "2]], 3]"}, 1000, {"[[[", "10, ", "1..., ...]]]"}, 255},
        {{"[\"", "x", "\", 1]"}, 2000, {"['", "x", "...', ...]"}, 1023},
        /* nothing is left out behind the last */
        {{"[\"", "x", "\"]"}, 2000, {"['", "x", "...']"}, 1023},
        {{"{\"a\": \"", "x", "\"}"}, 2000, {"{'a': '", "x", "...'}"}, 1018},
        {{"{\"", "k", "\": 1}"}, 2000, {"{'", "k", "...', ...}"}, 1023},
    };

    struct buf json = BUF_INIT(1 << 16);
    struct buf text = BUF_INIT(1 << 16);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct row row = {
            repeat(&json, rows[i].json[0], rows[i].json[1], rows[i].n_json, rows[i].json[2]),
            repeat(&text, rows[i].text[0], rows[i].text[1], rows[i].n_text, rows[i].text[2]),
        };

        check_rows(&row, 1, CELERY_REPR_SAFE);
    }
    buf_fini(&json);
    buf_fini(&text);
}

static void
test_text(void **state)
{
    struct buf out = BUF_INIT(100);

    (void)state;
    celery_repr_append_text(&out, STR("no.such \\ '\n\xFF\xED\xA0\x80"));
    assert_str_equal(buf_str(&out), "\"no.such \\\\ '\\n\xEF\xBF\xBD\\ud800\"");
    buf_fini(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_python_strings),
        cmocka_unit_test(test_python_containers),
        cmocka_unit_test(test_safe),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
