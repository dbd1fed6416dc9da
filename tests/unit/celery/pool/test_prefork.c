/* celery/pool/prefork: requests, limits, recycling, ends. */

#include "tests/unit/celery/pool/pool_fixture.h"

static void
test_outcomes(void **state)
{
    struct fixture fixture;
    const struct seen_request *seen;
    int64_t before_us = clock_now_us(&clock_system);

    (void)state;
    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 2);
    assert_int_equal(pool_n_free(fixture.pool), 0);
    fixture_wait(&fixture, fixture.n_ready == 2);
    assert_int_equal(pool_n_free(fixture.pool), 2);

    seen = fixture_run(&fixture, 1, "big:10");
    assert_int_equal(seen->outcome.kind, POOL_OK);
    assert_true(seen->outcome.has_started);
    assert_string_equal(seen->result, "abcdefghij");
    assert_string_equal(seen->message, "");
    assert_true(seen->outcome.peak_rss_kib > 0);
    assert_in_range(seen->started_at_us, before_us - 1000, clock_now_us(&clock_system) + 1000);

    seen = fixture_run(&fixture, 2, "fail");
    assert_int_equal(seen->outcome.kind, POOL_FAILED);
    assert_int_equal(seen->outcome.code, ERR_RATE_LIMIT);
    assert_string_equal(seen->outcome.exception, "RateLimited");
    assert_string_equal(seen->message, "too fast");
    assert_string_equal(seen->result, "details");
    assert_int_equal(seen->outcome.retry_after_ms, 1500);

    seen = fixture_run(&fixture, 3, "sleep:30");
    assert_true(seen->outcome.runtime_us >= 30 * US_PER_MS);
    fixture_fini(&fixture);
}

static void
test_unknown_and_impossible(void **state)
{
    struct fixture fixture;
    struct pool *pool = NULL;
    struct error err;

    (void)state;
    fixture_init(&fixture);
    assert_int_equal(pool_create(STR("gevent"), &fixture.options, &pool, &err), -ERR_CONFIG);
    assert_string_equal(err.message, "pool 'gevent' is unknown (known: prefork, thread, solo)");
    fixture.options.child_prefetch = POOL_MAX_PREFETCH + 1;
    assert_int_equal(pool_create(STR("solo"), &fixture.options, &pool, &err), -ERR_CONFIG);
    fixture.options.child_prefetch = 0;
    fixture.options.max_payload_bytes = 1000;
    fixture_start(&fixture, "prefork", 1);
    assert_int_equal(pool_start(fixture.pool, 0, &err), -ERR_INVALID);
    assert_int_equal(fixture_submit(&fixture, 1, "x", 0, 0), -ERR_BUSY);
    fixture_wait(&fixture, fixture.n_ready == 1);
    assert_int_equal(pool_terminate(fixture.pool, 1, &err), -ERR_NOT_FOUND);
    assert_int_equal(fixture_submit(&fixture, 1, "x", -1, 0), -ERR_INVALID);
    assert_int_equal(fixture_submit(&fixture, 1, "x", 0, INT64_MAX), -ERR_INVALID);
    assert_int_equal(pool_n_free(fixture.pool), 1);
    /* A result beyond the limit fails its request, not the child. */
    assert_int_equal(fixture_run(&fixture, 2, "big:1001")->outcome.code, ERR_TOO_LARGE);
    assert_int_equal(fixture.requests[2].n_result, 0);
    assert_int_equal(fixture_run(&fixture, 3, "big:1000")->n_result, 1000);
    assert_int_equal(fixture.n_ready, 1);
    fixture_fini(&fixture);
}

static void
test_soft_limit(void **state)
{
    struct fixture fixture;
    const struct seen_request *seen = NULL;

    (void)state;
    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    assert_int_equal(fixture_submit(&fixture, 1, "spin", 50, 5000), 0);
    fixture_wait(&fixture, fixture.n_done == 1);
    seen = &fixture.requests[1];
    assert_int_equal(seen->outcome.kind, POOL_SOFT_LIMIT);
    assert_string_equal(seen->outcome.exception, "SoftTimeLimitExceeded");
    assert_in_range(seen->outcome.runtime_us, 50 * US_PER_MS, 900 * US_PER_MS);
    /* The same child goes on; a limit of one request does not cancel the next. */
    assert_int_equal(fixture_run(&fixture, 2, "sleep:20")->outcome.kind, POOL_OK);
    assert_int_equal(fixture.n_ready, 1);
    fixture_fini(&fixture);
}

