/* Leadership, fencing and slots, one step after the other. */

#include "tests/unit/celery/broker/beat_suite.h"

#include "tests/unit/celery/broker/party.h"

const struct beat_factory *beat_suite_factory;

struct beat_store *
beat_suite_open(const char *url, const char *owner)
{
    const struct beat_store_options options = {
        .owner = str_from_cstr(owner), .n_keys_kept = 5, .timeout_us = 10 * US_PER_S};
    struct beat_store *store = NULL;
    struct error err;

    assert_ok(beat_store_open(str_from_cstr(url), &options, &store, &err), err);
    return store;
}

void
beat_suite_steal(struct beat_store *store)
{
    struct beat_lead lead;
    enum beat_answer answer;
    struct error err;

    do {
        assert_ok(beat_store_look(store, &lead, &err), err);
        assert_ok(beat_store_take(store, &lead, &answer, &err), err);
    } while (answer == BEAT_FENCED);
    assert_int_equal(answer, BEAT_DONE);
}

struct broker_message
beat_suite_message(const char *text)
{
    return (struct broker_message){
        .queue = STR("q"),
        .id = str_from_cstr(text),
        .bytes = str_from_cstr(text),
        .eta_us = TIME_UNKNOWN,
        .expires_us = TIME_UNKNOWN,
    };
}

int64_t
beat_suite_slot(int64_t n)
{
    return (INT64_C(1800000000) + n * 60) * US_PER_S;
}

static struct party *
open_party(const char *url)
{
    struct party *party = calloc(1, sizeof(*party));
    struct broker_options options;

    assert_non_null(party);
    options = party_options(party, NULL);
    party_open(party, url, &options);
    return party;
}

static void
close_party(struct party *party)
{
    broker_close(party->broker);
    free(party);
}

int64_t
beat_suite_count(const char *url, const char *queue)
{
    struct party *party = open_party(url);
    int64_t n = party_count(party, queue);

    close_party(party);
    return n;
}

/* What a worker gets, in its order. */
static void
take_all(const char *url, const char *queue, size_t n_messages, char out[64])
{
    struct party *party = open_party(url);
    int64_t until_us = clock_mono_us(&clock_system) + 10 * US_PER_S;
    struct error err;

    party_consume(party, queue, n_messages);
    while (party->n_received < n_messages && clock_mono_us(&clock_system) < until_us) {
        assert_ok(broker_run(party->broker, &err), err);
        (void)usleep(1000);
    }
    (void)snprintf(out, 64, "%s", party_texts(party));
    close_party(party);
}

struct pair {
    char url[256];
    struct beat_store *a;
    struct beat_store *b;
    struct error err;
};

static void
open_pair(struct pair *self)
{
    *self = (struct pair){.a = NULL};
    beat_suite_factory->set_up(self->url);
    self->a = beat_suite_open(self->url, "a");
    self->b = beat_suite_open(self->url, "b");
}

static void
close_pair(struct pair *self)
{
    beat_store_close(self->a);
    beat_store_close(self->b);
    beat_suite_factory->tear_down();
}

static struct beat_lead
look(struct pair *self, struct beat_store *store)
{
    struct beat_lead lead;

    assert_ok(beat_store_look(store, &lead, &self->err), self->err);
    return lead;
}

static enum beat_answer
take(struct pair *self, struct beat_store *store, const struct beat_lead *seen)
{
    enum beat_answer answer;

    assert_ok(beat_store_take(store, seen, &answer, &self->err), self->err);
    return answer;
}

static enum beat_answer
keep(struct pair *self, struct beat_store *store)
{
    enum beat_answer answer;

    assert_ok(beat_store_keep(store, &answer, &self->err), self->err);
    return answer;
}

/* One entry, "e". */
static enum beat_answer
load(struct pair *self, struct beat_store *store, int64_t anchor_us, struct beat_state *state)
{
    static const char *const names[] = {"e"};
    enum beat_answer answer;

    assert_ok(beat_store_load(store, names, 1, anchor_us, state, &answer, &self->err), self->err);
    return answer;
}

static enum beat_answer
send(struct pair *self, struct beat_store *store, int64_t slot_us, struct beat_state *state)
{
    struct broker_message message = beat_suite_message("hello");
    enum beat_answer answer;

    assert_ok(beat_store_send(store, "e", slot_us, &message, state, &answer, &self->err),
              self->err);
    return answer;
}

