/* Beat's store on Redis in the suite that every store passes, and what is Redis's own. */

#include "tests/unit/celery/broker/beat_suite.h"

#include "tests/unit/celery/redis/redis_server.h"

static struct redis_server *server;
static const char *server_url;

static void
set_up(char url[256])
{
    (void)redis_server_say(server, "FLUSHALL");
    (void)snprintf(url, 256, "%s", server_url);
}

static void
tear_down(void)
{
}

/* Where Kombu looks: the list, its step, the binding; and our own keys. */
static void
test_the_keys(void **state)
{
    static const char *const names[] = {"e"};
    struct broker_message message = beat_suite_message("hello");
    struct beat_store *store;
    struct beat_state seen;
    enum beat_answer answer;
    struct error err;
    char url[256];

    (void)state;
    set_up(url);
    store = beat_suite_open(url, "a");
    beat_suite_steal(store);
    assert_ok(beat_store_load(store, names, 1, beat_suite_slot(0), &seen, &answer, &err), err);
    message.priority = 7;
    assert_ok(beat_store_send(store, "e", beat_suite_slot(1), &message, &seen, &answer, &err), err);
    assert_string_equal(redis_server_say(server, "LRANGE p:q\x06\x16"
                                                 "6 0 -1"),
                        "*1\r\n$5\r\nhello\r\n");
    assert_string_equal(redis_server_say(server, "SMEMBERS p:_kombu.binding.q"),
                        "*1\r\n$6\r\nq\x06\x16\x06\x16q\r\n");
    assert_string_equal(redis_server_say(server, "SMEMBERS p:_kombu.binding_permanent.q"),
                        "*1\r\n$6\r\nq\x06\x16\x06\x16q\r\n");
    assert_string_equal(redis_server_say(server, "LRANGE p:trawl.beat.order.e 0 -1"),
                        "*1\r\n$22\r\ne@2027-01-15T08:01:00Z\r\n");
    assert_string_equal(redis_server_say(server, "HGET p:trawl.beat.leader owner"), "$1\r\na\r\n");
    beat_store_close(store);
}

/* A queue whose name is another key's: this message's fault, and nothing is written down. */
static void
test_a_key_of_another_kind(void **state)
{
    static const char *const names[] = {"e"};
    struct broker_message message = beat_suite_message("hello");
    struct beat_store *store;
    struct beat_state seen;
    enum beat_answer answer;
    struct error err;
    char url[256];

    (void)state;
    set_up(url);
    store = beat_suite_open(url, "a");
    beat_suite_steal(store);
    assert_ok(beat_store_load(store, names, 1, beat_suite_slot(0), &seen, &answer, &err), err);
    (void)redis_server_say(server, "SET p:q text");
    assert_int_equal(
        beat_store_send(store, "e", beat_suite_slot(1), &message, &seen, &answer, &err),
        -ERR_INVALID);
    assert_non_null(strstr(err.message, "WRONGTYPE"));
    assert_ok(beat_store_load(store, names, 1, beat_suite_slot(9), &seen, &answer, &err), err);
    assert_int_equal(seen.last_slot_us, beat_suite_slot(0));
    (void)redis_server_say(server, "HSET p:trawl.beat.entries e nonsense");
    assert_int_equal(beat_store_load(store, names, 1, beat_suite_slot(9), &seen, &answer, &err),
                     -ERR_CORRUPT);
    beat_store_close(store);
}

