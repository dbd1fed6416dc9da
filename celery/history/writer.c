/* Reads records, gathers them for a moment, writes a batch in one transaction; between batches it
 * removes what is too old, a few rows at a time. */

#include "celery/history/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/timestamp.h"
#include "celery/history/history.h"
#include "celery/pool/journal.h"
#include "celery/pool/proc.h"

#define IN_BYTES       ((size_t)4 << 20) /* held while the store cannot be written */
#define READ_BYTES     ((size_t)64 << 10)
#define BATCH_RECORDS  ((size_t)1000)
#define BATCH_BYTES    ((size_t)512 << 10) /* that do not wait for more */
#define GATHER_US      (200 * US_PER_MS)
#define RETRY_MIN_US   (250 * US_PER_MS)
#define RETRY_MAX_US   (10 * US_PER_S)
#define LAST_TRIES     4 /* once the worker is gone */
#define CLEAN_ROWS     ((size_t)500)
#define CLEAN_AGAIN_US (20 * US_PER_MS)
#define CLEAN_EVERY_US (10 * US_PER_S)
#define DAY_US         (INT64_C(86400) * US_PER_S)
#define NICENESS       5 /* tasks go first */

struct writer {
    const struct history_settings *settings;
    struct history *history; /* NULL: to be opened */
    int fd;
    bool is_ending; /* nothing more comes */
    struct buf in;
    int64_t gather_until_us; /* monotonic, as all below; 0 = nothing is gathered */
    int64_t retry_at_us;
    int64_t retry_span_us; /* 0 = all is well */
    int64_t clean_at_us;
    struct arena arena;
};

/* The latest lines of a journal as text: "date level text", one a line. */
static int
format_lines(struct history_record *record, struct arena *arena, struct error *err)
{
    static const char *const levels[] = {"debug  ", "info   ", "warning", "error  "};
    CLEANUP(buf_fini) struct buf out = BUF_INIT(HISTORY_LINES_BYTES);
    struct str rest = record->lines;
    struct journal_line line;
    int64_t n_lines = 0;
    bool ok = true;

    while (journal_next_line(&rest, &line))
        n_lines++;
    rest = record->lines;
    for (int64_t i = 0; journal_next_line(&rest, &line); i++) {
        char when[TIMESTAMP_TEXT_BYTES];

        if (n_lines - i > HISTORY_LINES_MAX)
            continue;
        buf_printf(&out, "%s %s %.*s\n", timestamp_format(line.time_us, when), levels[line.level],
                   STR_ARG(line.text));
    }
    if (n_lines > HISTORY_LINES_MAX)
        record->n_dropped += n_lines - HISTORY_LINES_MAX;
    record->lines = out.len ? arena_dup(arena, buf_str(&out), &ok) : STR_NULL;
    if (out.rc < 0 || !ok)
        return error_set(err, ERR_NOMEM, "no memory for log lines");
    return 0;
}

static int
open_history(struct writer *self, struct error *err)
{
    return self->history ? 0
                         : history_open(self->settings->url, HISTORY_WRITES, &self->history, err);
}

/* Decode what is there, BATCH_RECORDS at most; *n_taken bytes of it. */
static int
take_batch(struct writer *self, struct history_record *records, size_t *n_records, size_t *n_taken,
           struct error *err)
{
    struct str rest = buf_str(&self->in);
    size_t n_bytes;
    int rc = 0;

    *n_records = *n_taken = 0;
    while (*n_records < BATCH_RECORDS &&
           (rc = history_record_decode(rest, &records[*n_records], &n_bytes, err)) == 1) {
        rc = format_lines(&records[(*n_records)++], &self->arena, err);
        if (rc < 0)
            break;
        *n_taken += n_bytes;
        rest = str_slice(rest, n_bytes, rest.len);
    }
    return rc < 0 ? rc : 0;
}

static void
drop_front(struct buf *buf, size_t n_bytes)
{
    buf->len -= n_bytes;
    (void)memmove(buf->ptr, buf->ptr + n_bytes, buf->len);
}

/* A failure that may pass: keep all and try again, told once. */
static void
try_later(struct writer *self, int rc, const struct error *err)
{
    bool is_first = self->retry_span_us == 0;

    self->retry_span_us = is_first ? RETRY_MIN_US : 2 * self->retry_span_us;
    if (self->retry_span_us > RETRY_MAX_US)
        self->retry_span_us = RETRY_MAX_US;
    self->retry_at_us = clock_mono_us(&clock_system) + self->retry_span_us;
    if (is_first)
        log_warning("history cannot be written, it is tried again: reason=%s", err->message);
    if (rc != -ERR_BUSY) { /* a handle may have seen a failed sync: a new one starts afresh */
        history_close(self->history);
        self->history = NULL;
    }
}

/* One batch; false when there is none, or it did not work. */
static bool
write_batch(struct writer *self)
{
    static struct history_record records[BATCH_RECORDS];
    struct error err = {0};
    size_t n_records, n_taken;
    int rc;

    arena_reset(&self->arena);
    rc = take_batch(self, records, &n_records, &n_taken, &err);
    if (rc < 0) { /* the stream is lost */
        log_error("history records make no sense, they are dropped: reason=%s", err.message);
        buf_clear(&self->in);
        self->is_ending = true; /* the worker starts another writer */
        return false;
    }
    if (n_records == 0)
        return false;
    rc = open_history(self, &err);
    if (rc == 0)
        rc = history_put(self->history, records, n_records, &err);
    if (rc < 0) {
        try_later(self, rc, &err);
        return false;
    }
    if (self->retry_span_us)
        log_info("history is written again");
    self->retry_span_us = 0;
    drop_front(&self->in, n_taken);
    return true;
}

