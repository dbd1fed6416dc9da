/* Gates, locks and paused queues. */

#include "tests/unit/celery/broker/conformance.h"

#define RATE(text, us)                                                                             \
    {                                                                                              \
        .key = STR_INIT(text), .interval_us = (us), .n = 1                                         \
    }

/* n messages "1", "2", ... of as many tasks, delivered to b. */
static struct two_parties *
open_with(size_t n)
{
    struct two_parties *two = two_open();
    char text[16];

    for (size_t i = 0; i < n; i++) {
        (void)snprintf(text, sizeof(text), "%zu", i + 1);
        (void)party_publish(&two->a, "q", text);
    }
    party_run(&two->a);
    party_consume(&two->b, "q", n);
    party_run(&two->b);
    assert_int_equal(two->b.n_received, n);
    return two;
}

/* Outcome of asking for the delivery at that place. */
static enum broker_outcome
ask(struct party *party, size_t idx, const struct broker_gate *gates, size_t n_gates)
{
    const struct received *received = &party->received[idx];
    struct broker_admission admission = {
        .id = str_from_cstr(received->text), .gates = gates, .n_gates = n_gates};
    uint64_t ticket = party_admit(party, received->tag, &admission);

    party_run(party);
    return party_outcome(party, ticket);
}

static void
end(struct party *party, size_t idx, enum broker_action action)
{
    (void)party_settle(party, party->received[idx].tag, action);
    party_run(party);
}

/* Time goes by in small steps, as for a worker that is awake. */
static void
pass_time(struct two_parties *two, int64_t span_us)
{
    for (int64_t done_us = 0; done_us < span_us; done_us += 100 * US_PER_MS) {
        fake_clock_advance(&two->clock, 100 * US_PER_MS);
        party_run(&two->b);
        party_run(&two->a);
    }
}

/* One a second: who may not start now comes again in time, in his order, as if for the first time.
 */
static void
test_rate(void **state)
{
    static const struct broker_gate gate[] = {RATE("rate", US_PER_S)};
    struct two_parties *two = open_with(3);

    (void)state;
    broker_set_credit(two->b.broker, 10);
    assert_int_equal(ask(&two->b, 0, gate, 1), BROKER_DONE);
    assert_int_equal(ask(&two->b, 1, gate, 1), BROKER_WAITS);
    assert_int_equal(ask(&two->b, 2, gate, 1), BROKER_WAITS);
    assert_int_equal(party_count(&two->a, "q"), 3);
    assert_int_equal(party_stats(&two->b).n_unsettled, 1);
    pass_time(two, 900 * US_PER_MS);
    assert_int_equal(two->b.n_received, 3);
    pass_time(two, 200 * US_PER_MS);
    assert_int_equal(two->b.n_received, 4);
    assert_string_equal(two->b.received[3].text, "2");
    assert_int_equal(two->b.received[3].attempt, 1);
    assert_int_equal(ask(&two->b, 3, gate, 1), BROKER_DONE);
    pass_time(two, 800 * US_PER_MS);
    assert_int_equal(two->b.n_received, 4);
    pass_time(two, 300 * US_PER_MS);
    assert_string_equal(two->b.received[4].text, "3");
    assert_int_equal(ask(&two->b, 4, gate, 1), BROKER_DONE);
    assert_int_equal(party_stats(&two->b).n_waited, 2);
    two_close(two);
}

/* Three at once, then one a second. */
static void
test_burst(void **state)
{
    static const struct broker_gate gate[] = {
        {.key = STR_INIT("rate"), .interval_us = US_PER_S, .n = 3}};
    struct two_parties *two = open_with(5);

    (void)state;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(ask(&two->b, i, gate, 1), i < 3 ? BROKER_DONE : BROKER_WAITS);
    broker_set_credit(two->b.broker, 10);
    pass_time(two, 1100 * US_PER_MS);
    assert_int_equal(two->b.n_received, 6);
    two_close(two);
}

