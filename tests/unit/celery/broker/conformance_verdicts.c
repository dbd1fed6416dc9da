/* What a verdict does, and what it does not do twice. */

#include "tests/unit/celery/broker/conformance.h"

/* Three messages, delivered to b. */
static struct two_parties *
open_with_three(void)
{
    struct two_parties *two = two_open();

    (void)party_publish(&two->a, "q", "1");
    (void)party_publish(&two->a, "q", "2");
    (void)party_publish(&two->a, "q", "3");
    party_run(&two->a);
    party_consume(&two->b, "q", 3);
    party_run(&two->b);
    assert_int_equal(two->b.n_received, 3);
    return two;
}

static void
test_ack(void **state)
{
    struct two_parties *two = open_with_three();
    uint64_t ticket = party_settle(&two->b, two->b.received[1].tag, BROKER_ACK);

    (void)state;
    assert_int_equal(party_count(&two->a, "q"), 3); /* not before its round */
    party_run(&two->b);
    assert_int_equal(party_outcome(&two->b, ticket), BROKER_DONE);
    assert_int_equal(party_count(&two->a, "q"), 2);
    assert_int_equal(party_stats(&two->b).n_acked, 1);
    assert_int_equal(party_stats(&two->b).n_unsettled, 2);
    two_close(two);
}

