/* Preloaded into a worker: kills it right before its N-th call that writes, syncs or talks to a
 * server (KILLER_AT=N).  That is a breakpoint between any two steps of the broker: each step of its
 * protocol ends with one of these calls.
 *
 * Counts in the process that was started, not in what it forks.  Without KILLER_AT, or when N is
 * never reached, nothing happens. */

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static long n_left;
static pid_t victim;

__attribute__((constructor)) static void
arm(void)
{
    const char *at = getenv("KILLER_AT"); /* NOLINT: before any thread */

    n_left = at ? strtol(at, NULL, 10) : 0;
    victim = getpid();
}

static void
step(void)
{
    if (n_left > 0 && getpid() == victim && --n_left == 0)
        (void)kill(victim, SIGKILL);
}

/* The real function; an object pointer becomes a function's by way of the bytes (POSIX). */
#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real)                                                                                     \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

EXPORTED ssize_t
write(int fd, const void *bytes, size_t n)
{
    REAL(write);
    step();
    return real(fd, bytes, n);
}

EXPORTED ssize_t
writev(int fd, const struct iovec *parts, int n)
{
    REAL(writev);
    step();
    return real(fd, parts, n);
}

EXPORTED ssize_t
pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    REAL(pwrite64);
    step();
    return real(fd, bytes, n, at);
}

EXPORTED int
fsync(int fd)
{
    REAL(fsync);
    step();
    return real(fd);
}

EXPORTED int
fdatasync(int fd)
{
    REAL(fdatasync);
    step();
    return real(fd);
}

EXPORTED ssize_t
send(int fd, const void *bytes, size_t n, int flags)
{
    REAL(send);
    step();
    return real(fd, bytes, n, flags);
}

EXPORTED ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(sendmsg);
    step();
    return real(fd, message, flags);
}

EXPORTED ssize_t
recv(int fd, void *bytes, size_t n, int flags)
{
    REAL(recv);
    step();
    return real(fd, bytes, n, flags);
}
