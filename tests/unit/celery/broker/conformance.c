#include "tests/unit/celery/broker/conformance.h"

#include <assert.h>

const struct broker_factory *conformance_factory;

struct two_parties *
two_open(void)
{
    struct two_parties *two = calloc(1, sizeof(*two));
    struct broker_options options;

    assert_non_null(two);
    conformance_factory->set_up(two->url);
    fake_clock_init(&two->clock);
    options = party_options(&two->a, &two->clock.clock);
    party_open(&two->a, two->url, &options);
    options = party_options(&two->b, &two->clock.clock);
    party_open(&two->b, two->url, &options);
    return two;
}

void
two_close(struct two_parties *two)
{
    broker_close(two->a.broker);
    broker_close(two->b.broker);
    conformance_factory->tear_down();
    free(two);
}

int
conformance_run(const struct broker_factory *factory)
{
    static const struct CMUnitTest *const parts[] = {
        conformance_order, conformance_verdicts, conformance_leases,
        conformance_admin, conformance_limits,   conformance_processes,
    };
    struct CMUnitTest tests[96];
    size_t n_tests = 0;

    conformance_factory = factory;
    party_wire = factory->wire;
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        for (size_t k = 0; parts[i][k].name; k++) {
            assert(n_tests < COUNT_OF(tests));
            tests[n_tests++] = parts[i][k];
        }
    return _cmocka_run_group_tests("conformance", tests, n_tests, NULL, NULL);
}
