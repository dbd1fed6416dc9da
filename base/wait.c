/* See wait.h. */

#include "base/wait.h"

#include <poll.h>

#include "base/clock.h"

#define MAX_US (60 * US_PER_S) /* far below what poll takes */

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
