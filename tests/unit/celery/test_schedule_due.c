/* celery/schedule_timing: slots, catch-up, clocks that jump; and Celery's own answers. */

#include "tests/unit/celery/schedule_fixture.h"

#include "base/clock.h"
#include "base/timestamp.h"
#include "celery/schedule_timing.h"

static int64_t
parse_time(const char *text)
{
    int64_t time_us;
    struct error err;

    assert_ok(timestamp_parse_iso(str_from_cstr(text), &time_us, &err), err);
    return time_us;
}

static void
open_timing(const struct celery_schedule *row, struct celery_timing *timing)
{
    struct error err;

    assert_ok(celery_timing_init(row, NULL, timing, NULL, &err), err);
}

#define EVERY(seconds)                                                                             \
    {                                                                                              \
        "n", "t", .every_s = (seconds)                                                             \
    }
#define CRONTAB(line)                                                                              \
    {                                                                                              \
        "n", "t", .crontab = (line)                                                                \
    }
#define DEADLINE(line, s)                                                                          \
    {                                                                                              \
        "n", "t", .crontab = (line), .starting_deadline_s = (s)                                    \
    }
#define RELATIVE(seconds)                                                                          \
    {                                                                                              \
        "n", "t", .every_s = (seconds), .is_relative = true                                        \
    }

struct due_row {
    struct celery_schedule schedule;
    const char *last;
    const char *now;
    enum celery_due_state state;
    const char *slot; /* NULL = none */
    const char *next;
};

static void
check_due_rows(const struct due_row *rows, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++) {
        CLEANUP(celery_timing_fini) struct celery_timing timing;
        struct celery_due due;
        char text[TIMESTAMP_TEXT_BYTES];

        open_timing(&rows[i].schedule, &timing);
        celery_timing_due(&timing, parse_time(rows[i].last), parse_time(rows[i].now), &due);
        if (due.state != rows[i].state)
            fail_msg("row %zu: state %d, not %d", i, (int)due.state, (int)rows[i].state);
        if (rows[i].slot)
            assert_string_equal(timestamp_format(due.slot_us, text), rows[i].slot);
        else
            assert_int_equal(due.slot_us, 0);
        assert_string_equal(timestamp_format(due.next_check_us, text), rows[i].next);
    }
}

static void
test_due(void **state)
{
    const struct due_row rows[] = {
        /* an interval counts from its anchor, and does not drift */
        {EVERY(1800), "2024-05-01T10:00:07Z", "2024-05-01T10:30:06.999Z", CELERY_DUE_WAIT, NULL,
         "2024-05-01T10:30:07Z"},
        {EVERY(1800), "2024-05-01T10:00:07Z", "2024-05-01T10:30:07Z", CELERY_DUE_NOW,
         "2024-05-01T10:30:07Z", "2024-05-01T11:00:07Z"},
        {EVERY(1800), "2024-05-01T10:00:07.9Z", "2024-05-01T10:30:09.5Z", CELERY_DUE_NOW,
         "2024-05-01T10:30:07Z", "2024-05-01T11:00:07Z"},
        {CRONTAB("0 3 * * *"), "2024-05-01T03:00:00Z", "2024-05-02T02:59:59.999Z", CELERY_DUE_WAIT,
         NULL, "2024-05-02T03:00:00Z"},
        {CRONTAB("0 3 * * *"), "2024-05-01T03:00:00Z", "2024-05-02T03:00:00Z", CELERY_DUE_NOW,
         "2024-05-02T03:00:00Z", "2024-05-03T03:00:00Z"},
        {CRONTAB("0 3 * * *"), "2024-05-01T11:12:13Z", "2024-05-01T11:12:13Z", CELERY_DUE_WAIT,
         NULL, "2024-05-02T03:00:00Z"},
        /* relative: on whole minutes, hours, days */
        {RELATIVE(90), "2024-05-01T10:00:07Z", "2024-05-01T10:01:00Z", CELERY_DUE_NOW,
         "2024-05-01T10:01:00Z", "2024-05-01T10:02:00Z"},
        {RELATIVE(7200), "2024-05-01T10:59:59Z", "2024-05-01T12:00:00Z", CELERY_DUE_NOW,
         "2024-05-01T12:00:00Z", "2024-05-01T14:00:00Z"},
        {RELATIVE(86400), "2024-05-01T10:59:59Z", "2024-05-01T23:59:59Z", CELERY_DUE_WAIT, NULL,
         "2024-05-02T00:00:00Z"},
        {RELATIVE(30), "2024-05-01T10:00:07Z", "2024-05-01T10:00:37Z", CELERY_DUE_NOW,
         "2024-05-01T10:00:37Z", "2024-05-01T10:01:07Z"},
        /* a starting deadline */
        {DEADLINE("0 3 * * *", 3600), "2024-05-01T03:00:00Z", "2024-05-02T04:00:00Z",
         CELERY_DUE_NOW, "2024-05-02T03:00:00Z", "2024-05-03T03:00:00Z"},
        {DEADLINE("0 3 * * *", 3600), "2024-05-01T03:00:00Z", "2024-05-02T04:00:00.001Z",
         CELERY_DUE_WAIT, NULL, "2024-05-03T03:00:00Z"},
    };

    (void)state;
    check_due_rows(rows, COUNT_OF(rows));
}