/* A long line is served at its rate, whatever the steps of the clock are. */
static void
test_rate_is_kept(void **state)
{
    static const struct broker_gate gate[] = {RATE("rate", 100 * US_PER_MS)};
    struct two_parties *two = open_with(60);
    size_t n_before;

    (void)state;
    for (size_t i = 0; i < 60; i++)
        assert_int_equal(ask(&two->b, i, gate, 1), i == 0 ? BROKER_DONE : BROKER_WAITS);
    broker_set_credit(two->b.broker, 100);
    n_before = two->b.n_received;
    for (size_t i = 0; i < 34; i++) { /* 5 s in steps of 147 ms */
        fake_clock_advance(&two->clock, 147 * US_PER_MS);
        party_run(&two->b);
    }
    assert_int_equal(two->b.n_received - n_before, 49); /* 4998 ms */
    two_close(two);
}

/* Two at a time; a place is free when its message is settled, and when its holder dies. */
static void
test_places(void **state)
{
    static const struct broker_gate gate[] = {{.key = STR_INIT("places"), .n = 2}};
    struct two_parties *two = open_with(5);

    (void)state;
    broker_set_credit(two->b.broker, 10);
    assert_int_equal(ask(&two->b, 0, gate, 1), BROKER_DONE);
    assert_int_equal(ask(&two->b, 1, gate, 1), BROKER_DONE);
    for (size_t i = 2; i < 5; i++)
        assert_int_equal(ask(&two->b, i, gate, 1), BROKER_WAITS);
    pass_time(two, 3 * US_PER_S);
    assert_int_equal(two->b.n_received, 5);
    end(&two->b, 0, BROKER_ACK);
    assert_int_equal(two->b.n_received, 6);
    assert_string_equal(two->b.received[5].text, "3");
    assert_int_equal(ask(&two->b, 5, gate, 1), BROKER_DONE);
    end(&two->b, 1, BROKER_BURY);
    assert_string_equal(two->b.received[6].text, "4");
    assert_int_equal(ask(&two->b, 6, gate, 1), BROKER_DONE);
    end(&two->b, 5, BROKER_REQUEUE); /* "3" has to come again behind "5" */
    assert_string_equal(two->b.received[7].text, "5");
    two_close(two);
}

static void
test_places_of_the_dead(void **state)
{
    static const struct broker_gate gate[] = {{.key = STR_INIT("places"), .n = 1}};
    struct two_parties *two = open_with(2);
    size_t n_started = 0;
    size_t starter = 0;

    (void)state;
    assert_int_equal(ask(&two->b, 0, gate, 1), BROKER_DONE);
    assert_int_equal(ask(&two->b, 1, gate, 1), BROKER_WAITS);
    party_consume(&two->a, "q", 10);
    party_run(&two->a);
    assert_int_equal(two->a.n_received, 0);
    conformance_factory->abandon(two->b.broker);
    for (int i = 0; i < 12; i++) {
        fake_clock_advance(&two->clock, US_PER_S);
        party_run(&two->a);
    }
    assert_int_equal(two->a.n_received, 2); /* both are back, one of them may start */
    for (size_t i = 0; i < 2; i++)
        if (ask(&two->a, i, gate, 1) == BROKER_DONE) {
            starter = i;
            n_started++;
        }
    assert_int_equal(n_started, 1);
    end(&two->a, starter, BROKER_ACK);
    assert_int_equal(two->a.n_received, 3);
    assert_int_equal(ask(&two->a, 2, gate, 1), BROKER_DONE);
    two_close(two);
}

/* A backlog of one key uses up nothing of the gate behind it, and others pass. */
static void
test_two_gates(void **state)
{
    static const struct broker_gate slow[] = {RATE("key a", 10 * US_PER_S), RATE("all", US_PER_S)};
    static const struct broker_gate other[] = {RATE("key b", 10 * US_PER_S), RATE("all", US_PER_S)};
    struct two_parties *two = open_with(4);

    (void)state;
    broker_set_credit(two->b.broker, 10);
    assert_int_equal(ask(&two->b, 0, slow, 2), BROKER_DONE);
    assert_int_equal(ask(&two->b, 1, slow, 2), BROKER_WAITS);
    assert_int_equal(ask(&two->b, 2, slow, 2), BROKER_WAITS);
    pass_time(two, 1100 * US_PER_MS);
    assert_int_equal(ask(&two->b, 3, other, 2), BROKER_DONE);
    pass_time(two, 9 * US_PER_S);
    assert_int_equal(two->b.n_received, 5);
    assert_int_equal(ask(&two->b, 4, slow, 2), BROKER_DONE);
    two_close(two);
}