/* Where a message goes, and what is then known of it. */
static void
test_back_to_the_queue(void **state)
{
    static const struct {
        enum broker_action action;
        const char *order;
        size_t idx; /* of "1" in there */
        uint32_t attempt;
        uint32_t n_crashes;
    } rows[] = {
        {BROKER_REQUEUE, "4 1", 1, 2, 0},
        {BROKER_RELEASE, "1 4", 0, 1, 0},
        {BROKER_CRASHED, "4 1", 1, 2, 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct two_parties *two = open_with_three();
        const struct received *again = &two->b.received[rows[i].idx];

        (void)party_publish(&two->a, "q", "4");
        party_run(&two->a);
        (void)party_settle(&two->b, two->b.received[0].tag, rows[i].action);
        party_run(&two->b);
        two->b.n_received = 0;
        broker_set_credit(two->b.broker, 5);
        party_run(&two->b);
        assert_int_equal(again->attempt, rows[i].attempt);
        assert_int_equal(again->n_crashes, rows[i].n_crashes);
        assert_int_equal(again->is_redelivered, rows[i].attempt > 1);
        assert_string_equal(party_texts(&two->b), rows[i].order);
        two_close(two);
    }
}

static void
test_requeue_with_delay(void **state)
{
    struct two_parties *two = open_with_three();
    struct broker_verdict verdict = {.action = BROKER_REQUEUE, .delay_us = 30 * US_PER_S};

    (void)state;
    (void)party_settle_with(&two->b, two->b.received[0].tag, &verdict);
    two->b.n_received = 0;
    broker_set_credit(two->b.broker, 5);
    party_run(&two->b);
    for (int i = 0; i < 29; i++) {
        fake_clock_advance(&two->clock, US_PER_S);
        party_run(&two->b);
        assert_int_equal(two->b.n_received, 0);
    }
    fake_clock_advance(&two->clock, US_PER_S);
    party_run(&two->b);
    assert_string_equal(party_texts(&two->b), "1");
    two_close(two);
}

/* A task that kills its child is tried three times; others are not its business. */
static void
test_poison(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct two_parties *two = open_with_three();
    struct broker_dead_list list;
    struct error err;
    uint64_t ticket = 0;

    (void)state;
    for (uint32_t crash = 1; crash <= 3; crash++) {
        size_t last = two->b.n_received - (crash == 1 ? 3 : 1);

        assert_string_equal(two->b.received[last].text, "1");
        ticket = party_settle(&two->b, two->b.received[last].tag, BROKER_CRASHED);
        broker_set_credit(two->b.broker, 5);
        party_run(&two->b);
        assert_int_equal(party_outcome(&two->b, ticket), crash < 3 ? BROKER_DONE : BROKER_BURIED);
    }
    assert_ok(broker_list_dead(two->a.broker, STR("q"), 0, 10, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    assert_int_equal(list.items[0].n_crashes, 3);
    assert_int_equal(list.items[0].attempt, 3);
    assert_str_equal(list.items[0].reason, "test");
    assert_int_equal(party_count(&two->a, "q"), 2);
    two_close(two);
}

static void
test_settling_twice(void **state)
{
    struct two_parties *two = open_with_three();
    uint64_t tag = two->b.received[0].tag;

    (void)state;
    assert_true(party_settle(&two->b, tag, BROKER_ACK) > 0);
    assert_int_equal(party_settle(&two->b, tag, BROKER_REQUEUE), 0); /* before the round */
    party_run(&two->b);
    assert_int_equal(party_settle(&two->b, tag, BROKER_ACK), 0); /* and after it */
    party_run(&two->b);
    assert_int_equal(party_count(&two->a, "q"), 2);
    assert_int_equal(party_stats(&two->b).n_acked, 1);
    assert_int_equal(party_stats(&two->b).n_repeated, 2);
    assert_int_equal(party_stats(&two->b).n_fenced, 0);
    two_close(two);
}

static void
test_foreign_tags(void **state)
{
    struct two_parties *two = open_with_three();
    struct broker_verdict verdict = {.action = BROKER_ACK};
    const uint64_t tags[] = {0, 1, UINT64_MAX, two->b.received[0].tag + (UINT64_C(99) << 20),
                             two->b.received[0].tag};
    struct error err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(tags); i++)
        assert_int_equal(broker_settle(two->a.broker, tags[i], &verdict, NULL, &err), -ERR_INVALID);
    party_run(&two->a);
    assert_int_equal(party_stats(&two->a).n_foreign, COUNT_OF(tags));
    assert_int_equal(party_count(&two->a, "q"), 3);
    two_close(two);
}

/* A verdict bound to a publish is carried out with it. */
static void
test_bound_verdict(void **state)
{
    struct two_parties *two = open_with_three();
    struct broker_verdict verdict = {.action = BROKER_ACK};
    uint64_t ticket;

    (void)state;
    verdict.after = party_publish(&two->b, "q", "again");
    ticket = party_settle_with(&two->b, two->b.received[0].tag, &verdict);
    party_run(&two->b);
    assert_int_equal(party_outcome(&two->b, verdict.after), BROKER_DONE);
    assert_int_equal(party_outcome(&two->b, ticket), BROKER_DONE);
    assert_int_equal(party_count(&two->a, "q"), 3);
    two_close(two);
}

static void
test_bury(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct two_parties *two = open_with_three();
    struct broker_verdict verdict = {.action = BROKER_BURY, .reason = STR("not JSON")};
    struct broker_dead_list list;
    struct broker_dead dead;
    struct error err;

    (void)state;
    (void)party_settle_with(&two->b, two->b.received[2].tag, &verdict);
    party_run(&two->b);
    assert_ok(broker_list_dead(two->a.broker, STR_NULL, 0, 10, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    assert_ok(broker_get_dead(two->a.broker, list.items[0].dead_id, &arena, &dead, &err), err);
    assert_str_equal(party_wire ? party_wire->unwrap(dead.bytes, &arena) : dead.bytes, "3");
    assert_str_equal(dead.reason, "not JSON");
    assert_str_equal(dead.queue, "q");
    assert_int_equal(dead.n_bytes, dead.bytes.len);
    assert_true(party_wire || dead.n_bytes == 1);
    assert_int_equal(dead.died_us, two->clock.now_us);
    assert_int_equal(party_count(&two->a, "q"), 2);
    two_close(two);
}

const struct CMUnitTest conformance_verdicts[] = {
    cmocka_unit_test(test_ack),
    cmocka_unit_test(test_back_to_the_queue),
    cmocka_unit_test(test_requeue_with_delay),
    cmocka_unit_test(test_poison),
    cmocka_unit_test(test_settling_twice),
    cmocka_unit_test(test_foreign_tags),
    cmocka_unit_test(test_bound_verdict),
    cmocka_unit_test(test_bury),
    {.name = NULL},
};
