/* Commands: counting, purging, revoking, the dead set; and what is refused. */

#include "tests/unit/celery/broker/conformance.h"

static void
test_count_and_purge(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct two_parties *two = two_open();
    struct broker_message later = party_message("q", "later");
    struct broker_depth depth = {0};
    struct str_list names;
    struct error err;
    int64_t n_purged = -1;

    (void)state;
    later.eta_us = two->clock.now_us + US_PER_S;
    (void)party_publish_with(&two->a, &later);
    for (int i = 0; i < 5; i++)
        (void)party_publish(&two->a, i < 4 ? "q" : "other", "x");
    party_run(&two->a);
    party_consume(&two->b, "q", 1);
    party_run(&two->b);

    assert_ok(broker_count(two->a.broker, STR("q"), &depth, &err), err);
    assert_int_equal(depth.n_ready, 3);
    assert_int_equal(depth.n_scheduled, 1);
    assert_int_equal(depth.n_claimed, 1);
    assert_ok(broker_purge(two->a.broker, STR("q"), &n_purged, &err), err);
    assert_int_equal(n_purged, 4);
    assert_ok(broker_purge(two->a.broker, STR("q"), &n_purged, &err), err);
    assert_int_equal(n_purged, 0);
    assert_int_equal(party_count(&two->a, "q"), 1); /* the delivered one stays with b */
    assert_int_equal(party_count(&two->a, "other"), 1);

    assert_ok(broker_count(two->a.broker, STR("nobody"), &depth, &err), err);
    assert_int_equal(depth.n_ready + depth.n_scheduled + depth.n_claimed, 0);
    assert_ok(broker_purge(two->a.broker, STR("nobody"), &n_purged, &err), err);
    assert_int_equal(n_purged, 0);
    assert_ok(broker_list_queues(two->a.broker, &arena, &names, &err), err);
    assert_int_equal(names.n_items, 2);
    assert_str_equal(names.items[0], "other");
    assert_str_equal(names.items[1], "q");
    two_close(two);
}