/* What waits in a line is counted, and purged; nothing of it delays those who come later. */
static void
test_purge_of_a_line(void **state)
{
    static const struct broker_gate gate[] = {RATE("rate", 10 * US_PER_S)};
    struct two_parties *two = open_with(4);
    struct error err = {0};
    int64_t n = 0;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ask(&two->b, i, gate, 1), i == 0 ? BROKER_DONE : BROKER_WAITS);
    assert_ok(broker_purge(two->a.broker, STR("q"), &n, &err), err);
    assert_int_equal(n, 3);
    assert_int_equal(party_count(&two->a, "q"), 1);
    pass_time(two, 10 * US_PER_S);
    (void)party_publish(&two->a, "q", "9");
    party_run(&two->a);
    broker_set_credit(two->b.broker, 1);
    party_run(&two->b);
    assert_int_equal(two->b.n_received, 5);
    assert_int_equal(ask(&two->b, 4, gate, 1), BROKER_DONE);
    two_close(two);
}

static struct broker_message
locked_message(const char *text, const struct broker_lock *lock)
{
    struct broker_message message = party_message("q", text);

    message.id = str_from_cstr(text);
    message.lock = lock;
    return message;
}

static enum broker_outcome
publish(struct two_parties *two, const char *text, const struct broker_lock *lock, uint64_t *ticket)
{
    struct broker_message message = locked_message(text, lock);

    *ticket = party_publish_with(&two->a, &message);
    party_run(&two->a);
    return party_outcome(&two->a, *ticket);
}

/* The lock of a delivery, asked for. */
static enum broker_outcome
ask_lock(struct party *party, size_t idx, const struct broker_lock *lock, uint64_t *ticket)
{
    struct broker_admission admission = {.id = str_from_cstr(party->received[idx].text),
                                         .lock = *lock};

    *ticket = party_admit(party, party->received[idx].tag, &admission);
    party_run(party);
    return party_outcome(party, *ticket);
}

static void
end_locked(struct party *party, size_t idx, enum broker_action action,
           const struct broker_lock *lock)
{
    struct broker_verdict verdict = {
        .action = action, .lock = lock, .id = str_from_cstr(party->received[idx].text)};

    (void)party_settle_with(party, party->received[idx].tag, &verdict);
    party_run(party);
}

/* One until it has ended, however often it is taken; then the next. */
static void
test_lock_until_the_end(void **state)
{
    static const struct broker_lock lock = {.key = STR_INIT("k"), .span = BROKER_LOCK_ENDED};
    struct two_parties *two = two_open();
    uint64_t ticket;

    (void)state;
    assert_int_equal(publish(two, "1", &lock, &ticket), BROKER_DONE);
    assert_int_equal(publish(two, "2", &lock, &ticket), BROKER_HELD);
    assert_string_equal(party_holder(&two->a, ticket), "1");
    assert_int_equal(party_count(&two->a, "q"), 1);
    party_consume(&two->b, "q", 5);
    party_run(&two->b);
    assert_int_equal(ask_lock(&two->b, 0, &lock, &ticket), BROKER_DONE);
    assert_int_equal(publish(two, "3", &lock, &ticket), BROKER_HELD);
    end_locked(&two->b, 0, BROKER_REQUEUE, &lock);
    assert_int_equal(two->b.n_received, 2);
    assert_int_equal(publish(two, "3", &lock, &ticket), BROKER_HELD);
    assert_int_equal(ask_lock(&two->b, 1, &lock, &ticket), BROKER_DONE);
    end_locked(&two->b, 1, BROKER_ACK, &lock);
    assert_int_equal(publish(two, "4", &lock, &ticket), BROKER_DONE);
    assert_int_equal(party_stats(&two->a).n_held, 3);
    two_close(two);
}

/* It is freed without having been asked for, too: revoked, expired, unknown. */
static void
test_lock_of_one_that_never_started(void **state)
{
    static const struct broker_lock lock = {.key = STR_INIT("k"), .span = BROKER_LOCK_ENDED};
    static const enum broker_action actions[] = {BROKER_ACK, BROKER_BURY};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        struct two_parties *two = two_open();
        uint64_t ticket;

        assert_int_equal(publish(two, "1", &lock, &ticket), BROKER_DONE);
        party_consume(&two->b, "q", 5);
        party_run(&two->b);
        end_locked(&two->b, 0, actions[i], &lock);
        assert_int_equal(publish(two, "2", &lock, &ticket), BROKER_DONE);
        two_close(two);
    }
}