static void
test_two_race_for_the_lead(void **state)
{
    struct pair pair;
    struct beat_lead empty;
    struct beat_lead seen;

    (void)state;
    open_pair(&pair);
    empty = look(&pair, pair.a);
    assert_int_equal(empty.term, 0);
    assert_string_equal(empty.owner, "");
    assert_int_equal(take(&pair, pair.a, &empty), BEAT_DONE);
    assert_int_equal(take(&pair, pair.b, &empty), BEAT_FENCED);
    seen = look(&pair, pair.b);
    assert_int_equal(seen.term, 1);
    assert_string_equal(seen.owner, "a");

    /* A sign between looking and taking: he lives. */
    assert_int_equal(keep(&pair, pair.a), BEAT_DONE);
    assert_int_equal(take(&pair, pair.b, &seen), BEAT_FENCED);
    assert_int_equal(look(&pair, pair.b).n_signs, seen.n_signs + 1);

    seen = look(&pair, pair.b);
    assert_int_equal(take(&pair, pair.b, &seen), BEAT_DONE);
    assert_int_equal(take(&pair, pair.b, &seen), BEAT_FENCED);
    assert_int_equal(look(&pair, pair.a).term, 2);
    assert_string_equal(look(&pair, pair.a).owner, "b");
    close_pair(&pair);
}

static void
test_a_stale_leader_is_fenced(void **state)
{
    struct broker_message message = beat_suite_message("stale");
    struct pair pair;
    struct beat_state kept;
    struct beat_state seen = {1, 2, 3};
    enum beat_answer answer;

    (void)state;
    open_pair(&pair);
    beat_suite_steal(pair.a);
    assert_int_equal(load(&pair, pair.a, beat_suite_slot(0), &kept), BEAT_DONE);
    beat_suite_steal(pair.b);

    assert_int_equal(keep(&pair, pair.a), BEAT_FENCED);
    assert_int_equal(load(&pair, pair.a, beat_suite_slot(9), &seen), BEAT_FENCED);
    assert_ok(beat_store_load(pair.a, NULL, 0, 0, NULL, &answer, &pair.err), pair.err);
    assert_int_equal(answer, BEAT_FENCED); /* and "e" is not forgotten */
    assert_int_equal(send(&pair, pair.a, beat_suite_slot(1), &seen), BEAT_FENCED);
    assert_ok(beat_store_skip(pair.a, "e", beat_suite_slot(7), &answer, &pair.err), pair.err);
    assert_int_equal(answer, BEAT_FENCED);
    assert_ok(beat_store_release(pair.a, &pair.err), pair.err);
    assert_ok(beat_store_send(pair.a, "nobody", 0, &message, &seen, &answer, &pair.err), pair.err);
    assert_int_equal(answer, BEAT_FENCED);

    assert_int_equal(seen.last_slot_us, 1); /* untouched */
    assert_int_equal(beat_suite_count(pair.url, "q"), 0);
    assert_string_equal(look(&pair, pair.a).owner, "b");
    assert_int_equal(load(&pair, pair.b, beat_suite_slot(9), &kept), BEAT_DONE);
    assert_int_equal(kept.last_slot_us, beat_suite_slot(0));
    assert_int_equal(kept.n_runs, 0);
    close_pair(&pair);
}

static void
test_a_released_place_is_free(void **state)
{
    struct pair pair;
    struct beat_lead lead;

    (void)state;
    open_pair(&pair);
    beat_suite_steal(pair.a);
    assert_ok(beat_store_release(pair.a, &pair.err), pair.err);
    lead = look(&pair, pair.b);
    assert_string_equal(lead.owner, "");
    assert_int_equal(lead.term, 1);
    assert_int_equal(keep(&pair, pair.a), BEAT_FENCED);
    assert_int_equal(take(&pair, pair.b, &lead), BEAT_DONE);
    assert_ok(beat_store_release(pair.a, &pair.err), pair.err); /* not his any more */
    assert_string_equal(look(&pair, pair.a).owner, "b");
    close_pair(&pair);
}

/* The same name in another handle, as after a failure: the old term is nobody's any more. */
static void
test_a_new_handle_takes_its_own_place(void **state)
{
    struct pair pair;
    struct beat_store *again;
    struct beat_lead lead;

    (void)state;
    open_pair(&pair);
    beat_suite_steal(pair.a);
    again = beat_suite_open(pair.url, "a");
    assert_int_equal(keep(&pair, again), BEAT_FENCED);
    lead = look(&pair, again);
    assert_int_equal(take(&pair, again, &lead), BEAT_DONE);
    assert_int_equal(keep(&pair, pair.a), BEAT_FENCED);
    assert_int_equal(keep(&pair, again), BEAT_DONE);
    beat_store_close(again);
    close_pair(&pair);
}

