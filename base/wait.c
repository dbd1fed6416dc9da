/* See wait.h. */

#include "base/wait.h"

#include <poll.h>
#include <sched.h>

#include "base/clock.h"

#define MAX_US  (60 * US_PER_S) /* far below what poll takes */
#define SOON_US 100

int
wait_for_fd(int fd, short events, int64_t until_us)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    int64_t now_us = clock_mono_us(&clock_system);

    if (until_us <= now_us)
        return 0;
    if (until_us > now_us + MAX_US)
        until_us = now_us + MAX_US;
    return poll(&poll_fd, 1, (int)((until_us - now_us + US_PER_MS - 1) / US_PER_MS));
}

int
wait_for_fd_soon(int fd, short events, int64_t until_us)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    int64_t begin_us = clock_mono_us(&clock_system);
    int64_t now_us = begin_us;

    while (now_us < until_us && now_us - begin_us < SOON_US) {
        int n = poll(&poll_fd, 1, 0);

        if (n != 0)
            return n;
        (void)sched_yield();
        now_us = clock_mono_us(&clock_system);
    }
    return wait_for_fd(fd, events, until_us);
}