static void
test_lock_while_queued(void **state)
{
    static const struct broker_lock lock = {.key = STR_INIT("k"), .span = BROKER_LOCK_QUEUED};
    struct two_parties *two = two_open();
    uint64_t ticket;

    (void)state;
    assert_int_equal(publish(two, "1", &lock, &ticket), BROKER_DONE);
    party_consume(&two->b, "q", 1);
    party_run(&two->b);
    assert_int_equal(publish(two, "2", &lock, &ticket), BROKER_HELD);
    assert_int_equal(ask_lock(&two->b, 0, &lock, &ticket), BROKER_DONE);
    assert_int_equal(publish(two, "2", &lock, &ticket), BROKER_DONE);
    assert_int_equal(publish(two, "3", &lock, &ticket), BROKER_HELD);
    two_close(two);
}

/* Held by a message whose worker died, as by any that waits; a purge ends it. */
static void
test_lock_of_the_dead(void **state)
{
    static const struct broker_lock lock = {.key = STR_INIT("k"), .span = BROKER_LOCK_ENDED};
    struct two_parties *two = two_open();
    struct error err = {0};
    uint64_t ticket;
    int64_t n;

    (void)state;
    assert_int_equal(publish(two, "1", &lock, &ticket), BROKER_DONE);
    party_consume(&two->b, "q", 1);
    party_run(&two->b);
    assert_int_equal(ask_lock(&two->b, 0, &lock, &ticket), BROKER_DONE);
    conformance_factory->abandon(two->b.broker);
    party_consume(&two->a, "q", 0);
    for (int i = 0; i < 12; i++) {
        fake_clock_advance(&two->clock, US_PER_S);
        party_run(&two->a);
    }
    assert_int_equal(party_count(&two->a, "q"), 1);
    assert_int_equal(publish(two, "2", &lock, &ticket), BROKER_HELD);
    assert_ok(broker_purge(two->a.broker, STR("q"), &n, &err), err);
    assert_int_equal(publish(two, "3", &lock, &ticket), BROKER_DONE);
    two_close(two);
}

/* A foreign producer knows of no locks: the second one is found when it is taken. */
static void
test_lock_at_delivery(void **state)
{
    static const struct broker_lock lock = {.key = STR_INIT("k"), .span = BROKER_LOCK_ENDED};
    struct two_parties *two = open_with(2);
    uint64_t ticket;

    (void)state;
    assert_int_equal(ask_lock(&two->b, 0, &lock, &ticket), BROKER_DONE);
    assert_int_equal(ask_lock(&two->b, 1, &lock, &ticket), BROKER_HELD);
    assert_string_equal(party_holder(&two->b, ticket), "1");
    assert_int_equal(party_stats(&two->b).n_unsettled, 2); /* what becomes of it, its owner says */
    end_locked(&two->b, 1, BROKER_ACK, &lock);
    assert_int_equal(publish(two, "3", &lock, &ticket), BROKER_HELD);
    end_locked(&two->b, 0, BROKER_ACK, &lock);
    assert_int_equal(publish(two, "3", &lock, &ticket), BROKER_DONE);
    two_close(two);
}

/* A retry: published under the lock that its task has, before the old message ends. */
static void
test_lock_of_a_retry(void **state)
{
    static const struct broker_lock lock = {.key = STR_INIT("k"), .span = BROKER_LOCK_ENDED};
    static const struct broker_lock shared = {
        .key = STR_INIT("k"), .span = BROKER_LOCK_ENDED, .may_share = true};
    struct broker_verdict verdict = {.action = BROKER_ACK};
    struct broker_message message;
    struct two_parties *two = two_open();
    uint64_t ticket;

    (void)state;
    assert_int_equal(publish(two, "1", &lock, &ticket), BROKER_DONE);
    party_consume(&two->b, "q", 1);
    party_run(&two->b);
    assert_int_equal(ask_lock(&two->b, 0, &lock, &ticket), BROKER_DONE);
    message = locked_message("1", &shared);
    verdict.after = party_publish_with(&two->b, &message);
    (void)party_settle_with(&two->b, two->b.received[0].tag, &verdict);
    party_run(&two->b);
    assert_int_equal(party_count(&two->a, "q"), 1);
    assert_int_equal(publish(two, "2", &lock, &ticket), BROKER_HELD);
    broker_set_credit(two->b.broker, 1);
    party_run(&two->b);
    assert_int_equal(ask_lock(&two->b, 1, &lock, &ticket), BROKER_DONE);
    end_locked(&two->b, 1, BROKER_ACK, &lock);
    assert_int_equal(publish(two, "3", &lock, &ticket), BROKER_DONE);
    two_close(two);
}

