/* celery/time_zone: files real, written here and broken; rules; midnights. */

#include "tests/unit/celery/schedule_fixture.h"

#include <sys/stat.h>

#include "base/timestamp.h"
#include "celery/time_zone.h"

#define HOUR_S 3600

/* A TZif file under construction. */
struct file_spec {
    char version;
    const int64_t *times; /* [n_times], each with type i % n_types + 1, or type if not negative */
    size_t n_times;
    int type;
    const int32_t *offsets; /* [n_types] */
    size_t n_types;
    uint32_t n_leap;
    const char *footer;
};

static void
put_number(struct buf *buf, uint64_t number, size_t width)
{
    for (size_t i = 0; i < width; i++)
        buf_append_char(buf, (char)(number >> (8 * (width - 1 - i)) & 0xFF));
}

static void
put_zeros(struct buf *buf, size_t n)
{
    while (n-- > 0)
        buf_append_char(buf, '\0');
}

static void
put_block(struct buf *buf, const struct file_spec *spec, size_t width)
{
    buf_append(buf, STR("TZif"));
    buf_append_char(buf, spec->version);
    put_zeros(buf, 15);
    put_number(buf, 0, 4);
    put_number(buf, 0, 4);
    put_number(buf, spec->n_leap, 4);
    put_number(buf, spec->n_times, 4);
    put_number(buf, spec->n_types, 4);
    put_number(buf, 4, 4);
    for (size_t i = 0; i < spec->n_times; i++)
        put_number(buf, (uint64_t)spec->times[i], width);
    for (size_t i = 0; i < spec->n_times; i++)
        put_number(buf, spec->type >= 0 ? (uint64_t)spec->type : (i + 1) % spec->n_types, 1);
    for (size_t i = 0; i < spec->n_types; i++) {
        put_number(buf, (uint32_t)spec->offsets[i], 4);
        put_number(buf, i & 1, 1);
        put_number(buf, 0, 1);
    }
    buf_append(buf, (struct str){"ABC", 4});
    put_zeros(buf, spec->n_leap * (width + 4));
}

static void
put_file(struct buf *buf, const struct file_spec *spec)
{
    buf_clear(buf);
    put_block(buf, spec, 4);
    if (spec->version >= '2') {
        put_block(buf, spec, 8);
        buf_printf(buf, "\n%s\n", spec->footer);
    }
}

static const int32_t two_offsets[] = {0, HOUR_S};
static const int64_t three_times[] = {1000000, 2000000, 3000000};

static void
test_table_and_footer(void **state)
{
    const struct {
        struct file_spec spec;
        int64_t at;
        struct celery_zone_span expected;
    } rows[] = {
        /* version 1: the last offset goes on for ever */
        {{.version = '\0',
          .times = three_times,
          .n_times = 3,
          .type = -1,
          .offsets = two_offsets,
          .n_types = 2},
         INT64_C(99999999999),
         {3000000, INT64_MAX, HOUR_S}},
        {{.version = '\0',
          .times = three_times,
          .n_times = 3,
          .type = -1,
          .offsets = two_offsets,
          .n_types = 2},
         999999,
         {INT64_MIN, 1000000, 0}},
        {{.version = '2',
          .times = three_times,
          .n_times = 3,
          .type = -1,
          .offsets = two_offsets,
          .n_types = 2,
          .footer = ""},
         2999999,
         {2000000, 3000000, 0}},
        /* what changes no offset is no change */
        {{.version = '2',
          .times = three_times,
          .n_times = 3,
          .type = 1,
          .offsets = two_offsets,
          .n_types = 2,
          .footer = ""},
         2500000,
         {1000000, INT64_MAX, HOUR_S}},
        /* the footer takes over at the last time */
        {{.version = '3',
          .times = three_times,
          .n_times = 3,
          .type = 1,
          .offsets = two_offsets,
          .n_types = 2,
          .footer = "<+05>-5"},
         3000000,
         {3000000, INT64_MAX, 5 * HOUR_S}},
        {{.version = '2', .offsets = two_offsets, .n_types = 1, .footer = "<-0330>3:30:15"},
         0,
         {INT64_MIN, INT64_MAX, -(3 * HOUR_S + 1815)}},
    };
    struct buf bytes = BUF_INIT(1 << 20);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(celery_time_zone_freep) struct celery_time_zone *zone = NULL;
        struct celery_zone_span span;
        struct error err;

        put_file(&bytes, &rows[i].spec);
        assert_ok(celery_time_zone_decode(buf_str(&bytes), &zone, &err), err);
        celery_time_zone_span(zone, rows[i].at, &span);
        assert_int_equal(span.start_s, rows[i].expected.start_s);
        assert_int_equal(span.end_s, rows[i].expected.end_s);
        assert_int_equal(span.offset_s, rows[i].expected.offset_s);
    }
    buf_fini(&bytes);
}