static void
test_hard_limit(void **state)
{
    struct fixture fixture;
    pid_t first;

    (void)state;
    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    first = fixture.last_ready;
    assert_int_equal(fixture_submit(&fixture, 1, "hang", 20, 60), 0);
    fixture_wait(&fixture, fixture.n_done == 1);
    assert_int_equal(fixture.requests[1].outcome.kind, POOL_HARD_LIMIT);
    assert_int_equal(fixture.requests[1].outcome.pid, first);
    assert_string_equal(fixture.requests[1].message, "killed after its limit of 60 ms");
    assert_in_range(fixture.requests[1].outcome.runtime_us, 60 * US_PER_MS, 900 * US_PER_MS);
    fixture_wait(&fixture, fixture.n_ready == 2);
    assert_int_not_equal(fixture.last_ready, first);
    assert_int_equal(fixture.n_trouble, 0);
    fixture_fini(&fixture);
}

static void
test_terminate(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture.options.terminate_grace_ms = 80;
    fixture.options.child_prefetch = 1;
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    assert_int_equal(fixture_submit(&fixture, 1, "spin", 0, 0), 0);
    assert_int_equal(fixture_submit(&fixture, 2, "sleep:0", 0, 0), 0);
    fixture_wait(&fixture, fixture.requests[1].n_started == 1);
    assert_int_equal(pool_terminate(fixture.pool, 2, NULL), 0); /* waits: gone at once */
    assert_int_equal(fixture.requests[2].outcome.kind, POOL_TERMINATED);
    assert_false(fixture.requests[2].outcome.has_started);
    assert_int_equal(pool_terminate(fixture.pool, 1, NULL), 0); /* cooperates */
    fixture_wait(&fixture, fixture.requests[1].n_done == 1);
    assert_int_equal(fixture.requests[1].outcome.kind, POOL_TERMINATED);
    assert_int_equal(fixture.n_ready, 1);

    assert_int_equal(fixture_submit(&fixture, 3, "hang", 0, 0), 0);
    fixture_wait(&fixture, fixture.requests[3].n_started == 1);
    assert_int_equal(pool_terminate(fixture.pool, 3, NULL), 0); /* does not */
    fixture_wait(&fixture, fixture.requests[3].n_done == 1);
    assert_int_equal(fixture.requests[3].outcome.kind, POOL_TERMINATED);
    assert_true(fixture.requests[3].outcome.runtime_us >= 80 * US_PER_MS);
    fixture_wait(&fixture, fixture.n_ready == 2);
    fixture_fini(&fixture);
}

/* At once, also after it was asked to end and would have had time. */
static void
test_kill(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture.options.terminate_grace_ms = 60000;
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    assert_int_equal(pool_kill(fixture.pool, 1, NULL), -ERR_NOT_FOUND);
    assert_int_equal(fixture_submit(&fixture, 1, "hang", 0, 0), 0);
    fixture_wait(&fixture, fixture.requests[1].n_started == 1);
    assert_int_equal(pool_kill(fixture.pool, 1, NULL), 0);
    fixture_wait(&fixture, fixture.requests[1].n_done == 1);
    assert_int_equal(fixture.requests[1].outcome.kind, POOL_TERMINATED);
    fixture_wait(&fixture, fixture.n_ready == 2);
    assert_int_equal(fixture_submit(&fixture, 2, "hang", 0, 0), 0);
    fixture_wait(&fixture, fixture.requests[2].n_started == 1);
    assert_int_equal(pool_terminate(fixture.pool, 2, NULL), 0);
    assert_int_equal(pool_kill(fixture.pool, 2, NULL), 0);
    assert_int_equal(pool_terminate(fixture.pool, 2, NULL), 0); /* gives no time back */
    fixture_wait(&fixture, fixture.requests[2].n_done == 1);
    assert_int_equal(fixture.requests[2].outcome.kind, POOL_TERMINATED);
    assert_int_equal(fixture.n_trouble, 0);
    fixture_fini(&fixture);
}

