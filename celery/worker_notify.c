/* What a service manager wants to hear: datagrams of NAME=VALUE lines to the socket that it names.
 *
 * Nobody waits for it, and nothing depends on it: what cannot be sent is left out.
 * Source: sd_notify(3) and sd_watchdog_enabled(3) of systemd, "Environment" and "Notes". */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/number.h"
#include "celery/worker_internal.h"

#define WATCHDOG_MAX_US (INT64_C(3600) * US_PER_S)

static struct str
get_variable(const char *name)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): before any thread */

    return value ? str_from_cstr(value) : STR_NULL;
}

static void
on_watchdog(void *context)
{
    worker_notify(context, "WATCHDOG=1");
}

/* Twice as often as asked, by the loop: a loop that hangs falls silent. */
static int
watch(struct worker *self, struct error *err)
{
    int64_t pid = getpid();
    int64_t span_us = 0;
    struct str for_pid = get_variable("WATCHDOG_PID");
    int rc;

    if (number_parse_i64(get_variable("WATCHDOG_USEC"), &span_us, NULL) < 0 || span_us <= 0)
        return 0;
    if (for_pid.ptr && (number_parse_i64(for_pid, &pid, NULL) < 0 || pid != getpid()))
        return 0;
    if (span_us > WATCHDOG_MAX_US)
        span_us = WATCHDOG_MAX_US;
    rc = loop_timer_create(self->loop, on_watchdog, self, &self->watchdog_timer, err);
    if (rc == 0)
        loop_timer_start(self->watchdog_timer, span_us / 2 / US_PER_MS,
                         span_us / 2 < US_PER_MS ? 1 : span_us / 2 / US_PER_MS);
    return rc;
}

int
worker_notify_open(struct worker *self, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct str path = get_variable("NOTIFY_SOCKET");
    socklen_t n_address = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len);

    if (path.len < 2 || path.len > sizeof(address.sun_path) ||
        (path.ptr[0] != '/' && path.ptr[0] != '@'))
        return 0;
    (void)memcpy(address.sun_path, path.ptr, path.len);
    if (path.ptr[0] == '@')
        address.sun_path[0] = '\0'; /* an abstract name */
    self->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->notify_fd < 0 ||
        connect(self->notify_fd, (const struct sockaddr *)&address, n_address) < 0)
        return error_set_errno(err, "cannot reach NOTIFY_SOCKET '%.*s'", STR_ARG(path));
    return watch(self, err);
}

void
worker_notify(struct worker *self, const char *state)
{
    if (self->notify_fd >= 0)
        error_ignore((int)send(self->notify_fd, state, strlen(state), MSG_NOSIGNAL));
}

void
worker_notify_reloading(struct worker *self)
{
    char state[64];

    (void)snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
                   clock_mono_us(&clock_system));
    worker_notify(self, state);
}

void
worker_notify_close(struct worker *self)
{
    loop_timer_free(self->watchdog_timer);
    if (self->notify_fd >= 0)
        (void)close(self->notify_fd);
}