static void
test_broken_files(void **state)
{
    static const int64_t back[] = {2000000, 1000000};
    static const int32_t wild[] = {0, 100000};
    const struct {
        struct file_spec spec;
        const char *said;
    } rows[] = {
        {{.version = '2',
          .times = back,
          .n_times = 2,
          .offsets = two_offsets,
          .n_types = 2,
          .footer = ""},
         "time 1 is not after the one before it"},
        {{.version = '2',
          .times = three_times,
          .n_times = 3,
          .type = 2,
          .offsets = two_offsets,
          .n_types = 2,
          .footer = ""},
         "time 0 has type 2 of 2"},
        {{.version = '2', .offsets = wild, .n_types = 2, .footer = ""},
         "type 1 has an offset of 100000"},
        {{.version = '2', .offsets = two_offsets, .n_types = 0, .footer = ""}, "it has 0 types"},
        {{.version = '2', .offsets = two_offsets, .n_types = 2, .n_leap = 3, .footer = ""},
         "it counts leap seconds"},
        {{.version = '2', .offsets = two_offsets, .n_types = 2, .footer = "CET"},
         "time zone rule 'CET' is broken at byte 3"},
    };
    struct buf bytes = BUF_INIT(1 << 20);
    struct celery_time_zone *zone = NULL;
    struct file_spec good = {.version = '2',
                             .times = three_times,
                             .n_times = 3,
                             .type = 1,
                             .offsets = two_offsets,
                             .n_types = 2,
                             .footer = "UTC0"};
    struct error err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        put_file(&bytes, &rows[i].spec);
        assert_int_equal(celery_time_zone_decode(buf_str(&bytes), &zone, &err), -ERR_INVALID);
        assert_non_null(strstr(err.message, rows[i].said));
    }
    put_file(&bytes, &good);
    for (size_t n = 0; n < bytes.len; n++) /* cut anywhere, it is refused */
        assert_int_equal(celery_time_zone_decode((struct str){bytes.ptr, n}, &zone, &err),
                         -ERR_INVALID);
    assert_null(zone);
    memset(bytes.ptr + 32, 0xFF, 4); /* n_times of the first block */
    assert_int_equal(celery_time_zone_decode(buf_str(&bytes), &zone, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "more than a file can hold"));
    buf_fini(&bytes);
}

static int64_t
parse_time(const char *text)
{
    int64_t time_us;
    struct error err;

    assert_ok(timestamp_parse_iso(str_from_cstr(text), &time_us, &err), err);
    return time_us / 1000000;
}

