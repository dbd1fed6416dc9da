/* The worker's life: open all, turn by turn until a signal, close all.
 *
 * Everything that a turn of the loop has gathered is done at its end, in this order: what waits
 * goes to the pool, records to the backend, verdicts to the broker, its deliveries to the pool. */

#include <signal.h>

#include "base/log.h"
#include "celery/worker_internal.h"

bool
worker_pause_extend(struct worker_pause *pause)
{
    bool is_first = pause->span_us == 0;

    pause->span_us = is_first ? WORKER_RETRY_MIN_US : 2 * pause->span_us;
    if (pause->span_us > WORKER_RETRY_MAX_US)
        pause->span_us = WORKER_RETRY_MAX_US;
    pause->until_us = clock_mono_us(&clock_system) + pause->span_us;
    return is_first;
}

bool
worker_pause_is_over(const struct worker_pause *pause)
{
    return pause->until_us <= clock_mono_us(&clock_system);
}

static bool
has_records(const struct worker *self)
{
    const struct flight *flight = self->first;

    while (flight && !flight->has_record)
        flight = flight->next;
    return flight != NULL;
}

static void
set_timer(struct worker *self, int64_t due_us)
{
    int64_t now_us = clock_mono_us(&clock_system);

    if (has_records(self) && self->backend_pause.until_us < due_us)
        due_us = self->backend_pause.until_us;
    if (due_us <= now_us)
        loop_timer_start(self->timer, 0, 0);
    else if (due_us - now_us > 60 * US_PER_S)
        loop_timer_start(self->timer, 60000, 0);
    else
        loop_timer_start(self->timer, (due_us - now_us + US_PER_MS - 1) / US_PER_MS, 0);
}

static void
say_ready(struct worker *self)
{
    if (self->is_ready || !self->broker || self->n_ready_children < self->options->n_children)
        return;
    self->is_ready = true;
    if (self->options->ready)
        self->options->ready(self->options->context);
}

static void
on_turn(void *context)
{
    struct worker *self = context;
    int64_t due_us;

    worker_submit_waiting(self);
    worker_store_records(self);
    due_us = worker_broker_turn(self);
    worker_submit_waiting(self);
    say_ready(self);
    if (self->is_pool_gone && !self->first)
        loop_stop(self->loop);
    set_timer(self, due_us);
}

/* The timer only ends the loop's wait. */
static void
on_timer(void *context)
{
    (void)context;
}

/* The tasks have had their effect: their messages are settled, whatever became of the results. */
static void
on_leave(void *context)
{
    struct worker *self = context;

    for (struct flight *flight = self->first; flight; flight = flight->next) {
        if (flight->has_record)
            log_error("result is lost, the backend did not come back: id=%.*s",
                      STR_ARG(flight->message.id));
        flight->has_record = false;
    }
    error_ignore((int)(worker_broker_turn(self) > 0)); /* the loop ends here */
    loop_stop(self->loop);
}

static void
on_signal(void *context)
{
    struct worker *self = context;

    self->n_signals++;
    if (self->n_signals == 1) {
        log_info("warm shutdown: running tasks end first, a second signal kills them");
        if (self->companion)
            companion_stop(self->companion);
        pool_drain(self->pool);
    } else if (self->n_signals == 2) {
        log_warning("cold shutdown: running tasks are killed and go back");
        pool_stop(self->pool);
    }
}

static int
open_backend(struct worker *self, struct error *err)
{
    static const struct backend_options options = {.clock = &clock_system,
                                                   .max_block_us = 5 * US_PER_MS};
    int rc = backend_open(self->options->backend_url, &options, &self->backend, err);

    if (rc < 0 && backend_advise(rc) == BACKEND_GIVE_UP)
        return error_wrap(err, rc, "result backend");
    if (rc < 0 && worker_pause_extend(&self->backend_pause))
        log_warning("result backend cannot be opened, it is tried again: reason=%s", err->message);
    return 0;
}

static int
open_broker(struct worker *self, struct error *err)
{
    int rc = worker_broker_open(self, err);

    if (rc < 0 && !error_is_retryable(rc))
        return error_wrap(err, rc, "broker");
    if (rc < 0 && worker_pause_extend(&self->broker_pause))
        log_warning("broker cannot be opened, it is tried again: reason=%s", err->message);
    return 0;
}

static int
open_pool(struct worker *self, struct error *err)
{
    struct pool_options options = {
        .loop = self->loop,
        .runner = self->options->runner,
        .events = worker_pool_events,
        .max_tasks_per_child = self->options->max_tasks_per_child,
        .child_prefetch = 1,
    };
    int rc;

    options.events.context = self;
    rc = pool_create(self->options->pool, &options, &self->pool, err);
    if (rc == 0)
        rc = pool_start(self->pool, self->options->n_children, err);
    return rc;
}

static int
open_loop(struct worker *self, struct error *err)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    int rc = loop_timer_create(self->loop, on_timer, self, &self->timer, err);

    if (rc == 0)
        rc = loop_timer_create(self->loop, on_leave, self, &self->leave_timer, err);
    for (size_t i = 0; rc == 0 && i < COUNT_OF(numbers); i++)
        rc = loop_signal_create(self->loop, numbers[i], on_signal, self, &self->signals[i], err);
    if (rc == 0 && self->options->companion)
        rc = companion_create(self->loop, "beat", self->options->companion, &self->companion, err);
    /* Made after the pool: the hook that was made last runs first, and what it submits is sent by
     * the pool's own in the same turn. */
    if (rc == 0)
        rc = loop_hook_create(self->loop, on_turn, self, &self->hook, err);
    return rc;
}

static void
close_all(struct worker *self)
{
    loop_hook_free(self->hook);
    companion_free(self->companion);
    if (self->broker)
        worker_broker_close(self);
    pool_free(self->pool);
    while (self->first)
        worker_flight_free(self, self->first);
    backend_close(self->backend);
    for (size_t i = 0; i < COUNT_OF(self->signals); i++)
        loop_signal_free(self->signals[i]);
    loop_timer_free(self->timer);
    loop_timer_free(self->leave_timer);
    loop_free(self->loop);
}

int
celery_worker_run(const struct celery_worker_options *options, struct error *err)
{
    struct worker self = {.options = options, .watched_fd = -1};
    int rc = loop_create(&self.loop, err);

    if (rc < 0)
        return rc;
    rc = open_backend(&self, err);
    if (rc == 0)
        rc = open_broker(&self, err);
    if (rc == 0)
        rc = open_pool(&self, err);
    if (rc == 0)
        rc = open_loop(&self, err);
    if (rc == 0) {
        if (options->is_stopped && options->is_stopped(options->context))
            on_signal(&self);
        loop_run(self.loop);
        log_info("worker has ended");
    }
    close_all(&self);
    return rc;
}
