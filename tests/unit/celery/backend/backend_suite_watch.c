/* The suite's tests of watching and waiting. */

#include "tests/unit/celery/backend/backend_suite.h"

#include <signal.h>
#include <sys/time.h>

#define MANY 2500 /* more than BACKEND_MAX_CHANGES, not a multiple of it */

static struct backend_record_list
take(struct suite_fixture *fixture)
{
    struct backend_record_list list;
    struct error err;

    assert_ok(backend_take_changes(fixture->backend, &fixture->arena, &list, &err), err);
    return list;
}

static void
watch(struct suite_fixture *fixture, const struct str *ids, size_t n_ids)
{
    struct error err;

    assert_ok(backend_watch(fixture->backend, ids, n_ids, &err), err);
}

static void
test_watch(void **state)
{
    static const struct str ids[] = {STR_INIT("b"), STR_INIT("a"), STR_INIT("b")};
    struct suite_fixture *fixture = *state;
    struct backend *other = suite_open(fixture);
    struct backend_record_list list;

    assert_int_equal(take(fixture).n_items, 0); /* nothing is watched */
    (void)suite_store(other, "a", "STARTED", 1, "");
    watch(fixture, ids, COUNT_OF(ids));
    list = take(fixture);
    assert_int_equal(list.n_items, 1); /* what is there already */
    assert_str_equal(list.items[0].task_id, "a");
    assert_int_equal(take(fixture).n_items, 0);
    (void)suite_store(other, "c", "SUCCESS", 1, ""); /* not watched */
    assert_int_equal(take(fixture).n_items, 0);
    (void)suite_store(other, "a", "SUCCESS", 1, "");
    (void)suite_store(fixture->backend, "b", "STARTED", 1, ""); /* by this handle itself */
    list = take(fixture);
    assert_int_equal(list.n_items, 2);
    (void)suite_store(other, "b", "PROGRESS", 1, "1"); /* passed through */
    (void)suite_store(other, "b", "PROGRESS", 1, "2");
    (void)suite_store(other, "a", "STARTED", 1, ""); /* kept: no change */
    list = take(fixture);
    assert_int_equal(list.n_items, 1);
    assert_true(str_find(list.items[0].document, STR("\"2\"")) < list.items[0].document.len);
    watch(fixture, ids, 1); /* again, and a no longer */
    (void)suite_store(other, "b", "SUCCESS", 1, "");
    list = take(fixture);
    assert_int_equal(list.n_items, 1);
    assert_str_equal(list.items[0].status, "SUCCESS");
    watch(fixture, NULL, 0);
    assert_int_equal(take(fixture).n_items, 0);
    backend_close(other);
}

static void
test_watch_does_not_tell_what_is_gone(void **state)
{
    static const struct str ids[] = {STR_INIT("a"), STR_INIT("b")};
    struct suite_fixture *fixture = *state;
    struct error err;

    (void)suite_store(fixture->backend, "a", "STARTED", 1, "");
    fixture->clock.now_us += US_PER_DAY;
    watch(fixture, ids, 2);
    assert_int_equal(take(fixture).n_items, 0);
    (void)suite_store(fixture->backend, "b", "STARTED", 1, "");
    assert_int_equal(take(fixture).n_items, 1);
    assert_ok(backend_forget(fixture->backend, ids, 2, NULL, &err), err);
    assert_int_equal(take(fixture).n_items, 0);
    (void)suite_store(fixture->backend, "b", "STARTED", 1, ""); /* after it was forgotten */
    assert_int_equal(take(fixture).n_items, 1);
    (void)suite_store(fixture->backend, "a", "STARTED", 1, ""); /* and expires before the look */
    fixture->clock.now_us += US_PER_DAY;
    assert_int_equal(take(fixture).n_items, 0);
}

static void
store_many(struct suite_fixture *fixture, char prefix, const char *status)
{
    for (size_t i = 0; i < MANY; i += 100) {
        char texts[100][SUITE_DOCUMENT_BYTES];
        char ids[100][32];
        struct backend_record records[100];
        struct error err;

        for (size_t k = 0; k < 100; k++) {
            (void)snprintf(ids[k], sizeof(ids[k]), "%cd-%zu", prefix, i + k);
            records[k] = suite_record(ids[k], status, 1, "", texts[k]);
        }
        assert_ok(backend_store(fixture->backend, records, 100, NULL, &err), err);
    }
}

/* Take until nothing is due; how many were told, each of them in this state. */
static size_t
take_all(struct suite_fixture *fixture, const char *status)
{
    struct backend_wait wait;
    size_t n = 0;

    do {
        struct backend_record_list list = take(fixture);

        assert_true(list.n_items <= BACKEND_MAX_CHANGES);
        for (size_t i = 0; i < list.n_items; i++)
            assert_str_equal(list.items[i].status, status);
        n += list.n_items;
        backend_get_wait(fixture->backend, &wait);
    } while (wait.deadline_us <= 0);
    return n;
}

