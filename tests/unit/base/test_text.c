/* base/: str, utf8, number, timestamp. */

#include "tests/unit/check.h"

#include "base/clock.h"
#include "base/number.h"
#include "base/timestamp.h"
#include "base/utf8.h"

static void
test_find_and_cut(void **state)
{
    struct str text = STR("  a, b,,c ");
    struct str rest = STR("a,,b");
    struct str head;

    (void)state;
    assert_str_equal(str_trim(text), "a, b,,c");
    assert_str_equal(str_trim(STR(" \t\r\n ")), "");
    assert_int_equal(str_find(text, STR("b,")), 5);
    assert_int_equal(str_find(text, STR("x")), text.len);
    assert_int_equal(str_find(STR(""), STR("x")), 0);
    assert_int_equal(str_find_last(STR("a/b/c"), STR("/")), 3);
    assert_int_equal(str_find_last(STR("abc"), STR("/")), 3);
    assert_str_equal(str_slice(text, 100, 200), "");
    assert_true(str_ends_with(STR("abc"), STR("bc")));
    assert_false(str_ends_with(STR("c"), STR("bc")));
    assert_true(str_equal_ignore_case(STR("CC-BY"), STR("cc-by")));
    assert_true(str_compare(STR("a"), STR("ab")) < 0);

    assert_true(str_split(&rest, ',', &head));
    assert_str_equal(head, "a");
    assert_true(str_split(&rest, ',', &head));
    assert_str_equal(head, "");
    assert_true(str_split(&rest, ',', &head));
    assert_str_equal(head, "b");
    assert_false(str_split(&rest, ',', &head));
}

static void
test_distance(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        size_t distance;
    } rows[] = {
        {"", "", 0},    {"limit", "limit", 0}, {"limt", "limit", 1}, {"kitten", "sitting", 3},
        {"", "abc", 3},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(str_distance(str_from_cstr(rows[i].a), str_from_cstr(rows[i].b)),
                         rows[i].distance);
}

static void
test_parse_i64(void **state)
{
    static const struct {
        struct str text;
        int rc;
        int64_t value;
    } rows[] = {
        {STR_INIT("-12"), 0, -12},
        {STR_INIT("+7"), 0, 7},
        {STR_INIT("-9223372036854775808"), 0, INT64_MIN},
        {STR_INIT("9223372036854775808"), -ERR_INVALID, 7}, /* out survives a failure */
        {STR_INIT(""), -ERR_INVALID, 7},
        {STR_INIT("-"), -ERR_INVALID, 7},
        {STR_INIT(" 1"), -ERR_INVALID, 7},
        {STR_INIT("1.0"), -ERR_INVALID, 7},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t value = 7;

        assert_int_equal(number_parse_i64(rows[i].text, &value, NULL), rows[i].rc);
        assert_int_equal(value, rows[i].value);
    }
}

static void
test_parse_whole_and_real(void **state)
{
    int64_t whole = 0;
    double real = 0;

    (void)state;
    assert_int_equal(number_parse_whole(STR("693.0"), &whole, NULL), 0);
    assert_int_equal(whole, 693);
    assert_int_equal(number_parse_whole(STR("693."), &whole, NULL), 0);
    assert_int_equal(number_parse_whole(STR("693.5"), &whole, NULL), -ERR_INVALID);
    assert_int_equal(number_parse_whole(STR(".0"), &whole, NULL), -ERR_INVALID);
    assert_int_equal(number_parse_f64(STR("-1.5e2"), &real, NULL), 0);
    assert_true(real < -149.9 && real > -150.1);
    assert_int_equal(number_parse_f64(STR("1e999"), &real, NULL), -ERR_INVALID);
    assert_int_equal(number_parse_f64(STR("nan"), &real, NULL), -ERR_INVALID);
    assert_int_equal(number_parse_f64(STR("0x10"), &real, NULL), -ERR_INVALID);
    assert_int_equal(number_parse_f64(STR("1 "), &real, NULL), -ERR_INVALID);
}

