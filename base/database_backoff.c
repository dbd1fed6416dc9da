/* Pauses start at 0.5 ms and double up to 50 ms; each is drawn between half of that and all of it,
 * so that processes which met at one lock do not meet there again. */

#include "base/database_backoff.h"

#include <unistd.h>

#include "base/clock.h"

#define PAUSE_FIRST_US INT64_C(500)
#define PAUSE_MAX_US   INT64_C(50000)

void
backoff_start(struct backoff *self, int64_t timeout_ms)
{
    int64_t now_us = clock_mono_us(&clock_system);

    *self = (struct backoff){
        .deadline_us = now_us + timeout_ms * US_PER_MS,
        .pause_us = PAUSE_FIRST_US,
        .random = ((uint64_t)now_us << 20 ^ (uint64_t)getpid() ^ (uint64_t)(uintptr_t)self) | 1,
    };
}

/* Source: Marsaglia 2003, "Xorshift RNGs", the 13-7-17 triple. */
static uint64_t
next_random(struct backoff *self)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return self->random;
}

bool
backoff_wait(struct backoff *self)
{
    int64_t left_us = self->deadline_us - clock_mono_us(&clock_system);
    int64_t pause_us = self->pause_us / 2;

    if (left_us <= 0)
        return false;
    pause_us += (int64_t)(next_random(self) % (uint64_t)(pause_us + 1));
    clock_sleep_us(&clock_system, pause_us < left_us ? pause_us : left_us);
    self->pause_us = self->pause_us * 2 < PAUSE_MAX_US ? self->pause_us * 2 : PAUSE_MAX_US;
    return true;
}
