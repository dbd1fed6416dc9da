/* celery/pool/prefork: every kind of death at every moment, and what must not be left behind. */

#include "tests/unit/celery/pool/pool_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/number.h"

static void
test_deaths_in_a_task(void **state)
{
    static const struct {
        const char *payload;
        const char *message;
        int signal;
        int exit_status;
    } rows[] = {
        {"segv", "Worker exited prematurely: signal 11 (SIGSEGV)", SIGSEGV, 0},
        {"kill:6", "Worker exited prematurely: signal 6 (SIGABRT)", SIGABRT, 0},
        {"kill:9", "Worker exited prematurely: signal 9 (SIGKILL), possibly out of memory", SIGKILL,
         0},
        {"exit:3", "Worker exited prematurely: exitcode 3", 0, 3},
        {"exit:0", "Worker exited prematurely: exitcode 0", 0, 0},
        {"half", "Worker exited prematurely: signal 9 (SIGKILL), possibly out of memory", SIGKILL,
         0},
    };
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 1);
    for (uint64_t i = 0; i < COUNT_OF(rows); i++) {
        const struct seen_request *seen = fixture_run(&fixture, i, rows[i].payload);
        int64_t dead_us = clock_mono_us(&clock_system);

        assert_int_equal(seen->outcome.kind, POOL_LOST);
        assert_true(seen->outcome.has_started);
        assert_string_equal(seen->message, rows[i].message);
        assert_int_equal(seen->outcome.signal, rows[i].signal);
        assert_int_equal(seen->outcome.exit_status, rows[i].exit_status);
        assert_true(seen->outcome.peak_rss_kib > 0);
        fixture_wait(&fixture, fixture.n_ready == i + 2);
        assert_true(clock_mono_us(&clock_system) - dead_us < 100 * US_PER_MS);
    }
    assert_int_equal(fixture.n_trouble, 0);
    fixture_fini(&fixture);
}

/* Killed from outside before it could start what it was sent. */
/* Killed in the middle: all that it had logged is there. */
static void
test_last_lines(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    assert_int_equal(fixture_run(&fixture, 1, "last-words")->outcome.kind, POOL_LOST);
    assert_int_equal(fixture.requests[1].n_lines, 1);
    assert_string_equal(fixture.requests[1].last_line, "so it ends");
    fixture_fini(&fixture);
}

static void
test_death_before_start(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture.options.child_prefetch = 2;
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    (void)kill(fixture.last_ready, SIGSTOP);
    for (uint64_t id = 1; id < 4; id++)
        assert_int_equal(fixture_submit(&fixture, id, "sleep:0", 0, 0), 0);
    loop_run_once(fixture.loop);
    (void)kill(fixture.last_ready, SIGKILL);
    fixture_wait(&fixture, fixture.n_done == 3);
    for (uint64_t id = 1; id < 4; id++) {
        assert_int_equal(fixture.requests[id].outcome.kind, POOL_RETURNED);
        assert_false(fixture.requests[id].outcome.has_started);
    }
    fixture_wait(&fixture, fixture.n_ready == 2);
    assert_int_equal(fixture_run(&fixture, 4, "sleep:0")->outcome.kind, POOL_OK);
    fixture_fini(&fixture);
}

/* What stands behind the task that dies has not started, and says so. */
static void
test_death_with_a_queue(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture.options.child_prefetch = 2;
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    assert_int_equal(fixture_submit(&fixture, 1, "big:100", 0, 0), 0);
    assert_int_equal(fixture_submit(&fixture, 2, "segv", 0, 0), 0);
    assert_int_equal(fixture_submit(&fixture, 3, "sleep:0", 0, 0), 0);
    fixture_wait(&fixture, fixture.n_done == 3);
    assert_int_equal(fixture.requests[1].outcome.kind, POOL_OK);
    assert_int_equal(fixture.requests[2].outcome.kind, POOL_LOST);
    assert_int_equal(fixture.requests[3].outcome.kind, POOL_RETURNED);
    fixture_fini(&fixture);
}

static void
test_nonsense_from_a_child(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 1);
    assert_int_equal(fixture_run(&fixture, 1, "nonsense")->outcome.kind, POOL_LOST);
    assert_int_equal(fixture.n_trouble, 1);
    assert_non_null(strstr(fixture.trouble, "frame"));
    assert_int_equal(fixture_run(&fixture, 2, "sleep:0")->outcome.kind, POOL_OK);
    fixture_fini(&fixture);
}

