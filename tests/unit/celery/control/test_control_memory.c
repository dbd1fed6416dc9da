/* Requests with each allocation failing in turn: an answer, an error as answer, or none; no leak,
 * no crash.  Linked with --wrap for malloc and its kin. */

#include "tests/unit/check.h"

#include "base/log.h"
#include "tests/unit/celery/control/fake_node.h"
#include "tests/unit/failing_allocations.h"

static void
test_each_allocation_fails(void **state)
{
    static const struct {
        const char *method;
        const char *arguments;
    } rows[] = {
        {"active", "{\"safe\": true}"},
        {"registered", "{\"taskinfoitems\": [\"arguments\"]}"},
        {"stats", "{}"},
        {"conf", "{}"},
        {"revoke", "{\"task_id\": [\"a\", \"b\"], \"terminate\": true}"},
        {"hello", "{\"from_node\": \"x\", \"revoked\": {\"c\": 1.0}}"},
        {"revoke_by_stamped_headers", "{\"headers\": [\"mtag=x1\"], \"terminate\": true}"},
        {"rate_limit", "{\"task_name\": \"demo.greet\", \"rate_limit\": \"x\"}"},
        {"memdump", "{}"},
        {"election", "{\"id\": \"e\", \"topic\": \"t\", \"action\": {}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int n_tries = 0;

        do {
            struct arena arena = ARENA_INIT((size_t)64 << 20);
            struct fake_node fake;

            fake_node_init(&fake);
            has_failed = false;
            n_until_failure = ++n_tries;
            (void)fake_ask(&fake, rows[i].method, rows[i].arguments, &arena);
            n_until_failure = 0;
            fake_node_fini(&fake);
            arena_fini(&arena);
        } while (has_failed);
        assert_true(n_tries > 5);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_fails),
    };

    log_configure(STDERR_FILENO, LOG_NOTHING, LOG_TEXT); /* what is refused is said */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
