/* A timing has slots; the latest slot that has come is the one to send.
 *
 * For a crontab only "the next slot after" is ever computed.  The latest one before now is found by
 * bisection over it: "next(t) <= now" holds for all t before the latest slot, and for none after.
 */

#include <stdio.h>

#include "base/clock.h"
#include "base/timestamp.h"
#include "celery/schedule_timing.h"

#define DAY_S          INT64_C(86400)
#define LAST_INSTANT_S INT64_C(253402300799) /* 9999-12-31T23:59:59 */

/* Whole seconds, within 1970 to 9999. */
static int64_t
to_seconds(int64_t time_us)
{
    int64_t time_s = time_us / US_PER_S;

    if (time_us < 0)
        return 0;
    return time_s < LAST_INSTANT_S ? time_s : LAST_INSTANT_S;
}

static int64_t
to_us(int64_t time_s)
{
    return time_s <= LAST_INSTANT_S ? time_s * US_PER_S : CELERY_NEVER;
}

/* The slot k periods after one, of a timing that is no crontab; k counts from 1. */
static int64_t
find_slot(const struct celery_timing *timing, int64_t slot_s, int64_t k)
{
    int64_t resolution_s = timing->resolution_s;
    int64_t span_s = k * (timing->every_s - timing->every_s % resolution_s);

    if (resolution_s == DAY_S)
        return celery_time_zone_find_midnight(timing->zone, slot_s, span_s);
    return slot_s - slot_s % resolution_s + span_s;
}

static int64_t
find_next(const struct celery_timing *timing, int64_t slot_s)
{
    int64_t next_s = slot_s;

    if (timing->kind == CELERY_TIMING_CRONTAB)
        return celery_crontab_next(&timing->crontab, timing->zone, slot_s);
    for (int64_t k = 1; next_s <= slot_s; k++) /* once, unless a zone repeats a whole day */
        next_s = find_slot(timing, slot_s, k);
    return next_s <= LAST_INSTANT_S ? next_s : CELERY_NEVER;
}

/* The latest slot up to now, where first_s is one. */
static int64_t
bisect_crontab(const struct celery_timing *timing, int64_t first_s, int64_t now_s)
{
    int64_t low_s = first_s; /* a slot */
    int64_t high_s = now_s;  /* no slot of interest is later */

    while (low_s < high_s) {
        int64_t middle_s = low_s + (high_s - low_s + 1) / 2;
        int64_t next_s = find_next(timing, middle_s - 1);

        if (next_s <= now_s)
            low_s = next_s;
        else
            high_s = middle_s - 1;
    }
    return low_s;
}

/* The latest slot in (last_s, now_s], or CELERY_NEVER. */
static int64_t
find_latest(const struct celery_timing *timing, int64_t last_s, int64_t now_s)
{
    int64_t first_s = find_next(timing, last_s);
    int64_t k;

    if (first_s > now_s)
        return CELERY_NEVER;
    if (timing->kind == CELERY_TIMING_CRONTAB)
        return bisect_crontab(timing, first_s, now_s);
    /* At most this many; days of 23 hours make room for one more. */
    k = (now_s - first_s) / (timing->every_s - timing->every_s % timing->resolution_s) + 2;
    while (k > 1 && find_slot(timing, last_s, k) > now_s)
        k--;
    return k > 1 ? find_slot(timing, last_s, k) : first_s;
}

int64_t
celery_timing_first_anchor(int64_t now_us)
{
    return to_seconds(now_us) * US_PER_S;
}

int64_t
celery_timing_next(const struct celery_timing *timing, int64_t slot_us)
{
    return to_us(find_next(timing, to_seconds(slot_us)));
}

size_t
celery_timing_list(const struct celery_timing *timing, int64_t slot_us, size_t n_slots,
                   int64_t *out)
{
    for (size_t i = 0; i < n_slots; i++) {
        slot_us = celery_timing_next(timing, slot_us);
        if (slot_us == CELERY_NEVER)
            return i;
        out[i] = slot_us;
    }
    return n_slots;
}

/* The clock shows a time before the last slot. */
static void
wait_for_clock(const struct celery_timing *timing, int64_t last_s, int64_t now_s,
               struct celery_due *out)
{
    int64_t behind_us = (last_s - now_s) * US_PER_S;

    if (behind_us > CELERY_AHEAD_MAX_US) {
        out->state = CELERY_DUE_ANCHOR_LOST;
        out->slot_us = now_s * US_PER_S;
        out->next_check_us = to_us(find_next(timing, now_s));
        return;
    }
    out->state = behind_us > CELERY_BEHIND_QUIET_US ? CELERY_DUE_CLOCK_BACK : CELERY_DUE_WAIT;
    out->next_check_us = to_us(find_next(timing, last_s));
}

void
celery_timing_due(const struct celery_timing *timing, int64_t last_slot_us, int64_t now_us,
                  struct celery_due *out)
{
    int64_t last_s = to_seconds(last_slot_us);
    int64_t now_s = to_seconds(now_us);
    int64_t slot_s;

    *out = (struct celery_due){.state = CELERY_DUE_WAIT};
    if (now_s < last_s) {
        wait_for_clock(timing, last_s, now_s, out);
        return;
    }
    slot_s = find_latest(timing, last_s, now_s);
    if (slot_s == CELERY_NEVER) {
        out->next_check_us = to_us(find_next(timing, last_s));
        return;
    }
    out->next_check_us = to_us(find_next(timing, slot_s));
    if (timing->deadline_us && now_us - slot_s * US_PER_S > timing->deadline_us)
        return;
    out->state = CELERY_DUE_NOW;
    out->slot_us = slot_s * US_PER_S;
}

const char *
celery_slot_key(const char *name, int64_t slot_us, char out[CELERY_SLOT_KEY_BYTES])
{
    char time[TIMESTAMP_TEXT_BYTES];

    (void)timestamp_format(to_seconds(slot_us) * US_PER_S, time);
    (void)snprintf(out, CELERY_SLOT_KEY_BYTES, "%.*s@%.20s", CELERY_SCHEDULE_NAME_BYTES, name,
                   time);
    return out;
}
