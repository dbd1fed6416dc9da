/* celery/schedule: the table and its checks; the queue. */

#include "tests/unit/celery/schedule_fixture.h"

#include "celery/schedule.h"
#include "celery/schedule_queue.h"
#include "celery/schedule_timing.h"

/* As a program writes it. */
static const struct celery_schedule example[] = {
    {"generate-embeddings-every-30min", "enrich.generate_embeddings", .every_s = 1800, "[100]"},
    {"fetch-kaggle-latest-daily", "kaggle.fetch_latest", .every_s = 86400, "[100, \"updated\"]"},
    {"cleanup-nightly", "cleanup.remove_old_cache", .crontab = "0 3 * * *",
     .time_zone = "Europe/Berlin", .kwargs = "{\"max_age_hours\": 24}", .expires_s = 43200},
    {"report", "report.send", .crontab = "0 7 * * mon", .starting_deadline_s = 3600},
    {"midnight", "report.send", .every_s = 86400, .is_relative = true, .time_zone = "Asia/Tokyo"},
    CELERY_SCHEDULE_END,
};

static void
test_example(void **state)
{
    struct error err;

    (void)state;
    zone_data_or_skip();
    assert_ok(celery_schedule_check(example, NULL, &err), err);
    assert_int_equal(example[1].every_s, 86400);
    assert_string_equal(example[1].args, "[100, \"updated\"]");
    assert_null(example[2].args);
}

static void
test_refuse(void **state)
{
    static char long_name[CELERY_SCHEDULE_NAME_BYTES + 2];
    const struct {
        struct celery_schedule row;
        int rc;
        const char *said;
    } rows[] = {
        {{"", "t", .every_s = 1}, -ERR_INVALID, "its name has 0 bytes, 1 to 200 are allowed"},
        {{long_name, "t", .every_s = 1}, -ERR_INVALID, "its name has 201 bytes"},
        {{"a\nb", "t", .every_s = 1}, -ERR_INVALID, "a control character at byte 1"},
        {{"n", NULL, .every_s = 1}, -ERR_INVALID, "schedule 'n': task is missing"},
        {{"n", "", .every_s = 1}, -ERR_INVALID, "schedule 'n': task is missing"},
        {{"n", "t", .every_s = 0},
         -ERR_INVALID,
         "schedule 'n' never fires: give every_s (seconds) or crontab"},
        {{"n", "t", .every_s = 5, .crontab = "* * * * *"},
         -ERR_INVALID,
         "schedule 'n' has both every_s 5 and crontab '* * * * *': give one"},
        {{"n", "t", .every_s = -5}, -ERR_INVALID, "every_s is -5, 1 to 316224000 are allowed"},
        {{"n", "t", .every_s = INT64_MAX}, -ERR_INVALID, "1 to 316224000 are allowed"},
        {{"n", "t", .crontab = "61 * * * *"},
         -ERR_INVALID,
         "schedule 'n': crontab minute '61' is out of range"},
        {{"n", "t", .crontab = "* * * * *", .is_relative = true},
         -ERR_INVALID,
         "is_relative goes with every_s"},
        {{"n", "t", .every_s = 60, .starting_deadline_s = 5},
         -ERR_INVALID,
         "starting_deadline_s goes with crontab"},
        {{"n", "t", .crontab = "* * * * *", .starting_deadline_s = -5},
         -ERR_INVALID,
         "starting_deadline_s is -5"},
        {{"n", "t", .every_s = 60, .time_zone = "Asia/Tokyo"},
         -ERR_INVALID,
         "time_zone 'Asia/Tokyo' means nothing to every_s"},
        {{"n", "t", .crontab = "* * * * *", .time_zone = "Asia/Tokio"},
         -ERR_NOT_FOUND,
         "schedule 'n': time zone 'Asia/Tokio' is unknown"},
        {{"n", "t", .crontab = "* * * * *", .time_zone = "../x"},
         -ERR_INVALID,
         "schedule 'n': time zone '../x' is not a name"},
        {{"n", "t", .every_s = 60, .args = "{}"},
         -ERR_INVALID,
         "schedule 'n': args must be a JSON array, got object '{}'"},
        {{"n", "t", .every_s = 60, .args = "[1,"},
         -ERR_INVALID,
         "schedule 'n': args '[1,' is not JSON"},
        {{"n", "t", .every_s = 60, .kwargs = "[]"},
         -ERR_INVALID,
         "schedule 'n': kwargs must be a JSON object, got array"},
        {{"n", "t", .every_s = 60, .expires_s = -1}, -ERR_INVALID, "expires_s is -1"},
        {{"n", "t", .every_s = 60, .priority = 10}, -ERR_INVALID, "priority is 10, 0 to 9"},
        {{"n", "t", .every_s = 60, .queue = ""}, -ERR_INVALID, "queue '' must be UTF-8 text"},
        {{"n\xff", "t", .every_s = 60}, -ERR_INVALID, "is not UTF-8 text"},
        {{"first", "t", .every_s = 60}, -ERR_INVALID, "schedule 'first' is there twice"},
    };

    (void)state;
    zone_data_or_skip();
    memset(long_name, 'x', sizeof(long_name) - 1);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct celery_schedule table[] = {
            {"first", "t", .every_s = 60}, rows[i].row, CELERY_SCHEDULE_END};
        struct error err;

        assert_int_equal(celery_schedule_check(table, NULL, &err), rows[i].rc);
        if (!strstr(err.message, rows[i].said))
            fail_msg("row %zu: '%s' does not say '%s'", i, err.message, rows[i].said);
    }
}

