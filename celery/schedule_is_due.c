/* Celery's own arithmetic, from the time of the last run. */

#include "base/clock.h"
#include "celery/schedule_timing.h"

#define DAY_S        INT64_C(86400)
#define LAST_TIME_US (INT64_C(253402300799) * US_PER_S) /* 9999-12-31T23:59:59 */

static int64_t
clamp_time(int64_t time_us)
{
    if (time_us < 0)
        return 0;
    return time_us < LAST_TIME_US ? time_us : LAST_TIME_US;
}

/* Where an interval ends; a relative one is cut to the resolution of its length. */
static int64_t
find_end(const struct celery_timing *timing, int64_t last_us)
{
    int64_t end_us = last_us + timing->every_s * US_PER_S;

    if (timing->kind == CELERY_TIMING_INTERVAL)
        return end_us;
    if (timing->resolution_s < DAY_S)
        return end_us - end_us % (timing->resolution_s * US_PER_S);
    return US_PER_S *
           celery_time_zone_find_midnight(timing->zone, last_us / US_PER_S, timing->every_s);
}

int64_t
celery_timing_remaining_us(const struct celery_timing *timing, int64_t last_run_us, int64_t now_us)
{
    int64_t last_us = clamp_time(last_run_us);
    int64_t next_us = timing->kind == CELERY_TIMING_CRONTAB ? celery_timing_next(timing, last_us)
                                                            : find_end(timing, last_us);

    return next_us == CELERY_NEVER ? CELERY_NEVER : next_us - clamp_time(now_us);
}

/* A run that was missed by more than the starting deadline is none. */
static bool
is_within_deadline(const struct celery_timing *timing, int64_t last_us, int64_t now_us)
{
    struct celery_due due;

    if (!timing->deadline_us)
        return true;
    celery_timing_due(timing, last_us, now_us, &due);
    return due.state == CELERY_DUE_NOW;
}

bool
celery_timing_is_due(const struct celery_timing *timing, int64_t last_run_us, int64_t now_us,
                     int64_t *next_us)
{
    int64_t remaining_us = celery_timing_remaining_us(timing, last_run_us, now_us);

    *next_us = remaining_us;
    if (remaining_us > 0)
        return false;
    if (timing->kind != CELERY_TIMING_CRONTAB) {
        *next_us = timing->every_s * US_PER_S;
        return true;
    }
    *next_us = celery_timing_remaining_us(timing, now_us, now_us);
    return is_within_deadline(timing, last_run_us, now_us);
}