/* After any pause one run is sent, the latest; then the grid goes on. */
static void
test_catch_up(void **state)
{
    const struct due_row rows[] = {
        /* suspended for ten minutes */
        {EVERY(60), "2024-05-01T10:00:00Z", "2024-05-01T10:10:30Z", CELERY_DUE_NOW,
         "2024-05-01T10:10:00Z", "2024-05-01T10:11:00Z"},
        {CRONTAB("*/2 * * * *"), "2024-05-01T10:00:00Z", "2024-05-01T10:11:00Z", CELERY_DUE_NOW,
         "2024-05-01T10:10:00Z", "2024-05-01T10:12:00Z"},
        {CRONTAB("0 3 * * *"), "2024-05-01T03:00:00Z", "2024-05-01T10:10:00Z", CELERY_DUE_WAIT,
         NULL, "2024-05-02T03:00:00Z"},
        /* the clock jumps ahead: an hour, a day */
        {EVERY(1800), "2024-05-01T10:00:00Z", "2024-05-01T11:10:00Z", CELERY_DUE_NOW,
         "2024-05-01T11:00:00Z", "2024-05-01T11:30:00Z"},
        {CRONTAB("15 * * * *"), "2024-05-01T10:15:00Z", "2024-05-02T10:20:00Z", CELERY_DUE_NOW,
         "2024-05-02T10:15:00Z", "2024-05-02T11:15:00Z"},
        {RELATIVE(86400), "2024-05-01T00:00:00Z", "2024-05-04T10:20:00Z", CELERY_DUE_NOW,
         "2024-05-04T00:00:00Z", "2024-05-05T00:00:00Z"},
        /* years, and the end of 32 bits */
        {CRONTAB("* * * * *"), "2024-05-01T10:15:00Z", "2038-01-19T03:14:08Z", CELERY_DUE_NOW,
         "2038-01-19T03:14:00Z", "2038-01-19T03:15:00Z"},
        {EVERY(7), "1970-01-01T00:00:00Z", "2038-01-19T03:14:08Z", CELERY_DUE_NOW,
         "2038-01-19T03:14:06Z", "2038-01-19T03:14:13Z"},
        {CRONTAB("0 0 29 2 *"), "1970-01-01T00:00:00Z", "9998-01-01T00:00:00Z", CELERY_DUE_NOW,
         "9996-02-29T00:00:00Z", "9999-12-31T23:59:59Z"}, /* never again */
        {EVERY(86400), "2038-01-18T00:00:00Z", "2038-01-19T23:59:59Z", CELERY_DUE_NOW,
         "2038-01-19T00:00:00Z", "2038-01-20T00:00:00Z"},
    };

    (void)state;
    check_due_rows(rows, COUNT_OF(rows));
}

