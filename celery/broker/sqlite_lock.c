/* The database's write lock among several processes.
 *
 * SQLite has no queue for it: who releases it and wants it again is sure to win against those that
 * poll.  So who waits says so with a shared lock in the live file, and who has just had it looks
 * there and lets a moment pass.  Waits are short and random; nobody waits when nobody else is
 * there. */

#include "celery/broker/sqlite_internal.h"

#define PAUSE_US      INT64_C(50)
#define COURTESY_US   INT64_C(200)
#define JUST_NOW_US   INT64_C(500) /* since our own last commit */
#define SHORT_WAIT_US (20 * US_PER_MS)

/* Source: Marsaglia 2003, "Xorshift RNGs", the 13-7-17 triple. */
static int64_t
random_up_to(struct sqlite_broker *self, int64_t limit)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return (int64_t)(self->random % (uint64_t)limit);
}

/* On the real clock: it waits for other processes, whatever clock a test has brought. */
int
sqlite_lock_begin(struct sqlite_broker *self, int64_t wait_us, struct error *err)
{
    int64_t start_us = clock_mono_us(&clock_system);
    int64_t waited_us = 0;
    int rc;

    if (start_us - self->committed_at_us < JUST_NOW_US && live_file_is_wanted(&self->live))
        clock_sleep_us(&clock_system, COURTESY_US);
    rc = database_begin(self->database, err);
    if (rc != -ERR_BUSY)
        return rc;
    live_file_want(&self->live, true);
    while (rc == -ERR_BUSY && waited_us < wait_us) {
        int64_t pause_us = waited_us < SHORT_WAIT_US ? PAUSE_US : 20 * PAUSE_US;

        clock_sleep_us(&clock_system, pause_us + random_up_to(self, pause_us));
        rc = database_begin(self->database, err);
        waited_us = clock_mono_us(&clock_system) - start_us;
    }
    live_file_want(&self->live, false);
    return rc;
}
