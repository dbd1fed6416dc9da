/* A beat's life with each of its allocations failing in turn: an error or another try, no leak, no
 * crash, and a message for every slot that is written down. */

#include "tests/unit/celery/beat_day.h"

#include "base/log.h"
#include "tests/unit/failing_allocations.h"

static const struct celery_schedule rows[] = {
    {"tick", "t.tick", .every_s = 1, .queue = "q", .args = "[1]", .expires_s = 5},
    {"night", "t.night", .crontab = "0 3 * * *", .time_zone = "Europe/Berlin"},
    CELERY_SCHEDULE_END,
};

static void
test_each_allocation_fails(void **state)
{
    struct day day;
    int n_tries = 0;

    (void)state;
    day_begin(&day, rows);
    do {
        const struct celery_beat_options options = day_options(&day);
        struct celery_beat *beat = NULL;
        int64_t n_runs;

        has_failed = false;
        n_until_failure = ++n_tries;
        if (celery_beat_create(&options, &beat, NULL) == 0)
            day_pass(&day, &beat, 1, 2 * US_PER_S);
        n_until_failure = 0;
        if (beat) {
            day_pass(&day, &beat, 1, 2 * US_PER_S);
            assert_true(celery_beat_is_leading(beat));
            n_runs = day_state(&day, "tick").n_runs;
            day_pass(&day, &beat, 1, US_PER_S);
            assert_int_equal(day_state(&day, "tick").n_runs, n_runs + 1);
            assert_int_equal(day_count(&day, "q"), n_runs + 1);
        }
        celery_beat_free(beat);
    } while (has_failed);
    assert_true(n_tries > 50);
    day_end(&day);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_fails),
    };

    log_configure(STDERR_FILENO, LOG_NOTHING, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
