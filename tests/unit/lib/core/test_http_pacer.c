/* lib/core/http_pacer.h */

#include "tests/unit/check.h"

#include <stdio.h>

#include "base/clock.h"
#include "lib/core/http_pacer.h"

#define NOW_US INT64_C(1000000000)
#define UTC_US (INT64_C(784111777) * US_PER_S) /* 1994-11-06T08:49:37Z */

static const char origin[] = "https://huggingface.co:443";

/* One answer, and how long the next request then has to wait. */
static void
test_answers(void **state)
{
    static const struct {
        int status;
        const char *limit;
        const char *policy;
        const char *retry_after;
        bool is_stated;
        int64_t wait_us;
    } rows[] = {
        /* plenty left */
        {200, "\"api\";r=489;t=189", "\"fixed window\";\"api\";q=500;w=300", NULL, false, 0},
        {200, "\"api\";r=201;t=189", "\"fixed window\";\"api\";q=500;w=300", NULL, false, 0},
        /* 60 % used: what is left is spread over what is left of the time */
        {200, "\"api\";r=199;t=200", "\"api\";q=500;w=300", NULL, false, 1000000},
        {200, "\"api\";r=1;t=10", "\"api\";q=500;w=300", NULL, false, 5000000},
        {200, "\"api\";r=99;t=100", "\"other\";q=500;w=300", NULL, false, 0},
        {200, "\"api\";r=21;t=100", NULL, NULL, false, 0},
        {200, "\"api\";r=19;t=100", NULL, NULL, false, 5000000},
        /* nothing left */
        {200, "\"api\";r=0;t=189", NULL, NULL, false, 190000000},
        {429, "\"api\";r=0;t=189", NULL, "5", true, 190000000},
        {429, "\"api\";r=0;t=999999999999", NULL, NULL, true, INT64_C(3601000000)},
        {429, "\"api\";r=400;t=189", NULL, "5", true, 5000000},
        {429, "garbage", NULL, "5", true, 5000000},
        {429, NULL, NULL, "Sun, 06 Nov 1994 08:49:47 GMT", true, 10000000},
        {429, NULL, NULL, "99999999999999999", true, 86400 * US_PER_S},
        {429, NULL, NULL, "soon", false, 0},
        {429, NULL, NULL, NULL, false, 0},
        {503, NULL, NULL, "7", true, 7000000},
        /* a Retry-After that goes with something else is not for us */
        {200, NULL, NULL, "7", false, 0},
        {301, NULL, NULL, "7", false, 0},
        {404, NULL, NULL, "7", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_pacer_answer answer = {rows[i].status, str_from_cstr(rows[i].limit),
                                           str_from_cstr(rows[i].policy),
                                           str_from_cstr(rows[i].retry_after)};
        struct http_pacer *pacer;
        struct error err;
        int64_t ready_us;

        assert_ok(http_pacer_create(&pacer, &err), err);
        assert_int_equal(http_pacer_note_answer(pacer, origin, &answer, NOW_US, UTC_US),
                         rows[i].is_stated);
        ready_us = http_pacer_ready_us(pacer, origin, 0);
        assert_int_equal(ready_us > NOW_US ? ready_us - NOW_US : 0, rows[i].wait_us);
        assert_true(http_pacer_ready_us(pacer, "https://other:443", 0) <= NOW_US);
        http_pacer_free(pacer);
    }
}

static void
test_own_interval(void **state)
{
    struct http_pacer *pacer;
    struct error err;

    (void)state;
    assert_ok(http_pacer_create(&pacer, &err), err);
    assert_true(http_pacer_ready_us(pacer, origin, 1000) < 0);
    http_pacer_note_start(pacer, origin, NOW_US);
    assert_int_equal(http_pacer_ready_us(pacer, origin, 1000), NOW_US + 1000);
    assert_int_equal(http_pacer_ready_us(pacer, origin, 0), NOW_US);
    http_pacer_park(pacer, origin, NOW_US + 500);
    assert_int_equal(http_pacer_ready_us(pacer, origin, 1000), NOW_US + 1000);
    http_pacer_park(pacer, origin, NOW_US + 5000);
    http_pacer_park(pacer, origin, NOW_US + 10); /* an earlier wish does not shorten a later one */
    assert_int_equal(http_pacer_ready_us(pacer, origin, 1000), NOW_US + 5000);
    http_pacer_free(pacer);
}

/* Several buckets on one host: the slowest counts, and each is updated by its own answers. */
static void
test_buckets(void **state)
{
    struct http_pacer_answer api = {.status = 200, .rate_limit = STR("\"api\";r=0;t=9")};
    struct http_pacer_answer files = {.status = 200, .rate_limit = STR("\"resolvers\";r=999;t=9")};
    struct http_pacer_answer later = {.status = 200, .rate_limit = STR("\"api\";r=400;t=300")};
    struct http_pacer *pacer;
    struct error err;
    char name[64];

    (void)state;
    assert_ok(http_pacer_create(&pacer, &err), err);
    http_pacer_note_answer(pacer, origin, &api, NOW_US, UTC_US);
    http_pacer_note_answer(pacer, origin, &files, NOW_US, UTC_US);
    assert_int_equal(http_pacer_ready_us(pacer, origin, 0), NOW_US + 10000000);
    http_pacer_note_answer(pacer, origin, &later, NOW_US + 10000000, UTC_US);
    assert_int_equal(http_pacer_ready_us(pacer, origin, 0), NOW_US + 10000000);
    for (int i = 0; i < 100; i++) { /* names without end take no memory */
        (void)snprintf(name, sizeof(name), "\"bucket-%d-%040d\";r=0;t=%d", i, i, i);
        api.rate_limit = str_from_cstr(name);
        http_pacer_note_answer(pacer, origin, &api, NOW_US, UTC_US);
    }
    http_pacer_free(pacer);
}

/* More origins than rows: the parked one is kept as long as there are idle ones to forget. */
static void
test_many_origins(void **state)
{
    struct http_pacer *pacer;
    struct error err;
    char name[64];

    (void)state;
    assert_ok(http_pacer_create(&pacer, &err), err);
    http_pacer_park(pacer, origin, INT64_MAX);
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof(name), "https://host-%d:443", i);
        http_pacer_note_start(pacer, name, NOW_US + i);
    }
    assert_int_equal(http_pacer_ready_us(pacer, origin, 0), INT64_MAX);
    assert_int_equal(http_pacer_ready_us(pacer, "https://host-2999:443", 1), NOW_US + 3000);
    assert_true(http_pacer_ready_us(pacer, "https://host-0:443", 1) < 0);
    http_pacer_free(pacer);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_own_interval),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_many_origins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