/* Local time: days of 23 and 25 hours, and what happens while the machine sleeps through the
 * change. */
static void
test_local_days(void **state)
{
#define DAILY(zone)                                                                                \
    {                                                                                              \
        "n", "t", .every_s = 86400, .is_relative = true, .time_zone = (zone)                       \
    }
#define LOCAL(line, zone)                                                                          \
    {                                                                                              \
        "n", "t", .crontab = (line), .time_zone = (zone)                                           \
    }
    const struct due_row rows[] = {
        {DAILY("Europe/Berlin"), "2024-03-29T23:00:00Z", "2024-03-31T22:00:00Z", CELERY_DUE_NOW,
         "2024-03-31T22:00:00Z", "2024-04-01T22:00:00Z"},
        {DAILY("Europe/Berlin"), "2024-10-26T22:00:00Z", "2024-10-27T22:59:59Z", CELERY_DUE_WAIT,
         NULL, "2024-10-27T23:00:00Z"},
        {LOCAL("30 2 * * *", "Europe/Berlin"), "2024-03-30T01:30:00Z", "2024-03-31T01:00:00Z",
         CELERY_DUE_NOW, "2024-03-31T01:00:00Z", "2024-04-01T00:30:00Z"},
        {LOCAL("30 2 * * *", "Europe/Berlin"), "2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z",
         CELERY_DUE_WAIT, NULL, "2024-10-28T01:30:00Z"},
        {LOCAL("*/10 * * * *", "Europe/Berlin"), "2024-10-27T00:50:00Z", "2024-10-27T01:12:00Z",
         CELERY_DUE_NOW, "2024-10-27T01:10:00Z", "2024-10-27T01:20:00Z"},
    };

    (void)state;
    zone_data_or_skip();
    check_due_rows(rows, COUNT_OF(rows));
}

static void
test_clock_back(void **state)
{
    const struct due_row rows[] = {
        /* the other host's clock is a little slow: no word about it */
        {EVERY(1800), "2024-05-01T10:00:00Z", "2024-05-01T09:59:59Z", CELERY_DUE_WAIT, NULL,
         "2024-05-01T10:30:00Z"},
        /* an hour, a day: nothing until the last slot is passed */
        {CRONTAB("*/15 * * * *"), "2024-05-01T10:00:00Z", "2024-05-01T09:01:00Z",
         CELERY_DUE_CLOCK_BACK, NULL, "2024-05-01T10:15:00Z"},
        {EVERY(1800), "2024-05-02T10:00:00Z", "2024-05-01T10:00:30Z", CELERY_DUE_CLOCK_BACK, NULL,
         "2024-05-02T10:30:00Z"},
        {EVERY(1800), "2024-05-02T10:00:00Z", "2024-05-01T09:00:00Z", CELERY_DUE_CLOCK_BACK, NULL,
         "2024-05-02T10:30:00Z"},
        /* once in 2038, never mind */
        {CRONTAB("*/15 * * * *"), "2038-01-19T03:15:00Z", "2024-05-01T10:07:00.5Z",
         CELERY_DUE_ANCHOR_LOST, "2024-05-01T10:07:00Z", "2024-05-01T10:15:00Z"},
        {EVERY(1800), "2024-05-02T10:00:01Z", "2024-05-01T09:00:00Z", CELERY_DUE_ANCHOR_LOST,
         "2024-05-01T09:00:00Z", "2024-05-01T09:30:00Z"},
    };

    (void)state;
    check_due_rows(rows, COUNT_OF(rows));
}

/* A clock that walks at random, ahead and back, and a beat that obeys: no slot is sent twice, all
 * are on the grid, and each step sends one at most. */