/* What a call that timed out does later is fenced by the next term. */
static void
test_a_server_that_stands_still(void **state)
{
    static const char *const names[] = {"e"};
    const struct beat_store_options options = {.owner = STR("a"), .timeout_us = US_PER_S / 5};
    struct broker_message message = beat_suite_message("late");
    struct beat_store *store = NULL;
    struct beat_state seen;
    enum beat_answer answer;
    struct error err;
    char url[256];

    (void)state;
    set_up(url);
    assert_ok(beat_store_open(str_from_cstr(url), &options, &store, &err), err);
    beat_suite_steal(store);
    assert_ok(beat_store_load(store, names, 1, beat_suite_slot(0), &seen, &answer, &err), err);
    redis_server_pause(server);
    assert_int_equal(
        beat_store_send(store, "e", beat_suite_slot(1), &message, &seen, &answer, &err),
        -ERR_TIMEOUT);
    assert_int_equal(beat_store_keep(store, &answer, &err), -ERR_NETWORK); /* it stays failed */
    beat_store_close(store);
    assert_int_equal(beat_store_open(str_from_cstr(url), &options, &store, &err), -ERR_TIMEOUT);
    redis_server_resume(server);
    store = beat_suite_open(url, "a");
    beat_suite_steal(store);
    assert_ok(beat_store_load(store, names, 1, beat_suite_slot(0), &seen, &answer, &err), err);
    assert_int_equal(beat_suite_count(url, "q"), seen.n_runs); /* it was sent or not, never half */
    answer = BEAT_DONE;
    if (seen.n_runs == 0)
        assert_ok(beat_store_send(store, "e", beat_suite_slot(1), &message, &seen, &answer, &err),
                  err);
    assert_int_equal(answer, BEAT_DONE);
    assert_int_equal(beat_suite_count(url, "q"), 1);
    beat_store_close(store);
}

/* A server that forgets: numbers of terms come again, and still nobody leads by an old one. */
static void
test_a_server_that_forgets(void **state)
{
    static const char *const names[] = {"e"};
    struct beat_store *a;
    struct beat_store *b;
    struct beat_lead lead;
    struct beat_state seen;
    enum beat_answer answer;
    struct error err;
    char url[256];

    (void)state;
    set_up(url);
    a = beat_suite_open(url, "a");
    b = beat_suite_open(url, "b");
    beat_suite_steal(a);
    assert_ok(beat_store_load(a, names, 1, beat_suite_slot(0), &seen, &answer, &err), err);
    (void)redis_server_say(server, "FLUSHALL");
    assert_ok(beat_store_look(b, &lead, &err), err);
    assert_int_equal(lead.term, 0);
    beat_suite_steal(b);
    assert_ok(beat_store_keep(a, &answer, &err), err);
    assert_int_equal(answer, BEAT_FENCED); /* the same term, another owner */
    assert_ok(beat_store_load(b, names, 1, beat_suite_slot(5), &seen, &answer, &err), err);
    assert_int_equal(seen.last_slot_us, beat_suite_slot(5));
    (void)redis_server_say(server, "SCRIPT FLUSH");
    assert_int_equal(beat_store_keep(b, &answer, &err), -ERR_NETWORK); /* a new handle is needed */
    beat_store_close(a);
    beat_store_close(b);
}

static void
test_the_socket(void **state)
{
    struct beat_store *store;
    struct beat_lead lead;
    struct error err;
    char url[256];

    (void)state;
    set_up(url);
    store = beat_suite_open(redis_server_socket_url(server, ""), "a");
    beat_suite_steal(store);
    assert_ok(beat_store_look(store, &lead, &err), err);
    assert_string_equal(lead.owner, "a");
    beat_store_close(store);
    assert_int_equal(beat_store_open(STR("redis://127.0.0.1:1/0"),
                                     &(struct beat_store_options){.owner = STR("a")}, &store, &err),
                     -ERR_NETWORK);
    assert_int_equal(beat_store_open(STR("redis://127.0.0.1:1/0?nonsense=1"),
                                     &(struct beat_store_options){.owner = STR("a")}, &store, &err),
                     -ERR_CONFIG);
}

int
main(void)
{
    static const struct beat_factory factory = {set_up, tear_down};
    const struct CMUnitTest own[] = {
        cmocka_unit_test(test_the_keys),
        cmocka_unit_test(test_a_key_of_another_kind),
        cmocka_unit_test(test_a_server_that_stands_still),
        cmocka_unit_test(test_a_server_that_forgets),
        cmocka_unit_test(test_the_socket),
        {0},
    };
    int n_failed;

    server = redis_server_start(NULL);
    server_url = redis_server_url(server, "/0?global_keyprefix=p:");
    n_failed = beat_suite_run(&factory, own);
    redis_server_stop(server);
    return n_failed;
}
