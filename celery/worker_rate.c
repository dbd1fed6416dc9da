/* Rate limits of one worker, by the task's name, as the command rate_limit sets them.
 *
 * A message whose task has no token waits beside the others: it does not count in the prefetch
 * window, so that what comes behind it is fetched and run, and no child knows of it.  It stays
 * unacknowledged.  Of very many, the broker keeps those that came last, for a while. */

#include <stdio.h>

#include "base/log.h"
#include "celery/worker_control_internal.h"

#define HELD_MAX        ((size_t)1000) /* messages that wait here */
#define POSTPONE_MAX_US (60 * US_PER_S)
#define POSTPONE_MIN_US US_PER_S

struct str
worker_rate_get(void *context, const struct celery_task *task)
{
    const struct worker *self = context;
    const struct task_state *state = worker_control_find_state(self->control, task);

    return state && state->rate.per_s > 0 ? str_from_cstr(state->rate_text) : STR_NULL;
}

/* Too many are here: back to the broker, until about those are done. */
static void
postpone(struct worker *self, struct flight *flight, const struct control_rate *rate)
{
    double span_us = (double)self->n_limited / rate->per_s * (double)US_PER_S;
    int64_t delay_us = span_us < (double)POSTPONE_MAX_US ? (int64_t)span_us : POSTPONE_MAX_US;

    if (delay_us < POSTPONE_MIN_US)
        delay_us = POSTPONE_MIN_US;
    log_debug("task waits for its rate limit in the broker: id=%.*s name=%s delay_ms=%lld",
              STR_ARG(flight->message.id), flight->task->name, (long long)(delay_us / US_PER_MS));
    worker_flight_end(self, flight, BROKER_REQUEUE, delay_us, STR_NULL);
}

/* Of one task, somebody waits already: nobody overtakes. */
static bool
has_waiting(const struct worker *self, const struct celery_task *task)
{
    const struct flight *flight = self->lists[FLIGHTS_LIMITED].first;

    while (flight && flight->task != task)
        flight = flight->links[FLIGHTS_LIMITED].next;
    return flight != NULL;
}

void
worker_rate_admit(struct worker *self, struct flight *flight)
{
    struct task_state *state;

    if (self->control->n_rates == 0 || flight->is_admitted)
        return;
    state = worker_control_find_state(self->control, flight->task);
    if (!state || state->rate.per_s == 0)
        return;
    if (!has_waiting(self, flight->task) &&
        control_rate_take(&state->rate, clock_mono_us(&clock_system)))
        flight->is_admitted = true;
    else if (self->n_limited < HELD_MAX)
        worker_flight_set_stage(self, flight, FLIGHT_LIMITED);
    else
        postpone(self, flight, &state->rate);
}

/* What waits for a place already comes under the new limit as well. */
static void
admit_waiting(struct worker *self, const struct celery_task *task)
{
    struct flight *next;

    for (struct flight *flight = self->lists[FLIGHTS_WAITING].first; flight; flight = next) {
        next = flight->links[FLIGHTS_WAITING].next;
        if (flight->task == task)
            worker_rate_admit(self, flight);
    }
}

void
worker_rate_set(void *context, const struct celery_task *task, double per_s, struct str text)
{
    struct worker *self = context;
    struct worker_control *control = self->control;
    struct task_state *state = worker_control_find_state(control, task);

    if (!state)
        return;
    control->n_rates -= state->rate.per_s > 0;
    control->n_rates += per_s > 0;
    state->rate = control_rate_of(per_s, clock_mono_us(&clock_system));
    (void)snprintf(state->rate_text, sizeof(state->rate_text), "%.*s", STR_ARG(text));
    log_info("rate limit set by remote control: name=%s rate=%s", task->name,
             per_s > 0 ? state->rate_text : "none");
    if (per_s > 0)
        admit_waiting(self, task);
}

static void
release_all(struct worker *self)
{
    while (self->lists[FLIGHTS_LIMITED].first)
        worker_flight_end(self, self->lists[FLIGHTS_LIMITED].first, BROKER_RELEASE, 0, STR_NULL);
}

int64_t
worker_rate_turn(struct worker *self)
{
    int64_t now_us = clock_mono_us(&clock_system);
    int64_t due_us = INT64_MAX;
    struct task_state *state = NULL;
    struct flight *next;

    if (self->phase != WORKER_RUNS)
        release_all(self);
    for (struct flight *flight = self->lists[FLIGHTS_LIMITED].first; flight; flight = next) {
        int64_t wanted_us;

        next = flight->links[FLIGHTS_LIMITED].next;
        if (!state || state->task != flight->task)
            state = worker_control_find_state(self->control, flight->task);
        if (!state || control_rate_take_late(&state->rate, now_us)) {
            flight->is_admitted = true;
            worker_flight_set_stage(self, flight, FLIGHT_WAITING);
            continue;
        }
        wanted_us = control_rate_due_us(&state->rate, now_us);
        if (wanted_us < due_us)
            due_us = wanted_us;
    }
    return due_us;
}
