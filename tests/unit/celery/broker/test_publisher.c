/* Publishing that blocks, from one thread and from several. */

#include "tests/unit/celery/broker/party.h"

#include <pthread.h>

#include "celery/broker/publisher.h"

#define N_THREADS 4
#define N_EACH    200

static char dir[64];
static char url[128];

static struct publisher *
open_publisher(void)
{
    struct broker_options options = {0};
    struct publisher *publisher = NULL;
    struct error err;

    test_dir_make(dir);
    (void)snprintf(url, sizeof(url), "sqlite:///%s/broker.db", dir);
    assert_ok(publisher_open(str_from_cstr(url), &options, &publisher, &err), err);
    return publisher;
}

static struct party *
open_reader(void)
{
    struct party *party = calloc(1, sizeof(*party));
    struct broker_options options = party_options(party, NULL);

    assert_non_null(party);
    party_open(party, url, &options);
    return party;
}

static void *
run_thread(void *context)
{
    struct broker_message message = party_message("q", "x");
    size_t n_failed = 0;

    for (int i = 0; i < N_EACH; i++)
        n_failed += publisher_send(context, &message, 1, 10 * US_PER_S, NULL, NULL) < 0;
    return (void *)n_failed;
}

static void
test_threads(void **state)
{
    struct publisher *publisher = open_publisher();
    struct party *reader = open_reader();
    pthread_t threads[N_THREADS];

    (void)state;
    for (size_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_thread, publisher), 0);
    for (size_t i = 0; i < N_THREADS; i++) {
        void *n_failed = NULL;

        assert_int_equal(pthread_join(threads[i], &n_failed), 0);
        assert_null(n_failed);
    }
    assert_int_equal(party_count(reader, "q"), N_THREADS * N_EACH);
    publisher_close(publisher);
    broker_close(reader->broker);
    free(reader);
    test_dir_remove(dir);
}

/* The good ones before the bad one are out, and counted. */
static void
test_bad_message(void **state)
{
    struct publisher *publisher = open_publisher();
    struct party *reader = open_reader();
    struct broker_message messages[3];
    struct error err = {0};
    size_t n_done = 99;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(messages); i++)
        messages[i] = party_message("q", "x");
    assert_ok(publisher_send(publisher, messages, 3, US_PER_S, &n_done, &err), err);
    assert_int_equal(n_done, 3);
    assert_ok(publisher_send(publisher, messages, 0, US_PER_S, &n_done, &err), err);
    assert_int_equal(n_done, 0);
    messages[1].priority = 77;
    assert_int_equal(publisher_send(publisher, messages, 3, US_PER_S, &n_done, &err), -ERR_INVALID);
    assert_int_equal(n_done, 1);
    assert_non_null(strstr(err.message, "77"));
    assert_int_equal(party_count(reader, "q"), 4);
    publisher_close(publisher);
    broker_close(reader->broker);
    free(reader);
    test_dir_remove(dir);
}

/* More than the outbox holds goes out in pieces. */
static void
test_big_batch(void **state)
{
    static struct broker_message messages[1000];
    static char bytes[1000];
    struct broker_options options = {.max_pending_bytes = 100000};
    struct publisher *publisher = open_publisher();
    struct party *reader = open_reader();
    struct error err;
    size_t n_done = 0;

    (void)state;
    publisher_close(publisher);
    assert_ok(publisher_open(str_from_cstr(url), &options, &publisher, &err), err);
    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        messages[i] = party_message("q", "x");
        messages[i].bytes = (struct str){bytes, sizeof(bytes)};
    }
    assert_ok(publisher_send(publisher, messages, 1000, 10 * US_PER_S, &n_done, &err), err);
    assert_int_equal(n_done, 1000);
    assert_int_equal(party_count(reader, "q"), 1000);
    publisher_close(publisher);
    broker_close(reader->broker);
    free(reader);
    test_dir_remove(dir);
}

static void
test_opening_fails(void **state)
{
    struct broker_options options = {.must_exist = true};
    struct publisher *publisher = NULL;
    struct error err;

    (void)state;
    test_dir_make(dir);
    (void)snprintf(url, sizeof(url), "sqlite:///%s/none.db", dir);
    assert_int_equal(publisher_open(str_from_cstr(url), &options, &publisher, &err),
                     -ERR_NOT_FOUND);
    assert_null(publisher);
    publisher_close(NULL);
    test_dir_remove(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_bad_message),
        cmocka_unit_test(test_big_batch),
        cmocka_unit_test(test_opening_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
