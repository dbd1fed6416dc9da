/* A child: makes itself at home, then takes a request, runs it, sends what came of it.
 *
 * It may block; nobody waits for it but its own requests.  What must be exact lies on the board
 * (board.h); what it sends is frames (frame.h).  It ends by _exit when the worker closes its half,
 * when the options say that it has served enough, or with the worker, by PR_SET_PDEATHSIG. */

#include "celery/pool/prefork_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "celery/pool/frame.h"
#include "celery/pool/proc.h"

#define MAX_KEPT_FDS    16
#define KEEP_RESULT_CAP ((size_t)256 << 10)

/* Set by SIGUSR1 and SIGTERM; for whom, the board says. */
static volatile sig_atomic_t is_interrupted;

struct child {
    const struct pool_options *options;
    struct board *board;
    int fd;
    void *state;
    uint64_t n_done;
    uint64_t serial; /* of the running request */
    struct frame_reader in;
    struct buf result;
    struct buf lines; /* of the journal, on their way */
    struct buf sends; /* of the running task */
    struct proc_title title;
    bool looks_idle;
};

static void
on_interrupt(int signal_number)
{
    (void)signal_number;
    is_interrupted = 1;
}

/* Handlers of the worker are not ours.  Without SA_RESTART, so that a task that waits in a system
 * call wakes up and looks. */
static void
reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        (void)sigaction(i, &action, NULL); /* refuses SIGKILL, SIGSTOP and libc's own */
    action.sa_handler = on_interrupt;
    (void)sigaction(SIGUSR1, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Close all descriptors but 0, 1, 2, the socket and what the options keep; 0 becomes empty. */
static void
close_inherited(const struct child *self)
{
    int kept[MAX_KEPT_FDS];
    size_t n_kept = 0;
    unsigned from = 3;
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null_fd >= 0)
        (void)dup2(null_fd, STDIN_FILENO);
    kept[n_kept++] = self->fd;
    for (size_t i = 0; i < self->options->n_keep_fds; i++)
        kept[n_kept++] = self->options->keep_fds[i];
    for (;;) { /* the gaps between them, upwards */
        unsigned next = ~0U;

        for (size_t i = 0; i < n_kept; i++) {
            if (kept[i] >= 0 && (unsigned)kept[i] >= from && (unsigned)kept[i] < next)
                next = (unsigned)kept[i];
        }
        if (next > from)
            (void)close_range(from, next - 1, 0);
        if (next == ~0U)
            break;
        from = next + 1;
    }
}

static bool
is_cancelled(void *context)
{
    const struct child *self = context;

    return is_interrupted && atomic_load(&self->board->cancel_serial) == self->serial;
}

static void
set_progress(void *context, int64_t current, int64_t total)
{
    struct child *self = context;

    board_set_progress(self->board, self->serial, current, total);
}

static _Noreturn void
leave(struct child *self, int status)
{
    if (self->options->runner.teardown && status == PREFORK_EXIT_OK)
        self->options->runner.teardown(self->state);
    _exit(status);
}

static void
send_all(struct child *self, struct iovec *parts, size_t n_parts)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = n_parts};

    while (message.msg_iovlen > 0) {
        ssize_t n = sendmsg(self->fd, &message, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            _exit(PREFORK_EXIT_SOCKET);
        while (message.msg_iovlen > 0 && (size_t)n >= message.msg_iov->iov_len) {
            n -= (ssize_t)message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen > 0) {
            message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + n;
            message.msg_iov->iov_len -= (size_t)n;
        }
    }
}

static struct iovec
iovec_of(const void *bytes, size_t n_bytes)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = n_bytes};
}

static void
send_short(struct child *self, enum frame_type type, struct str text)
{
    char bytes[FRAME_HEADER_BYTES + sizeof(((struct error *)0)->message)];
    struct buf frame = {.ptr = bytes, .cap = sizeof(bytes), .max_bytes = sizeof(bytes) - 1};
    struct iovec part;

    text = str_slice(text, 0, FRAME_MESSAGE_BYTES - 1);
    error_ignore(frame_append(&frame, type, 0, text, NULL)); /* fits: the cap says so */
    part = iovec_of(frame.ptr, frame.len);
    send_all(self, &part, 1);
}

static void
send_outcome(struct child *self, const struct frame_outcome *outcome)
{
    char head[FRAME_HEADER_BYTES + FRAME_OUTCOME_HEAD_BYTES];
    char log_head[FRAME_HEADER_BYTES + FRAME_LOG_HEAD_BYTES];
    struct pool_log log = {0};
    bool has_log = self->options->events.logged &&
                   journal_read(&self->board->journal, self->serial, &self->lines, &log);
    struct iovec parts[] = {
        iovec_of(log_head, has_log ? sizeof(log_head) : 0),
        iovec_of(log.lines.ptr, log.lines.len),
        iovec_of(head, sizeof(head)),
        iovec_of(outcome->message.ptr, outcome->message.len),
        iovec_of(outcome->sends.ptr, outcome->sends.len),
        iovec_of(outcome->result.ptr, outcome->result.len),
    };

    if (has_log)
        frame_encode_log_head(&log, self->serial, log_head);
    frame_encode_outcome_head(outcome, self->serial, head);
    send_all(self, parts, COUNT_OF(parts));
}