/* Who is idle leaves, who runs something ends it first, and what waits there is given back. */
static void
test_restart(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture.options.child_prefetch = 1;
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    assert_int_equal(fixture_submit(&fixture, 1, "sleep:100", 0, 0), 0);
    assert_int_equal(fixture_submit(&fixture, 2, "sleep:0", 0, 0), 0);
    fixture_wait(&fixture, fixture.requests[1].n_started == 1);
    assert_int_equal(pool_restart(fixture.pool, NULL), 0);
    assert_int_equal(fixture.requests[2].outcome.kind, POOL_RETURNED);
    fixture_wait(&fixture, fixture.n_ready == 2 && fixture.requests[1].n_done == 1);
    assert_int_equal(fixture.requests[1].outcome.kind, POOL_OK);
    assert_int_not_equal(fixture.requests[1].outcome.pid, fixture.last_ready);
    assert_int_equal(fixture_run(&fixture, 3, "pid")->outcome.pid, fixture.last_ready);
    assert_int_equal(fixture.n_trouble, 0);
    fixture_fini(&fixture);
}

static void
test_recycle_by_tasks(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture.options.max_tasks_per_child = 3;
    fixture.options.child_prefetch = 4;
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    assert_int_equal(pool_n_free(fixture.pool), 3);
    for (uint64_t id = 0; id < 9; id++)
        assert_int_equal(fixture_run(&fixture, id, "pid")->outcome.kind, POOL_OK);
    for (uint64_t id = 0; id < 8; id++) { /* three by each */
        if (id / 3 == (id + 1) / 3)
            assert_string_equal(fixture.requests[id].result, fixture.requests[id + 1].result);
        else
            assert_string_not_equal(fixture.requests[id].result, fixture.requests[id + 1].result);
    }
    assert_int_equal(fixture.n_trouble, 0);
    fixture_fini(&fixture);
}

static void
test_recycle_by_memory(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture.options.max_memory_per_child_kib = INT64_C(200) << 10;
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    assert_int_equal(fixture_run(&fixture, 1, "memory:1024")->outcome.kind, POOL_OK);
    assert_int_equal(fixture.n_ready, 1);
    assert_int_equal(fixture_run(&fixture, 2, "memory:262144")->outcome.kind, POOL_OK);
    assert_true(fixture.requests[2].outcome.peak_rss_kib > 262144);
    fixture_wait(&fixture, fixture.n_ready == 2);
    assert_int_equal(fixture_run(&fixture, 3, "sleep:0")->outcome.kind, POOL_OK);
    assert_true(fixture.requests[3].outcome.peak_rss_kib < 204800);
    fixture_fini(&fixture);
}

static void
test_progress_is_coalesced(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 1);
    assert_int_equal(fixture_run(&fixture, 1, "progress:350")->outcome.kind, POOL_OK);
    assert_in_range(fixture.requests[1].n_progress, 1,
                    1 + fixture.requests[1].outcome.runtime_us / (100 * US_PER_MS));
    fixture_fini(&fixture);
}

/* A request behind a long one comes back when another child is idle. */
static void
test_no_slot_idles(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture.options.child_prefetch = 1;
    fixture.resubmit_below = 10;
    fixture_start(&fixture, "prefork", 2);
    fixture_wait(&fixture, fixture.n_ready == 2);
    assert_int_equal(pool_n_free(fixture.pool), 4);
    for (uint64_t id = 0; id < 4; id++) {
        (void)snprintf(fixture.payloads[id], sizeof(fixture.payloads[id]), "%s",
                       id == 0 ? "spin" : "sleep:5");
        assert_int_equal(fixture_submit(&fixture, id, fixture.payloads[id], 0, 0), 0);
    }
    fixture_wait(&fixture, fixture.n_done == 3);
    assert_int_equal(fixture.requests[0].n_done, 0);
    for (uint64_t id = 1; id < 4; id++)
        assert_int_equal(fixture.requests[id].outcome.kind, POOL_OK);
    fixture_fini(&fixture);
}

