/* A pidfd tells of its death; between fork and exec only calls that are safe beside threads. */

#include "celery/companion.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "celery/pool/proc.h"

#define PAUSE_MIN_MS  100
#define PAUSE_MAX_MS  5000
#define PROVEN_US     (10 * US_PER_S) /* lived so long: the next pause is the first again */
#define LEAVE_WAIT_MS 800

struct companion {
    struct loop *loop;
    const char *name;
    const char *const *words;
    struct loop_timer *timer;
    struct loop_fd *death;
    pid_t pid; /* 0 = it does not run */
    int pidfd;
    int64_t born_us; /* monotonic */
    int64_t pause_ms;
    bool is_ending;
};

/* In the child. */
static _Noreturn void
become(const char *const *words, pid_t parent)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    sigset_t none;

    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        (void)signal(numbers[i], SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent)
        (void)execv("/proc/self/exe", (char *const *)(uintptr_t)words);
    _exit(127);
}

static void
reap(struct companion *self, int *status)
{
    pid_t pid;

    do
        pid = waitpid(self->pid, status, 0);
    while (pid < 0 && errno == EINTR);
    if (pid < 0)
        *status = 0;
    loop_fd_free(self->death);
    self->death = NULL;
    if (self->pidfd >= 0)
        (void)close(self->pidfd);
    self->pidfd = -1;
    self->pid = 0;
}

static void
start_later(struct companion *self)
{
    if (clock_mono_us(&clock_system) - self->born_us >= PROVEN_US)
        self->pause_ms = 0;
    self->pause_ms = self->pause_ms ? 2 * self->pause_ms : PAUSE_MIN_MS;
    if (self->pause_ms > PAUSE_MAX_MS)
        self->pause_ms = PAUSE_MAX_MS;
    loop_timer_start(self->timer, self->pause_ms, 0);
}

static void
on_death(void *context, unsigned events)
{
    struct companion *self = context;
    int status = 0;

    (void)events;
    reap(self, &status);
    if (self->is_ending)
        return;
    start_later(self);
    if (WIFSIGNALED(status))
        log_warning("%s died, it is started again: signal=SIG%s in_ms=%lld", self->name,
                    sigabbrev_np(WTERMSIG(status)), (long long)self->pause_ms);
    else
        log_warning("%s ended, it is started again: exit_status=%d in_ms=%lld", self->name,
                    WEXITSTATUS(status), (long long)self->pause_ms);
}

static int
start(struct companion *self, struct error *err)
{
    int status;
    pid_t parent = getpid();
    int rc;

    self->born_us = clock_mono_us(&clock_system);
    self->pid = proc_fork_blocked();
    if (self->pid == 0)
        become(self->words, parent);
    if (self->pid < 0) {
        self->pid = 0;
        return error_set_errno(err, "cannot fork %s", self->name);
    }
    self->pidfd = pidfd_open(self->pid, 0);
    rc = self->pidfd < 0 ? error_set_errno(err, "cannot watch %s", self->name)
                         : loop_fd_create(self->loop, self->pidfd, LOOP_READABLE, on_death, self,
                                          &self->death, err);
    if (rc < 0) {
        (void)kill(self->pid, SIGKILL);
        reap(self, &status);
    }
    return rc;
}

static void
on_timer(void *context)
{
    struct companion *self = context;
    struct error err;

    if (self->is_ending || start(self, &err) == 0)
        return;
    start_later(self);
    log_warning("%s cannot be started, it is tried again: reason=%s", self->name, err.message);
}

int
companion_create(struct loop *loop, const char *name, const char *const *words,
                 struct companion **out, struct error *err)
{
    struct companion *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for %s", name);
    *self = (struct companion){.loop = loop, .name = name, .words = words, .pidfd = -1};
    rc = loop_timer_create(loop, on_timer, self, &self->timer, err);
    if (rc == 0)
        rc = start(self, err);
    if (rc < 0) {
        companion_free(self);
        return rc;
    }
    *out = self;
    return 0;
}

void
companion_stop(struct companion *companion)
{
    companion->is_ending = true;
    if (companion->pid > 0)
        (void)pidfd_send_signal(companion->pidfd, SIGTERM, NULL, 0);
}

void
companion_reload(struct companion *companion)
{
    if (companion->pid > 0)
        (void)pidfd_send_signal(companion->pidfd, SIGHUP, NULL, 0);
}

void
companion_free(struct companion *companion)
{
    struct pollfd poll_fd;
    int status;

    if (!companion)
        return;
    companion_stop(companion);
    if (companion->pid > 0) {
        poll_fd = (struct pollfd){.fd = companion->pidfd, .events = POLLIN};
        if (poll(&poll_fd, 1, LEAVE_WAIT_MS) != 1)
            (void)pidfd_send_signal(companion->pidfd, SIGKILL, NULL, 0);
        reap(companion, &status);
    }
    loop_timer_free(companion->timer);
    free(companion);
}