static void
test_watch_many(void **state)
{
    struct suite_fixture *fixture = *state;
    char(*texts)[32] = calloc(MANY, sizeof(*texts));
    struct str *ids = calloc(MANY, sizeof(*ids));

    assert_non_null(texts);
    assert_non_null(ids);
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "id-%zu", i);
        ids[i] = str_from_cstr(texts[i]);
    }
    store_many(fixture, 'i', "STARTED");
    watch(fixture, ids, MANY);
    assert_int_equal(take_all(fixture, "STARTED"), MANY);
    store_many(fixture, 'i', "SUCCESS");
    assert_int_equal(take_all(fixture, "SUCCESS"), MANY);
    assert_int_equal(take_all(fixture, "SUCCESS"), 0);

    /* Few are watched while many change. */
    watch(fixture, ids, 3);
    assert_int_equal(take_all(fixture, "SUCCESS"), 3);
    store_many(fixture, 'i', "FAILURE"); /* kept, all of them */
    store_many(fixture, 'j', "FAILURE"); /* of others */
    assert_int_equal(take_all(fixture, "SUCCESS"), 0);
    free(texts);
    free(ids);
}

/* A reader with little memory gets all of it, bit by bit. */
static void
test_watch_with_a_small_arena(void **state)
{
    static const struct str ids[] = {STR_INIT("a"), STR_INIT("b"), STR_INIT("c")};
    struct suite_fixture *fixture = *state;
    CLEANUP(arena_fini) struct arena tiny = ARENA_INIT(64);
    CLEANUP(buf_fini) struct buf text = BUF_INIT(100000);
    struct backend_record_list list;
    struct error err;
    size_t n = 0;

    for (size_t i = 0; i < 60000; i++)
        buf_append_char(&text, 'x');
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        struct backend_record record = {
            .task_id = ids[i], .status = STR("SUCCESS"), .document = buf_str(&text)};

        assert_ok(backend_store(fixture->backend, &record, 1, NULL, &err), err);
    }
    watch(fixture, ids, COUNT_OF(ids));
    assert_int_equal(backend_take_changes(fixture->backend, &tiny, &list, NULL), -ERR_NOMEM);
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        CLEANUP(arena_fini) struct arena small = ARENA_INIT(100000);

        assert_ok(backend_take_changes(fixture->backend, &small, &list, &err), err);
        assert_int_equal(list.n_items, 1);
        n += list.n_items;
    }
    assert_int_equal(n, 3);
    assert_int_equal(take(fixture).n_items, 0);
}

static void
test_watch_refuses(void **state)
{
    static const struct str bad[] = {STR_INIT("good"), STR_INIT("")};
    static const struct str good[] = {STR_INIT("good")};
    struct suite_fixture *fixture = *state;

    watch(fixture, good, 1);
    assert_int_equal(backend_watch(fixture->backend, bad, 2, NULL), -ERR_INVALID);
    assert_int_equal(backend_watch(fixture->backend, good, BACKEND_MAX_WATCHED + 1, NULL),
                     -ERR_TOO_LARGE);
    (void)suite_store(fixture->backend, "good", "STARTED", 1, "");
    assert_int_equal(take(fixture).n_items, 1); /* as before */
}

static void
test_await(void **state)
{
    static const struct str ids[] = {STR_INIT("a"), STR_INIT("b"), STR_INIT("a")};
    struct suite_fixture *fixture = *state;
    struct backend_record_list list = {.n_items = 77};
    struct error err;

    (void)suite_store(fixture->backend, "a", "FAILURE", 1, "");
    (void)suite_store(fixture->backend, "b", "PROGRESS", 1, "");
    assert_int_equal(
        backend_await(fixture->backend, ids, 3, 30 * US_PER_MS, &fixture->arena, &list, &err),
        -ERR_TIMEOUT);
    assert_non_null(strstr(err.message, "1 of 2 tasks are ready"));
    assert_int_equal(list.n_items, 77);
    (void)suite_store(fixture->backend, "b", "REVOKED", 1, "");
    assert_ok(backend_await(fixture->backend, ids, 3, INT64_MAX, &fixture->arena, &list, &err),
              err);
    assert_int_equal(list.n_items, 3);
    assert_str_equal(list.items[1].status, "REVOKED");
    assert_ok(backend_await(fixture->backend, NULL, 0, 0, &fixture->arena, &list, &err), err);
    assert_int_equal(list.n_items, 0);
}

static void
on_alarm(int number)
{
    (void)number;
}

static void
test_a_signal_ends_the_wait(void **state)
{
    static const struct str ids[] = {STR_INIT("a")};
    struct suite_fixture *fixture = *state;
    struct sigaction action = {.sa_handler = on_alarm};
    struct sigaction before;
    struct itimerval timer = {.it_value = {.tv_usec = 20000}};
    struct backend_record_list list;

    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
    assert_int_equal(
        backend_await(fixture->backend, ids, 1, 60 * US_PER_S, &fixture->arena, &list, NULL),
        -ERR_CANCELLED);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, suite_setup, suite_teardown)
const struct CMUnitTest backend_suite_watch[] = {
    TEST(test_watch),
    TEST(test_watch_does_not_tell_what_is_gone),
    TEST(test_watch_many),
    TEST(test_watch_with_a_small_arena),
    TEST(test_watch_refuses),
    TEST(test_await),
    TEST(test_a_signal_ends_the_wait),
};
const size_t n_backend_suite_watch = COUNT_OF(backend_suite_watch);
