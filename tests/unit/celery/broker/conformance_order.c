/* Which message comes when, and to whom. */

#include "tests/unit/celery/broker/conformance.h"

static void
test_first_in_first_out(void **state)
{
    struct two_parties *two = two_open();
    uint64_t ticket;

    (void)state;
    (void)party_publish(&two->a, "q", "1");
    (void)party_publish(&two->a, "q", "2");
    ticket = party_publish(&two->a, "q", "3");
    party_run(&two->a);
    assert_int_equal(party_outcome(&two->a, ticket), BROKER_DONE);
    party_consume(&two->b, "q", 10);
    party_run(&two->b);
    assert_string_equal(party_texts(&two->b), "1 2 3");
    assert_int_equal(two->b.received[0].attempt, 1);
    assert_false(two->b.received[0].is_redelivered);
    assert_string_equal(two->b.received[0].queue, "q");
    two_close(two);
}

/* Nothing is delivered that was not asked for, from the wrong queue, or beyond the credit. */
static void
test_credit(void **state)
{
    struct two_parties *two = two_open();
    char text[8];

    (void)state;
    for (int i = 0; i < 10; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        (void)party_publish(&two->a, i < 9 ? "q" : "other", text);
    }
    party_run(&two->a);
    party_consume(&two->b, "q", 0);
    party_run(&two->b);
    assert_string_equal(party_texts(&two->b), "");
    broker_set_credit(two->b.broker, 3);
    party_run(&two->b);
    assert_string_equal(party_texts(&two->b), "0 1 2");
    broker_set_credit(two->b.broker, 2);
    party_run(&two->b);
    assert_string_equal(party_texts(&two->b), "3 4");
    broker_set_credit(two->b.broker, 100);
    party_run(&two->b);
    assert_string_equal(party_texts(&two->b), "5 6 7 8");
    assert_int_equal(party_stats(&two->b).n_unsettled, 9);
    two_close(two);
}

/* Priorities that Kombu's four steps on Redis tell apart. */
static void
test_priorities(void **state)
{
    static const struct {
        const char *text;
        int priority;
    } rows[] = {{"a9", 9}, {"a0", 0}, {"a3", 3}, {"a6", 6}, {"b0", 0}, {"b9", 9}, {"b3", 3}};
    struct two_parties *two = two_open();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct broker_message message = party_message("q", rows[i].text);

        message.priority = rows[i].priority;
        (void)party_publish_with(&two->a, &message);
    }
    party_run(&two->a);
    party_consume(&two->b, "q", 10);
    party_run(&two->b);
    assert_int_equal(two->b.received[0].priority, 0);
    assert_int_equal(two->b.received[6].priority, 9);
    assert_string_equal(party_texts(&two->b), "a0 b0 a3 b3 a6 a9 b9");
    two_close(two);
}

/* A flood in one queue does not starve another of the same priority; a better priority goes first,
 * whatever its queue. */
static void
test_queues_in_turn(void **state)
{
    static const struct str queues[] = {STR_INIT("flood"), STR_INIT("trickle")};
    struct two_parties *two = two_open();
    struct broker_message low = party_message("trickle", "low");
    struct error err;

    (void)state;
    for (int i = 0; i < 5; i++)
        (void)party_publish(&two->a, "flood", "f");
    (void)party_publish(&two->a, "trickle", "t");
    (void)party_publish(&two->a, "trickle", "t");
    low.priority = 9;
    (void)party_publish_with(&two->a, &low);
    party_run(&two->a);
    assert_ok(broker_consume(two->b.broker, queues, 2, &err), err);
    for (int i = 0; i < 8; i++) {
        broker_set_credit(two->b.broker, 1);
        party_run(&two->b);
    }
    assert_string_equal(party_texts(&two->b), "f t f t f f f low");
    two_close(two);
}