static void
test_random_walk(void **state)
{
    const struct celery_schedule rows[] = {EVERY(600), CRONTAB("*/7 1-20 * * *"), RELATIVE(3600)};
    uint64_t random = 88172645463325252;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(celery_timing_fini) struct celery_timing timing;
        int64_t now_us = parse_time("2024-05-01T10:00:00Z");
        int64_t last_us = celery_timing_first_anchor(now_us);
        size_t n_sent = 0;

        open_timing(&rows[i], &timing);
        for (int step = 0; step < 20000; step++) {
            struct celery_due due;

            random ^= random << 13; /* Marsaglia's xorshift64 */
            random ^= random >> 7;
            random ^= random << 17;
            now_us += (int64_t)(random % 2000) * US_PER_S - (random % 3 ? 0 : 1500 * US_PER_S);
            celery_timing_due(&timing, last_us, now_us, &due);
            if (due.state != CELERY_DUE_NOW) {
                assert_true(due.next_check_us > now_us);
                continue;
            }
            assert_true(due.slot_us > last_us && due.slot_us <= now_us);
            assert_true(due.next_check_us > now_us);
            while (last_us < due.slot_us)
                last_us = celery_timing_next(&timing, last_us);
            assert_int_equal(last_us, due.slot_us);
            n_sent++;
        }
        assert_in_range(n_sent, 1000, 20000);
    }
}

/* Whatever a beat knew last, it sees the same slot: so the second of two finds its key taken. */
static void
test_two_beats(void **state)
{
    const struct celery_schedule rows[] = {
        EVERY(600),
        CRONTAB("*/7 1-20 * * *"),
        RELATIVE(5400),
        RELATIVE(172800),
        {"n", "t", .crontab = "30 2 * * *", .time_zone = "Europe/Berlin"},
        {"n", "t", .every_s = 86400, .is_relative = true, .time_zone = "America/Havana"},
    };

    (void)state;
    zone_data_or_skip();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(celery_timing_fini) struct celery_timing timing;
        int64_t slots[40];
        int64_t anchor_us = parse_time("2024-10-20T10:00:00Z");

        open_timing(&rows[i], &timing);
        assert_int_equal(celery_timing_list(&timing, anchor_us, COUNT_OF(slots), slots),
                         COUNT_OF(slots));
        for (size_t k = 0; k + 1 < COUNT_OF(slots); k++) {
            assert_true(slots[k] < slots[k + 1]);
            for (size_t known = 0; known < k; known++) {
                struct celery_due due;

                celery_timing_due(&timing, slots[known], slots[k + 1] - 1, &due);
                assert_int_equal(due.state, CELERY_DUE_NOW);
                assert_int_equal(due.slot_us, slots[k]);
                assert_int_equal(due.next_check_us, slots[k + 1]);
            }
        }
    }
}

/* Times from a broken store or clock do no harm. */
static void
test_wild_times(void **state)
{
    static const int64_t times[] = {
        INT64_MIN, -1, 0, 1, INT64_C(253402300799999999), INT64_C(253402300800000000), INT64_MAX};
    const struct celery_schedule rows[] = {EVERY(1), EVERY(CELERY_SCHEDULE_EVERY_MAX_S),
                                           CRONTAB("* * * * *"), RELATIVE(86400)};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(celery_timing_fini) struct celery_timing timing;

        open_timing(&rows[i], &timing);
        for (size_t a = 0; a < COUNT_OF(times); a++) {
            for (size_t b = 0; b < COUNT_OF(times); b++) {
                struct celery_due due;
                int64_t next_us;

                celery_timing_due(&timing, times[a], times[b], &due);
                assert_true(due.next_check_us > 0);
                (void)celery_timing_is_due(&timing, times[a], times[b], &next_us);
                assert_true(next_us > 0);
            }
        }
    }
}

static void
test_key(void **state)
{
    char key[CELERY_SLOT_KEY_BYTES];
    char name[CELERY_SCHEDULE_NAME_BYTES + 1] = {0};

    (void)state;
    assert_string_equal(celery_slot_key("cleanup", parse_time("2026-03-29T01:00:00Z"), key),
                        "cleanup@2026-03-29T01:00:00Z");
    assert_string_equal(celery_slot_key("x", parse_time("9999-12-31T23:59:59.5Z"), key),
                        "x@9999-12-31T23:59:59Z");
    memset(name, 'n', CELERY_SCHEDULE_NAME_BYTES);
    assert_int_equal(strlen(celery_slot_key(name, 0, key)), CELERY_SCHEDULE_NAME_BYTES + 21);
    assert_string_equal(key + CELERY_SCHEDULE_NAME_BYTES, "@1970-01-01T00:00:00Z");
}

