/* celery/schedule: each allocation fails in turn; the error says so, nothing leaks, and the last
 * try, in which none fails, works. */

#include "tests/unit/celery/schedule_fixture.h"

#include "celery/schedule_queue.h"
#include "celery/schedule_timing.h"

static long n_left = -1; /* allocations until one fails; negative = none does */

static bool
fails_now(void)
{
    return n_left >= 0 && n_left-- == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n_items, size_t item_size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n_items, size_t item_size);
void *__wrap_realloc(void *ptr, size_t size);

void *
__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n_items, size_t item_size)
{
    return fails_now() ? NULL : __real_calloc(n_items, item_size);
}

void *
__wrap_realloc(void *ptr, size_t size)
{
    return fails_now() ? NULL : __real_realloc(ptr, size);
}

static const struct celery_schedule table[] = {
    {"nightly", "t", .crontab = "0 3 * * *", .args = "[1, \"two\"]", .time_zone = "Europe/Berlin"},
    {"midnight", "t", .every_s = 86400, "[]", .kwargs = "{\"a\": 1}", .is_relative = true},
    CELERY_SCHEDULE_END,
};

static int
check_table(struct error *err)
{
    return celery_schedule_check(table, NULL, err);
}

static int
make_timing(struct error *err)
{
    struct celery_timing timing = {0};
    int rc = celery_timing_init(&table[0], NULL, &timing, NULL, err);

    celery_timing_fini(&timing); /* a failure left it untouched */
    return rc;
}

static int
make_queue(struct error *err)
{
    struct celery_schedule_queue queue = {0};
    int rc = celery_schedule_queue_init(&queue, 10, err);

    celery_schedule_queue_fini(&queue);
    return rc;
}

static void
test_each_allocation(void **state)
{
    int (*const calls[])(struct error * err) = {check_table, make_timing, make_queue};

    (void)state;
    zone_data_or_skip();
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        long n_failures = 0;
        struct error err;
        int rc;

        for (;; n_failures++) {
            n_left = n_failures;
            rc = calls[i](&err);
            if (n_left >= 0) /* nothing failed: as many allocations were made */
                break;
            assert_int_equal(rc, -ERR_NOMEM);
            assert_int_equal(err.code, ERR_NOMEM);
        }
        n_left = -1;
        assert_ok(rc, err);
        assert_in_range(n_failures, 1, 100);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