static void
test_timestamps(void **state)
{
    static const struct {
        struct str text;
        int rc;
        const char *written;
    } rows[] = {
        {STR_INIT("2024-11-25T20:07:28.000Z"), 0, "2024-11-25T20:07:28Z"},
        {STR_INIT("2023-04-06T00:00:25.12Z"), 0, "2023-04-06T00:00:25.120Z"},
        {STR_INIT("2025-01-26T19:53:28.0431234"), 0, "2025-01-26T19:53:28.043Z"},
        {STR_INIT("2015-07-18 00:51:12"), 0, "2015-07-18T00:51:12Z"},
        {STR_INIT("2024-02-29"), 0, "2024-02-29T00:00:00Z"},
        {STR_INIT("2024-01-01T01:00:00+02:00"), 0, "2023-12-31T23:00:00Z"},
        {STR_INIT("1969-12-31T23:59:59Z"), 0, "1969-12-31T23:59:59Z"},
        {STR_INIT("11/25/2024 20:07:28"), 0, "2024-11-25T20:07:28Z"},
        {STR_INIT("07/18/2015"), 0, "2015-07-18T00:00:00Z"},
        {STR_INIT("2023-02-29"), -ERR_INVALID, NULL},
        {STR_INIT("2024-11-25T20:07"), -ERR_INVALID, NULL},
        {STR_INIT("2024-11-25T20:07:28X"), -ERR_INVALID, NULL},
        {STR_INIT("13/01/2024"), -ERR_INVALID, NULL},
        {STR_INIT("11/25/2024 25:00:00"), -ERR_INVALID, NULL},
        {STR_INIT(""), -ERR_INVALID, NULL},
        {STR_INIT("yesterday"), -ERR_INVALID, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[TIMESTAMP_TEXT_BYTES];
        int64_t time_us = 7;

        assert_int_equal(timestamp_parse(rows[i].text, &time_us, NULL), rows[i].rc);
        if (rows[i].rc == 0)
            assert_string_equal(timestamp_format(time_us, text), rows[i].written);
        else
            assert_int_equal(time_us, 7);
    }
}

/* Every day of 800 years, around the leap days of centuries, there and back. */
static void
test_civil_days(void **state)
{
    int64_t expected = timestamp_days_from_civil(1699, 12, 31);

    (void)state;
    assert_int_equal(timestamp_days_from_civil(1970, 1, 1), 0);
    for (; expected < timestamp_days_from_civil(2500, 1, 1); expected++) {
        int64_t year;
        unsigned month;
        unsigned day;

        timestamp_civil_from_days(expected, &year, &month, &day);
        assert_in_range(month, 1, 12);
        assert_in_range(day, 1, 31);
        assert_int_equal(timestamp_days_from_civil(year, month, day), expected);
    }
}

static void
test_http_date(void **state)
{
    int64_t time_us = 0;

    (void)state;
    assert_int_equal(timestamp_parse_http(STR("Sun, 06 Nov 1994 08:49:37 GMT"), &time_us, NULL), 0);
    assert_int_equal(time_us, 784111777 * US_PER_S);
    assert_int_equal(timestamp_parse_http(STR("Sun, 06 Nob 1994 08:49:37 GMT"), &time_us, NULL),
                     -ERR_INVALID);
    assert_int_equal(timestamp_parse_http(STR("06 Nov 1994"), &time_us, NULL), -ERR_INVALID);
}

static void
test_utf8(void **state)
{
    static const struct {
        struct str text;
        size_t valid;
    } rows[] = {
        {STR_INIT("plain ascii, long enough for a word"), 35},
        {STR_INIT("\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80"), 9},
        {STR_INIT("a\xC0\xAF"), 1},         /* overlong */
        {STR_INIT("a\xED\xA0\x80"), 1},     /* surrogate */
        {STR_INIT("a\xF4\x90\x80\x80"), 1}, /* beyond U+10FFFF */
        {STR_INIT("a\xE4\xB8"), 1},         /* cut */
        {STR_INIT("a\x80"), 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(utf8_valid_prefix(rows[i].text), rows[i].valid);
    assert_str_equal(utf8_cut(STR("a\xE4\xB8\xAD"), 3), "a");
    assert_str_equal(utf8_cut(STR("a\xE4\xB8\xAD"), 4), "a\xE4\xB8\xAD");
}

static void
test_utf8_round_trip(void **state)
{
    (void)state;
    for (uint32_t c = 1; c <= 0x10FFFF; c++) {
        char bytes[4];
        size_t n_bytes;
        size_t n;

        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        n = utf8_encode(c, bytes);
        assert_int_equal(utf8_decode((struct str){bytes, n}, &n_bytes), c);
        assert_int_equal(n_bytes, n);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_and_cut),    cmocka_unit_test(test_distance),
        cmocka_unit_test(test_parse_i64),       cmocka_unit_test(test_parse_whole_and_real),
        cmocka_unit_test(test_timestamps),      cmocka_unit_test(test_civil_days),
        cmocka_unit_test(test_http_date),       cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_utf8_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
