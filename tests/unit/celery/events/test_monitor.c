/* What a monitor makes of events. */

#include "celery/events/monitor.h"

#include <stdio.h>

#include "base/clock.h"
#include "tests/unit/check.h"

#define T0 (100 * US_PER_S)

static void
take(struct monitor *monitor, const char *text, int64_t mono_us)
{
    struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct json fields;
    struct event event = {.hostname = STR("w@h"), .fields = &fields};
    double seconds = 0;
    struct error err;

    assert_ok(json_parse(str_from_cstr(text), NULL, &arena, &fields, &err), err);
    event.type = json_get_str(&fields, STR("type"));
    event.uuid = json_get_str(&fields, STR("uuid"));
    if (json_is_f64(json_get(&fields, STR("timestamp")), &seconds))
        event.time_us = (int64_t)(seconds * 1e6);
    monitor_take(monitor, &event, mono_us);
    arena_fini(&arena);
}

static void
test_tasks(void **state)
{
    struct monitor *monitor;
    const struct monitor_kind *kinds;
    struct event bare = {.uuid = STR("1")};
    struct json fields = {.type = JSON_OBJECT};
    struct error err;
    size_t n;

    (void)state;
    assert_ok(monitor_create(&monitor, &err), err);
    take(monitor, "{\"type\":\"task-received\",\"uuid\":\"1\",\"name\":\"a\",\"timestamp\":10}",
         T0);
    take(monitor, "{\"type\":\"task-started\",\"uuid\":\"1\",\"timestamp\":10.25}", T0);
    take(monitor, "{\"type\":\"task-succeeded\",\"uuid\":\"1\",\"runtime\":0.5}", T0);
    take(monitor, "{\"type\":\"task-failed\",\"uuid\":\"2\",\"exception\":\"E('x')\"}", T0);
    take(monitor, "{\"type\":\"task-unheard-of\",\"uuid\":\"3\"}", T0);
    kinds = monitor_kinds(monitor, &n);
    assert_int_equal(n, 2);
    assert_string_equal(kinds[0].name, "a");
    assert_int_equal(kinds[0].n_events[MONITOR_RECEIVED], 1);
    assert_int_equal(kinds[0].n_events[MONITOR_SUCCEEDED], 1);
    assert_true(monitor_percentile(&kinds[0].runtimes, 0.5) == 500000);
    assert_true(monitor_percentile(&kinds[0].waits, 0.99) == 250000);
    assert_string_equal(kinds[1].name, "(unknown)");
    assert_true(monitor_percentile(&kinds[1].runtimes, 0.5) == -1);
    assert_string_equal(monitor_failure(monitor, 0)->exception, "E('x')");
    assert_null(monitor_failure(monitor, 1));
    bare.fields = &fields;
    assert_true(str_equal(monitor_find_name(monitor, &bare), STR("a")));
    monitor_free(monitor);
}

static void
test_rate(void **state)
{
    struct monitor *monitor;
    const struct monitor_kind *kinds;
    struct error err;
    size_t n;

    (void)state;
    assert_ok(monitor_create(&monitor, &err), err);
    for (int second = 0; second < 20; second++)
        for (int i = 0; i < 3; i++)
            take(monitor, "{\"type\":\"task-succeeded\",\"uuid\":\"1\",\"name\":\"a\"}",
                 T0 + second * US_PER_S);
    kinds = monitor_kinds(monitor, &n);
    assert_true(monitor_rate(&kinds[0], T0 + 20 * US_PER_S) > 2.99);
    assert_true(monitor_rate(&kinds[0], T0 + 20 * US_PER_S) < 3.01);
    assert_true(monitor_rate(&kinds[0], T0 + 25 * US_PER_S) > 1.49);
    assert_true(monitor_rate(&kinds[0], T0 + 25 * US_PER_S) < 1.51);
    assert_true(monitor_rate(&kinds[0], T0 + 40 * US_PER_S) < 0.01);
    monitor_free(monitor);
}

static void
test_workers(void **state)
{
    struct monitor *monitor;
    const struct monitor_worker *worker;
    struct error err;
    size_t n;

    (void)state;
    assert_ok(monitor_create(&monitor, &err), err);
    take(monitor,
         "{\"type\":\"worker-online\",\"freq\":2.0,\"active\":1,\"processed\":9,"
         "\"loadavg\":[0.5,0.2,0.1],\"sw_ident\":\"py-celery\",\"sw_ver\":\"5.2.6\"}",
         T0);
    worker = monitor_workers(monitor, &n);
    assert_int_equal(n, 1);
    assert_string_equal(worker->software, "py-celery 5.2.6");
    assert_int_equal(worker->n_active, 1);
    assert_int_equal(worker->n_processed, 9);
    assert_true(monitor_is_alive(worker, T0 + 3 * US_PER_S));
    assert_false(monitor_is_alive(worker, T0 + 4 * US_PER_S));
    take(monitor, "{\"type\":\"worker-heartbeat\",\"freq\":5}", T0 + 5 * US_PER_S);
    assert_int_equal(worker->n_processed, 9); /* one without figures leaves them */
    assert_true(monitor_is_alive(worker, T0 + 14 * US_PER_S));
    take(monitor, "{\"type\":\"worker-offline\",\"active\":0}", T0 + 6 * US_PER_S);
    assert_false(monitor_is_alive(worker, T0 + 6 * US_PER_S));
    monitor_free(monitor);
}

/* More of everything than there is room for. */
static void
test_bounds(void **state)
{
    struct monitor *monitor;
    char text[200];
    struct error err;
    size_t n;

    (void)state;
    assert_ok(monitor_create(&monitor, &err), err);
    for (int i = 0; i < 100000; i++) {
        (void)snprintf(text, sizeof(text),
                       "{\"type\":\"task-failed\",\"uuid\":\"%d\",\"name\":\"n%d\","
                       "\"exception\":\"E(%d)\"}",
                       i, i % 2000, i);
        take(monitor, text, T0 + i);
    }
    assert_string_equal(monitor_kinds(monitor, &n)[MONITOR_MAX_KINDS - 1].name, "(others)");
    assert_int_equal(n, MONITOR_MAX_KINDS);
    assert_string_equal(monitor_failure(monitor, 0)->exception, "E(99999)");
    assert_string_equal(monitor_failure(monitor, MONITOR_N_FAILURES - 1)->exception, "E(99984)");
    assert_null(monitor_failure(monitor, MONITOR_N_FAILURES));
    monitor_free(monitor);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tasks),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
