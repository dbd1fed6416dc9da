#include "tests/unit/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

/* A log in a directory of its own. */
struct place {
    char directory[64];
    char path[96];
    char old_path[96];
};

static void
open_place(struct place *place)
{
    struct error err;

    (void)snprintf(place->directory, sizeof(place->directory), "/tmp/trawl-log-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    (void)snprintf(place->path, sizeof(place->path), "%s/log", place->directory);
    (void)snprintf(place->old_path, sizeof(place->old_path), "%s/log.1", place->directory);
    log_configure(STDERR_FILENO, LOG_INFO, LOG_TEXT);
    assert_ok(log_open_file(place->path, &err), err);
}

static void
close_place(struct place *place)
{
    log_configure(STDERR_FILENO, LOG_INFO, LOG_TEXT);
    (void)unlink(place->path);
    (void)unlink(place->old_path);
    assert_int_equal(rmdir(place->directory), 0);
}

static size_t
count(const char *path, const char *word)
{
    struct buf text = BUF_INIT(1 << 20);
    struct error err;
    size_t n = 0;

    assert_ok(file_read(path, &text, &err), err);
    for (const char *at = buf_cstr(&text); (at = strstr(at, word)); at++)
        n++;
    buf_fini(&text);
    return n;
}

static void *
speak(void *context)
{
    (void)context;
    log_info("from a thread without a task");
    log_set_context(STR("its.task"), STR("t-2"));
    log_info("from its task");
    return NULL;
}

static void
test_context_is_a_threads_own(void **state)
{
    struct place place;
    pthread_t thread;

    (void)state;
    open_place(&place);
    log_set_context(STR("our.task"), STR("t-1"));
    assert_int_equal(pthread_create(&thread, NULL, speak, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    log_info("from our task");
    log_set_context(STR_NULL, STR_NULL);
    assert_int_equal(count(place.path, "INFO  from a thread without a task\n"), 1);
    assert_int_equal(count(place.path, "INFO  its.task[t-2] from its task\n"), 1);
    assert_int_equal(count(place.path, "INFO  our.task[t-1] from our task\n"), 1);
    close_place(&place);
}

struct heard {
    int n;
    enum log_level level;
    int64_t time_us;
    char text[64];
};

static void
hear(void *context, enum log_level level, int64_t time_us, struct str message)
{
    struct heard *heard = context;

    heard->n++;
    heard->level = level;
    heard->time_us = time_us;
    (void)snprintf(heard->text, sizeof(heard->text), "%.*s", STR_ARG(message));
}

/* Its own thread's lines, as they are written and no others. */
static void
test_listener(void **state)
{
    struct heard heard = {0};
    struct place place;
    pthread_t thread;

    (void)state;
    open_place(&place);
    log_set_listener(hear, &heard);
    log_debug("not written");
    assert_int_equal(heard.n, 0);
    log_warning("token Bearer abcdefgh\n");
    assert_int_equal(heard.n, 1);
    assert_int_equal(heard.level, LOG_WARNING);
    assert_string_equal(heard.text, "token Bearer ***\\x0a");
    assert_true(heard.time_us > 0);
    assert_int_equal(pthread_create(&thread, NULL, speak, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    log_set_listener(NULL, NULL);
    log_info("nobody hears");
    assert_int_equal(heard.n, 1);
    assert_int_equal(count(place.path, "token Bearer ***"), 1);
    close_place(&place);
}

static void
test_batch(void **state)
{
    struct place place;

    (void)state;
    open_place(&place);
    log_begin_batch();
    log_info("first");
    assert_int_equal(count(place.path, "first"), 0);
    log_error("second"); /* takes along what waits */
    assert_int_equal(count(place.path, "first"), 1);
    assert_int_equal(count(place.path, "second"), 1);
    for (int i = 0; i < 1000; i++) /* more than fits */
        log_info("many of them, and all whole: n=%04d;", i);
    assert_true(count(place.path, ";\n") > 500);
    log_flush();
    assert_int_equal(count(place.path, ";\n"), 1000);
    log_info("last");
    log_end_batch();
    assert_int_equal(count(place.path, "last"), 1);
    log_info("alone");
    assert_int_equal(count(place.path, "alone"), 1);
    close_place(&place);
}

/* What waits in the parent's batch is written once, and the child's lines go out at once. */
static void
test_fork_within_a_batch(void **state)
{
    struct place place;
    int status;
    pid_t pid;

    (void)state;
    open_place(&place);
    log_begin_batch();
    log_info("before");
    pid = fork();
    if (pid == 0) {
        log_info("child");
        _exit(count(place.path, "child") == 1 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    log_info("after");
    log_end_batch();
    assert_int_equal(count(place.path, "before"), 1);
    assert_int_equal(count(place.path, "child"), 1);
    assert_int_equal(count(place.path, "after"), 1);
    close_place(&place);
}

/* A child that was there before follows its parent to the new file. */
static void
test_reopening_reaches_children(void **state)
{
    struct place place;
    struct error err;
    int order[2], status, fd;
    pid_t pid;

    (void)state;
    open_place(&place);
    fd = log_get_fd();
    assert_int_equal(pipe(order), 0);
    pid = fork();
    if (pid == 0) {
        char byte;

        (void)close(order[1]);
        log_info("child, before");
        if (read(order[0], &byte, 1) != 1)
            _exit(1);
        log_info("child, after");
        _exit(0);
    }
    while (count(place.path, "child, before") == 0)
        (void)usleep(1000);
    assert_int_equal(rename(place.path, place.old_path), 0);
    log_info("parent, before");
    assert_ok(log_reopen(&err), err);
    assert_int_equal(log_get_fd(), fd);
    log_info("parent, after");
    assert_int_equal(write(order[1], "!", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    (void)close(order[0]);
    (void)close(order[1]);
    assert_int_equal(count(place.old_path, "before"), 2);
    assert_int_equal(count(place.old_path, "after"), 0);
    assert_int_equal(count(place.path, "parent, after"), 1);
    assert_int_equal(count(place.path, "child, after"), 1);
    close_place(&place);
}

/* Its folder is gone: the old file is still a log. */
static void
test_reopening_that_fails(void **state)
{
    struct place place;
    char moved[80];
    char path[160];
    struct error err;

    (void)state;
    open_place(&place);
    (void)snprintf(moved, sizeof(moved), "%s.moved", place.directory);
    (void)snprintf(path, sizeof(path), "%s/log", moved);
    assert_int_equal(rename(place.directory, moved), 0);
    assert_int_equal(log_reopen(&err), -ERR_NOT_FOUND);
    log_info("still there");
    assert_int_equal(count(path, "still there"), 1);
    assert_int_equal(rename(moved, place.directory), 0);
    close_place(&place);
}

static size_t
read_all(int fd, char *out, size_t n_out)
{
    ssize_t n = read(fd, out, n_out - 1);

    assert_true(n > 0);
    out[n] = '\0';
    return (size_t)n;
}

static void
test_a_full_pipe_drops_and_tells(void **state)
{
    static char text[4 << 20];
    int fds[2], flags;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    log_configure(fds[1], LOG_INFO, LOG_TEXT);
    log_never_block();
    flags = fcntl(fds[1], F_GETFL);
    assert_int_equal(flags & O_NONBLOCK, 0);
    for (int i = 0; i < 20000; i++)
        log_info("a line of some length that fills the pipe in the end: n=%d", i);
    (void)read_all(fds[0], text, sizeof(text));
    assert_null(strstr(text, "n=19999"));
    log_info("room again");
    (void)read_all(fds[0], text, sizeof(text));
    assert_non_null(strstr(text, "WARN  log was not read, lines were dropped: n="));
    assert_non_null(strstr(text, "INFO  room again\n"));
    assert_int_equal(fcntl(fds[1], F_GETFL), flags);
    (void)close(fds[0]);
    (void)close(fds[1]);
    log_configure(STDERR_FILENO, LOG_INFO, LOG_TEXT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context_is_a_threads_own),
        cmocka_unit_test(test_listener),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_fork_within_a_batch),
        cmocka_unit_test(test_reopening_reaches_children),
        cmocka_unit_test(test_reopening_that_fails),
        cmocka_unit_test(test_a_full_pipe_drops_and_tells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