static int64_t
peak_rss_kib(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0;
}

static bool
has_served_enough(const struct child *self, int64_t peak_kib)
{
    const struct pool_options *options = self->options;

    return (options->max_tasks_per_child && self->n_done >= options->max_tasks_per_child) ||
           (options->max_memory_per_child_kib && peak_kib > options->max_memory_per_child_kib);
}

static void
run_task(struct child *self, const struct frame_request *request, int64_t started_us)
{
    struct pool_call call = {
        .id = request->id,
        .task = (const struct celery_task *)(uintptr_t)request->task,
        .payload = request->payload,
        .hooks = {set_progress, is_cancelled, self},
        .sends = &self->sends,
    };
    struct frame_outcome outcome = {.started_us = started_us};
    struct error err = {0};
    int rc;

    buf_clear(&self->result);
    if (self->options->events.logged)
        journal_begin(&self->board->journal, self->serial);
    buf_clear(&self->sends);
    rc = self->options->runner.run(self->state, &call, &self->result, &err);
    journal_end();
    if (rc == 0)
        rc = buf_status(&self->result, &err);
    if (self->result.rc < 0)
        buf_clear(&self->result); /* half a result is none */
    if (rc < 0) {
        outcome.code = -rc;
        outcome.message = str_slice(str_from_cstr(err.message), 0, FRAME_MESSAGE_BYTES);
        outcome.retry_after_ms = err.retry_after_ms > 0 ? err.retry_after_ms : 0;
    }
    outcome.result = buf_str(&self->result);
    outcome.sends = buf_str(&self->sends);
    outcome.runtime_us = clock_mono_us(&clock_system) - started_us;
    outcome.peak_rss_kib = peak_rss_kib();
    self->n_done++;
    outcome.is_leaving = has_served_enough(self, outcome.peak_rss_kib);
    send_outcome(self, &outcome);
    if (outcome.is_leaving)
        leave(self, PREFORK_EXIT_OK);
    if (self->result.cap > KEEP_RESULT_CAP)
        buf_fini(&self->result);
    if (self->sends.cap > KEEP_RESULT_CAP)
        buf_fini(&self->sends);
}

static void
take_request(struct child *self, const struct frame *frame)
{
    struct frame_request request;
    int64_t now_us = clock_mono_us(&clock_system);
    const struct celery_task *task;

    if (frame->type != FRAME_REQUEST || frame_decode_request(frame->payload, &request, NULL) < 0)
        _exit(PREFORK_EXIT_SOCKET);
    is_interrupted = 0; /* what came before was for another */
    self->serial = frame->serial;
    if (!board_start(self->board, frame->serial, now_us))
        return; /* revoked meanwhile */
    task = (const struct celery_task *)(uintptr_t)request.task;
    proc_title_set(&self->title, STR("trawl worker"), str_from_cstr(task->name));
    self->looks_idle = false;
    run_task(self, &request, now_us);
}

/* Wait for bytes of the worker. */
static void
receive(struct child *self)
{
    size_t n_room;
    char *space = frame_reader_space(&self->in, &n_room);
    ssize_t n;

    if (!space)
        _exit(PREFORK_EXIT_SOCKET); /* out of memory: what has not started goes back */
    if (!self->looks_idle)
        proc_title_set(&self->title, STR("trawl worker"), STR("idle"));
    self->looks_idle = true;
    do
        n = recv(self->fd, space, n_room, 0);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        leave(self, PREFORK_EXIT_OK);
    if (n < 0)
        _exit(PREFORK_EXIT_SOCKET);
    frame_reader_commit(&self->in, (size_t)n);
}

static void
make_home(struct child *self, const struct prefork_child_start *start)
{
    (void)setpgid(0, 0); /* so that a kill reaches what a task has forked */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != start->worker_pid)
        _exit(PREFORK_EXIT_SOCKET); /* it died before the line above */
    close_inherited(self);
    if (start->has_oom_score)
        proc_set_oom_score(start->oom_score);
    (void)prctl(PR_SET_NAME, "trawl child");
    proc_title_find(&self->title);
    reset_signals();
}

void
prefork_child_main(const struct prefork_child_start *start)
{
    struct child self = {.options = start->options, .board = start->board, .fd = start->fd};
    const struct pool_runner *runner = &start->options->runner;
    struct error err = {0};
    struct frame frame;
    int rc;

    make_home(&self, start);
    frame_reader_init(&self.in, self.options->max_payload_bytes + FRAME_REQUEST_HEAD_BYTES);
    buf_init(&self.result, self.options->max_payload_bytes);
    buf_init(&self.lines, JOURNAL_BYTES);
    buf_init(&self.sends, CELERY_SENDS_BYTES);
    if (runner->setup && runner->setup(runner->context, &self.state, &err) < 0) {
        send_short(&self, FRAME_FAILED, str_from_cstr(err.message));
        _exit(PREFORK_EXIT_SETUP);
    }
    send_short(&self, FRAME_READY, STR_NULL);
    for (;;) {
        rc = frame_reader_next(&self.in, &frame, NULL);
        if (rc < 0)
            _exit(PREFORK_EXIT_SOCKET);
        if (rc > 0)
            take_request(&self, &frame);
        else
            receive(&self);
    }
}
