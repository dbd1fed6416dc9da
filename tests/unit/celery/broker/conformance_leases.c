/* Leases: a live consumer is never robbed, a dead one's messages come back, a late one is refused.
 */

#include "tests/unit/celery/broker/conformance.h"

static struct two_parties *
open_with_claims(void)
{
    struct two_parties *two = two_open();

    (void)party_publish(&two->a, "q", "1");
    (void)party_publish(&two->a, "q", "2");
    party_run(&two->a);
    party_consume(&two->a, "q", 2);
    party_run(&two->a);
    assert_int_equal(two->a.n_received, 2);
    party_consume(&two->b, "q", 10);
    return two;
}

/* Called when it asks for it, a consumer keeps what it has for ever. */
static void
test_renewal(void **state)
{
    struct two_parties *two = open_with_claims();
    struct broker_wait wait;

    (void)state;
    for (int i = 0; i < 100; i++) {
        broker_get_wait(two->a.broker, &wait);
        assert_true(wait.deadline_us <= two->clock.mono_us + 3 * US_PER_S);
        if (wait.deadline_us > two->clock.mono_us)
            fake_clock_advance(&two->clock, wait.deadline_us - two->clock.mono_us);
        party_run(&two->a);
        party_run(&two->b);
    }
    assert_int_equal(two->b.n_received, 0);
    assert_int_equal(two->a.n_lost, 0);
    (void)party_settle(&two->a, two->a.received[0].tag, BROKER_ACK);
    party_run(&two->a);
    assert_int_equal(party_stats(&two->a).n_acked, 1);
    two_close(two);
}

/* Steps of the wall clock, in either direction, are no reason to deliver anything again. */
static void
test_clock_steps(void **state)
{
    static const int64_t steps_s[] = {3600, -7200, 86400, -86400, 400000000};
    struct two_parties *two = open_with_claims();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(steps_s); i++) {
        two->clock.now_us += steps_s[i] * US_PER_S;
        fake_clock_advance(&two->clock, 2 * US_PER_S);
        party_run(&two->a);
        party_run(&two->b);
        assert_int_equal(two->b.n_received, 0);
        assert_int_equal(two->a.n_lost, 0);
    }
    two_close(two);
}

static void
test_death(void **state)
{
    struct two_parties *two = open_with_claims();

    (void)state;
    conformance_factory->abandon(two->a.broker);
    for (int i = 0; i < 10; i++) {
        fake_clock_advance(&two->clock, US_PER_S);
        party_run(&two->b);
    }
    assert_int_equal(two->b.received[0].attempt, 2);
    assert_true(two->b.received[0].is_redelivered);
    assert_string_equal(party_texts(&two->b), "1 2");
    assert_int_equal(party_stats(&two->b).n_recovered, 2);
    two_close(two);
}

/* The dead one was only slow: it is told, its verdicts change nothing, and are counted. */
static void
test_fencing(void **state)
{
    struct two_parties *two = open_with_claims();
    uint64_t early;
    uint64_t late;
    uint64_t other;

    (void)state;
    conformance_factory->abandon(two->a.broker);
    fake_clock_advance(&two->clock, 11 * US_PER_S);
    party_run(&two->b);
    assert_int_equal(two->b.n_received, 2);

    early = party_settle(&two->a, two->a.received[0].tag, BROKER_ACK); /* before it knows */
    party_run(&two->a);
    assert_int_equal(party_outcome(&two->a, early), BROKER_FENCED);
    assert_int_equal(two->a.n_lost, 1); /* of the other one the outcome has told */
    late = party_settle(&two->a, two->a.received[1].tag, BROKER_REQUEUE);
    party_run(&two->a);
    assert_int_equal(party_outcome(&two->a, late), BROKER_FENCED);
    assert_int_equal(party_stats(&two->a).n_fenced, 2);
    assert_int_equal(party_stats(&two->a).n_lost, 2);
    assert_int_equal(party_stats(&two->a).n_unsettled, 0);
    assert_int_equal(party_count(&two->a, "q"), 2);

    other = party_settle(&two->b, two->b.received[0].tag, BROKER_ACK);
    party_run(&two->b);
    assert_int_equal(party_outcome(&two->b, other), BROKER_DONE);

    /* And it goes on as a consumer like any other. */
    (void)party_publish(&two->b, "q", "3");
    broker_set_credit(two->b.broker, 0);
    party_run(&two->b);
    two->a.n_received = 0;
    broker_set_credit(two->a.broker, 5);
    party_run(&two->a);
    assert_string_equal(party_texts(&two->a), "3");
    two_close(two);
}

/* The message comes back to the very handle that had lost it: the old tag stays powerless. */
static void
test_fencing_against_itself(void **state)
{
    struct two_parties *two = open_with_claims();
    uint64_t late;

    (void)state;
    conformance_factory->abandon(two->a.broker);
    fake_clock_advance(&two->clock, 11 * US_PER_S);
    broker_set_credit(two->b.broker, 0);
    party_run(&two->b); /* recovers, takes nothing */
    broker_set_credit(two->a.broker, 2);
    party_run(&two->a);
    party_run(&two->a);
    assert_int_equal(two->a.n_received, 4);
    assert_string_equal(two->a.received[2].text, "1");
    late = party_settle(&two->a, two->a.received[0].tag, BROKER_ACK);
    party_run(&two->a);
    assert_int_equal(party_outcome(&two->a, late), BROKER_FENCED);
    assert_int_equal(party_count(&two->a, "q"), 2);
    late = party_settle(&two->a, two->a.received[2].tag, BROKER_ACK);
    party_run(&two->a);
    assert_int_equal(party_outcome(&two->a, late), BROKER_DONE);
    assert_int_equal(party_count(&two->a, "q"), 1);
    two_close(two);
}

/* An orderly end gives everything back at once, uncounted, in its old place. */
static void
test_close_releases(void **state)
{
    struct two_parties *two = open_with_claims();

    (void)state;
    (void)party_publish(&two->a, "q", "3"); /* is still flushed */
    broker_close(two->a.broker);
    two->a.broker = NULL;
    party_run(&two->b);
    assert_int_equal(two->b.received[0].attempt, 1);
    assert_string_equal(party_texts(&two->b), "1 2 3");
    two_close(two);
}

const struct CMUnitTest conformance_leases[] = {
    cmocka_unit_test(test_renewal),
    cmocka_unit_test(test_clock_steps),
    cmocka_unit_test(test_death),
    cmocka_unit_test(test_fencing),
    cmocka_unit_test(test_fencing_against_itself),
    cmocka_unit_test(test_close_releases),
    {.name = NULL},
};
