/* The prefetch window: enough that no child waits for the broker, not so much that messages wait
 * here while another worker could run them.
 *
 * Four messages per child are held always.  Where tasks are short, as many as are done in a few
 * hundredths of a second: a commit or a round trip to the broker then serves many.  The pool takes
 * them as it can, so a long task among short ones holds up only its own child; and when all
 * children are held up, what is beyond the four goes back to the broker, untouched. */

#include "base/log.h"
#include "celery/worker_internal.h"

#define MAX_FLIGHTS ((size_t)4096) /* with those whose results wait for the backend */
#define SMOOTHING   16             /* the average follows the latest so many tasks */

void
worker_window_note_end(struct worker *self, int64_t runtime_us)
{
    self->runtime_us += (runtime_us - self->runtime_us) / SMOOTHING;
    if (runtime_us < self->runtime_us && runtime_us + SMOOTHING > self->runtime_us)
        self->runtime_us = runtime_us; /* where the division gives nothing more */
    self->moved_at_us = clock_mono_us(&clock_system);
}

size_t
worker_window_credit(const struct worker *self)
{
    size_t window = self->n_children * self->prefetch;
    size_t n_room = self->n_flights < MAX_FLIGHTS ? MAX_FLIGHTS - self->n_flights : 0;
    size_t n_wanted = self->n_open < window ? window - self->n_open : 0;

    if (self->phase != WORKER_RUNS || self->n_ready_children == 0)
        return 0;
    return n_wanted < n_room ? n_wanted : n_room;
}

static size_t
choose_prefetch(const struct worker *self)
{
    int64_t wanted = WORKER_SPAN_US / (self->runtime_us + 1);

    if (wanted < (int64_t)WORKER_PREFETCH)
        return WORKER_PREFETCH;
    return wanted < (int64_t)WORKER_MAX_PREFETCH ? (size_t)wanted : WORKER_MAX_PREFETCH;
}

/* Those that came last, and would be the last to run; what has started stays. */
static void
give_back(struct worker *self, size_t n_kept)
{
    size_t n_before = self->n_open;

    pool_recall(self->pool);
    while (self->n_open > n_kept && self->n_waiting > 0)
        worker_flight_end(self, self->lists[FLIGHTS_WAITING].last, BROKER_RELEASE, 0, STR_NULL);
    if (self->n_open < n_before)
        log_info("no task has ended for a while, waiting messages go back: n=%zu",
                 n_before - self->n_open);
}

int64_t
worker_window_turn(struct worker *self)
{
    size_t n_kept = self->n_children * WORKER_PREFETCH;
    size_t wanted = choose_prefetch(self);
    int64_t now_us = clock_mono_us(&clock_system);

    /* Step by step: one short task does not make all of them short. */
    self->prefetch = wanted < 2 * self->prefetch ? wanted : 2 * self->prefetch;
    if (self->phase != WORKER_RUNS || self->n_open <= n_kept) {
        self->moved_at_us = now_us;
        return INT64_MAX;
    }
    if (now_us - self->moved_at_us < WORKER_STUCK_US)
        return self->moved_at_us + WORKER_STUCK_US;
    give_back(self, n_kept);
    self->runtime_us = WORKER_STUCK_US;
    self->prefetch = WORKER_PREFETCH;
    return INT64_MAX;
}
