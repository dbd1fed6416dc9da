/* Writes lines: to a descriptor that somebody gave, or to a file of its own that can be opened
 * again.
 *
 * A log that is not read must not stop the work.  O_NONBLOCK is a flag of the open file, which a
 * shell, a service manager and other programs share with us; so a pipe or terminal is opened again
 * through /proc for a flag of our own, a socket is asked not to wait per call, and where neither
 * can be had, poll is asked first (two writers may then still race for the last free page).
 *
 * Rejected: a thread that writes (the parent forks; threads and fork do not go together). */

#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define BATCH_BYTES     ((size_t)32 << 10)
#define PIPE_WANT_BYTES (1 << 20) /* what anybody may ask for; then bursts need not be dropped */
#define FILE_MODE       0640

enum sink_kind {
    SINK_PLAIN,  /* write: a file, or a log that may wait */
    SINK_SOCKET, /* send without waiting */
    SINK_POLLED, /* write when poll says that there is room */
};

static struct {
    int fd;
    enum sink_kind kind;
    bool is_own;     /* opened here */
    bool is_regular; /* takes any number of bytes at once */
    char *path;      /* of the file, absolute; or NULL */
    /* How often the file was to be opened again: counted on a page that forked processes share. */
    _Atomic uint64_t *generation;
    _Atomic uint64_t seen_generation;
    _Atomic uint64_t n_dropped;
} sink = {.fd = STDERR_FILENO};

/* Lines of the thread that owns the event loop, until log_flush. */
struct batch {
    size_t n_bytes;
    char bytes[BATCH_BYTES];
};

static _Thread_local struct batch *batch;

static void
forget_own(void)
{
    if (sink.is_own)
        (void)close(sink.fd);
    sink.is_own = false;
    free(sink.path);
    sink.path = NULL;
}

void
log_sink_set_fd(int fd)
{
    forget_own();
    sink.fd = fd;
    sink.kind = SINK_PLAIN;
    sink.is_regular = false;
}

int
log_get_fd(void)
{
    return sink.fd;
}

static char *
make_absolute(const char *path)
{
    char *directory = path[0] == '/' ? NULL : getcwd(NULL, 0);
    char *absolute = NULL;

    if (path[0] != '/' && !directory)
        return NULL;
    if (asprintf(&absolute, "%s%s%s", directory ? directory : "", directory ? "/" : "", path) < 0)
        absolute = NULL;
    free(directory);
    return absolute;
}

static int
open_log(const char *path, struct error *err)
{
    int fd =
        open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, FILE_MODE);

    if (fd < 0)
        return error_set_errno(err, "cannot open the log file '%.200s'", path);
    return fd;
}

