/* celery/pool: what thread and solo do as prefork does, and what they cannot. */

#include "tests/unit/celery/pool/pool_fixture.h"

#include <fcntl.h>

static const char *const kinds[] = {"thread", "solo"};

static void
test_outcomes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct fixture fixture;
        const struct seen_request *seen;
        struct pool_child_stats stats;

        fixture_init(&fixture);
        fixture.options.max_payload_bytes = 1000;
        fixture_start(&fixture, kinds[i], 1);
        assert_int_equal(pool_n_free(fixture.pool), 0);
        fixture_wait(&fixture, fixture.n_ready == 1);
        seen = fixture_run(&fixture, 1, "big:10");
        assert_int_equal(seen->outcome.kind, POOL_OK);
        assert_true(seen->outcome.has_started && seen->outcome.started_at_us > 0);
        assert_string_equal(seen->result, "abcdefghij");
        seen = fixture_run(&fixture, 2, "fail");
        assert_int_equal(seen->outcome.kind, POOL_FAILED);
        assert_string_equal(seen->outcome.exception, "RateLimited");
        assert_string_equal(seen->message, "too fast");
        assert_string_equal(seen->result, "details");
        assert_int_equal(seen->outcome.retry_after_ms, 1500);
        assert_int_equal(fixture_run(&fixture, 3, "big:1001")->outcome.code, ERR_TOO_LARGE);
        assert_int_equal(fixture_run(&fixture, 4, "progress:150")->outcome.kind, POOL_OK);
        assert_in_range(fixture.requests[4].n_progress, 1,
                        2 + fixture.requests[4].outcome.runtime_us / (100 * US_PER_MS));
        assert_int_equal(pool_stats(fixture.pool, &stats, 1), 1);
        assert_int_equal(stats.n_done, 4);
        assert_false(stats.is_busy);
        pool_drain(fixture.pool);
        assert_false(fixture.has_stopped);
        fixture_wait(&fixture, fixture.has_stopped);
        assert_int_equal(fixture_submit(&fixture, 5, "x", 0, 0), -ERR_BUSY);
        fixture_fini(&fixture);
    }
}

/* Each hears of its own lines, before its end. */
static void
test_lines(void **state)
{
    static const char *const all[] = {"prefork", "thread", "solo"};
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)state;
    log_configure(null_fd, LOG_INFO, LOG_TEXT);
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct fixture fixture;
        const struct seen_request *seen;

        fixture_init(&fixture);
        fixture.options.keep_fds = &null_fd;
        fixture.options.n_keep_fds = 1;
        fixture.options.max_payload_bytes = 100; /* lines are no payload */
        fixture_start(&fixture, all[i], 1);
        fixture_wait(&fixture, fixture.n_ready == 1);
        seen = fixture_run(&fixture, 1, "log:3");
        assert_int_equal(seen->outcome.kind, POOL_OK);
        assert_int_equal(seen->n_lines, 3);
        assert_int_equal(seen->n_dropped_lines, 0);
        assert_string_equal(seen->last_line, "line 2");
        assert_int_equal(fixture_run(&fixture, 2, "log:0")->n_lines, 0);
        /* Too many: the latest stay, and nothing is lost from the count. */
        seen = fixture_run(&fixture, 3, "log:9000");
        assert_string_equal(seen->last_line, "line 8999");
        assert_int_equal(seen->n_lines + seen->n_dropped_lines, 9000);
        assert_true(seen->n_lines > 1000);
        fixture_fini(&fixture);
    }
    log_configure(STDERR_FILENO, LOG_INFO, LOG_TEXT);
    (void)close(null_fd);
}

/* No signal wakes a thread: a task that sleeps in slices notices. */
static void
test_soft_limit(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct fixture fixture;

        fixture_init(&fixture);
        fixture_start(&fixture, kinds[i], 1);
        fixture_wait(&fixture, fixture.n_ready == 1);
        assert_int_equal(fixture_submit(&fixture, 1, "slices", 30, 0), 0);
        fixture_wait(&fixture, fixture.n_done == 1);
        assert_int_equal(fixture.requests[1].outcome.kind, POOL_SOFT_LIMIT);
        assert_string_equal(fixture.requests[1].outcome.exception, "SoftTimeLimitExceeded");
        fixture_fini(&fixture);
    }
}

static void
test_setup_that_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct fixture fixture;

        (void)setenv("POOL_FIXTURE_SETUP", "fail", 1);
        fixture_init(&fixture);
        fixture_start(&fixture, kinds[i], 1);
        fixture_wait(&fixture, fixture.n_trouble == 1);
        assert_string_equal(fixture.trouble, "no database");
        (void)unsetenv("POOL_FIXTURE_SETUP");
        fixture_wait(&fixture, fixture.n_ready == 1);
        assert_int_equal(fixture_run(&fixture, 1, "sleep:0")->outcome.kind, POOL_OK);
        fixture_fini(&fixture);
    }
}

static void
test_threads_run_together(void **state)
{
    struct fixture fixture;
    int64_t before_us;

    (void)state;
    fixture_init(&fixture);
    fixture_start(&fixture, "threads", 8);
    fixture_wait(&fixture, fixture.n_ready == 8);
    before_us = clock_mono_us(&clock_system);
    for (uint64_t id = 0; id < 8; id++)
        assert_int_equal(fixture_submit(&fixture, id, "sleep:200", 0, 0), 0);
    assert_int_equal(fixture_submit(&fixture, 8, "sleep:200", 0, 0), -ERR_BUSY);
    fixture_wait(&fixture, fixture.n_done == 8);
    assert_true(clock_mono_us(&clock_system) - before_us < 1000 * US_PER_MS);
    for (uint64_t id = 8; id < 2000; id++) {
        fixture_wait(&fixture, pool_n_free(fixture.pool) > 0);
        assert_int_equal(fixture_submit(&fixture, id, "big:5", 0, 0), 0);
    }
    fixture_wait(&fixture, fixture.n_done == 2000);
    for (uint64_t id = 0; id < 2000; id++)
        assert_int_equal(fixture.requests[id].n_done, 1);
    fixture_fini(&fixture);
}