/* kind, crontab, last, now, Celery's due and next, the grid's due and next. */
static void
check_crontab_row(struct str kind, struct str line)
{
    struct str text = fixture_text(&line);
    int64_t last_us = fixture_number(&line);
    int64_t now_us = fixture_number(&line);
    int64_t celery_due = fixture_number(&line);
    int64_t celery_next_us = fixture_number(&line);
    int64_t grid_due = fixture_number(&line);
    int64_t grid_next_us = fixture_number(&line);
    struct celery_timing timing = {.kind = CELERY_TIMING_CRONTAB};
    int64_t next_us;
    struct error err;

    assert_ok(celery_crontab_parse(text, &timing.crontab, &err), err);
    assert_int_equal(celery_timing_is_due(&timing, last_us, now_us, &next_us), grid_due);
    assert_int_equal(next_us, grid_next_us);
    if (str_equal(kind, STR("same"))) {
        assert_int_equal(grid_due, celery_due);
        assert_int_equal(grid_next_us, celery_next_us);
    }
}

/* kind, seconds, last, now, due, next. */
static void
check_interval_row(struct str kind, struct str line)
{
    const struct celery_schedule row = {"n", "t", .every_s = fixture_number(&line),
                                        .is_relative = str_equal(kind, STR("relative"))};
    int64_t last_us = fixture_number(&line);
    int64_t now_us = fixture_number(&line);
    int64_t due = fixture_number(&line);
    struct celery_timing timing;
    int64_t next_us;

    open_timing(&row, &timing);
    assert_int_equal(celery_timing_is_due(&timing, last_us, now_us, &next_us), due);
    assert_int_equal(next_us, fixture_number(&line));
}

static void
test_celery_answers(void **state)
{
    struct buf file;
    struct str rest;
    struct str line;
    size_t n_rows = 0;

    (void)state;
    fixture_read("celery_due.tsv", &file);
    rest = buf_str(&file);
    while (str_split(&rest, '\n', &line)) {
        struct str kind;

        if (line.len == 0)
            continue;
        kind = fixture_text(&line);
        if (str_equal(kind, STR("same")) || str_equal(kind, STR("lost")))
            check_crontab_row(kind, line);
        else
            check_interval_row(kind, line);
        n_rows++;
    }
    assert_true(n_rows > 800);
    buf_fini(&file);
}

/* The starting deadline, in Celery's terms. */
static void
test_is_due_deadline(void **state)
{
    const struct celery_schedule row = DEADLINE("0 */6 * * *", 600);
    static const struct {
        const char *now;
        bool due;
        int64_t next_s;
    } rows[] = {
        {"2024-05-01T05:00:00Z", false, 3600}, {"2024-05-01T06:00:00Z", true, 21600},
        {"2024-05-01T06:10:00Z", true, 21000}, {"2024-05-01T06:10:01Z", false, 20999},
        {"2024-05-02T00:05:00Z", true, 21300}, {"2024-05-02T00:15:00Z", false, 20700},
    };
    CLEANUP(celery_timing_fini) struct celery_timing timing;

    (void)state;
    open_timing(&row, &timing);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t next_us;

        assert_int_equal(celery_timing_is_due(&timing, parse_time("2024-05-01T00:00:00Z"),
                                              parse_time(rows[i].now), &next_us),
                         rows[i].due);
        assert_int_equal(next_us, rows[i].next_s * US_PER_S);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due),
        cmocka_unit_test(test_catch_up),
        cmocka_unit_test(test_local_days),
        cmocka_unit_test(test_clock_back),
        cmocka_unit_test(test_random_walk),
        cmocka_unit_test(test_two_beats),
        cmocka_unit_test(test_wild_times),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_celery_answers),
        cmocka_unit_test(test_is_due_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
