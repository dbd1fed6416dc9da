#pragma once

/* When an entry is due.  Pure: the time is an argument.  A timing is read-only once made.
 *
 * Two views of one schedule.
 *
 * Slots (what our beat uses).  The instants at which an entry is to run are a fixed set, known from
 * the row and, for every_s, from the slot it counts from (is_relative: from whole days of its zone,
 * or whole hours, minutes or seconds of UTC); each has a key, "name@2026-03-29T01:00:00Z". Two
 * beats that look at the same entry see the same slots, so a unique key in the database makes
 * "exactly one enqueue per tick" true.  However many slots were missed (a pause, a clock that
 * jumped ahead), one is sent: the latest.  A clock that goes back sends nothing until it has passed
 * the last slot again.
 *
 * is_due (what Celery's schedules answer), from the time of the last run; intervals then stretch by
 * the latency of each run, which is why slots exist.
 *
 * Times are microseconds since 1970, UTC; what lies outside 1970 to 9999 is taken as the nearest
 * year inside.  Local time and clock changes: see crontab.h. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "celery/crontab.h"
#include "celery/schedule.h"

/* Clocks of two hosts differ by less than this; it is not worth a word. */
#define CELERY_BEHIND_QUIET_US (INT64_C(60) * 1000000)

/* A last slot this far ahead of the clock was taken from a clock that was wrong: 25 hours, so that
 * an hour or a day in the wrong direction is waited out. */
#define CELERY_AHEAD_MAX_US (INT64_C(25) * 3600 * 1000000)

enum celery_timing_kind { CELERY_TIMING_INTERVAL, CELERY_TIMING_RELATIVE, CELERY_TIMING_CRONTAB };

struct celery_timing {
    enum celery_timing_kind kind;
    int64_t every_s;      /* INTERVAL, RELATIVE */
    int64_t resolution_s; /* RELATIVE: a day, an hour, a minute or a second, whatever fits into
                             every_s */
    struct celery_crontab crontab;
    int64_t deadline_us;           /* 0 = none */
    struct celery_time_zone *zone; /* owned; NULL = UTC */
};

/* The timing of one row.
 *
 * options  NULL = all defaults
 * out      the caller's storage, for celery_timing_fini
 * zone_err NULL, or: code ERR_NONE, or why UTC was taken instead of the row's zone, which happens
 * only where the system has no zone data (its message names the package)
 *
 * Errors: ERR_INVALID, ERR_NOT_FOUND (an unknown zone), ERR_NOMEM, ERR_IO; the row is named. */
MUST_CHECK int celery_timing_init(const struct celery_schedule *row,
                                  const struct celery_schedule_options *options,
                                  struct celery_timing *out, struct error *zone_err,
                                  struct error *err);
void celery_timing_fini(struct celery_timing *timing); /* also for CLEANUP; safe twice */

/* The slot that a new entry counts from: now, in whole seconds.  Store it before anything is due,
 * if none is stored (first writer wins): nothing is due at first start, an interval first fires one
 * interval later. */
int64_t celery_timing_first_anchor(int64_t now_us);

/* The first slot after one, or after the first anchor; INT64_MAX when there is none before 10000.
 */
int64_t celery_timing_next(const struct celery_timing *timing, int64_t slot_us);

/* The next n slots, for people to read.  Returns how many there are (fewer only near the year
 * 9999). */
size_t celery_timing_list(const struct celery_timing *timing, int64_t slot_us, size_t n_slots,
                          int64_t *out);

enum celery_due_state {
    CELERY_DUE_WAIT,        /* nothing to send */
    CELERY_DUE_NOW,         /* send slot_us, and store it as the last slot */
    CELERY_DUE_CLOCK_BACK,  /* wait: the clock is over a minute behind the last slot (worth a
                               warning) */
    CELERY_DUE_ANCHOR_LOST, /* over 25 hours behind: store slot_us as the last slot, send nothing */
};

struct celery_due {
    enum celery_due_state state;
    int64_t slot_us;       /* NOW: the slot to send; ANCHOR_LOST: the new anchor; else 0 */
    int64_t next_check_us; /* when to ask again, as the wall clock shows it; INT64_MAX = never */
};

/* Is there a slot to send?
 *
 * last_slot_us  the last slot that was sent or skipped, or the first anchor
 *
 * NOW gives the latest slot in (last_slot_us, now_us], always the same one for all last slots
 * before it; a crontab slot missed by more than the starting deadline is not sent.
 *
 * The caller sleeps until next_check_us, but never longer than a minute or so, and asks again: the
 * wall clock may jump while it sleeps. */
void celery_timing_due(const struct celery_timing *timing, int64_t last_slot_us, int64_t now_us,
                       struct celery_due *out);

#define CELERY_SLOT_KEY_BYTES (CELERY_SCHEDULE_NAME_BYTES + 24)

/* "name@2026-03-29T01:00:00Z", NUL-terminated: one enqueue per key.  Returns out. */
const char *celery_slot_key(const char *name, int64_t slot_us, char out[CELERY_SLOT_KEY_BYTES]);

/* What Celery answers: microseconds from now to the run that follows last_run_us; negative =
 * overdue. INT64_MAX when there is none. Source: Celery 5.6, schedules.schedule and
 * schedules.crontab, remaining_estimate. */
int64_t celery_timing_remaining_us(const struct celery_timing *timing, int64_t last_run_us,
                                   int64_t now_us);

/* True when a run is due; *next_us is the time until the next check, as Celery's is_due gives it:
 * for an interval that is due the interval itself, for a crontab the time to its next run. */
bool celery_timing_is_due(const struct celery_timing *timing, int64_t last_run_us, int64_t now_us,
                          int64_t *next_us);
