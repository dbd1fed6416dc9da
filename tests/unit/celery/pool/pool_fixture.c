/* See pool_fixture.h.  A payload is "word" or "word:number". */

#include "tests/unit/celery/pool/pool_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/number.h"

#define WAIT_MS 10000

const struct celery_task fixture_task = {.name = "test.task"};

static void
sleep_ms(int64_t ms)
{
    clock_sleep_us(&clock_system, ms * US_PER_MS);
}

static int
spin(const struct pool_call *call, int64_t slice_ms, struct error *err)
{
    while (!call->hooks.is_cancelled(call->hooks.context))
        sleep_ms(slice_ms); /* or until a signal */
    return error_set(err, ERR_SOFT_LIMIT, "gave up");
}

static _Noreturn void
hang(void)
{
    for (;;)
        sleep_ms(1000);
}

/* The child's only socket. */
static int
find_socket(void)
{
    struct stat st;

    for (int fd = 3; fd < 1024; fd++) {
        if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
            return fd;
    }
    return -1;
}

static _Noreturn void
write_half(void)
{
    static const char head[] = {0, 1, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9};

    (void)!write(find_socket(), head, sizeof(head));
    (void)raise(SIGKILL);
    abort();
}

static void
write_nonsense(void)
{
    (void)!write(find_socket(), "this is no frame at all, is it?", 31);
    sleep_ms(5000);
}

static void
fill_result(struct buf *result, int64_t n_bytes)
{
    for (int64_t i = 0; i < n_bytes; i++)
        buf_append_char(result, (char)('a' + i % 26));
}

/* As a log does whose reader is stuck. */
static void
flood(int fd)
{
    static const char text[4096];

    while (write(fd, text, sizeof(text)) > 0)
        continue;
}

static void
take_memory(int64_t n_kib)
{
    size_t n_bytes = (size_t)n_kib * 1024;
    char *bytes = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(bytes, MAP_FAILED);
    (void)memset(bytes, 1, n_bytes);
    (void)munmap(bytes, n_bytes); /* the peak stays */
}

static void
report_progress(const struct pool_call *call, int64_t n)
{
    for (int64_t i = 1; i <= n; i++) {
        call->hooks.progress(call->hooks.context, i, n);
        sleep_ms(1);
    }
}

static void
leave_grandchild(struct buf *result)
{
    pid_t pid = fork();

    if (pid == 0)
        hang();
    buf_printf(result, "%d", (int)pid);
}

static void
count_open(struct buf *result)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    buf_printf(result, "%d", n);
}

static void
die(struct str word, int64_t number)
{
    if (str_equal(word, STR("kill")))
        (void)raise((int)number);
    if (str_equal(word, STR("segv"))) { /* past a sanitizer's handler */
        (void)signal(SIGSEGV, SIG_DFL);
        (void)raise(SIGSEGV);
    }
    if (str_equal(word, STR("exit")))
        _exit((int)number);
    if (str_equal(word, STR("half")))
        write_half();
    if (str_equal(word, STR("hang")))
        hang();
}

static int
run(void *state, const struct pool_call *call, struct buf *result, struct error *err)
{
    struct str rest = call->payload;
    struct str word;
    int64_t number = 0;

    assert_ptr_equal(state, &fixture_task);
    assert_ptr_equal(call->task, &fixture_task);
    (void)str_split(&rest, ':', &word);
    (void)!number_parse_i64(rest, &number, NULL);
    die(word, number);
    if (str_equal(word, STR("spin")))
        return spin(call, 1000, err);
    if (str_equal(word, STR("slices")))
        return spin(call, 5, err);
    if (str_equal(word, STR("fail"))) {
        buf_append(result, STR("details"));
        err->retry_after_ms = 0;
        error_ignore(error_set(err, ERR_RATE_LIMIT, "too fast"));
        err->retry_after_ms = 1500;
        return -ERR_RATE_LIMIT;
    }
    if (str_equal(word, STR("log"))) {
        for (int64_t i = 0; i < number; i++)
            log_error("line %" PRId64, i);
    }
    if (str_equal(word, STR("last-words"))) {
        log_error("so it ends");
        (void)raise(SIGKILL);
    }
    if (str_equal(word, STR("sleep")))
        sleep_ms(number);
    if (str_equal(word, STR("big")))
        fill_result(result, number);
    if (str_equal(word, STR("memory")))
        take_memory(number);
    if (str_equal(word, STR("flood")))
        flood((int)number);
    if (str_equal(word, STR("progress")))
        report_progress(call, number);
    if (str_equal(word, STR("fork")))
        leave_grandchild(result);
    if (str_equal(word, STR("fds")))
        count_open(result);
    if (str_equal(word, STR("nonsense")))
        write_nonsense();
    if (str_equal(word, STR("length")))
        buf_printf(result, "%zu", call->payload.len);
    if (str_equal(word, STR("pid")))
        buf_printf(result, "%d", (int)getpid());
    return 0;
}

static int
set_up(void *context, void **state, struct error *err)
{
    const char *trouble = getenv("POOL_FIXTURE_SETUP");

    (void)context;
    *state = (void *)(uintptr_t)&fixture_task;
    if (trouble && strcmp(trouble, "fail") == 0)
        return error_set(err, ERR_IO, "no database");
    if (trouble && strcmp(trouble, "die") == 0)
        _exit(9);
    return 0;
}