static void
test_entries_are_anchored_once_and_forgotten(void **state)
{
    static const char *const three[] = {"e", "\xc3\xa9t\xc3\xa9 \"q\"", "gone"};
    struct beat_state states[3];
    struct arena arena = ARENA_INIT(1 << 20);
    struct beat_record_list list;
    struct pair pair;
    enum beat_answer answer;

    (void)state;
    open_pair(&pair);
    beat_suite_steal(pair.a);
    assert_ok(beat_store_load(pair.a, three, 3, beat_suite_slot(1), states, &answer, &pair.err),
              pair.err);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(states[i].last_slot_us, beat_suite_slot(1));
        assert_int_equal(states[i].n_runs, 0);
        assert_int_equal(states[i].sent_at_us, TIME_UNKNOWN);
    }
    assert_ok(beat_store_load(pair.a, three, 2, beat_suite_slot(5), states, &answer, &pair.err),
              pair.err);
    assert_int_equal(states[1].last_slot_us, beat_suite_slot(1)); /* the first one counts */
    assert_ok(beat_store_list(pair.b, &arena, &list, &pair.err), pair.err);
    assert_int_equal(list.n_items, 2);
    assert_str_equal(list.items[0].name, three[0]);
    assert_str_equal(list.items[1].name, three[1]);
    assert_int_equal(list.items[1].state.last_slot_us, beat_suite_slot(1));
    assert_str_equal(list.items[1].task_id, "");
    assert_ok(beat_store_load(pair.a, three, 3, beat_suite_slot(8), states, &answer, &pair.err),
              pair.err);
    assert_int_equal(states[2].last_slot_us, beat_suite_slot(8)); /* was forgotten */
    arena_fini(&arena);
    close_pair(&pair);
}

static void
test_a_slot_is_sent_once(void **state)
{
    struct arena arena = ARENA_INIT(1 << 20);
    struct beat_record_list list;
    struct pair pair;
    struct beat_state seen;
    enum beat_answer answer;

    (void)state;
    open_pair(&pair);
    beat_suite_steal(pair.a);
    (void)load(&pair, pair.a, beat_suite_slot(0), &seen);
    assert_int_equal(send(&pair, pair.a, beat_suite_slot(1), &seen), BEAT_DONE);
    assert_int_equal(seen.last_slot_us, beat_suite_slot(1));
    assert_int_equal(seen.n_runs, 1);
    assert_true(seen.sent_at_us > 0);
    assert_int_equal(send(&pair, pair.a, beat_suite_slot(1), &seen), BEAT_REPEATED);
    assert_int_equal(send(&pair, pair.a, beat_suite_slot(0), &seen), BEAT_REPEATED);
    assert_int_equal(seen.last_slot_us, beat_suite_slot(1));

    /* The next leader goes on there. */
    beat_suite_steal(pair.b);
    (void)load(&pair, pair.b, beat_suite_slot(50), &seen);
    assert_int_equal(seen.last_slot_us, beat_suite_slot(1));
    assert_int_equal(send(&pair, pair.b, beat_suite_slot(1), &seen), BEAT_REPEATED);
    assert_int_equal(send(&pair, pair.b, beat_suite_slot(3), &seen), BEAT_DONE);

    /* The clock went far back: the key still holds, and slots go on behind it. */
    assert_ok(beat_store_skip(pair.b, "e", beat_suite_slot(2), &answer, &pair.err), pair.err);
    assert_int_equal(answer, BEAT_DONE);
    assert_int_equal(send(&pair, pair.b, beat_suite_slot(3), &seen), BEAT_REPEATED);
    assert_int_equal(seen.last_slot_us, beat_suite_slot(3));
    assert_int_equal(seen.n_runs, 2);
    assert_int_equal(send(&pair, pair.b, beat_suite_slot(4), &seen), BEAT_DONE);
    assert_int_equal(seen.n_runs, 3);
    assert_int_equal(beat_suite_count(pair.url, "q"), 3);
    assert_ok(beat_store_list(pair.a, &arena, &list, &pair.err), pair.err);
    assert_int_equal(list.items[0].state.n_runs, 3);
    assert_str_equal(list.items[0].task_id, "hello");
    arena_fini(&arena);
    close_pair(&pair);
}

/* Five keys are kept by this suite: the sixth slot before the last is free again for whoever goes
 * back behind it. */