int
log_open_file(const char *path, struct error *err)
{
    char *absolute = make_absolute(path);
    struct stat info;
    int fd;

    if (!absolute)
        return error_set_errno(err, "cannot find the folder of the log file '%.200s'", path);
    if (!sink.generation) {
        void *page = mmap(NULL, sizeof(*sink.generation), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (page != MAP_FAILED)
            sink.generation = page;
    }
    fd = sink.generation ? open_log(absolute, err)
                         : error_set_errno(err, "no memory for the log file '%.200s'", path);
    if (fd < 0) {
        free(absolute);
        return fd;
    }
    log_sink_set_fd(fd);
    sink.is_own = true;
    sink.is_regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    sink.path = absolute;
    atomic_store(&sink.seen_generation, atomic_load(sink.generation));
    return 0;
}

/* The number of the descriptor stays, so that nobody who uses it has to know. */
static int
open_again(struct error *err)
{
    int fd = open_log(sink.path, err);
    int rc = 0;

    if (fd < 0)
        return fd;
    if (dup3(fd, sink.fd, O_CLOEXEC) < 0)
        rc = error_set_errno(err, "cannot change the log file '%.200s'", sink.path);
    (void)close(fd);
    return rc;
}

int
log_reopen(struct error *err)
{
    int rc;

    if (!sink.path)
        return 0;
    log_flush();
    rc = open_again(err);
    if (rc == 0)
        atomic_store(&sink.seen_generation, atomic_fetch_add(sink.generation, 1) + 1);
    return rc;
}

/* Another process has opened the file again: it did so without trouble, so a failure here is not
 * worth a word; the old file is still a log. */
static void
follow(void)
{
    uint64_t seen, now;

    if (!sink.path)
        return;
    seen = atomic_load_explicit(&sink.seen_generation, memory_order_relaxed);
    now = atomic_load_explicit(sink.generation, memory_order_relaxed);
    if (seen != now && atomic_compare_exchange_strong(&sink.seen_generation, &seen, now))
        error_ignore(open_again(NULL));
}

void
log_never_block(void)
{
    struct stat info;
    char path[48];
    int fd;

    if (sink.path || fstat(sink.fd, &info) < 0)
        return;
    sink.is_regular = S_ISREG(info.st_mode);
    if (sink.is_regular)
        return;
    if (S_ISSOCK(info.st_mode)) {
        sink.kind = SINK_SOCKET;
        return;
    }
    sink.kind = SINK_POLLED;
    if (S_ISFIFO(info.st_mode))
        (void)fcntl(sink.fd, F_SETPIPE_SZ, PIPE_WANT_BYTES);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", sink.fd);
    fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return;
    log_sink_set_fd(fd);
    sink.is_own = true;
}

static bool
write_out(struct str bytes)
{
    struct pollfd room = {.fd = sink.fd, .events = POLLOUT};
    ssize_t n;

    if (sink.kind == SINK_POLLED && poll(&room, 1, 0) <= 0)
        return false;
    do
        n = sink.kind == SINK_SOCKET
                ? send(sink.fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL)
                : write(sink.fd, bytes.ptr, bytes.len);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)bytes.len;
}

static void
write_lines(struct str lines)
{
    uint64_t n_lines = 0;

    if (write_out(lines))
        return;
    for (size_t i = 0; i < lines.len; i++)
        n_lines += lines.ptr[i] == '\n';
    (void)atomic_fetch_add(&sink.n_dropped, n_lines);
}

/* As many whole lines as a pipe takes at once. */
static size_t
measure_portion(const char *lines, size_t n_bytes)
{
    const char *end;

    if (sink.is_regular || n_bytes <= LOG_LINE_BYTES)
        return n_bytes;
    end = memrchr(lines, '\n', LOG_LINE_BYTES);
    return end ? (size_t)(end - lines) + 1 : LOG_LINE_BYTES;
}

void
log_flush(void)
{
    size_t at = 0;

    if (!batch || batch->n_bytes == 0)
        return;
    follow();
    while (at < batch->n_bytes) {
        size_t n = measure_portion(&batch->bytes[at], batch->n_bytes - at);

        write_lines((struct str){&batch->bytes[at], n});
        at += n;
    }
    batch->n_bytes = 0;
}

void
log_sink_put(struct str line, enum log_urgency urgency)
{
    if (!batch) {
        follow();
        write_lines(line);
        return;
    }
    if (batch->n_bytes + line.len > sizeof(batch->bytes))
        log_flush();
    (void)memcpy(batch->bytes + batch->n_bytes, line.ptr, line.len);
    batch->n_bytes += line.len;
    if (urgency == LOG_NOW)
        log_flush();
}

static void
leave_batch(void)
{
    free(batch);
    batch = NULL;
}

/* Of a fork: the parent's lines are written before, and what the child says is its own. */
static void
watch_forks(void)
{
    (void)pthread_atfork(log_flush, NULL, leave_batch);
}

void
log_begin_batch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, watch_forks);
    if (!batch)
        batch = malloc(sizeof(*batch));
    if (batch) /* else each line is written alone */
        batch->n_bytes = 0;
}

void
log_end_batch(void)
{
    log_flush();
    leave_batch();
}

uint64_t
log_sink_take_dropped(void)
{
    if (atomic_load_explicit(&sink.n_dropped, memory_order_relaxed) == 0)
        return 0;
    return atomic_exchange(&sink.n_dropped, 0);
}
