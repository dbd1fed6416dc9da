/* The system's clock. */

#include "base/clock.h"

#include <time.h>

static int64_t
read_clock(clockid_t id)
{
    struct timespec now;

    (void)clock_gettime(id, &now);
    return now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

static int64_t
system_now_us(const struct clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_REALTIME);
}

static int64_t
system_mono_us(const struct clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_MONOTONIC);
}

static void
system_sleep_us(const struct clock *clock, int64_t span_us)
{
    struct timespec span = {.tv_sec = span_us / US_PER_S, .tv_nsec = (span_us % US_PER_S) * 1000};

    (void)clock;
    (void)nanosleep(&span, NULL); /* a signal may end it early: callers look at their flag */
}

const struct clock clock_system = {system_now_us, system_mono_us, system_sleep_us};