static void
on_ready(void *context, pid_t pid)
{
    struct fixture *fixture = context;

    fixture->n_ready++;
    fixture->last_ready = pid;
}

static void
on_started(void *context, uint64_t id, pid_t pid, int64_t at_us)
{
    struct seen_request *seen = &((struct fixture *)context)->requests[id];

    assert_true(pid > 0);
    assert_int_equal(seen->n_done, 0);
    seen->n_started++;
    seen->started_at_us = at_us;
}

static void
on_progress(void *context, uint64_t id, int64_t current, int64_t total)
{
    struct seen_request *seen = &((struct fixture *)context)->requests[id];

    assert_true(current <= total && current > seen->last_current);
    seen->last_current = current;
    seen->n_progress++;
}

static void
on_done(void *context, uint64_t id, const struct pool_outcome *outcome)
{
    struct fixture *fixture = context;
    struct seen_request *seen = &fixture->requests[id];

    assert_int_equal(seen->n_started, outcome->has_started);
    if (outcome->kind == POOL_RETURNED && id < fixture->resubmit_below &&
        pool_n_free(fixture->pool) && fixture_submit(fixture, id, fixture->payloads[id], 0, 0) == 0)
        return;
    seen->n_done++;
    fixture->n_done++;
    seen->outcome = *outcome;
    (void)snprintf(seen->message, sizeof(seen->message), "%.*s", STR_ARG(outcome->message));
    (void)snprintf(seen->result, sizeof(seen->result), "%.*s",
                   (int)(outcome->result.len < 63 ? outcome->result.len : 63),
                   outcome->result.ptr ? outcome->result.ptr : "");
    seen->n_result = outcome->result.len;
    for (size_t i = 0; i < outcome->result.len; i++)
        seen->result_sum += (unsigned char)outcome->result.ptr[i];
}

static void
on_logged(void *context, uint64_t id, const struct pool_log *log)
{
    struct seen_request *seen = &((struct fixture *)context)->requests[id];
    struct str lines = log->lines;
    struct journal_line line;

    assert_int_equal(seen->n_done, 0);
    assert_int_equal(seen->n_lines, 0);
    while (journal_next_line(&lines, &line)) {
        seen->n_lines++;
        (void)snprintf(seen->last_line, sizeof(seen->last_line), "%.*s", STR_ARG(line.text));
    }
    assert_int_equal(lines.len, 0);
    seen->n_dropped_lines = log->n_dropped;
}

static void
on_trouble(void *context, const struct error *err)
{
    struct fixture *fixture = context;

    fixture->n_trouble++;
    (void)snprintf(fixture->trouble, sizeof(fixture->trouble), "%s", err->message);
}

static void
on_stopped(void *context)
{
    struct fixture *fixture = context;

    assert_false(fixture->has_stopped);
    fixture->has_stopped = true;
}

static void
on_alarm(void *context)
{
    ((struct fixture *)context)->is_late = true;
}

void
fixture_init(struct fixture *fixture)
{
    struct error err;

    (void)memset(fixture, 0, sizeof(*fixture));
    fixture->requests = calloc(MAX_REQUESTS, sizeof(*fixture->requests));
    assert_non_null(fixture->requests);
    assert_ok(loop_create(&fixture->loop, &err), err);
    assert_ok(loop_timer_create(fixture->loop, on_alarm, fixture, &fixture->alarm, &err), err);
    fixture->options = (struct pool_options){
        .loop = fixture->loop,
        .runner = {.setup = set_up, .run = run},
        .events = {.ready = on_ready,
                   .started = on_started,
                   .progress = on_progress,
                   .logged = on_logged,
                   .done = on_done,
                   .trouble = on_trouble,
                   .stopped = on_stopped,
                   .context = fixture},
    };
}

void
fixture_start(struct fixture *fixture, const char *kind, size_t n_children)
{
    struct error err;

    assert_ok(pool_create(str_from_cstr(kind), &fixture->options, &fixture->pool, &err), err);
    assert_ok(pool_start(fixture->pool, n_children, &err), err);
}

void
fixture_fini(struct fixture *fixture)
{
    pool_free(fixture->pool);
    loop_timer_free(fixture->alarm);
    loop_free(fixture->loop);
    free(fixture->requests);
}

void
fixture_begin_wait(struct fixture *fixture)
{
    fixture->is_late = false;
    loop_timer_start(fixture->alarm, WAIT_MS, 0);
}

void
fixture_end_wait(struct fixture *fixture)
{
    loop_timer_stop(fixture->alarm);
}

int
fixture_submit(struct fixture *fixture, uint64_t id, const char *payload, int64_t soft_ms,
               int64_t hard_ms)
{
    struct pool_request request = {
        .id = id,
        .task = &fixture_task,
        .payload = str_from_cstr(payload),
        .soft_limit_ms = soft_ms,
        .hard_limit_ms = hard_ms,
    };

    assert_true(id < MAX_REQUESTS);
    return pool_submit(fixture->pool, &request, NULL);
}

const struct seen_request *
fixture_run(struct fixture *fixture, uint64_t id, const char *payload)
{
    struct seen_request *seen = &fixture->requests[id];

    fixture_wait(fixture, pool_n_free(fixture->pool) > 0);
    assert_int_equal(fixture_submit(fixture, id, payload, 0, 0), 0);
    fixture_wait(fixture, seen->n_done == 1);
    return seen;
}

size_t
count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}