static void
test_args_size(void **state)
{
    struct buf text = BUF_INIT(1 << 20);
    struct celery_schedule table[] = {{"n", "t", .every_s = 60}, CELERY_SCHEDULE_END};
    struct error err;

    (void)state;
    buf_append_char(&text, '[');
    while (text.len < CELERY_SCHEDULE_ARGS_BYTES - 3)
        buf_append(&text, STR("0,"));
    buf_append(&text, STR("0] "));
    table[0].args = buf_cstr(&text);
    assert_ok(celery_schedule_check(table, NULL, &err), err);
    buf_append(&text, STR(" "));
    table[0].args = buf_cstr(&text);
    assert_int_equal(celery_schedule_check(table, NULL, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "args has 65537 bytes, at most 65536 are allowed"));
    buf_fini(&text);
}

/* Without zone data beat starts, in UTC, and says why. */
static void
test_no_zone_data(void **state)
{
    const struct celery_schedule_options options = {.time_zone = "Europe/Berlin",
                                                    .zoneinfo_dir = "/nowhere"};
    const struct celery_schedule row = {"n", "t", .crontab = "0 3 * * *"};
    const struct celery_schedule interval = {"n", "t", .every_s = 60};
    struct celery_timing timing;
    struct error zone_err;
    struct error err;

    (void)state;
    assert_ok(celery_timing_init(&row, &options, &timing, &zone_err, &err), err);
    assert_null(timing.zone);
    assert_int_equal(zone_err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(zone_err.message, "install Debian's package tzdata"));
    assert_int_equal(celery_timing_next(&timing, 0), INT64_C(10800000000));
    celery_timing_fini(&timing);
    assert_ok(celery_timing_init(&interval, &options, &timing, &zone_err, &err), err);
    assert_int_equal(zone_err.code, ERR_NONE);
    celery_timing_fini(&timing);
    celery_timing_fini(&timing);
}

/* A row's own zone goes before the default. */
static void
test_default_zone(void **state)
{
    const struct celery_schedule_options options = {.time_zone = "Asia/Tokyo"};
    const struct celery_schedule rows[] = {
        {"n", "t", .crontab = "0 3 * * *"},
        {"n", "t", .crontab = "0 3 * * *", .time_zone = "UTC"},
    };
    static const int64_t hours[] = {18, 3};

    (void)state;
    zone_data_or_skip();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct celery_timing timing;
        struct error err;

        assert_ok(celery_timing_init(&rows[i], &options, &timing, NULL, &err), err);
        assert_int_equal(celery_timing_next(&timing, 0), hours[i] * 3600 * 1000000);
        celery_timing_fini(&timing);
    }
}

static void
test_queue(void **state)
{
    CLEANUP(celery_schedule_queue_fini) struct celery_schedule_queue queue;
    const size_t n = 1000;
    uint64_t random = 88172645463325252;
    int64_t last_us = -1;
    size_t last_idx = 0;
    size_t entry_idx;
    struct error err;

    (void)state;
    assert_ok(celery_schedule_queue_init(&queue, n, &err), err);
    assert_null(celery_schedule_queue_peek(&queue));
    assert_false(celery_schedule_queue_pop_due(&queue, INT64_MAX, &entry_idx));
    for (size_t i = 0; i < n; i++) {
        random ^= random << 13; /* Marsaglia's xorshift64 */
        random ^= random >> 7;
        random ^= random << 17;
        celery_schedule_queue_push(&queue, (int64_t)(random % 200), i);
    }
    for (size_t i = 0; i < n; i++) {
        int64_t check_us = celery_schedule_queue_peek(&queue)->check_us;

        assert_false(celery_schedule_queue_pop_due(&queue, check_us - 1, &entry_idx));
        assert_true(celery_schedule_queue_pop_due(&queue, check_us, &entry_idx));
        assert_true(check_us > last_us || (check_us == last_us && entry_idx > last_idx));
        last_us = check_us;
        last_idx = entry_idx;
    }
    assert_null(celery_schedule_queue_peek(&queue));
    celery_schedule_queue_push(&queue, 5, 1);
    celery_schedule_queue_clear(&queue);
    assert_null(celery_schedule_queue_peek(&queue));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),      cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_args_size),    cmocka_unit_test(test_no_zone_data),
        cmocka_unit_test(test_default_zone), cmocka_unit_test(test_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