/* Reported in time; the slot comes back when the task does. */
static void
test_thread_limits_are_only_reported(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture.options.terminate_grace_ms = 30;
    fixture_start(&fixture, "thread", 2);
    fixture_wait(&fixture, fixture.n_ready == 2);
    assert_int_equal(fixture_submit(&fixture, 1, "sleep:400", 0, 50), 0);
    assert_int_equal(fixture_submit(&fixture, 2, "sleep:400", 0, 0), 0);
    fixture_wait(&fixture, fixture.requests[2].n_started == 1);
    assert_int_equal(pool_terminate(fixture.pool, 2, NULL), 0);
    assert_int_equal(pool_terminate(fixture.pool, 3, NULL), -ERR_NOT_FOUND);
    fixture_wait(&fixture, fixture.n_done == 2);
    assert_int_equal(fixture.requests[1].outcome.kind, POOL_HARD_LIMIT);
    assert_string_equal(fixture.requests[1].message,
                        "over its limit of 50 ms; a thread cannot be killed");
    assert_int_equal(fixture.requests[2].outcome.kind, POOL_TERMINATED);
    assert_int_equal(pool_n_free(fixture.pool), 0);
    fixture_wait(&fixture, pool_n_free(fixture.pool) == 2);
    assert_int_equal(fixture.requests[1].n_done, 1); /* what came late was dropped */
    fixture_fini(&fixture);
}

static void
test_thread_resize_and_stop(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture_start(&fixture, "thread", 1);
    assert_int_equal(pool_resize(fixture.pool, 3, NULL), 0);
    fixture_wait(&fixture, fixture.n_ready == 3);
    assert_int_equal(pool_resize(fixture.pool, 1, NULL), 0);
    fixture_wait(&fixture, pool_stats(fixture.pool, NULL, 0) == 1);
    assert_int_equal(fixture_submit(&fixture, 1, "slices", 0, 0), 0);
    fixture_wait(&fixture, fixture.requests[1].n_started == 1);
    pool_stop(fixture.pool);
    assert_int_equal(fixture.requests[1].outcome.kind, POOL_TERMINATED);
    fixture_wait(&fixture, fixture.has_stopped);
    fixture_fini(&fixture); /* waits for the thread, which sees that it is cancelled */
}

static void
test_solo_takes_one(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture_start(&fixture, "solo", 1);
    assert_int_equal(pool_resize(fixture.pool, 2, NULL), -ERR_UNSUPPORTED);
    fixture_wait(&fixture, fixture.n_ready == 1);
    assert_int_equal(fixture_submit(&fixture, 1, "sleep:0", 0, 0), 0);
    assert_int_equal(fixture_submit(&fixture, 2, "sleep:0", 0, 0), -ERR_BUSY);
    assert_int_equal(pool_terminate(fixture.pool, 1, NULL), 0);
    assert_int_equal(fixture.requests[1].outcome.kind, POOL_TERMINATED);
    assert_int_equal(fixture_submit(&fixture, 3, "sleep:0", 0, 0), 0);
    pool_drain(fixture.pool);
    assert_int_equal(fixture.requests[3].outcome.kind, POOL_RETURNED);
    fixture_wait(&fixture, fixture.has_stopped);
    fixture_fini(&fixture);
}

static void
note(void *context)
{
    ++*(int *)context;
}

static void
test_loop_signals_and_wakes(void **state)
{
    struct loop *loop;
    struct loop_signal *watch;
    struct loop_wake *wake;
    struct loop_hook *hook;
    int n_signals = 0;
    int n_wakes = 0;
    int n_turns = 0;

    (void)state;
    assert_int_equal(loop_create(&loop, NULL), 0);
    assert_int_equal(loop_signal_create(loop, SIGHUP, note, &n_signals, &watch, NULL), 0);
    assert_int_equal(loop_wake_create(loop, note, &n_wakes, &wake, NULL), 0);
    assert_int_equal(loop_hook_create(loop, note, &n_turns, &hook, NULL), 0);
    (void)raise(SIGHUP);
    while (n_signals == 0)
        loop_run_once(loop);
    loop_wake_send(wake);
    loop_wake_send(wake);
    while (n_wakes == 0)
        loop_run_once(loop);
    assert_int_equal(n_signals, 1);
    assert_int_equal(n_wakes, 1);
    assert_true(n_turns >= 2);
    loop_hook_free(hook);
    loop_wake_free(wake);
    loop_signal_free(watch);
    loop_free(loop);
}

int
main(void)
{
    const struct CMUnitTest rows[] = {
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_soft_limit),
        cmocka_unit_test(test_setup_that_fails),
        cmocka_unit_test(test_threads_run_together),
        cmocka_unit_test(test_thread_limits_are_only_reported),
        cmocka_unit_test(test_thread_resize_and_stop),
        cmocka_unit_test(test_solo_takes_one),
        cmocka_unit_test(test_loop_signals_and_wakes),
    };

    return cmocka_run_group_tests(rows, NULL, NULL);
}