static void
test_pause(void **state)
{
    struct two_parties *two = two_open();
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(1 << 20);
    const struct broker_pause pause = {
        .queue = STR("q"), .who = STR("kim"), .why = STR("\"full\" disk")};
    struct broker_pause_list list = {NULL, 0};
    struct error err = {0};
    const struct str queues[] = {STR("q"), STR("other")};

    (void)state;
    assert_int_equal(broker_resume_queue(two->a.broker, STR("q"), &err), -ERR_NOT_FOUND);
    assert_ok(broker_pause_queue(two->a.broker, &pause, &err), err);
    assert_ok(broker_list_paused(two->a.broker, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    assert_true(str_equal(list.items[0].queue, STR("q")));
    assert_true(str_equal(list.items[0].who, STR("kim")));
    assert_true(str_equal(list.items[0].why, STR("\"full\" disk")));
    assert_int_equal(list.items[0].since_us, two->clock.now_us);

    assert_ok(broker_consume(two->b.broker, queues, 2, &err), err);
    broker_set_credit(two->b.broker, 10);
    (void)party_publish(&two->a, "q", "1");
    (void)party_publish(&two->a, "other", "2");
    party_run(&two->a);
    pass_time(two, 2 * US_PER_S);
    assert_string_equal(party_texts(&two->b), "2");
    assert_ok(broker_resume_queue(two->a.broker, STR("q"), &err), err);
    pass_time(two, 1100 * US_PER_MS);
    assert_string_equal(party_texts(&two->b), "1");
    two_close(two);
}

/* A worker that is at it heeds a pause within a second. */
static void
test_pause_of_a_running_queue(void **state)
{
    const struct broker_pause pause = {.queue = STR("q")};
    struct two_parties *two = open_with(1);
    struct error err = {0};

    (void)state;
    broker_set_credit(two->b.broker, 10);
    assert_ok(broker_pause_queue(two->a.broker, &pause, &err), err);
    pass_time(two, US_PER_S);
    (void)party_publish(&two->a, "q", "2");
    party_run(&two->a);
    pass_time(two, US_PER_S);
    assert_int_equal(two->b.n_received, 1);
    assert_int_equal(party_count(&two->a, "q"), 2);
    two_close(two);
}

static void
test_refusals(void **state)
{
    static const struct broker_gate bad[] = {{.key = STR_INIT("k"), .n = 0},
                                             {.key = STR_INIT(""), .n = 1},
                                             {.key = STR_INIT("k"), .interval_us = -1, .n = 1}};
    struct two_parties *two = open_with(1);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct broker_admission admission = {.gates = &bad[i], .n_gates = 1};

        assert_int_equal(
            broker_admit(two->b.broker, two->b.received[0].tag, &admission, NULL, NULL),
            -ERR_INVALID);
    }
    assert_int_equal(
        broker_admit(two->b.broker, 77, &(struct broker_admission){.n_gates = 0}, NULL, NULL),
        -ERR_INVALID);
    two_close(two);
}

const struct CMUnitTest conformance_limits[] = {
    cmocka_unit_test(test_rate),
    cmocka_unit_test(test_burst),
    cmocka_unit_test(test_rate_is_kept),
    cmocka_unit_test(test_places),
    cmocka_unit_test(test_places_of_the_dead),
    cmocka_unit_test(test_two_gates),
    cmocka_unit_test(test_purge_of_a_line),
    cmocka_unit_test(test_lock_until_the_end),
    cmocka_unit_test(test_lock_of_one_that_never_started),
    cmocka_unit_test(test_lock_while_queued),
    cmocka_unit_test(test_lock_of_the_dead),
    cmocka_unit_test(test_lock_at_delivery),
    cmocka_unit_test(test_lock_of_a_retry),
    cmocka_unit_test(test_pause),
    cmocka_unit_test(test_pause_of_a_running_queue),
    cmocka_unit_test(test_refusals),
    {0},
};
