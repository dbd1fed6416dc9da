/* Children as processes: born by fork, watched by a pidfd, buried with all that they forked.
 *
 * A pidfd tells of exactly one death, whoever else waits for children in this process, and a
 * signal through it cannot hit a stranger. */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "celery/pool/prefork.h"
#include "celery/pool/prefork_child.h"
#include "celery/pool/proc.h"

#define BACKOFF_FIRST_US   (50 * US_PER_MS)
#define BACKOFF_MOST_US    (5 * US_PER_S)
#define BACKOFF_MOST_SHIFT 7
#define CHILD_OOM_SCORE    300 /* above ours: the kernel takes a child first */
#define PROVEN_US          US_PER_S

static void
free_child(struct prefork_child *child)
{
    loop_fd_free(child->death);
    loop_fd_free(child->io);
    if (child->pidfd >= 0)
        (void)close(child->pidfd);
    if (child->fd >= 0)
        (void)close(child->fd);
    if (child->board)
        (void)munmap(child->board, sizeof(*child->board));
    frame_reader_fini(&child->in);
    buf_fini(&child->out);
    free(child);
}

void
prefork_kill(struct prefork_child *child, int signal_number)
{
    if (!child->is_alive)
        return;
    if (signal_number != SIGKILL) {
        (void)pidfd_send_signal(child->pidfd, signal_number, NULL, 0);
        return;
    }
    child->is_killed = true;
    (void)kill(-child->pid, SIGKILL); /* not reaped: the number is still its own */
    (void)kill(child->pid, SIGKILL);
}

/* Wait for a child that has died or was killed just now.  Its number is free afterwards. */
static int
reap(struct prefork_child *child, struct prefork_death *death)
{
    struct rusage usage = {0};
    pid_t pid;

    (void)kill(-child->pid, SIGKILL); /* what its tasks have forked and left behind */
    do
        pid = wait4(child->pid, &death->status, 0, &usage);
    while (pid < 0 && errno == EINTR);
    child->is_alive = false;
    death->peak_rss_kib = usage.ru_maxrss;
    return pid < 0 ? -1 : 0;
}

void
prefork_destroy_child(struct prefork_child *child)
{
    struct prefork_death death = {0};

    if (child->is_alive) {
        prefork_kill(child, SIGKILL);
        (void)reap(child, &death);
    }
    free_child(child);
}

static void
remove_child(struct prefork_child *child)
{
    struct prefork *self = child->pool;

    for (size_t i = 0; i < self->n_children; i++) {
        if (self->children[i] == child) {
            self->n_children--;
            (void)memmove(&self->children[i], &self->children[i + 1],
                          (self->n_children - i) * sizeof(self->children[0]));
            return;
        }
    }
}

/* A child that ends before it has served delays the next one, twice as long each time. */
static void
count_start_failure(struct prefork *self)
{
    unsigned shift =
        self->n_start_failures < BACKOFF_MOST_SHIFT ? self->n_start_failures : BACKOFF_MOST_SHIFT;
    int64_t pause_us = BACKOFF_FIRST_US << shift;

    self->n_start_failures++;
    if (pause_us > BACKOFF_MOST_US)
        pause_us = BACKOFF_MOST_US;
    self->respawn_us = clock_mono_us(&clock_system) + pause_us;
    prefork_wake_at(self, self->respawn_us);
}

static bool
has_run_anything(struct prefork_child *child)
{
    int64_t started_us;

    return child->n_done > 0 ||
           (child->n_flights > 0 &&
            board_has_started(child->board, child->flights[0].serial, &started_us));
}

static void
judge_start(struct prefork_child *child, const struct prefork_death *death)
{
    struct prefork *self = child->pool;
    struct error err;

    if (clock_mono_us(&clock_system) - child->born_us >= PROVEN_US)
        self->n_start_failures = 0;
    if (child->is_killed || child->phase == CHILD_LEAVING || has_run_anything(child))
        return;
    count_start_failure(self);
    if (child->has_told)
        return;
    if (WIFSIGNALED(death->status))
        error_ignore(error_set(&err, ERR_IO, "child %d died at its start: signal %d (SIG%s)",
                               (int)child->pid, WTERMSIG(death->status),
                               sigabbrev_np(WTERMSIG(death->status))));
    else
        error_ignore(error_set(&err, ERR_IO, "child %d died at its start: exit status %d",
                               (int)child->pid, WEXITSTATUS(death->status)));
    prefork_trouble(self, &err);
}

