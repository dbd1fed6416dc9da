#pragma once

/* Another program of ours beside an event loop: started, started again when it dies (with pauses
 * that double up to 5 s), ended with us.
 *
 * It is this very program file with other words, by fork and exec: nothing of ours is open in it,
 * whatever threads, locks and descriptors there are when it has to be started again.  It gets
 * SIGTERM when we die, however we die. */

#include <trawl/error.h>

#include "celery/loop.h"

struct companion;

/* Start it.
 *
 * name   for the log
 * words  its argv, ended by NULL; borrowed for the companion's life
 *
 * Errors: ERR_NOMEM, of the system (no processes, no descriptors left). */
MUST_CHECK int companion_create(struct loop *loop, const char *name, const char *const *words,
                                struct companion **out, struct error *err);

/* Ask it to end (SIGTERM); it is not started again. */
void companion_stop(struct companion *companion);

/* Ask it to open its log file again (SIGHUP). */
void companion_reload(struct companion *companion);

/* Wait for its end, for 0.8 s at most, then kill it.  NULL is fine. */
void companion_free(struct companion *companion);
