/* Many failures together, pass by pass. */

#include "lib/services/validation/link_brakes.h"
#include "tests/unit/check.h"

#define HOUR_US (INT64_C(3600) * INT64_C(1000000))
#define START   (INT64_C(24000) * HOUR_US)

/* A pass in which all probes are first ones. */
static struct link_tally
pass(int64_t n_probes, int64_t n_failed)
{
    return (struct link_tally){.n_probes = n_probes,
                               .n_answers = n_probes,
                               .n_first = n_probes,
                               .n_first_failed = n_failed,
                               .has_success = n_failed < n_probes};
}

/* One canary. */
static struct link_tally
canary(bool is_good)
{
    return (struct link_tally){.n_probes = 1,
                               .n_answers = 1,
                               .n_first = 1,
                               .n_first_failed = !is_good,
                               .has_success = is_good};
}

static enum link_host_verdict
judge(struct link_host *host, struct link_tally tally, int64_t hours)
{
    bool is_new;

    return link_host_judge(host, &tally, START + hours * HOUR_US, &is_new);
}

static void
test_the_first_pass(void **state)
{
    static const struct {
        int64_t n_probes;
        int64_t n_failed;
        enum link_host_verdict verdict;
    } rows[] = {
        {1, 1, LINK_HOST_WELL},      {9, 9, LINK_HOST_WELL},     {10, 1, LINK_HOST_WELL},
        {10, 2, LINK_HOST_OUTAGE},   {10, 10, LINK_HOST_OUTAGE}, {100, 19, LINK_HOST_WELL},
        {100, 20, LINK_HOST_OUTAGE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct link_tally tally = pass(rows[i].n_probes, rows[i].n_failed);
        struct link_host host;
        bool is_new;

        link_host_init(&host, STR("https://example.org:443"));
        assert_int_equal(link_host_judge(&host, &tally, START, &is_new), rows[i].verdict);
        assert_int_equal(is_new, rows[i].verdict == LINK_HOST_OUTAGE);
    }
}

/* Rows that were in doubt before fail by their nature. */
static void
test_doubtful_rows_do_not_make_an_outage(void **state)
{
    const struct link_tally tally = {.n_probes = 50, .n_answers = 50};
    struct link_host host;

    (void)state;
    link_host_init(&host, STR("https://example.org:443"));
    assert_int_equal(judge(&host, tally, 0), LINK_HOST_WELL);
}

static void
test_an_outage_and_its_end(void **state)
{
    struct link_host host;

    (void)state;
    link_host_init(&host, STR("https://example.org:443"));
    assert_int_equal(judge(&host, pass(20, 1), 0), LINK_HOST_WELL);
    assert_int_equal(host.n_good_failures, 1);
    assert_int_equal(judge(&host, pass(20, 20), 1), LINK_HOST_OUTAGE);
    assert_false(link_host_is_canary_due(&host, START + HOUR_US + HOUR_US / 3));
    assert_true(link_host_is_canary_due(&host, START + HOUR_US + HOUR_US / 2));
    assert_int_equal(judge(&host, canary(false), 2), LINK_HOST_OUTAGE);
    assert_int_equal(judge(&host, (struct link_tally){0}, 3), LINK_HOST_OUTAGE); /* not asked */
    assert_int_equal(judge(&host, canary(true), 4), LINK_HOST_WELL);
    assert_int_equal(host.outage_since_us, LINK_NEVER);
    assert_int_equal(host.n_good_probes, 20); /* one canary is no pass */
}

/* Dead rows among living ones: the share is the host's usual one after three days. */
static void
test_a_host_with_many_dead_links(void **state)
{
    struct link_host host;

    (void)state;
    link_host_init(&host, STR("https://example.org:443"));
    for (int64_t hours = 0; hours < 72; hours += 6)
        assert_int_equal(judge(&host, pass(40, 12), hours), LINK_HOST_OUTAGE);
    assert_int_equal(judge(&host, pass(40, 12), 72), LINK_HOST_WELL);
    assert_int_equal(judge(&host, pass(40, 12), 78), LINK_HOST_WELL); /* no more than usual */
    assert_int_equal(judge(&host, pass(40, 13), 84), LINK_HOST_OUTAGE);
}

static void
test_a_host_that_never_answers(void **state)
{
    struct link_host host;

    (void)state;
    link_host_init(&host, STR("https://example.org:443"));
    assert_int_equal(judge(&host, pass(20, 20), 0), LINK_HOST_OUTAGE);
    for (int64_t hours = 1; hours < 720; hours += 24)
        assert_int_equal(judge(&host, canary(false), hours), LINK_HOST_OUTAGE);
    assert_int_equal(judge(&host, canary(false), 720), LINK_HOST_WELL);
    assert_int_equal(judge(&host, pass(20, 20), 721), LINK_HOST_WELL); /* the rows' own strikes */
}

static void
test_our_own_network(void **state)
{
    static const struct {
        size_t n_hosts;
        size_t n_silent;
        bool is_down;
    } rows[] = {{0, 0, false}, {1, 0, false}, {1, 1, true},  {2, 1, false},
                {3, 2, true},  {4, 2, false}, {10, 6, true}, {10, 5, false}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct link_tally tallies[11] = {{0}}; /* the last one was not asked */

        for (size_t j = 0; j < rows[i].n_hosts; j++)
            tallies[j] = (struct link_tally){.n_probes = 3, .n_answers = j >= rows[i].n_silent};
        assert_int_equal(link_network_is_down(tallies, COUNT_OF(tallies)), rows[i].is_down);
    }
}

static void
test_allowance(void **state)
{
    (void)state;
    assert_int_equal(link_gone_allowance(0), 1);
    assert_int_equal(link_gone_allowance(99), 1);
    assert_int_equal(link_gone_allowance(250), 2);
    assert_int_equal(link_gone_allowance(800000), 8000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_pass),
        cmocka_unit_test(test_doubtful_rows_do_not_make_an_outage),
        cmocka_unit_test(test_an_outage_and_its_end),
        cmocka_unit_test(test_a_host_with_many_dead_links),
        cmocka_unit_test(test_a_host_that_never_answers),
        cmocka_unit_test(test_our_own_network),
        cmocka_unit_test(test_allowance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
