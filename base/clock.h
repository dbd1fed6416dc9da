#pragma once

/* Time behind an interface, so that tests can bring their own.
 *
 * Deadlines are monotonic; what is stored or sent is UTC in microseconds since 1970. */

#include <stdbool.h>
#include <stdint.h>

#define US_PER_MS  INT64_C(1000)
#define US_PER_S   INT64_C(1000000)
#define US_PER_DAY (INT64_C(86400) * US_PER_S)

/* A value no real time has: "unknown". */
#define TIME_UNKNOWN INT64_MIN

struct clock {
    int64_t (*now_us)(const struct clock *clock);  /* UTC */
    int64_t (*mono_us)(const struct clock *clock); /* since some fixed moment, never back */
    /* Wait for span_us, or less when a signal arrives.  For pacing only: nothing polls. */
    void (*sleep_us)(const struct clock *clock, int64_t span_us);
};

/* The machine's clock. */
extern const struct clock clock_system;

static inline int64_t
clock_now_us(const struct clock *clock)
{
    return clock->now_us(clock);
}

static inline int64_t
clock_mono_us(const struct clock *clock)
{
    return clock->mono_us(clock);
}

static inline void
clock_sleep_us(const struct clock *clock, int64_t span_us)
{
    if (span_us > 0)
        clock->sleep_us(clock, span_us);
}