static void
clean(struct writer *self, int64_t now_us)
{
    const struct history_settings *settings = self->settings;
    struct history_limits limits = {
        .oldest_us = INT64_MIN,
        .max_rows = settings->max_rows,
        .n_most = CLEAN_ROWS,
    };
    struct error err = {0};
    size_t n_removed = 0;
    int rc;

    if (settings->keep_days)
        limits.oldest_us = clock_now_us(&clock_system) - settings->keep_days * DAY_US;
    rc = open_history(self, &err);
    if (rc == 0)
        rc = history_clean(self->history, &limits, &n_removed, &err);
    if (rc < 0)
        try_later(self, rc, &err);
    else
        self->retry_span_us = 0;
    self->clean_at_us = now_us + (n_removed >= CLEAN_ROWS ? CLEAN_AGAIN_US : CLEAN_EVERY_US);
}

/* What there is room for; is_ending once there will be no more. */
static void
read_input(struct writer *self)
{
    char *space = buf_reserve(&self->in, READ_BYTES);
    ssize_t n;

    if (!space) { /* the worker drops what comes now */
        self->in.rc = 0;
        return;
    }
    do
        n = recv(self->fd, space, READ_BYTES, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        self->is_ending = true;
    else
        buf_commit(&self->in, (size_t)n);
}

static bool
has_room(const struct writer *self)
{
    return self->in.len + READ_BYTES < IN_BYTES;
}

static void
wait_for_work(struct writer *self, int64_t due_us)
{
    bool is_reading = has_room(self);
    struct pollfd input = {.fd = self->fd, .events = is_reading ? POLLIN : 0};
    int64_t wait_us = due_us - clock_mono_us(&clock_system);
    int wait_ms = wait_us > 0 ? (int)((wait_us + US_PER_MS - 1) / US_PER_MS) : 0;

    if (poll(&input, 1, wait_ms) != 1)
        return;
    if (is_reading)
        read_input(self);
    else
        self->is_ending = true; /* the worker is gone, and what it has sent last finds no room */
}

static void
turn(struct writer *self)
{
    int64_t now_us = clock_mono_us(&clock_system);

    if (self->in.len == 0)
        self->gather_until_us = 0;
    else if (!self->gather_until_us)
        self->gather_until_us = now_us + GATHER_US;
    if (self->retry_span_us) {
        if (now_us < self->retry_at_us) {
            wait_for_work(self, self->retry_at_us);
            return;
        }
    } else if (self->in.len > 0 && now_us < self->gather_until_us && self->in.len < BATCH_BYTES) {
        wait_for_work(self, self->gather_until_us);
        return;
    }
    self->gather_until_us = 0;
    if (self->in.len > 0 && (write_batch(self) || self->retry_span_us))
        return; /* there may be more, or it is tried again */
    if (now_us >= self->clean_at_us) {
        clean(self, now_us);
        return;
    }
    wait_for_work(self, self->clean_at_us);
}

/* The worker is gone: write what it has left. */
static void
write_rest(struct writer *self)
{
    for (int i = 0; i < LAST_TRIES && self->in.len > 0; i++) {
        while (write_batch(self))
            ;
        if (self->in.len > 0 && self->retry_span_us)
            (void)poll(NULL, 0, (int)(RETRY_MIN_US / US_PER_MS));
    }
    if (self->in.len > 0)
        log_error("history was not written to its end, records are lost: bytes=%zu", self->in.len);
}

/* Nothing of the worker's stays open: its locks and sockets are not ours. */
static void
close_inherited(int fd)
{
    int log_fd = log_get_fd();
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    unsigned low = (unsigned)(fd < log_fd ? fd : log_fd);
    unsigned high = (unsigned)(fd < log_fd ? log_fd : fd);

    for (int i = STDIN_FILENO; null_fd >= 0 && i <= STDERR_FILENO; i++) {
        if (i != log_fd && i != fd)
            (void)dup2(null_fd, i);
    }
    if (low > 3)
        (void)close_range(3, low - 1, 0);
    if (high > low + 1 && high > 3)
        (void)close_range(low + 1 > 3 ? low + 1 : 3, high - 1, 0);
    (void)close_range(high + 1 > 3 ? high + 1 : 3, ~0U, 0);
}

static _Noreturn void
serve(const struct history_settings *settings, int fd)
{
    struct writer self = {.settings = settings, .fd = fd};
    struct proc_title title;

    close_inherited(fd);
    (void)prctl(PR_SET_NAME, "trawl history");
    proc_title_find(&title);
    proc_title_set(&title, STR("trawl worker"), STR("history"));
    errno = 0;
    if (nice(NICENESS) < 0 && errno)
        log_debug("history writer keeps its priority: errno=%d", errno);
    buf_init(&self.in, IN_BYTES + READ_BYTES);
    self.arena = (struct arena)ARENA_INIT((size_t)128 << 20);
    self.clean_at_us = clock_mono_us(&clock_system);
    while (!self.is_ending)
        turn(&self);
    write_rest(&self);
    history_close(self.history);
    _exit(0);
}

int
history_writer_start(const struct history_settings *settings, int *out, struct error *err)
{
    int fds[2];
    int status;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return error_set_errno(err, "cannot make a channel to the history writer");
    pid = proc_fork_blocked();
    if (pid == 0) { /* between worker and writer, for a moment */
        (void)close(fds[0]);
        pid = fork();
        if (pid == 0)
            serve(settings, fds[1]);
        _exit(pid < 0);
    }
    (void)close(fds[1]);
    if (pid < 0) {
        int rc = error_set_errno(err, "cannot fork the history writer");

        (void)close(fds[0]);
        return rc;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    *out = fds[0];
    return 0;
}
