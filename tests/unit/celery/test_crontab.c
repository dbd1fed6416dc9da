/* celery/crontab: grammar, and fire times held against brute force. */

#include "tests/unit/celery/schedule_fixture.h"

#include "base/timestamp.h"
#include "celery/crontab.h"

#define BITS(first, last) (((UINT64_C(2) << (last)) - 1) & ~((UINT64_C(1) << (first)) - 1))
#define BIT(value)        (UINT64_C(1) << (value))

static void
test_parse(void **state)
{
    static const struct celery_crontab every = {BITS(0, 59), BITS(0, 23), BITS(1, 31), BITS(1, 12),
                                                BITS(0, 6)};
    const struct {
        const char *line;
        struct celery_crontab expected;
    } rows[] = {
        {"* * * * *", every},
        {"  *\t*  * * * ", every},
        {"*/1 0-23 */1 jan-dec sun-sat", every},
        {"30 4 1 6 2", {BIT(30), BIT(4), BIT(1), BIT(6), BIT(2)}},
        {"00 007 01 06 00", {BIT(0), BIT(7), BIT(1), BIT(6), BIT(0)}},
        {"*/15 * * * *",
         {BIT(0) | BIT(15) | BIT(30) | BIT(45), every.hour, every.day_of_month, every.month,
          every.day_of_week}},
        {"0 0 */10 */6 */3",
         {BIT(0), BIT(0), BIT(1) | BIT(11) | BIT(21) | BIT(31), BIT(1) | BIT(7),
          BIT(0) | BIT(3) | BIT(6)}},
        {"5-20/5,58-2 22-1/2 30-2 nov-feb fri-mon",
         {BIT(5) | BIT(10) | BIT(15) | BIT(20) | BITS(58, 59) | BITS(0, 2), BIT(22) | BIT(0),
          BIT(30) | BIT(31) | BIT(1) | BIT(2), BIT(11) | BIT(12) | BIT(1) | BIT(2),
          BIT(5) | BIT(6) | BIT(0) | BIT(1)}},
        {"0 0 1 SEPT,oct,January Tues,THU-saturday",
         {BIT(0), BIT(0), BIT(1), BIT(9) | BIT(10) | BIT(1), BIT(2) | BITS(4, 6)}},
        {"59-59/9 */100 */99999999999999999999 * *",
         {BIT(59), BIT(0), BIT(1), every.month, every.day_of_week}},
        {"0 0 29 2 *", {BIT(0), BIT(0), BIT(29), BIT(2), every.day_of_week}},
        {"0 0 31 2,3 *", {BIT(0), BIT(0), BIT(31), BIT(2) | BIT(3), every.day_of_week}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct celery_crontab crontab;
        struct error err;

        assert_ok(celery_crontab_parse(str_from_cstr(rows[i].line), &crontab, &err), err);
        assert_memory_equal(&crontab, &rows[i].expected, sizeof(crontab));
    }
}

/* Every refusal names the field, the value and what would be right. */
static void
test_refuse(void **state)
{
    static const struct {
        const char *line;
        const char *said;
    } rows[] = {
        {"60 * * * *", "crontab minute '60' is out of range (allowed: 0 to 59"},
        {"* 24 * * *", "crontab hour '24' is out of range (allowed: 0 to 23"},
        {"* * 0 * *", "crontab day_of_month '0' is out of range (allowed: 1 to 31"},
        {"* * 1-32 * *", "crontab day_of_month '1-32' is out of range (allowed: 1 to 31"},
        {"* * * 13 *",
         "crontab month_of_year '13' is out of range (allowed: 1 to 12 or jan to dec"},
        {"* * * * 7", "crontab day_of_week '7' is out of range: Sunday is 0 (allowed: 0 (Sunday)"},
        {"* * * * 5-7", "crontab day_of_week '5-7' is out of range: Sunday is 0"},
        {"99999999999999999999 * * * *", "minute '99999999999999999999' is out of range"},
        {"-5 * * * *", "crontab minute '-5' lacks a value"},
        {"5- * * * *", "crontab minute '5-' lacks a value"},
        {"1-2-3 * * * *", "crontab minute '1-2-3' is no number"},
        {"*/0 * * * *", "crontab minute '*/0' has a step of 0"},
        {"*/ * * * *", "crontab minute '*/' needs a number after the '/'"},
        {"*/-2 * * * *", "crontab minute '*/-2' needs a number after the '/'"},
        {"*/2/3 * * * *", "crontab minute '*/2/3' needs a number after the '/'"},
        {"5/10 * * * *", "crontab minute '5/10' has a step but no range: write a-b/n"},
        {"1,,2 * * * *", "crontab minute '' has an empty place"},
        {",1 * * * *", "crontab minute '' has an empty place"},
        {"1, * * * *", "crontab minute '1,' has an empty place"},
        {"mon * * * *", "crontab minute 'mon' is no number (allowed"},
        {"* * * mon *", "crontab month_of_year 'mon' is no number and no name"},
        {"* * * * mo", "crontab day_of_week 'mo' is no number and no name"},
        {"* * * * mondays", "crontab day_of_week 'mondays' is no number and no name"},
        {"** * * * *", "crontab minute '**' is no number"},
        {"*-5 * * * *", "crontab minute '*-5' is no number"},
        {"+5 * * * *", "crontab minute '+5' is no number"},
        {"1.0 * * * *", "crontab minute '1.0' is no number"},
        {"* * 30 2 *",
         "can never fire: no month in month_of_year '2' has a day in day_of_month '30'"},
        {"* * 31 4,6,9,11,feb *", "can never fire"},
        {"* * * *", "crontab '* * * *' has 4 fields, wanted 5: minute hour day_of_month"},
        {"* * * * * *", "has 6 fields, wanted 5"},
        {"", "has 0 fields, wanted 5"},
        {"@daily", "has 1 fields, wanted 5"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct celery_crontab crontab = {.minute = 7};
        struct error err;

        assert_int_equal(celery_crontab_parse(str_from_cstr(rows[i].line), &crontab, &err),
                         -ERR_INVALID);
        if (!strstr(err.message, rows[i].said))
            fail_msg("'%s': '%s' does not say '%s'", rows[i].line, err.message, rows[i].said);
        assert_int_equal(crontab.minute, 7);
    }
}

static void
test_fields(void **state)
{
    struct celery_crontab_fields fields = {.hour = STR("3"), .day_of_week = STR("1-5")};
    struct celery_crontab crontab;
    char text[CELERY_CRONTAB_FIELD_BYTES + 3];
    struct error err;

    (void)state;
    assert_ok(celery_crontab_parse_fields(&fields, &crontab, &err), err);
    assert_int_equal(crontab.minute, BITS(0, 59));
    assert_int_equal(crontab.hour, BIT(3));
    assert_int_equal(crontab.day_of_week, BITS(1, 5));
    fields.hour = STR("");
    assert_int_equal(celery_crontab_parse_fields(&fields, &crontab, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "crontab hour '' is empty: write *"));
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 2 ? ',' : '1';
    fields.hour = (struct str){text, CELERY_CRONTAB_FIELD_BYTES - 1};
    assert_ok(celery_crontab_parse_fields(&fields, &crontab, &err), err);
    fields.hour.len = sizeof(text);
    assert_int_equal(celery_crontab_parse_fields(&fields, &crontab, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "is too long"));
}

/* In UTC, also far away. */
static void
test_next(void **state)
{
    static const struct {
        const char *line;
        const char *after;
        const char *expected; /* NULL = never */
    } rows[] = {
        {"* * * * *", "2024-05-01T10:00:00Z", "2024-05-01T10:01:00Z"},
        {"* * * * *", "2024-05-01T10:00:59Z", "2024-05-01T10:01:00Z"},
        {"0 0 29 2 *", "2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z"},
        {"0 0 29 2 *", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"},
        {"0 0 29 2 mon", "2072-02-29T00:00:00Z", "2112-02-29T00:00:00Z"}, /* 40 years: no 2100 */
        {"0 0 13 * fri", "2024-09-13T00:00:00Z", "2024-12-13T00:00:00Z"}, /* and, not or */
        {"0 0 31 * *", "2024-03-31T00:00:00Z", "2024-05-31T00:00:00Z"},
        {"14 3 * * *", "2038-01-19T03:13:59Z", "2038-01-19T03:14:00Z"},
        {"14 3 * * *", "2038-01-19T03:14:08Z", "2038-01-20T03:14:00Z"},
        {"59 23 31 12 *", "1970-01-01T00:00:00Z", "1970-12-31T23:59:00Z"},
        {"59 23 31 12 *", "9998-12-31T23:59:00Z", "9999-12-31T23:59:00Z"},
        {"59 23 31 12 *", "9999-12-31T23:59:00Z", NULL},
        {"* * * * *", "9999-12-31T23:59:59Z", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct celery_crontab crontab;
        int64_t after_us;
        int64_t next_s;
        char text[TIMESTAMP_TEXT_BYTES];
        struct error err;

        assert_ok(celery_crontab_parse(str_from_cstr(rows[i].line), &crontab, &err), err);
        assert_ok(timestamp_parse_iso(str_from_cstr(rows[i].after), &after_us, &err), err);
        next_s = celery_crontab_next(&crontab, NULL, after_us / 1000000);
        if (rows[i].expected)
            assert_string_equal(timestamp_format(next_s * 1000000, text), rows[i].expected);
        else
            assert_int_equal(next_s, CELERY_NEVER);
    }
}

/* One row of fire_times.tsv: zone, line, start, minutes until which the list is complete, list. */
static void
check_fire_times(struct str row)
{
    CLEANUP(celery_time_zone_freep) struct celery_time_zone *zone = NULL;
    struct str line = row;
    struct str name = fixture_text(&line);
    struct str text = fixture_text(&line);
    int64_t start_s = fixture_number(&line);
    int64_t end_s = start_s + fixture_number(&line) * 60;
    struct str times = fixture_text(&line);
    struct celery_crontab crontab;
    int64_t next_s = start_s;
    struct str time;
    struct error err;

    assert_ok(celery_time_zone_open(NULL, name, &zone, &err), err);
    assert_ok(celery_crontab_parse(text, &crontab, &err), err);
    while (str_split(&times, ' ', &time)) {
        int64_t minutes;

        if (time.len == 0)
            break;
        assert_ok(number_parse_i64(time, &minutes, &err), err);
        next_s = celery_crontab_next(&crontab, zone, next_s);
        if (next_s != start_s + minutes * 60)
            fail_msg("%.*s: '%.*s' fires %g minutes after %ld, not %ld", STR_ARG(name),
                     STR_ARG(text), (double)(next_s - start_s) / 60, (long)start_s, (long)minutes);
    }
    next_s = celery_crontab_next(&crontab, zone, next_s);
    if (next_s <= end_s)
        fail_msg("%.*s: '%.*s' fires also %g minutes after %ld", STR_ARG(name), STR_ARG(text),
                 (double)(next_s - start_s) / 60, (long)start_s);
}

static void
test_fire_times(void **state)
{
    struct buf file;
    struct str rest;
    struct str row;
    size_t n_rows = 0;

    (void)state;
    zone_data_or_skip();
    fixture_read("fire_times.tsv", &file);
    rest = buf_str(&file);
    while (str_split(&rest, '\n', &row)) {
        if (row.len == 0)
            continue;
        check_fire_times(row);
        n_rows++;
    }
    assert_true(n_rows > 500);
    buf_fini(&file);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),      cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_fields),     cmocka_unit_test(test_next),
        cmocka_unit_test(test_fire_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
