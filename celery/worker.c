/* The worker's life: open all, turn by turn until a signal, close all.
 *
 * Everything that a turn of the loop has gathered is done at its end, in this order: what waits
 * goes to the pool, records to the backend, verdicts to the broker, its deliveries to the pool. */

#include <malloc.h>

#include "base/log.h"
#include "celery/worker_internal.h"

#define GATHER_US  (10 * US_PER_MS)
#define GATHER_MAX ((size_t)512)
#define BURST      ((size_t)128) /* messages held at a time, after which memory is given back */

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

static void
set_timer(struct worker *self, int64_t due_us)
{
    int64_t now_us = clock_mono_us(&clock_system);

    if ((self->lists[FLIGHTS_RECORDED].first || self->lists[FLIGHTS_LINKED].first) &&
        self->backend_pause.until_us < due_us)
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
    if (self->is_ready || !self->broker || !worker_control_is_ready(self) ||
        self->n_ready_children < self->options->n_children)
        return;
    self->is_ready = true;
    worker_notify(self, "READY=1");
    if (self->options->ready)
        self->options->ready(self->options->context);
}

/* A commit costs the same for one task and for hundreds: while the pool has more than half of what
 * is held still to do, and tasks are short, their ends are gathered for a moment.  The other half
 * is what it does while the broker answers. */
static bool
is_gathering(struct worker *self)
{
    int64_t now_us = clock_mono_us(&clock_system);

    if (self->n_waiting <= self->n_children * self->prefetch / 2 || self->n_ended == 0 ||
        self->n_ended >= GATHER_MAX || self->prefetch == WORKER_PREFETCH ||
        self->phase != WORKER_RUNS)
        self->gather_until_us = 0;
    else if (!self->gather_until_us)
        self->gather_until_us = now_us + GATHER_US;
    return now_us < self->gather_until_us;
}

/* Hundreds of messages leave a heap of several times what an idle worker needs. */
static void
trim_memory(struct worker *self)
{
    if (self->n_flights > self->most_flights)
        self->most_flights = self->n_flights;
    if (self->n_flights > 0 || self->most_flights < BURST)
        return;
    self->most_flights = 0;
    (void)malloc_trim(0);
}

static void
on_turn(void *context)
{
    struct worker *self = context;
    int64_t control_due_us = worker_control_turn(self);
    int64_t window_due_us, events_due_us, due_us;

    worker_submit_waiting(self);
    if (is_gathering(self)) {
        error_ignore((int)(worker_events_turn(self) > 0)); /* the next turn is near */
        set_timer(self, self->gather_until_us);
        return;
    }
    self->gather_until_us = 0;
    worker_store_records(self);
    window_due_us = worker_window_turn(self);
    due_us = worker_broker_turn(self);
    if (window_due_us < due_us)
        due_us = window_due_us;
    worker_submit_waiting(self);
    say_ready(self);
    events_due_us = worker_events_turn(self);
    if (events_due_us < due_us)
        due_us = events_due_us;
    if (self->is_pool_gone && !self->lists[FLIGHTS_ALL].first)
        loop_stop(self->loop);
    set_timer(self, due_us < control_due_us ? due_us : control_due_us);
    trim_memory(self);
    log_flush();
}

/* The timer only ends the loop's wait. */
static void
on_timer(void *context)
{
    (void)context;
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
    const int log_fd = log_get_fd();
    struct pool_options options = {
        .loop = self->loop,
        .runner = self->options->runner,
        .events = worker_pool_events,
        .max_tasks_per_child = self->options->max_tasks_per_child,
        .max_memory_per_child_kib = self->options->max_memory_per_child_kib,
        .child_prefetch = WORKER_CHILD_PREFETCH,
        .keep_fds = &log_fd,
        .n_keep_fds = 1,
    };
    int rc;

    options.events.context = self;
    if (self->history)
        options.events.logged = worker_history_on_logged;
    rc = pool_create(self->options->pool, &options, &self->pool, err);
    if (rc == 0)
        rc = pool_start(self->pool, self->options->n_children, err);
    return rc;
}

static int
open_loop(struct worker *self, struct error *err)
{
    struct error notify_err = {0};
    int rc = loop_timer_create(self->loop, on_timer, self, &self->timer, err);

    if (rc == 0)
        rc = worker_shutdown_open(self, err);
    if (rc == 0)
        rc = worker_clean_open(self, err);
    if (rc == 0 && worker_notify_open(self, &notify_err) < 0)
        log_warning("service manager not told: reason=%s", notify_err.message);
    return rc;
}

/* False: threads still run tasks, and what they use must stay. */
static bool
close_all(struct worker *self)
{
    loop_hook_free(self->hook);
    companion_free(self->companion);
    if (self->broker)
        worker_broker_close(self);
    worker_history_close(self);
    if (self->pool && self->pool->ops == &pool_thread && pool_is_busy(self->pool))
        return false;
    pool_free(self->pool);
    while (self->lists[FLIGHTS_ALL].first)
        worker_flight_free(self, self->lists[FLIGHTS_ALL].first);
    backend_close(self->backend);
    worker_events_close(self);
    worker_control_close(self);
    worker_shutdown_close(self);
    worker_notify_close(self);
    loop_timer_free(self->timer);
    loop_timer_free(self->clean_timer);
    loop_free(self->loop);
    return true;
}

int
celery_worker_run(const struct celery_worker_options *options, struct error *err)
{
    struct worker self = {.options = options,
                          .watched_fd = -1,
                          .notify_fd = -1,
                          .prefetch = WORKER_PREFETCH,
                          .runtime_us = WORKER_SPAN_US};
    int rc = loop_create(&self.loop, err);

    if (rc < 0)
        return rc;
    rc = open_loop(&self, err);
    if (rc == 0)
        rc = worker_history_open(&self, err); /* forks: first of all */
    if (rc == 0)
        rc = worker_control_open(&self, err);
    if (rc == 0)
        rc = worker_events_open(&self, err);
    if (rc == 0)
        rc = open_backend(&self, err);
    if (rc == 0)
        rc = open_broker(&self, err);
    if (rc == 0)
        rc = open_pool(&self, err);
    if (rc == 0 && options->companion)
        rc = companion_create(self.loop, "beat", options->companion, &self.companion, err);
    /* Made after the pool: the hook that was made last runs first, and what it submits is sent by
     * the pool's own in the same turn. */
    if (rc == 0)
        rc = loop_hook_create(self.loop, on_turn, &self, &self.hook, err);
    if (rc == 0) {
        log_begin_batch();
        if (options->is_stopped && options->is_stopped(options->context))
            worker_drain(&self);
        loop_run(self.loop);
        log_info("worker has ended");
        log_end_batch();
        if (self.fatal.code != ERR_NONE)
            rc = error_set(err, self.fatal.code, "broker: %s", self.fatal.message);
    }
    return close_all(&self) || rc < 0 ? rc : CELERY_WORKER_IS_LEFT;
}