static enum pool_oom
judge_memory(struct prefork_child *child, int status)
{
    struct prefork *self = child->pool;
    int64_t n_kills;

    if (child->is_killed || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        return POOL_OOM_NO;
    n_kills = proc_oom_kills();
    if (n_kills > self->oom_kills) {
        self->oom_kills = n_kills;
        return POOL_OOM_YES;
    }
    return POOL_OOM_POSSIBLE;
}

/* Order matters: what it still managed to send counts, then the place is filled again, then the
 * owner hears of the requests that are lost and may already submit to others. */
static void
on_death(void *context, unsigned events)
{
    struct prefork_child *child = context;
    struct prefork *self = child->pool;
    struct prefork_death death = {0};

    (void)events;
    child->is_dead = true;
    prefork_receive(child);
    if (reap(child, &death) < 0)
        death.status = 0; /* somebody else waited for it */
    death.oom = judge_memory(child, death.status);
    remove_child(child);
    judge_start(child, &death);
    prefork_refill(self);
    prefork_bury_flights(child, &death);
    free_child(child);
    prefork_note_end(self);
}

static void
on_io(void *context, unsigned events)
{
    struct prefork_child *child = context;

    if ((events & LOOP_WRITABLE) && child->is_waiting_to_write)
        prefork_flush(child);
    if (events & LOOP_READABLE)
        prefork_receive(child);
}

/* The socket's two ends, the board and memory; what must exist before the fork. */
static int
make_child(struct prefork *self, struct prefork_child **out, int *child_fd, struct error *err)
{
    size_t max_payload = self->options.max_payload_bytes;
    struct prefork_child *child = calloc(1, sizeof(*child));
    int fds[2];
    void *board;

    if (!child)
        return error_set(err, ERR_NOMEM, "out of memory for a child");
    child->pool = self;
    child->fd = -1;
    child->pidfd = -1;
    frame_reader_init(&child->in,
                      max_payload + FRAME_OUTCOME_HEAD_BYTES + FRAME_MESSAGE_BYTES + JOURNAL_BYTES);
    buf_init(&child->out, (max_payload + FRAME_HEADER_BYTES + FRAME_REQUEST_HEAD_BYTES) *
                              (2 + self->options.child_prefetch));
    board = mmap(NULL, sizeof(*child->board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                 -1, 0);
    if (board != MAP_FAILED)
        child->board = board;
    if (!child->board || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        int rc = error_set_errno(err, "cannot make a channel to a child");

        free_child(child);
        return rc;
    }
    child->fd = fds[0];
    *child_fd = fds[1];
    *out = child;
    return 0;
}

static pid_t
fork_child(struct prefork *self, struct prefork_child *child, int child_fd)
{
    struct prefork_child_start start = {
        .options = &self->options,
        .board = child->board,
        .fd = child_fd,
        .worker_pid = getpid(),
        .oom_score =
            self->oom_score + CHILD_OOM_SCORE < 1000 ? self->oom_score + CHILD_OOM_SCORE : 1000,
        .has_oom_score = self->has_oom_score,
    };
    pid_t pid = proc_fork_blocked();

    if (pid == 0)
        prefork_child_main(&start);
    return pid;
}

static int
watch_child(struct prefork_child *child, struct error *err)
{
    struct loop *loop = child->pool->options.loop;
    int rc;

    (void)setpgid(child->pid, child->pid); /* whoever comes first, we or it */
    child->pidfd = pidfd_open(child->pid, 0);
    if (child->pidfd < 0)
        return error_set_errno(err, "cannot watch child %d", (int)child->pid);
    rc = loop_fd_create(loop, child->pidfd, LOOP_READABLE, on_death, child, &child->death, err);
    if (rc == 0)
        rc = loop_fd_create(loop, child->fd, LOOP_READABLE, on_io, child, &child->io, err);
    return rc;
}

static int
spawn_once(struct prefork *self, struct error *err)
{
    struct prefork_child *child = NULL;
    int child_fd = -1;
    int rc = make_child(self, &child, &child_fd, err);

    if (rc < 0)
        return rc;
    child->born_us = clock_mono_us(&clock_system);
    child->pid = fork_child(self, child, child_fd);
    if (child->pid < 0)
        rc = error_set_errno(err, "cannot fork a child");
    (void)close(child_fd);
    child->is_alive = child->pid > 0;
    if (rc == 0)
        rc = watch_child(child, err);
    if (rc < 0) {
        prefork_destroy_child(child);
        return rc;
    }
    self->children[self->n_children++] = child;
    return 0;
}

int
prefork_spawn(struct prefork *self, struct error *err)
{
    int rc;

    if (self->n_children == COUNT_OF(self->children))
        return error_set(err, ERR_BUSY, "%zu children have not left yet", self->n_children);
    rc = spawn_once(self, err);
    if (rc < 0)
        count_start_failure(self);
    return rc;
}
