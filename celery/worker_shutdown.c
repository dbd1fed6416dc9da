/* Signals, and how a worker ends: warm, cold, at once.
 *
 *     SIGTERM, SIGINT   warm; again: cold; again: at once
 *     SIGQUIT           cold
 *     SIGHUP            the log file is opened again; where the log is a terminal, it is gone: warm
 */

#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "celery/worker_internal.h"

#define LEAVE_WARM_MS 10000 /* for the last results and settlements, after the pool */
#define LEAVE_COLD_MS 500

static void
on_grace_over(void *context)
{
    struct worker *self = context;

    log_warning("running tasks did not end in time: grace_ms=%lld",
                (long long)self->options->grace_ms);
    worker_stop(self);
}

void
worker_drain(struct worker *self)
{
    if (self->phase != WORKER_RUNS)
        return;
    self->phase = WORKER_DRAINS;
    worker_notify(self, "STOPPING=1");
    log_info("warm shutdown: running tasks end first, a second signal kills them");
    if (self->options->grace_ms > 0)
        loop_timer_start(self->grace_timer, self->options->grace_ms, 0);
    if (self->companion)
        companion_stop(self->companion);
    pool_drain(self->pool);
}

void
worker_stop(struct worker *self)
{
    if (self->phase == WORKER_STOPS)
        return;
    if (self->phase == WORKER_RUNS)
        worker_notify(self, "STOPPING=1");
    self->phase = WORKER_STOPS;
    log_warning("cold shutdown: running tasks are killed and go back");
    if (self->companion)
        companion_stop(self->companion);
    if (self->is_pool_gone)
        loop_timer_start(self->leave_timer, LEAVE_COLD_MS, 0);
    else
        pool_stop(self->pool);
}

void
worker_on_pool_stopped(void *context)
{
    struct worker *self = context;

    self->is_pool_gone = true;
    loop_timer_start(self->leave_timer, self->phase == WORKER_STOPS ? LEAVE_COLD_MS : LEAVE_WARM_MS,
                     0);
}

/* The tasks have had their effect: their messages are settled, whatever became of the results. */
static void
on_leave(void *context)
{
    struct worker *self = context;

    struct flight *flight;

    while ((flight = self->lists[FLIGHTS_RECORDED].first)) {
        log_error("result is lost, the backend did not come back: id=%.*s",
                  STR_ARG(flight->message.id));
        worker_flight_set_record(self, flight, false);
    }
    error_ignore((int)(worker_broker_turn(self) > 0)); /* the loop ends here */
    loop_stop(self->loop);
}

static void
on_end(void *context)
{
    struct worker *self = context;

    if (self->phase == WORKER_RUNS)
        worker_drain(self);
    else if (self->phase == WORKER_DRAINS)
        worker_stop(self);
    else
        loop_stop(self->loop);
}

static void
on_quit(void *context)
{
    struct worker *self = context;

    if (self->phase == WORKER_STOPS)
        loop_stop(self->loop);
    else
        worker_stop(self);
}

static void
on_hangup(void *context)
{
    struct worker *self = context;
    struct error err = {0};

    if (self->has_terminal) {
        worker_drain(self);
        return;
    }
    worker_notify_reloading(self);
    if (self->companion)
        companion_reload(self->companion);
    if (log_reopen(&err) < 0)
        log_error("log file not opened again, the old one goes on: reason=%s", err.message);
    else
        log_info("log file opened again");
    if (self->is_ready)
        worker_notify(self, "READY=1");
}

int
worker_shutdown_open(struct worker *self, struct error *err)
{
    static const struct {
        int number;
        loop_fn fn;
    } rows[WORKER_N_SIGNALS] = {
        {SIGTERM, on_end}, {SIGINT, on_end}, {SIGQUIT, on_quit}, {SIGHUP, on_hangup}};
    int rc = loop_timer_create(self->loop, on_leave, self, &self->leave_timer, err);

    self->has_terminal = isatty(log_get_fd()) == 1;
    if (rc == 0)
        rc = loop_timer_create(self->loop, on_grace_over, self, &self->grace_timer, err);
    for (size_t i = 0; rc == 0 && i < COUNT_OF(rows); i++)
        rc = loop_signal_create(self->loop, rows[i].number, rows[i].fn, self, &self->signals[i],
                                err);
    return rc;
}

void
worker_shutdown_close(struct worker *self)
{
    for (size_t i = 0; i < COUNT_OF(self->signals); i++)
        loop_signal_free(self->signals[i]);
    loop_timer_free(self->leave_timer);
    loop_timer_free(self->grace_timer);
}
