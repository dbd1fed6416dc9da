/* Who lives, and who is elected. */

#include "celery/events/gossip.h"

#include "tests/unit/check.h"

#define T0 INT64_C(1000000000)

/* A candidature, as an event that lives in the arena. */
static void
stand(struct gossip *self, struct arena *arena, const char *node, int64_t clock, int64_t mono_us)
{
    static const struct str text =
        STR_INIT("{\"id\": \"e\", \"topic\": \"task\", \"action\": {\"task\": \"t\"}}");
    struct json *fields = arena_calloc(arena, 1, sizeof(*fields));
    struct event event = {.hostname = str_from_cstr(node), .pid = 7, .clock = clock};
    struct error err;

    assert_non_null(fields);
    assert_ok(json_parse(text, NULL, arena, fields, &err), err);
    event.fields = fields;
    assert_ok(gossip_add_candidate(self, &event, mono_us, &err), err);
}

static void
test_alive(void **state)
{
    struct gossip gossip;

    (void)state;
    gossip_init(&gossip, STR("me@h.1"));
    assert_int_equal(gossip_count_alive(&gossip, T0), 0);
    assert_false(gossip_note_node(&gossip, STR("a@h"), 2 * US_PER_S, T0));
    assert_true(gossip_note_node(&gossip, STR("a@h"), 2 * US_PER_S, T0 + US_PER_S));
    assert_false(gossip_note_node(&gossip, STR("b@h"), 0, T0));
    assert_int_equal(gossip_count_alive(&gossip, T0 + 3 * US_PER_S), 2);
    assert_int_equal(gossip_count_alive(&gossip, T0 + 4 * US_PER_S), 1); /* b: twice 2 s */
    assert_int_equal(gossip_count_alive(&gossip, T0 + 5 * US_PER_S), 0);
    assert_false(gossip_note_node(&gossip, STR("a@h"), 2 * US_PER_S, T0 + 6 * US_PER_S));
    gossip_drop_node(&gossip, STR("a@h"));
    gossip_drop_node(&gossip, STR("nobody"));
    assert_int_equal(gossip_count_alive(&gossip, T0 + 6 * US_PER_S), 0);
    gossip_fini(&gossip);
    gossip_fini(&gossip);
}

/* Nothing is acknowledged before all have stood: a Python worker with one candidate and an ack
 * dies. */
static void
test_acks_wait(void **state)
{
    struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct gossip gossip;
    struct error err;
    struct str id;

    (void)state;
    gossip_init(&gossip, STR("me@h.7"));
    (void)gossip_note_node(&gossip, STR("py@h"), 0, T0);
    assert_ok(gossip_begin_election(&gossip, STR("e"), T0, &err), err);
    stand(&gossip, &arena, "me@h", 5, T0);
    assert_int_equal(gossip_take_acks(&gossip, T0, &id), 0);
    stand(&gossip, &arena, "py@h", 6, T0);
    stand(&gossip, &arena, "py@h", 4, T0); /* its second word counts nothing */
    assert_int_equal(gossip_take_acks(&gossip, T0, &id), 2);
    assert_true(str_equal(id, STR("e")));
    assert_int_equal(gossip_take_acks(&gossip, T0, &id), 0);
    gossip_fini(&gossip);
    arena_fini(&arena);
}

/* Others that never stand hold nobody up for ever. */
static void
test_timeouts(void **state)
{
    struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct gossip gossip;
    struct gossip_result result;
    struct error err;
    struct str id;

    (void)state;
    gossip_init(&gossip, STR("me@h.7"));
    assert_true(gossip_due_us(&gossip) == INT64_MAX);
    (void)gossip_note_node(&gossip, STR("mute@h"), 0, T0);
    assert_ok(gossip_begin_election(&gossip, STR("e"), T0, &err), err);
    stand(&gossip, &arena, "me@h", 5, T0);
    assert_true(gossip_due_us(&gossip) == T0 + GOSSIP_ACK_US);
    assert_int_equal(gossip_take_acks(&gossip, T0 + GOSSIP_ACK_US, &id), 1);
    assert_false(gossip_next_result(&gossip, T0 + GOSSIP_ACK_US, &result));
    assert_true(gossip_due_us(&gossip) == T0 + GOSSIP_ELECTION_US);
    assert_true(gossip_next_result(&gossip, T0 + GOSSIP_ELECTION_US, &result));
    assert_true(result.is_ours);
    assert_true(str_equal(result.topic, STR("task")));
    assert_true(str_equal(result.action, STR("{\"task\": \"t\"}")));
    assert_false(gossip_next_result(&gossip, T0 + GOSSIP_ELECTION_US, &result));
    assert_true(gossip_due_us(&gossip) == INT64_MAX);
    gossip_fini(&gossip);
    arena_fini(&arena);
}

/* The lowest clock, then the lowest name, whoever spoke first. */
static void
test_leader(void **state)
{
    static const struct {
        int64_t mine;
        int64_t theirs;
        const char *node;
        bool is_ours;
    } rows[] = {
        {5, 6, "py@h", true},
        {6, 5, "py@h", false},
        {5, 5, "py@h", true},
        {5, 5, "a@h", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT((size_t)1 << 20);
        struct gossip gossip;
        struct gossip_result result;
        struct error err;
        struct str id;

        gossip_init(&gossip, STR("me@h.7"));
        (void)gossip_note_node(&gossip, str_from_cstr(rows[i].node), 0, T0);
        stand(&gossip, &arena, rows[i].node, rows[i].theirs, T0);
        assert_false(gossip_next_result(&gossip, T0, &result)); /* we were not told of it */
        assert_ok(gossip_begin_election(&gossip, STR("e"), T0, &err), err);
        stand(&gossip, &arena, "me@h", rows[i].mine, T0);
        assert_int_equal(gossip_take_acks(&gossip, T0, &id), 2);
        gossip_count_ack(&gossip, STR("e"));
        gossip_count_ack(&gossip, STR("unknown"));
        assert_true(gossip_next_result(&gossip, T0, &result));
        assert_int_equal(result.is_ours, rows[i].is_ours);
        assert_true(str_equal(result.action, STR("{\"task\": \"t\"}")));
        gossip_fini(&gossip);
        arena_fini(&arena);
    }
}

static void
test_bounds(void **state)
{
    struct gossip gossip;
    char id[32];
    char longest[EVENT_MAX_NAME_BYTES + 2];
    struct error err;

    (void)state;
    gossip_init(&gossip, STR("me@h.7"));
    (void)memset(longest, 'x', sizeof(longest));
    assert_int_equal(gossip_begin_election(&gossip, STR(""), T0, &err), -ERR_INVALID);
    assert_int_equal(
        gossip_begin_election(&gossip, (struct str){longest, sizeof(longest)}, T0, &err),
        -ERR_INVALID);
    for (size_t i = 0; i < GOSSIP_MAX_ELECTIONS; i++) {
        (void)snprintf(id, sizeof(id), "e%zu", i);
        assert_ok(gossip_begin_election(&gossip, str_from_cstr(id), T0, &err), err);
    }
    assert_int_equal(gossip_begin_election(&gossip, STR("more"), T0, &err), -ERR_BUSY);
    assert_ok(gossip_begin_election(&gossip, STR("more"), T0 + GOSSIP_FORGET_US, &err), err);
    gossip_fini(&gossip);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alive),    cmocka_unit_test(test_acks_wait),
        cmocka_unit_test(test_timeouts), cmocka_unit_test(test_leader),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