static void
test_rules(void **state)
{
    static const struct {
        const char *rule;
        const char *at;
        const char *start; /* NULL = for ever */
        const char *end;
        int32_t offset_s;
    } rows[] = {
        {"UTC0", "2024-01-01", NULL, NULL, 0},
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2038-01-19T03:14:08Z", "2037-10-25T01:00:00Z",
         "2038-03-28T01:00:00Z", HOUR_S},
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2100-07-01", "2100-03-28T01:00:00Z", "2100-10-31T01:00:00Z",
         2 * HOUR_S},
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2100-03-28T01:00:00Z", "2100-03-28T01:00:00Z",
         "2100-10-31T01:00:00Z", 2 * HOUR_S},
        {"EST5EDT,M3.2.0,M11.1.0", "2061-11-06T05:59:59Z", "2061-03-13T07:00:00Z",
         "2061-11-06T06:00:00Z", -4 * HOUR_S},
        /* south of the equator, by half an hour */
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2051-01-01", "2050-10-01T15:30:00Z",
         "2051-04-01T15:00:00Z", 11 * HOUR_S},
        /* "daylight" time is the earlier one */
        {"IST-1GMT0,M10.5.0,M3.5.0/1", "2050-01-01", "2049-10-31T01:00:00Z", "2050-03-27T01:00:00Z",
         0},
        /* hours beyond a day, and before it */
        {"EET-2EEST,M3.4.4/50,M10.4.4/50", "2050-07-01", "2050-03-26T00:00:00Z",
         "2050-10-28T23:00:00Z", 3 * HOUR_S},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2050-07-01", "2050-03-27T01:00:00Z",
         "2050-10-30T01:00:00Z", -HOUR_S},
        /* J60 is 1 March in all years, 59 is 29 February in leap years */
        {"AAA0BBB,J60/0,J300/0", "2024-06-01", "2024-03-01T00:00:00Z", "2024-10-26T23:00:00Z",
         HOUR_S},
        {"AAA0BBB,59/0,299/0", "2024-06-01", "2024-02-29T00:00:00Z", "2024-10-25T23:00:00Z",
         HOUR_S},
        {"AAA0BBB,59/0,299/0", "2023-06-01", "2023-03-01T00:00:00Z", "2023-10-26T23:00:00Z",
         HOUR_S},
        /* both changes a week late: at the start of a year the neighbours are two years old */
        {"AAA0BBB0,J364/167,J365/167", "2024-01-03", "2023-01-06T23:00:00Z", "2024-01-05T23:00:00Z",
         0},
        {"AAA0BBB,M12.5.6/24:30:15,M1.1.0/-24", "2024-12-31", "2024-12-29T00:30:15Z",
         "2025-01-03T23:00:00Z", HOUR_S},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct celery_zone_rule rule;
        struct celery_zone_span span;
        struct error err;

        assert_ok(celery_zone_rule_parse(str_from_cstr(rows[i].rule), &rule, &err), err);
        celery_zone_rule_span(&rule, parse_time(rows[i].at), &span);
        assert_int_equal(span.start_s, rows[i].start ? parse_time(rows[i].start) : INT64_MIN);
        assert_int_equal(span.end_s, rows[i].end ? parse_time(rows[i].end) : INT64_MAX);
        assert_int_equal(span.offset_s, rows[i].offset_s);
    }
}

/* Daylight time all year: RFC 9636 section 3.3.1. */
static void
test_endless_summer(void **state)
{
    struct celery_zone_rule rule;
    struct celery_zone_span span;
    struct error err;

    (void)state;
    assert_ok(celery_zone_rule_parse(STR("EST5EDT,0/0,J365/25"), &rule, &err), err);
    for (int64_t day = 0; day < 2000; day++) {
        celery_zone_rule_span(&rule, day * 43200, &span);
        assert_int_equal(span.offset_s, -4 * HOUR_S);
    }
}

