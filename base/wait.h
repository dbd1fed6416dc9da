#pragma once

/* Waiting for one descriptor, outside of an event loop. */

#include <stdint.h>

/* Until fd is ready for events (of poll; fd -1: for nothing), a signal comes, until_us on the
 * machine's monotonic clock has come, or a minute has passed: callers look again in a loop.  Whole
 * milliseconds, rounded up.  Returns what poll returns, errno included; 0 at once when the time is
 * over.  Any thread. */
int wait_for_fd(int fd, short events, int64_t until_us);

/* The same, for an answer that is on its way already, from a server on this host: looks for it for
 * 100 us before it lets the processor sleep, leaving it to whoever else wants it.  To be woken takes
 * longer than such an answer does. */
int wait_for_fd_soon(int fd, short events, int64_t until_us);