static void
test_old_keys_are_dropped(void **state)
{
    struct pair pair;
    struct beat_state seen;
    enum beat_answer answer;

    (void)state;
    open_pair(&pair);
    beat_suite_steal(pair.a);
    (void)load(&pair, pair.a, beat_suite_slot(0), &seen);
    for (int64_t i = 1; i <= 6; i++)
        assert_int_equal(send(&pair, pair.a, beat_suite_slot(i), &seen), BEAT_DONE);
    assert_ok(beat_store_skip(pair.a, "e", beat_suite_slot(0), &answer, &pair.err), pair.err);
    assert_int_equal(send(&pair, pair.a, beat_suite_slot(2), &seen), BEAT_REPEATED);
    assert_ok(beat_store_skip(pair.a, "e", beat_suite_slot(0), &answer, &pair.err), pair.err);
    assert_int_equal(send(&pair, pair.a, beat_suite_slot(1), &seen), BEAT_DONE);
    close_pair(&pair);
}

static void
test_what_cannot_be_sent_changes_nothing(void **state)
{
    static char big[(8 << 20) + 1];
    struct broker_message message = beat_suite_message("x");
    struct pair pair;
    struct beat_state seen;
    struct beat_state before;
    enum beat_answer answer;

    (void)state;
    open_pair(&pair);
    beat_suite_steal(pair.a);
    (void)load(&pair, pair.a, beat_suite_slot(0), &before);
    assert_int_equal(
        beat_store_send(pair.a, "unknown", beat_suite_slot(1), &message, &seen, &answer, &pair.err),
        -ERR_NOT_FOUND);
    message.priority = 10;
    assert_int_equal(
        beat_store_send(pair.a, "e", beat_suite_slot(1), &message, &seen, &answer, &pair.err),
        -ERR_INVALID);
    message = beat_suite_message("x");
    message.queue = STR("");
    assert_int_equal(
        beat_store_send(pair.a, "e", beat_suite_slot(1), &message, &seen, &answer, &pair.err),
        -ERR_INVALID);
    message = beat_suite_message("x");
    message.bytes = (struct str){big, sizeof(big)};
    assert_int_equal(
        beat_store_send(pair.a, "e", beat_suite_slot(1), &message, &seen, &answer, &pair.err),
        -ERR_TOO_LARGE);
    assert_int_equal(load(&pair, pair.a, beat_suite_slot(5), &seen), BEAT_DONE);
    assert_memory_equal(&seen, &before, sizeof(seen));
    assert_int_equal(beat_suite_count(pair.url, "q"), 0);
    close_pair(&pair);
}

static void
test_messages_arrive_by_priority(void **state)
{
    static const struct {
        const char *text;
        int priority;
    } rows[] = {{"late", 9}, {"early", 0}, {"middle", 3}};
    struct pair pair;
    struct beat_state seen;
    enum beat_answer answer;
    char text[64];

    (void)state;
    open_pair(&pair);
    beat_suite_steal(pair.a);
    (void)load(&pair, pair.a, beat_suite_slot(0), &seen);
    for (int i = 0; i < 3; i++) {
        struct broker_message message = beat_suite_message(rows[i].text);

        message.priority = rows[i].priority;
        assert_ok(beat_store_send(pair.a, "e", beat_suite_slot(i + 1), &message, &seen, &answer,
                                  &pair.err),
                  pair.err);
    }
    take_all(pair.url, "q", 3, text);
    assert_string_equal(text, "early middle late");
    close_pair(&pair);
}

const struct CMUnitTest beat_suite_rules[] = {
    cmocka_unit_test(test_two_race_for_the_lead),
    cmocka_unit_test(test_a_stale_leader_is_fenced),
    cmocka_unit_test(test_a_released_place_is_free),
    cmocka_unit_test(test_a_new_handle_takes_its_own_place),
    cmocka_unit_test(test_entries_are_anchored_once_and_forgotten),
    cmocka_unit_test(test_a_slot_is_sent_once),
    cmocka_unit_test(test_old_keys_are_dropped),
    cmocka_unit_test(test_what_cannot_be_sent_changes_nothing),
    cmocka_unit_test(test_messages_arrive_by_priority),
    {0},
};

int
beat_suite_run(const struct beat_factory *factory, const struct CMUnitTest *own)
{
    const struct CMUnitTest *const parts[] = {beat_suite_rules, beat_suite_processes, own};
    struct CMUnitTest tests[32];
    size_t n = 0;

    beat_suite_factory = factory;
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        for (const struct CMUnitTest *test = parts[i]; test && test->name; test++)
            tests[n++] = *test;
    return _cmocka_run_group_tests("beat store", tests, n, NULL, NULL);
}