/* The next ones first, of one queue; with their bytes, as many as are wanted. */
static void
test_list_scheduled(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct two_parties *two = two_open();
    struct broker_scheduled_list list = {NULL, 7};
    struct error err;

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct broker_message message = party_message(i < 2 ? "q" : "other", i ? "b" : "a");

        message.priority = 3;
        message.eta_us = two->clock.now_us + (3 - i) * US_PER_S;
        (void)party_publish_with(&two->a, &message);
    }
    (void)party_publish(&two->a, "q", "at once");
    party_run(&two->a);
    party_consume(&two->b, "q", 10); /* on Redis, who consumes puts them by */
    party_run(&two->b);
    assert_ok(broker_list_scheduled(two->b.broker, STR("q"), 10, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 2);
    assert_str_equal(list.items[0].id, "b");
    assert_str_equal(list.items[1].id, "a");
    assert_true(list.items[0].eta_us == two->clock.now_us + 2 * US_PER_S);
    assert_int_equal(list.items[0].priority, 3);
    assert_true(list.items[0].bytes.len > 0);
    assert_ok(broker_list_scheduled(two->b.broker, STR("q"), 1, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    assert_ok(broker_list_scheduled(two->b.broker, STR("q"), 0, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 0);
    assert_ok(broker_list_scheduled(two->b.broker, STR("nobody"), 9, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 0);
    two_close(two);
}

static void
test_revoke(void **state)
{
    static const struct str ids[] = {STR_INIT("2"), STR_INIT("9")};
    struct two_parties *two = two_open();
    struct str empty = STR("");
    struct error err;

    (void)state;
    (void)party_publish(&two->a, "q", "1");
    (void)party_publish(&two->a, "q", "2");
    party_run(&two->a);
    assert_ok(broker_revoke(two->a.broker, ids, 2, two->clock.now_us + US_PER_S, &err), err);
    assert_int_equal(broker_revoke(two->a.broker, &empty, 1, two->clock.now_us, &err),
                     -ERR_INVALID);
    party_consume(&two->b, "q", 2);
    party_run(&two->b);
    assert_false(two->b.received[0].is_revoked);
    assert_true(two->b.received[1].is_revoked);

    /* Until then, and not longer. */
    (void)party_publish(&two->a, "q", "2");
    party_run(&two->a);
    fake_clock_advance(&two->clock, US_PER_S);
    broker_set_credit(two->b.broker, 1);
    party_run(&two->b);
    assert_int_equal(two->b.n_received, 3);
    assert_false(two->b.received[2].is_revoked);
    two_close(two);
}

/* Those that begin so, each once, until their time is over. */
static void
test_list_revoked(void **state)
{
    static const struct str ids[] = {STR_INIT("[\"b\",1]"), STR_INIT("a1"), STR_INIT("[\"a\",1]"),
                                     STR_INIT("Z"),         STR_INIT("[x"), STR_INIT("[")};
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct two_parties *two = two_open();
    struct str_list list = {NULL, 7};
    struct error err;

    (void)state;
    assert_ok(broker_list_revoked(two->a.broker, STR("["), 10, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 0);
    assert_ok(broker_revoke(two->a.broker, ids, COUNT_OF(ids), two->clock.now_us + US_PER_S, &err),
              err);
    assert_ok(broker_list_revoked(two->b.broker, STR("[\""), 10, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 2);
    assert_true(str_equal(list.items[0], ids[0]) || str_equal(list.items[0], ids[2]));
    assert_true(str_equal(list.items[1], ids[0]) || str_equal(list.items[1], ids[2]));
    assert_false(str_equal(list.items[0], list.items[1]));
    assert_ok(broker_list_revoked(two->b.broker, STR("["), 10, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 4);
    assert_ok(broker_list_revoked(two->b.broker, STR("["), 1, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    fake_clock_advance(&two->clock, US_PER_S);
    assert_ok(broker_list_revoked(two->b.broker, STR("[\""), 10, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 0);
    two_close(two);
}

static void
test_dead_set(void **state)
{
    static const char odd[] = "\0\xff{";
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct two_parties *two = two_open();
    struct broker_message message = party_message("q", "x");
    struct broker_dead_list list;
    struct broker_dead dead;
    struct error err;

    (void)state;
    message.id = STR_NULL;
    message.bytes = (struct str){odd, sizeof(odd)};
    message.priority = 3;
    for (int i = 0; i < 3; i++) {
        message.queue = i < 2 ? STR("q") : STR("other");
        assert_ok(broker_bury(two->a.broker, &message, STR("no envelope"), &err), err);
    }
    assert_ok(broker_list_dead(two->b.broker, STR("q"), 0, 10, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 2);
    assert_ok(broker_list_dead(two->b.broker, STR_NULL, 0, 1, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    assert_null(list.items[0].bytes.ptr);
    assert_ok(
        broker_list_dead(two->b.broker, STR_NULL, list.items[0].dead_id, 10, &arena, &list, &err),
        err);
    assert_int_equal(list.n_items, 2);
    assert_ok(broker_get_dead(two->b.broker, list.items[0].dead_id, &arena, &dead, &err), err);
    assert_int_equal(dead.bytes.len, sizeof(odd));
    assert_memory_equal(dead.bytes.ptr, odd, sizeof(odd));
    assert_str_equal(dead.id, "");
    assert_int_equal(dead.priority, 3);

    assert_ok(broker_drop_dead(two->b.broker, list.items[0].dead_id, &err), err);
    assert_ok(broker_requeue_dead(two->b.broker, list.items[1].dead_id, &err), err);
    assert_int_equal(party_count_dead(&two->a), 1);
    party_consume(&two->a, "other", 1);
    party_run(&two->a);
    assert_int_equal(two->a.n_received, 1);
    assert_int_equal(two->a.received[0].attempt, 1);
    assert_int_equal(two->a.received[0].priority, 3);
    assert_memory_equal(two->a.received[0].text, odd, sizeof(odd));

    assert_int_equal(broker_get_dead(two->b.broker, 999, &arena, &dead, &err), -ERR_NOT_FOUND);
    assert_int_equal(broker_drop_dead(two->b.broker, 999, &err), -ERR_NOT_FOUND);
    assert_int_equal(broker_requeue_dead(two->b.broker, 999, &err), -ERR_NOT_FOUND);
    two_close(two);
}

static void
test_what_is_refused(void **state)
{
    static const struct {
        struct str queue;
        int priority;
        size_t n_id_bytes;
        int rc;
    } rows[] = {
        {STR_INIT("q"), 9, 255, 0},
        {STR_INIT(""), 0, 1, -ERR_INVALID},
        {STR_INIT("a\0b"), 0, 1, -ERR_INVALID},
        {STR_INIT("\xff"), 0, 1, -ERR_INVALID},
        {STR_INIT("q"), -1, 1, -ERR_INVALID},
        {STR_INIT("q"), 10, 1, -ERR_INVALID},
        {STR_INIT("q"), 0, 256, -ERR_INVALID},
    };
    static char letters[300];
    struct two_parties *two = two_open();
    struct str queues[65];
    struct error err;

    (void)state;
    (void)memset(letters, 'a', sizeof(letters));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct broker_message message = party_message("q", "x");
        uint64_t ticket = 7;

        message.queue = rows[i].queue;
        message.priority = rows[i].priority;
        message.id = (struct str){letters, rows[i].n_id_bytes};
        assert_int_equal(broker_publish(two->a.broker, &message, &ticket, &err), rows[i].rc);
        assert_int_equal(ticket == 7, rows[i].rc < 0);
    }
    for (size_t i = 0; i < COUNT_OF(queues); i++)
        queues[i] = (struct str){letters, i + 1};
    assert_int_equal(broker_consume(two->a.broker, queues, 65, &err), -ERR_INVALID);
    queues[0] = (struct str){letters, 256};
    assert_int_equal(broker_consume(two->a.broker, queues, 1, &err), -ERR_INVALID);
    queues[0] = (struct str){letters, 255};
    assert_ok(broker_consume(two->a.broker, queues, 1, &err), err);
    two_close(two);
}

/* What is sent faster than the broker takes it is refused, not piled up. */
static void
test_outbox_has_a_ceiling(void **state)
{
    static char bytes[1000];
    struct two_parties *two = two_open();
    struct broker_options options = party_options(&two->a, &two->clock.clock);
    struct broker_message message = party_message("q", "x");
    struct error err;
    size_t n = 0;
    int rc;

    (void)state;
    broker_close(two->a.broker);
    options.max_pending_bytes = 100000;
    party_open(&two->a, two->url, &options);
    message.bytes = (struct str){bytes, sizeof(bytes)};
    while ((rc = broker_publish(two->a.broker, &message, NULL, &err)) == 0)
        n++;
    assert_int_equal(rc, -ERR_BUSY);
    assert_in_range(n, 50, 100);
    party_run(&two->a);
    assert_int_equal(party_count(&two->a, "q"), n);
    (void)party_publish_with(&two->a, &message);
    two_close(two);
}

static void
test_schemes(void **state)
{
    struct broker_options options = {0};
    struct broker *broker = NULL;
    struct error err;

    (void)state;
    assert_int_equal(broker_open(STR("gopher://x"), &options, &broker, &err), -ERR_CONFIG);
    assert_non_null(strstr(err.message, "gopher"));
    assert_null(broker);
    broker_close(NULL);
}

const struct CMUnitTest conformance_admin[] = {
    cmocka_unit_test(test_count_and_purge),
    cmocka_unit_test(test_list_scheduled),
    cmocka_unit_test(test_revoke),
    cmocka_unit_test(test_list_revoked),
    cmocka_unit_test(test_dead_set),
    cmocka_unit_test(test_what_is_refused),
    cmocka_unit_test(test_outbox_has_a_ceiling),
    cmocka_unit_test(test_schemes),
    {.name = NULL},
};