/* The same long after the last look at the busy child's clock. */
static void
test_idle_child_asks_soon(void **state)
{
    struct fixture fixture;
    int64_t before_us;

    (void)state;
    fixture_init(&fixture);
    fixture.options.child_prefetch = 1;
    fixture.options.events.progress = NULL;
    fixture.resubmit_below = 10;
    fixture_start(&fixture, "prefork", 2);
    fixture_wait(&fixture, fixture.n_ready == 2);
    (void)memcpy(fixture.payloads[2], "sleep:0", sizeof("sleep:0"));
    assert_int_equal(fixture_submit(&fixture, 0, "spin", 0, 0), 0);
    assert_int_equal(fixture_submit(&fixture, 1, "sleep:150", 0, 0), 0);
    assert_int_equal(fixture_submit(&fixture, 2, "sleep:0", 0, 0), 0); /* behind 0 */
    fixture_wait(&fixture, fixture.requests[1].n_done == 1);
    before_us = clock_mono_us(&clock_system);
    fixture_wait(&fixture, fixture.requests[2].n_done == 1);
    assert_true(clock_mono_us(&clock_system) - before_us < 100 * US_PER_MS);
    assert_int_equal(fixture.requests[0].n_done, 0);
    fixture_fini(&fixture);
}

static void
test_recall(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture.options.child_prefetch = 3;
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    for (uint64_t id = 0; id < 4; id++)
        assert_int_equal(fixture_submit(&fixture, id, "sleep:60", 0, 0), 0);
    fixture_wait(&fixture, fixture.requests[0].n_started);
    assert_true(pool_is_busy(fixture.pool));
    pool_recall(fixture.pool);
    assert_int_equal(fixture.n_done, 3);
    for (uint64_t id = 1; id < 4; id++)
        assert_int_equal(fixture.requests[id].outcome.kind, POOL_RETURNED);
    fixture_wait(&fixture, fixture.requests[0].n_done);
    assert_int_equal(fixture.requests[0].outcome.kind, POOL_OK);
    assert_false(pool_is_busy(fixture.pool));
    pool_recall(fixture.pool); /* nothing there */
    assert_int_equal(fixture.n_done, 4);
    fixture_fini(&fixture);
}

static void
test_drain(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture.options.child_prefetch = 1;
    fixture_start(&fixture, "prefork", 2);
    fixture_wait(&fixture, fixture.n_ready == 2);
    for (uint64_t id = 0; id < 4; id++)
        assert_int_equal(fixture_submit(&fixture, id, "sleep:60", 0, 0), 0);
    fixture_wait(&fixture, fixture.requests[0].n_started && fixture.requests[1].n_started);
    pool_drain(fixture.pool);
    assert_false(fixture.has_stopped);
    assert_int_equal(fixture.requests[2].outcome.kind, POOL_RETURNED);
    assert_int_equal(fixture.requests[3].outcome.kind, POOL_RETURNED);
    assert_int_equal(pool_n_free(fixture.pool), 0);
    assert_int_equal(fixture_submit(&fixture, 5, "x", 0, 0), -ERR_BUSY);
    fixture_wait(&fixture, fixture.has_stopped);
    assert_int_equal(fixture.requests[0].outcome.kind, POOL_OK);
    assert_int_equal(fixture.requests[1].outcome.kind, POOL_OK);
    assert_int_equal(fixture.n_done, 4);
    assert_int_equal(pool_stats(fixture.pool, NULL, 0), 0);
    fixture_fini(&fixture);
}

