#pragma once

/* Waiting for a lock that only polling can find free: growing pauses with jitter, up to a deadline.
 *
 * SQLite and byte-range locks with a time limit give no wake-up, so this is the one place that
 * sleeps. */

#include <stdbool.h>
#include <stdint.h>

struct backoff {
    int64_t deadline_us; /* monotonic */
    int64_t pause_us;
    uint64_t random; /* state of the jitter; never 0 */
};

void backoff_start(struct backoff *self, int64_t timeout_ms);

/* Pause once; false when the time is up (then it has not paused). */
bool backoff_wait(struct backoff *self);
