#pragma once

/* Crontab expressions as Celery reads them, and the instants at which they fire.  Pure, any thread.
 *
 * A field is a comma list of *, a and a-b; behind * and a-b may stand /n, a step.  a-b with b < a
 * goes round ("fri-mon", "22-2"); steps count from the start of the range (* by 3 in day_of_month:
 * 1, 4, 7 ...).  Names may be in any case and from three letters up (tue, Tues, TUESDAY), each kind
 * in its own field. All five fields must match: day_of_month AND day_of_week (unlike cron, where
 * either is enough).
 *
 * Local time and the clocks that jump.  The instants of an expression in a zone are one fixed set,
 * whenever and by whom it is asked, and the rules are these:
 *
 *   1. A time that the clocks skip fires once, at the first instant after the gap; all that one gap
 *      swallowed fires there together, once ("30 2 * * *" in Berlin: at 03:00 that night).
 *   2. A time that comes twice fires at its first pass only.
 *   3. An hourly entry (its hour field holds all 24) follows real time instead: it fires in both
 *      passes, and a skipped time is made up for only where the time one gap later is none of its
 *      own, so "30 * * * *" fires every 60 minutes through both nights, and loses nothing where
 *      the clocks jump by half an hour (Lord Howe) or a day (Apia).
 *
 * Source: celery.schedules.crontab of Celery 5.6 for grammar and matching; the rules above are ours
 * (docs/schedules.md tells what Celery does in those nights). */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "celery/time_zone.h"

/* The longest list of all minutes takes 170. */
#define CELERY_CRONTAB_FIELD_BYTES 512

/* No further fire time within the years that we count (to 9999). */
#define CELERY_NEVER INT64_MAX

/* Bit v of a field stands for its value v. */
struct celery_crontab {
    uint64_t minute;       /* 0 to 59 */
    uint64_t hour;         /* 0 to 23 */
    uint64_t day_of_month; /* 1 to 31 */
    uint64_t month;        /* 1 to 12 */
    uint64_t day_of_week;  /* 0 (Sunday) to 6 */
};

/* The five texts of Celery's crontab(); an absent one is "*". */
struct celery_crontab_fields {
    struct str minute;
    struct str hour;
    struct str day_of_week;
    struct str day_of_month;
    struct str month_of_year;
};

/* Errors: ERR_INVALID naming field, value and what is allowed; also for an expression that can
 * never fire (30 February). */
MUST_CHECK int celery_crontab_parse_fields(const struct celery_crontab_fields *fields,
                                           struct celery_crontab *out, struct error *err);

/* A line in the order of crontab(5): minute hour day_of_month month_of_year day_of_week, between
 * them blanks.  Errors: as above. */
MUST_CHECK int celery_crontab_parse(struct str line, struct celery_crontab *out, struct error *err);

/* The first fire time after an instant, both in seconds since 1970, UTC; CELERY_NEVER past 9999.
 *
 * zone     NULL = UTC
 * after_s  from 1970 to 9999
 *
 * Costs microseconds; at worst it walks over 40 years of months (29 February on a given weekday).
 */
int64_t celery_crontab_next(const struct celery_crontab *crontab,
                            const struct celery_time_zone *zone, int64_t after_s);