/* A thousand requests while children are shot at random: each one ends exactly once. */
static void
test_random_kills(void **state)
{
    enum { N = 1000 };
    struct fixture fixture;
    size_t n_fds = count_fds();
    size_t n_lost = 0;
    size_t n_ok = 0;
    uint64_t next = 0;
    unsigned seed = 7;

    (void)state;
    fixture_init(&fixture);
    fixture.options.child_prefetch = 3;
    fixture.resubmit_below = 0;
    fixture_start(&fixture, "prefork", 3);
    while (fixture.n_done < N) {
        struct pool_child_stats stats[8];
        size_t n_children;

        fixture_begin_wait(&fixture);
        while (next < N && pool_n_free(fixture.pool) > 0) {
            char payload[32];

            (void)snprintf(payload, sizeof(payload), next % 7 ? "big:%u" : "sleep:%u",
                           next % 7 ? (unsigned)rand_r(&seed) % 300000 : (unsigned)next % 3);
            assert_int_equal(fixture_submit(&fixture, next++, payload, 0, 0), 0);
        }
        loop_run_once(fixture.loop);
        n_children = pool_stats(fixture.pool, stats, COUNT_OF(stats));
        if (rand_r(&seed) % 8 == 0 && n_children > 0)
            (void)kill(stats[(size_t)rand_r(&seed) % n_children].pid, SIGKILL);
        assert_false(fixture.is_late);
    }
    fixture_end_wait(&fixture);
    pool_drain(fixture.pool);
    fixture_wait(&fixture, fixture.has_stopped);
    for (uint64_t id = 0; id < N; id++) {
        const struct pool_outcome *outcome = &fixture.requests[id].outcome;

        assert_int_equal(fixture.requests[id].n_done, 1);
        assert_int_equal(fixture.requests[id].n_started, outcome->has_started);
        assert_true(outcome->kind == POOL_OK || outcome->kind == POOL_LOST ||
                    outcome->kind == POOL_RETURNED);
        assert_int_equal(outcome->has_started, outcome->kind != POOL_RETURNED);
        n_lost += outcome->kind != POOL_OK;
        n_ok += outcome->kind == POOL_OK;
    }
    print_message("# %zu done, %zu lost or returned\n", n_ok, n_lost);
    assert_true(n_ok > 0 && n_lost > 0);
    fixture_fini(&fixture);
    assert_int_equal(count_fds(), n_fds);
}

static void
test_setup_that_fails(void **state)
{
    static const struct {
        const char *how;
        const char *why;
    } rows[] = {{"fail", "cannot start: no database"}, {"die", "died at its start: exit status 9"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fixture fixture;
        int64_t end_us = clock_mono_us(&clock_system) + US_PER_S;

        (void)setenv("POOL_FIXTURE_SETUP", rows[i].how, 1);
        fixture_init(&fixture);
        fixture_start(&fixture, "prefork", 2);
        while (clock_mono_us(&clock_system) < end_us)
            loop_run_once(fixture.loop);
        /* 50, 100, 200, 400 ms: no storm of forks. */
        assert_in_range(fixture.n_trouble, 2, 12);
        assert_non_null(strstr(fixture.trouble, rows[i].why));
        assert_int_equal(pool_n_free(fixture.pool), 0);
        (void)unsetenv("POOL_FIXTURE_SETUP");
        fixture_wait(&fixture, fixture.n_ready == 2); /* recovers by itself */
        fixture_fini(&fixture);
    }
}

static void
test_no_descriptors(void **state)
{
    struct fixture fixture;
    struct rlimit before, none;

    (void)state;
    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)count_fds() - 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(pool_resize(fixture.pool, 2, NULL), 0);
    assert_true(fixture.n_trouble > 0);
    assert_int_equal(fixture_run(&fixture, 1, "sleep:0")->outcome.kind, POOL_OK);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    fixture_wait(&fixture, fixture.n_ready == 2);
    fixture_fini(&fixture);
}

static bool
is_gone(pid_t pid)
{
    char path[64], text[512];
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n <= 0 || strstr(text, ") Z ") != NULL; /* a zombie of init runs nothing */
}

/* True if it was gone within the time. */
static bool
wait_gone(pid_t pid, int64_t ms)
{
    int64_t end_us = clock_mono_us(&clock_system) + ms * US_PER_MS;

    while (!is_gone(pid)) {
        if (clock_mono_us(&clock_system) > end_us)
            return false;
        clock_sleep_us(&clock_system, US_PER_MS);
    }
    return true;
}

/* What a task has forked ends with its child. */
static void
test_grandchildren(void **state)
{
    struct fixture fixture;
    int64_t pid = 0;

    (void)state;
    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 1);
    assert_int_equal(
        number_parse_i64(str_from_cstr(fixture_run(&fixture, 1, "fork")->result), &pid, NULL), 0);
    assert_false(is_gone((pid_t)pid));
    assert_int_equal(fixture_run(&fixture, 2, "kill:9")->outcome.kind, POOL_LOST);
    assert_true(wait_gone((pid_t)pid, 1000));
    fixture_fini(&fixture);
}

static _Noreturn void
be_a_worker(int pipe_fd)
{
    struct fixture fixture;
    struct pool_child_stats stats[2];

    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 2);
    fixture_wait(&fixture, fixture.n_ready == 2);
    (void)fixture_submit(&fixture, 1, "hang", 0, 0); /* one busy, one idle */
    fixture_wait(&fixture, fixture.requests[1].n_started == 1);
    (void)pool_stats(fixture.pool, stats, 2);
    for (size_t i = 0; i < 2; i++)
        (void)!write(pipe_fd, &stats[i].pid, sizeof(stats[i].pid));
    for (;;)
        (void)pause();
}