static void
test_stop(void **state)
{
    struct fixture fixture;
    int64_t before_us;

    (void)state;
    fixture_init(&fixture);
    fixture.options.child_prefetch = 1;
    fixture_start(&fixture, "prefork", 2);
    fixture_wait(&fixture, fixture.n_ready == 2);
    for (uint64_t id = 0; id < 3; id++)
        assert_int_equal(fixture_submit(&fixture, id, "hang", 0, 0), 0);
    fixture_wait(&fixture, fixture.requests[0].n_started && fixture.requests[1].n_started);
    pool_drain(fixture.pool); /* a warm shutdown that takes too long becomes a cold one */
    before_us = clock_mono_us(&clock_system);
    pool_stop(fixture.pool);
    fixture_wait(&fixture, fixture.has_stopped);
    assert_true(clock_mono_us(&clock_system) - before_us < US_PER_S);
    assert_int_equal(fixture.requests[0].outcome.kind, POOL_TERMINATED);
    assert_int_equal(fixture.requests[1].outcome.kind, POOL_TERMINATED);
    assert_int_equal(fixture.requests[2].outcome.kind, POOL_RETURNED);
    fixture_fini(&fixture);
}

static void
test_grow_and_shrink(void **state)
{
    struct fixture fixture;
    struct pool_child_stats stats[4];

    (void)state;
    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    assert_int_equal(fixture_submit(&fixture, 1, "sleep:100", 0, 0), 0);
    assert_int_equal(pool_resize(fixture.pool, 3, NULL), 0);
    fixture_wait(&fixture, fixture.n_ready == 3 && fixture.requests[1].n_started);
    assert_int_equal(pool_stats(fixture.pool, stats, COUNT_OF(stats)), 3);
    assert_true(stats[0].is_busy && stats[0].rss_kib > 0 && stats[0].started_at_us > 0);
    assert_int_equal(stats[0].current_id, 1);
    assert_string_equal(stats[0].current_task, "test.task");
    assert_false(stats[1].is_busy || stats[2].is_busy);
    assert_int_equal(pool_resize(fixture.pool, 1, NULL), 0);
    fixture_wait(&fixture, pool_stats(fixture.pool, stats, COUNT_OF(stats)) == 1);
    assert_int_equal(fixture.requests[1].n_done, 0); /* idle ones went */
    fixture_wait(&fixture, fixture.requests[1].n_done == 1);
    assert_int_equal(fixture.requests[1].outcome.kind, POOL_OK);
    assert_int_equal(fixture_run(&fixture, 2, "pid")->outcome.pid, stats[0].pid);
    fixture_fini(&fixture);
}

static void
test_large_both_ways(void **state)
{
    struct fixture fixture;
    size_t n_bytes = (size_t)10 << 20;
    char *bytes = malloc(n_bytes + 1);
    uint32_t sum = 0;

    (void)state;
    assert_non_null(bytes);
    (void)memset(bytes, 'x', n_bytes);
    (void)memcpy(bytes, "length:1:", 9);
    bytes[n_bytes] = '\0';
    for (size_t i = 0; i < n_bytes; i++)
        sum += (uint32_t)('a' + i % 26);
    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 1);
    assert_string_equal(fixture_run(&fixture, 1, bytes)->result, "10485760");
    assert_int_equal(fixture_run(&fixture, 2, "big:10485760")->n_result, n_bytes);
    assert_int_equal(fixture.requests[2].result_sum, sum);
    assert_int_equal(fixture.n_ready, 1);
    free(bytes);
    fixture_fini(&fixture);
}

int
main(void)
{
    const struct CMUnitTest rows[] = {
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_unknown_and_impossible),
        cmocka_unit_test(test_soft_limit),
        cmocka_unit_test(test_hard_limit),
        cmocka_unit_test(test_terminate),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_recycle_by_tasks),
        cmocka_unit_test(test_recycle_by_memory),
        cmocka_unit_test(test_progress_is_coalesced),
        cmocka_unit_test(test_no_slot_idles),
        cmocka_unit_test(test_idle_child_asks_soon),
        cmocka_unit_test(test_recall),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_grow_and_shrink),
        cmocka_unit_test(test_large_both_ways),
    };

    return cmocka_run_group_tests(rows, NULL, NULL);
}
