/* celery/pool/prefork with each allocation of the worker failing in turn: an error or a later try,
 * no leak, no crash, and every request still ends once.  Linked with --wrap for malloc and so on.
 */

#include "tests/unit/celery/pool/pool_fixture.h"

#include "tests/unit/failing_allocations.h"

/* Submit until one request ends well; returns how many were needed. */
static uint64_t
run_until_ok(struct fixture *fixture)
{
    for (uint64_t id = 1; id < 10; id++) {
        int rc;

        fixture_wait(fixture, pool_n_free(fixture->pool) > 0);
        rc = fixture_submit(fixture, id, "big:100000", 0, 0);
        if (rc < 0) {
            assert_int_equal(rc, -ERR_NOMEM);
            continue;
        }
        fixture_wait(fixture, fixture->requests[id].n_done == 1);
        if (fixture->requests[id].outcome.kind == POOL_OK)
            return id;
    }
    fail_msg("no request ended well");
    return 0;
}

static void
test_every_allocation_fails(void **state)
{
    struct fixture first;
    size_t n_fds;
    int n_failures = 0;

    (void)state;
    fixture_init(&first); /* libuv keeps a pipe for signals from its first loop on */
    fixture_fini(&first);
    n_fds = count_fds();
    do {
        struct fixture fixture;
        struct error err;
        int rc;

        fixture_init(&fixture);
        has_failed = false;
        n_until_failure = n_failures + 1;
        rc = pool_create(STR("prefork"), &fixture.options, &fixture.pool, &err);
        if (rc < 0) {
            assert_int_equal(rc, -ERR_NOMEM);
        } else {
            assert_ok(pool_start(fixture.pool, 1, &err), err);
            (void)run_until_ok(&fixture);
            pool_drain(fixture.pool);
            fixture_wait(&fixture, fixture.has_stopped);
        }
        n_until_failure = 0;
        fixture_fini(&fixture);
        assert_int_equal(count_fds(), n_fds);
        n_failures += has_failed;
    } while (has_failed);
    print_message("# %d allocations failed in turn\n", n_failures);
    assert_true(n_failures >= 6);
}

int
main(void)
{
    const struct CMUnitTest rows[] = {cmocka_unit_test(test_every_allocation_fails)};

    return cmocka_run_group_tests(rows, NULL, NULL);
}