static void
test_children_die_with_the_worker(void **state)
{
    int fds[2];
    pid_t pids[2];
    pid_t worker;

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    worker = fork();
    if (worker == 0)
        be_a_worker(fds[1]);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(read(fds[0], &pids[i], sizeof(pids[i])), sizeof(pids[i]));
    assert_int_equal(kill(worker, SIGKILL), 0);
    assert_int_equal(waitpid(worker, NULL, 0), worker);
    assert_true(wait_gone(pids[0], 100));
    assert_true(wait_gone(pids[1], 100));
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* A child has 0, 1, 2, its socket, and what it was told to keep; the worker leaks nothing. */
static void
test_descriptors(void **state)
{
    struct fixture fixture;
    size_t n_before = count_fds();
    int kept = open("/dev/null", O_RDONLY); /* not close-on-exec: ours is to close it */
    int stray = open("/dev/null", O_RDONLY);

    (void)state;
    assert_true(kept > 2 && stray > 2);
    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 2);
    assert_string_equal(fixture_run(&fixture, 1, "fds")->result, "4");
    fixture_fini(&fixture);

    fixture_init(&fixture);
    fixture.options.keep_fds = &kept;
    fixture.options.n_keep_fds = 1;
    fixture_start(&fixture, "prefork", 2);
    assert_string_equal(fixture_run(&fixture, 1, "fds")->result, "5");
    for (uint64_t id = 2; id < 20; id++)
        (void)fixture_run(&fixture, id, id % 2 ? "exit:1" : "sleep:0");
    pool_drain(fixture.pool);
    fixture_wait(&fixture, fixture.has_stopped);
    fixture_fini(&fixture);
    (void)close(kept);
    (void)close(stray);
    assert_int_equal(count_fds(), n_before);
}

/* A child whose worker does not read blocks alone; a worker whose child does not read goes on. */
static void
test_child_that_does_not_read(void **state)
{
    struct fixture fixture;
    size_t n_bytes = (size_t)4 << 20;
    char *bytes = malloc(n_bytes + 1);
    pid_t stopped;

    (void)state;
    assert_non_null(bytes);
    (void)memset(bytes, 'x', n_bytes);
    (void)memcpy(bytes, "length:", 7);
    bytes[n_bytes] = '\0';
    fixture_init(&fixture);
    fixture_start(&fixture, "prefork", 1);
    fixture_wait(&fixture, fixture.n_ready == 1);
    stopped = fixture.last_ready;
    (void)kill(stopped, SIGSTOP);
    assert_int_equal(fixture_submit(&fixture, 1, bytes, 0, 0), 0);
    assert_int_equal(pool_resize(fixture.pool, 2, NULL), 0);
    fixture_wait(&fixture, fixture.n_ready == 2);
    assert_int_equal(fixture_run(&fixture, 2, "sleep:0")->outcome.kind, POOL_OK);
    assert_int_equal(fixture.requests[1].n_done, 0);
    (void)kill(stopped, SIGCONT);
    fixture_wait(&fixture, fixture.requests[1].n_done == 1);
    assert_string_equal(fixture.requests[1].result, "4194304");
    free(bytes);
    fixture_fini(&fixture);
}

/* A log pipe that nobody reads blocks the task that writes, until its limit. */
static void
test_blocked_log(void **state)
{
    struct fixture fixture;
    char payload[32];
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    fixture_init(&fixture);
    fixture.options.keep_fds = &fds[1];
    fixture.options.n_keep_fds = 1;
    fixture_start(&fixture, "prefork", 2);
    fixture_wait(&fixture, fixture.n_ready == 2);
    (void)snprintf(payload, sizeof(payload), "flood:%d", fds[1]);
    assert_int_equal(fixture_submit(&fixture, 1, payload, 0, 200), 0);
    for (uint64_t id = 2; id < 10; id++)
        assert_int_equal(fixture_run(&fixture, id, "sleep:0")->outcome.kind, POOL_OK);
    assert_int_equal(fixture.requests[1].n_done, 0);
    fixture_wait(&fixture, fixture.requests[1].n_done == 1);
    assert_int_equal(fixture.requests[1].outcome.kind, POOL_HARD_LIMIT);
    fixture_fini(&fixture);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

int
main(void)
{
    const struct CMUnitTest rows[] = {
        cmocka_unit_test(test_deaths_in_a_task),
        cmocka_unit_test(test_death_before_start),
        cmocka_unit_test(test_last_lines),
        cmocka_unit_test(test_death_with_a_queue),
        cmocka_unit_test(test_nonsense_from_a_child),
        cmocka_unit_test(test_random_kills),
        cmocka_unit_test(test_setup_that_fails),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_grandchildren),
        cmocka_unit_test(test_children_die_with_the_worker),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_child_that_does_not_read),
        cmocka_unit_test(test_blocked_log),
    };

    return cmocka_run_group_tests(rows, NULL, NULL);
}
