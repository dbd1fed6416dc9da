#pragma once

/* Beat: puts the messages of a schedule into their queues when their time has come.
 *
 * Any number of beats may run on one broker: one leads, the others follow and take over within
 * 5 s of its end.  Each slot is sent once whatever becomes of them, also when a leader is stopped
 * and goes on later (celery/broker/beat_store.h).  What was missed while nobody led is sent once,
 * for the latest slot (celery/schedule_timing.h).
 *
 * One thread of one process; it blocks for seconds while a broker does not answer, so it shares its
 * loop with nobody. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/clock.h"
#include "celery/broker/beat_store.h"
#include "celery/schedule.h"

struct celery_beat;

/* Borrowed for beat's life, all of it.  Zero means the default. */
struct celery_beat_options {
    struct str broker_url;
    const struct celery_schedule *rows; /* celery_schedule_check has accepted them */
    const struct celery_schedule_options *schedule_options;
    const struct clock *clock;          /* the machine's */
    const struct beat_store_ops *store; /* by the URL's scheme */
};

#define CELERY_BEAT_LOOK_US (US_PER_S / 2) /* a follower at the leader */
#define CELERY_BEAT_SIGN_US US_PER_S       /* a leader gives one at least so often */

/* Opens nothing yet.  Where the system has no zone data, says so in the log and counts in UTC.
 * Errors: ERR_INVALID, ERR_NOT_FOUND (rows), ERR_NOMEM. */
MUST_CHECK int celery_beat_create(const struct celery_beat_options *options,
                                  struct celery_beat **out, struct error *err);
/* A leader releases its place, if the broker answers.  NULL is fine. */
void celery_beat_free(struct celery_beat *beat);
void celery_beat_freep(struct celery_beat **beat);

/* Open the broker; celery_beat_turn does so as well, again and again.  Errors: those of
 * beat_store_open. */
MUST_CHECK int celery_beat_open(struct celery_beat *beat, struct error *err);

/* Look who leads; if it is us, send what is due.  Returns the microseconds until the next turn, at
 * most CELERY_BEAT_SIGN_US and a second more after failures.  What fails is said in the log once
 * and tried again, with pauses. */
int64_t celery_beat_turn(struct celery_beat *beat);

bool celery_beat_is_leading(const struct celery_beat *beat);

/* Turn by turn until SIGTERM or SIGINT, whose handlers it changes; returns 0 then.  A broker that
 * goes away is waited for.
 *
 * is_stopped  asked once: did a signal come before?  May be NULL.
 *
 * Errors: at the start, of what cannot be opened and no retry can help; ERR_NOMEM. */
MUST_CHECK int celery_beat_run(struct celery_beat *beat, bool (*is_stopped)(void *context),
                               void *context, struct error *err);