static void
test_broken_rules(void **state)
{
    static const char *const texts[] = {
        "",
        "C",
        "CE1",
        "CET",
        "CET-",
        "CET-25",
        "<+1>-1",
        "<+01-1",
        "CET-1CEST",
        "CET-1CEST,",
        "CET-1C,1,2",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M0.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.0.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,J0,J5",
        "CET-1CEST,J366,J5",
        "CET-1CEST,366,5",
        "CET-1CEST,1/168,5",
        "CET-1CEST,1/2:60,5",
        "CET-1CEST,M3.5.0,M10.5.0/3 ",
        "CET-1CEST-2,M3.5.0,M10.5.0x",
        "C\xC3\xA9T-1",
        ":Europe/Berlin",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct celery_zone_rule rule;
        struct error err;

        if (celery_zone_rule_parse(str_from_cstr(texts[i]), &rule, &err) != -ERR_INVALID)
            fail_msg("'%s' was taken", texts[i]);
    }
}

static void
test_open(void **state)
{
    static const char *const names[] = {
        "", "/etc/passwd", "../../../etc/passwd", "Europe/Berlin.", "Eu rope", "a\nb"};
    char dir[] = "/tmp/test_schedule_zone.XXXXXX";
    struct celery_time_zone *zone = NULL;
    char path[64];
    struct error err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_int_equal(celery_time_zone_open(NULL, str_from_cstr(names[i]), &zone, &err),
                         -ERR_INVALID);
    assert_int_equal(celery_time_zone_open("/nowhere", STR("Europe/Berlin"), &zone, &err),
                     -ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "install Debian's package tzdata"));
    assert_ok(celery_time_zone_open("/nowhere", STR("UTC"), &zone, &err), err);
    celery_time_zone_free(TAKE(zone));

    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/UTC", dir);
    assert_ok(file_write_atomic(path, STR("TZif"), &err), err);
    assert_int_equal(celery_time_zone_open(dir, STR("Europe/Berlin"), &zone, &err), -ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "time zone 'Europe/Berlin' is unknown"));
    (void)snprintf(path, sizeof(path), "%s/Broken", dir);
    assert_ok(file_write_atomic(path, STR("#!/bin/sh"), &err), err);
    assert_int_equal(celery_time_zone_open(dir, STR("Broken"), &zone, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "/Broken': it is not a TZif file"));
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof(path), "%s/UTC", dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_null(zone);
}

static void
test_midnights(void **state)
{
    static const struct {
        const char *zone;
        const char *at;
        int64_t wall_s;
        const char *expected;
    } rows[] = {
        {"Europe/Berlin", "2024-03-31T12:00:00Z", 0, "2024-03-30T23:00:00Z"},
        {"Europe/Berlin", "2024-03-30T23:00:00Z", 86400, "2024-03-31T22:00:00Z"},
        {"Europe/Berlin", "2024-10-26T22:00:00Z", 86400, "2024-10-27T23:00:00Z"},
        {"America/Havana", "2024-03-09T12:00:00Z", 86400, "2024-03-10T05:00:00Z"}, /* no midnight */
        {"America/Havana", "2024-11-02T12:00:00Z", 86400, "2024-11-03T04:00:00Z"}, /* two of them */
        {"America/Havana", "2024-11-03T05:30:00Z", 0, "2024-11-03T04:00:00Z"},
        {"Pacific/Apia", "2011-12-29T12:00:00Z", 86400, "2011-12-30T10:00:00Z"}, /* no such day */
        {"Pacific/Apia", "2011-12-29T12:00:00Z", 172800, "2011-12-30T10:00:00Z"},
        {"America/New_York", "1970-01-01T00:00:00Z", 0, "1969-12-31T05:00:00Z"},
    };

    (void)state;
    zone_data_or_skip();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(celery_time_zone_freep) struct celery_time_zone *zone = NULL;
        struct error err;
        int64_t found;

        assert_ok(celery_time_zone_open(NULL, str_from_cstr(rows[i].zone), &zone, &err), err);
        found = celery_time_zone_find_midnight(zone, parse_time(rows[i].at), rows[i].wall_s);
        if (found != parse_time(rows[i].expected))
            fail_msg("%s %s: %ld, not %s", rows[i].zone, rows[i].at, (long)found, rows[i].expected);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_and_footer),
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_endless_summer),
        cmocka_unit_test(test_broken_rules),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_midnights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
