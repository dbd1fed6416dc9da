/* The suite's tests with more than one process: waking, killing, forking. */

#include "tests/unit/celery/backend/backend_suite.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define N_WAKES     20
#define WAKE_US     (50 * US_PER_MS) /* the median; a wake-up takes a millisecond or two */
#define BATCH       10
#define N_KILLS     8
#define N_WRITERS   3
#define N_PER_CHILD 60

/* Wait for the child and check that it left with 0. */
static void
reap(pid_t pid)
{
    int status = -1;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Store id-0, id-1, ... each when the parent asks for it, telling the moment before. */
static void
answer(const struct suite_fixture *fixture, int requests, int replies)
{
    struct backend *backend = NULL;
    unsigned char number;

    if (backend_open(str_from_cstr(fixture->place.url), &fixture->options, &backend, NULL) < 0)
        _exit(1);
    while (read(requests, &number, 1) == 1) {
        char text[SUITE_DOCUMENT_BYTES];
        char id[32];
        struct backend_record record;
        int64_t now_us;

        (void)snprintf(id, sizeof(id), "id-%d", number);
        record = suite_record(id, "SUCCESS", 1, "", text);
        clock_sleep_us(&clock_system, 5 * US_PER_MS); /* the parent waits by then, as a rule */
        now_us = clock_mono_us(&clock_system);
        if (backend_store(backend, &record, 1, NULL, NULL) < 0 ||
            write(replies, &now_us, sizeof(now_us)) != sizeof(now_us))
            _exit(2);
    }
    backend_close(backend);
    _exit(0);
}

static int
compare_times(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static void
test_wakes_across_processes(void **state)
{
    struct suite_fixture *fixture = *state;
    int64_t spans_us[N_WAKES];
    int requests[2];
    int replies[2];
    pid_t pid;

    assert_int_equal(pipe(requests), 0);
    assert_int_equal(pipe(replies), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(requests[1]);
        answer(fixture, requests[0], replies[1]);
    }
    (void)close(requests[0]);
    for (unsigned char i = 0; i < N_WAKES; i++) {
        struct backend_record_list list;
        struct error err;
        char text[32];
        struct str id;
        int64_t sent_us;

        (void)snprintf(text, sizeof(text), "id-%d", i);
        id = str_from_cstr(text);
        assert_int_equal(write(requests[1], &i, 1), 1);
        assert_ok(
            backend_await(fixture->backend, &id, 1, 10 * US_PER_S, &fixture->arena, &list, &err),
            err);
        spans_us[i] = clock_mono_us(&clock_system);
        assert_int_equal(list.n_items, 1);
        assert_int_equal(read(replies[0], &sent_us, sizeof(sent_us)), sizeof(sent_us));
        spans_us[i] -= sent_us;
    }
    (void)close(requests[1]);
    (void)close(replies[0]);
    (void)close(replies[1]);
    reap(pid);
    qsort(spans_us, N_WAKES, sizeof(*spans_us), compare_times);
    print_message("# from store to wake-up: median %lld us, greatest %lld us\n",
                  (long long)spans_us[N_WAKES / 2], (long long)spans_us[N_WAKES - 1]);
    assert_true(spans_us[N_WAKES / 2] < WAKE_US);
}

/* A task that is ready twice (given up, then it has succeeded) counts once. */
static void
test_await_counts_a_task_once(void **state)
{
    static const struct str ids[] = {STR_INIT("a"), STR_INIT("b")};
    static const struct {
        const char *id;
        const char *status;
    } steps[] = {{"a", "FAILURE"}, {"a", "SUCCESS"}, {"b", "SUCCESS"}};
    struct suite_fixture *fixture = *state;
    struct backend_record_list list;
    struct error err;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct backend *backend = NULL;

        if (backend_open(str_from_cstr(fixture->place.url), &fixture->options, &backend, NULL) < 0)
            _exit(1);
        for (size_t i = 0; i < COUNT_OF(steps); i++) {
            char text[SUITE_DOCUMENT_BYTES];
            struct backend_record record = suite_record(steps[i].id, steps[i].status, 1, "", text);

            clock_sleep_us(&clock_system, 50 * US_PER_MS);
            if (backend_store(backend, &record, 1, NULL, NULL) < 0)
                _exit(2);
        }
        _exit(0);
    }
    assert_ok(backend_await(fixture->backend, ids, 2, 10 * US_PER_S, &fixture->arena, &list, &err),
              err);
    assert_int_equal(list.n_items, 2);
    reap(pid);
}

/* The descriptor alone: it stays silent until there is news, and then is readable. */
static void
test_descriptor(void **state)
{
    static const struct str ids[] = {STR_INIT("a")};
    struct suite_fixture *fixture = *state;
    struct backend *other = suite_open(fixture);
    struct backend_record_list list;
    struct backend_wait wait;
    struct pollfd poll_fd;
    struct error err;

    assert_ok(backend_watch(fixture->backend, ids, 1, &err), err);
    assert_ok(backend_take_changes(fixture->backend, &fixture->arena, &list, &err), err);
    backend_get_wait(fixture->backend, &wait);
    assert_true(wait.fd >= 0);
    assert_true(wait.deadline_us > clock_mono_us(&clock_system));
    poll_fd = (struct pollfd){.fd = wait.fd, .events = wait.events};
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    (void)suite_store(other, "a", "STARTED", 1, "");
    assert_int_equal(poll(&poll_fd, 1, 10000), 1);
    assert_ok(backend_take_changes(fixture->backend, &fixture->arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    backend_close(other);
}

/* Store batches without end, telling each one that is durable. */
static void
store_for_ever(const struct suite_fixture *fixture, int replies, int round)
{
    struct backend *backend = NULL;

    if (backend_open(str_from_cstr(fixture->place.url), &fixture->options, &backend, NULL) < 0)
        _exit(1);
    for (int batch = 0;; batch++) {
        char texts[BATCH][SUITE_DOCUMENT_BYTES];
        char ids[BATCH][64];
        struct backend_record records[BATCH];

        for (int i = 0; i < BATCH; i++) {
            (void)snprintf(ids[i], sizeof(ids[i]), "%d-%d-%d", round, batch, i);
            records[i] = suite_record(ids[i], "SUCCESS", 1, "", texts[i]);
        }
        if (backend_store(backend, records, BATCH, NULL, NULL) < 0 ||
            write(replies, &batch, sizeof(batch)) != sizeof(batch))
            _exit(2);
    }
}

static size_t
count_batch(struct suite_fixture *fixture, int round, int batch)
{
    size_t n = 0;

    for (int i = 0; i < BATCH; i++) {
        char id[64];

        (void)snprintf(id, sizeof(id), "%d-%d-%d", round, batch, i);
        n += suite_get(fixture, id).task_id.ptr != NULL;
    }
    return n;
}

/* What was said to be stored is there after a SIGKILL, the batch at hand wholly or not at all, and
 * the others go on at once. */
static void
test_killed_writer(void **state)
{
    struct suite_fixture *fixture = *state;

    for (int round = 0; round < N_KILLS; round++) {
        int last = -1;
        int replies[2];
        int status;
        size_t n;
        pid_t pid;

        assert_int_equal(pipe(replies), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            store_for_ever(fixture, replies[1], round);
        (void)close(replies[1]);
        assert_int_equal(read(replies[0], &last, sizeof(last)), sizeof(last));
        clock_sleep_us(&clock_system, round * 1700);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        while (read(replies[0], &last, sizeof(last)) == sizeof(last))
            continue;
        (void)close(replies[0]);
        for (int batch = 0; batch <= last; batch++)
            assert_int_equal(count_batch(fixture, round, batch), BATCH);
        n = count_batch(fixture, round, last + 1);
        assert_true(n == 0 || n == BATCH);
        assert_int_equal(count_batch(fixture, round, last + 2), 0);
        assert_int_equal(suite_store(fixture->backend, "after", "PROGRESS", round + 1, ""),
                         BACKEND_STORED);
    }
}

/* All store the same ids, one of them its SUCCESS. */
static void
compete(const struct suite_fixture *fixture, int writer)
{
    static const char *const statuses[N_WRITERS] = {"SUCCESS", "FAILURE", "STARTED"};
    struct backend *backend = NULL;

    if (backend_open(str_from_cstr(fixture->place.url), &fixture->options, &backend, NULL) < 0)
        _exit(1);
    for (int i = 0; i < N_PER_CHILD; i++) {
        char text[SUITE_DOCUMENT_BYTES];
        char id[64];
        struct backend_record record;

        (void)snprintf(id, sizeof(id), "id-%d", writer == 0 ? i : N_PER_CHILD - 1 - i);
        record = suite_record(id, statuses[writer], writer + 1, "", text);
        if (backend_store(backend, &record, 1, NULL, NULL) < 0)
            _exit(2);
    }
    backend_close(backend);
    _exit(0);
}

static void
test_competing_writers(void **state)
{
    struct suite_fixture *fixture = *state;
    pid_t pids[N_WRITERS];

    for (int i = 0; i < N_WRITERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            compete(fixture, i);
    }
    for (int i = 0; i < N_WRITERS; i++)
        reap(pids[i]);
    for (int i = 0; i < N_PER_CHILD; i++) {
        char id[64];

        (void)snprintf(id, sizeof(id), "id-%d", i);
        assert_str_equal(suite_get(fixture, id).status, "SUCCESS");
    }
}

/* A child that abandons the handle and dies disturbs nobody. */
static void
test_abandon(void **state)
{
    static const struct str ids[] = {STR_INIT("a")};
    struct suite_fixture *fixture = *state;
    struct backend_record_list list;
    struct error err;
    pid_t pid;

    (void)suite_store(fixture->backend, "a", "STARTED", 1, "");
    assert_ok(backend_watch(fixture->backend, ids, 1, &err), err);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        backend_abandon(fixture->backend);
        _exit(0);
    }
    reap(pid);
    (void)suite_store(fixture->backend, "a", "SUCCESS", 1, "");
    assert_ok(backend_take_changes(fixture->backend, &fixture->arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    assert_str_equal(list.items[0].status, "SUCCESS");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, suite_setup, suite_teardown)
const struct CMUnitTest backend_suite_processes[] = {
    TEST(test_wakes_across_processes), TEST(test_await_counts_a_task_once), TEST(test_descriptor),
    TEST(test_killed_writer),          TEST(test_competing_writers),        TEST(test_abandon),
};
const size_t n_backend_suite_processes = COUNT_OF(backend_suite_processes);