static void
test_eta(void **state)
{
    struct two_parties *two = two_open();
    struct broker_message message = party_message("q", "later");
    struct broker_depth depth;
    struct broker_wait wait;
    struct error err;

    (void)state;
    message.eta_us = two->clock.now_us + 5 * US_PER_S;
    (void)party_publish_with(&two->a, &message);
    message = party_message("q", "past");
    message.eta_us = two->clock.now_us - 1;
    (void)party_publish_with(&two->a, &message);
    message = party_message("q", "latest");
    message.eta_us = two->clock.now_us + 3600 * US_PER_S;
    (void)party_publish_with(&two->a, &message);
    party_run(&two->a);
    party_consume(&two->b, "q", 10);
    party_run(&two->b);
    assert_string_equal(party_texts(&two->b), "past");
    assert_ok(broker_count(two->b.broker, STR("q"), &depth, &err), err);
    assert_int_equal(depth.n_ready, 0);
    assert_int_equal(depth.n_scheduled, 2);
    assert_int_equal(depth.n_claimed, 1);

    /* The broker asks to be called not later than the eta. */
    fake_clock_advance(&two->clock, 4900 * US_PER_MS);
    party_run(&two->b);
    assert_string_equal(party_texts(&two->b), "");
    broker_get_wait(two->b.broker, &wait);
    assert_true(wait.deadline_us <= two->clock.mono_us + 100 * US_PER_MS);
    fake_clock_advance(&two->clock, 100 * US_PER_MS);
    party_run(&two->b);
    assert_string_equal(party_texts(&two->b), "later");
    two_close(two);
}

/* An expired message is delivered, marked: its worker has to answer for it. */
static void
test_expiry(void **state)
{
    struct two_parties *two = two_open();
    struct broker_message message = party_message("q", "expired");

    (void)state;
    message.expires_us = two->clock.now_us + US_PER_S;
    (void)party_publish_with(&two->a, &message);
    message = party_message("q", "fresh");
    message.expires_us = two->clock.now_us + 10 * US_PER_S;
    (void)party_publish_with(&two->a, &message);
    party_run(&two->a);
    fake_clock_advance(&two->clock, 2 * US_PER_S);
    party_consume(&two->b, "q", 10);
    party_run(&two->b);
    assert_true(two->b.received[0].is_expired);
    assert_false(two->b.received[1].is_expired);
    assert_string_equal(party_texts(&two->b), "expired fresh");
    two_close(two);
}

static void
test_consumers_share_nothing(void **state)
{
    struct two_parties *two = two_open();
    bool seen[200] = {false};
    char text[8];

    (void)state;
    for (int i = 0; i < 200; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        (void)party_publish(&two->a, "q", text);
    }
    party_run(&two->a);
    party_consume(&two->a, "q", 0);
    party_consume(&two->b, "q", 0);
    for (size_t i = 0; i < 60; i++) {
        broker_set_credit(two->a.broker, i % 4);
        broker_set_credit(two->b.broker, (i + 1) % 6);
        party_run(&two->a);
        party_run(&two->b);
    }
    assert_int_equal(two->a.n_received + two->b.n_received, 200);
    assert_true(two->a.n_received > 0 && two->b.n_received > 0);
    for (size_t i = 0; i < 200; i++) {
        struct party *party = i < two->a.n_received ? &two->a : &two->b;
        int number = (int)strtoul(
            party->received[i < two->a.n_received ? i : i - two->a.n_received].text, NULL, 10);

        assert_false(seen[number]);
        seen[number] = true;
    }
    two_close(two);
}

/* Any bytes, of any size that is allowed. */
static void
test_bytes_are_kept(void **state)
{
    static const char odd[] = "\0\xff\"{\n";
    struct two_parties *two = two_open();
    struct broker_message message = party_message("q", "x");
    struct error err;
    char *big = malloc((size_t)9 << 20);

    (void)state;
    assert_non_null(big);
    (void)memset(big, 'b', (size_t)9 << 20);
    message.bytes = (struct str){odd, sizeof(odd)};
    (void)party_publish_with(&two->a, &message);
    message.bytes = (struct str){big, (size_t)8 << 20};
    (void)party_publish_with(&two->a, &message);
    message.bytes = STR("");
    (void)party_publish_with(&two->a, &message);
    message.bytes = (struct str){big, ((size_t)8 << 20) + 1};
    assert_int_equal(broker_publish(two->a.broker, &message, NULL, &err), -ERR_TOO_LARGE);
    party_run(&two->a);
    party_consume(&two->b, "q", 10);
    party_run(&two->b);
    assert_int_equal(two->b.n_received, 3);
    assert_memory_equal(two->b.received[0].text, odd, sizeof(odd));
    assert_memory_equal(two->b.received[1].text, big, 31);
    assert_string_equal(two->b.received[2].text, "");
    free(big);
    two_close(two);
}

const struct CMUnitTest conformance_order[] = {
    cmocka_unit_test(test_first_in_first_out),
    cmocka_unit_test(test_credit),
    cmocka_unit_test(test_priorities),
    cmocka_unit_test(test_queues_in_turn),
    cmocka_unit_test(test_eta),
    cmocka_unit_test(test_expiry),
    cmocka_unit_test(test_consumers_share_nothing),
    cmocka_unit_test(test_bytes_are_kept),
    {.name = NULL},
};
