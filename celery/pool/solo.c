/* The solo pool: the worker runs the task itself, between two turns of its loop.
 *
 * For debugging and for the smallest machines.  While a task runs the loop stands still: timers,
 * brokers and signals wait, nothing can be killed, and hard limits have no effect.  Soft limits
 * work, since the task itself looks at the clock, and so does pool_terminate from within a progress
 * event.  A crash ends the whole worker. */

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "celery/pool/pool.h"
#include "celery/pool/proc.h"

#define PROGRESS_US (100 * US_PER_MS)

struct solo {
    struct pool base;
    struct pool_options options;
    struct loop_timer *timer; /* the next turn */
    void *state;
    bool is_running; /* between start and drain or stop */
    bool is_set_up;
    bool is_ending;
    bool has_request;
    bool is_in_task;
    bool is_terminated;
    bool has_met_soft_limit;
    struct pool_request request;
    struct buf payload;
    struct buf result;
    struct journal journal;
    struct buf lines; /* of the journal, on their way */
    struct buf sends;
    int64_t started_us; /* monotonic */
    int64_t progress_us;
    uint64_t n_done;
    uint64_t serial; /* of the latest request, for its journal */
};

static struct solo *
solo_of(struct pool *pool)
{
    return (struct solo *)pool;
}

static int64_t
utc_of(int64_t mono_us)
{
    return clock_now_us(&clock_system) - (clock_mono_us(&clock_system) - mono_us);
}

static bool
is_cancelled(void *context)
{
    struct solo *self = context;
    int64_t soft_us = self->request.soft_limit_ms * US_PER_MS;

    if (soft_us && clock_mono_us(&clock_system) - self->started_us >= soft_us)
        self->has_met_soft_limit = true;
    return self->is_terminated || self->has_met_soft_limit;
}

static void
set_progress(void *context, int64_t current, int64_t total)
{
    struct solo *self = context;
    const struct pool_events *events = &self->options.events;
    int64_t now_us = clock_mono_us(&clock_system);

    if (!events->progress || now_us < self->progress_us)
        return;
    self->progress_us = now_us + PROGRESS_US;
    events->progress(events->context, self->request.id, current, total);
}

static int64_t
peak_rss_kib(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0;
}

static enum pool_outcome_kind
judge(const struct solo *self, int rc)
{
    bool gave_up = rc == -ERR_CANCELLED || rc == -ERR_SOFT_LIMIT;

    if (rc == 0)
        return POOL_OK;
    if (gave_up && self->is_terminated)
        return POOL_TERMINATED;
    return gave_up && self->has_met_soft_limit ? POOL_SOFT_LIMIT : POOL_FAILED;
}

static void
emit_done(struct solo *self, struct pool_outcome *outcome)
{
    uint64_t id = self->request.id;

    self->has_request = false; /* the owner may submit the next from there */
    outcome->pid = getpid();
    outcome->exception = error_exception_name((int)outcome->code);
    self->options.events.done(self->options.events.context, id, outcome);
}

static void
run_request(struct solo *self)
{
    const struct pool_events *events = &self->options.events;
    struct pool_call call = {
        .id = self->request.id,
        .task = self->request.task,
        .payload = buf_str(&self->payload),
        .hooks = {set_progress, is_cancelled, self},
        .sends = &self->sends,
    };
    struct pool_outcome outcome = {.has_started = true};
    struct error err = {0};
    struct pool_log log;
    int rc;

    self->is_in_task = true;
    self->is_terminated = false;
    self->has_met_soft_limit = false;
    self->progress_us = 0;
    self->started_us = clock_mono_us(&clock_system);
    if (events->started)
        events->started(events->context, call.id, getpid(), utc_of(self->started_us));
    buf_clear(&self->result);
    if (events->logged)
        journal_begin(&self->journal, ++self->serial);
    buf_clear(&self->sends);
    rc = self->options.runner.run(self->state, &call, &self->result, &err);
    journal_end();
    if (rc == 0)
        rc = buf_status(&self->result, &err);
    if (self->result.rc < 0)
        buf_clear(&self->result);
    self->is_in_task = false;
    self->n_done++;
    outcome.kind = judge(self, rc);
    outcome.started_at_us = utc_of(self->started_us);
    outcome.runtime_us = clock_mono_us(&clock_system) - self->started_us;
    outcome.peak_rss_kib = peak_rss_kib();
    outcome.result = buf_str(&self->result);
    outcome.sends = buf_str(&self->sends);
    outcome.code = outcome.kind == POOL_SOFT_LIMIT ? ERR_SOFT_LIMIT : (enum error_code) - rc;
    outcome.message = str_from_cstr(rc < 0 ? err.message : "");
    outcome.retry_after_ms = err.retry_after_ms;
    if (events->logged && journal_read(&self->journal, self->serial, &self->lines, &log))
        events->logged(events->context, call.id, &log);
    emit_done(self, &outcome);
}

static void
set_up(struct solo *self)
{
    const struct pool_runner *runner = &self->options.runner;
    const struct pool_events *events = &self->options.events;
    struct error err = {0};

    if (runner->setup && runner->setup(runner->context, &self->state, &err) < 0) {
        if (events->trouble)
            events->trouble(events->context, &err);
        loop_timer_start(self->timer, 1000, 0); /* once more, later */
        return;
    }
    self->is_set_up = true;
    if (events->ready)
        events->ready(events->context, getpid());
}

static void
on_turn(void *context)
{
    struct solo *self = context;

    if (self->is_running && !self->is_set_up)
        set_up(self);
    if (self->has_request && self->is_set_up)
        run_request(self);
    if (self->is_ending && !self->has_request) {
        self->is_ending = false;
        if (self->options.events.stopped)
            self->options.events.stopped(self->options.events.context);
    }
}

static int
solo_start(struct pool *pool, size_t n_children, struct error *err)
{
    struct solo *self = solo_of(pool);

    if (n_children != 1)
        return error_set(err, ERR_INVALID, "the solo pool has 1 child, not %zu", n_children);
    if (self->is_running)
        return error_set(err, ERR_BUSY, "the pool was started before");
    self->is_running = true;
    loop_timer_start(self->timer, 0, 0);
    return 0;
}

static size_t
solo_n_free(const struct pool *pool)
{
    const struct solo *self = (const struct solo *)pool;

    return self->is_running && self->is_set_up && !self->has_request;
}

static int
solo_submit(struct pool *pool, const struct pool_request *request, struct error *err)
{
    struct solo *self = solo_of(pool);
    int rc;

    if (!solo_n_free(pool))
        return error_set(err, ERR_BUSY, "the one slot is taken");
    if (request->payload.len > self->options.max_payload_bytes)
        return error_set(err, ERR_TOO_LARGE, "a request of %zu bytes exceeds the limit of %zu",
                         request->payload.len, self->options.max_payload_bytes);
    buf_clear(&self->payload);
    buf_append(&self->payload, request->payload);
    rc = buf_status(&self->payload, err);
    if (rc < 0)
        return rc;
    self->request = *request;
    self->has_request = true;
    loop_timer_start(self->timer, 0, 0);
    return 0;
}

static int
solo_terminate(struct pool *pool, uint64_t id, struct error *err)
{
    struct solo *self = solo_of(pool);
    struct pool_outcome outcome = {.kind = POOL_TERMINATED,
                                   .code = ERR_CANCELLED,
                                   .message = STR("terminated before it started")};

    if (!self->has_request || self->request.id != id)
        return error_set(err, ERR_NOT_FOUND, "no request with this id is under way");
    if (self->is_in_task)
        self->is_terminated = true;
    else
        emit_done(self, &outcome);
    return 0;
}

static int
solo_resize(struct pool *pool, size_t n_children, struct error *err)
{
    (void)pool;
    if (n_children == 1)
        return 0;
    return error_set(err, ERR_UNSUPPORTED, "the solo pool has 1 child and cannot have %zu",
                     n_children);
}

static void
solo_drain(struct pool *pool)
{
    struct solo *self = solo_of(pool);
    struct pool_outcome outcome = {.kind = POOL_RETURNED, .message = STR("not started")};

    if (!self->is_running)
        return;
    self->is_running = false;
    self->is_ending = true;
    if (self->has_request && !self->is_in_task)
        emit_done(self, &outcome);
    loop_timer_start(self->timer, 0, 0);
}

static void
solo_stop(struct pool *pool)
{
    struct solo *self = solo_of(pool);

    solo_drain(pool);
    if (self->is_in_task)
        self->is_terminated = true;
}

static size_t
solo_stats(const struct pool *pool, struct pool_child_stats *out, size_t n_out)
{
    const struct solo *self = (const struct solo *)pool;

    if (n_out == 0)
        return 1;
    *out = (struct pool_child_stats){
        .pid = getpid(),
        .n_done = self->n_done,
        .rss_kib = proc_rss_kib(getpid()),
        .peak_rss_kib = peak_rss_kib(),
        .is_busy = self->has_request,
    };
    if (self->has_request) {
        out->current_id = self->request.id;
        out->current_task = self->request.task->name;
        out->started_at_us = self->is_in_task ? utc_of(self->started_us) : 0;
    }
    return 1;
}

static void
solo_free(struct pool *pool)
{
    struct solo *self = solo_of(pool);

    if (self->is_set_up && self->options.runner.teardown)
        self->options.runner.teardown(self->state);
    loop_timer_free(self->timer);
    buf_fini(&self->payload);
    buf_fini(&self->result);
    buf_fini(&self->lines);
    buf_fini(&self->sends);
    free(self);
}

static int
solo_create(const struct pool_options *options, struct pool **out, struct error *err)
{
    struct solo *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "out of memory for a pool");
    self->base.ops = &pool_solo;
    self->options = *options;
    if (self->options.max_payload_bytes == 0)
        self->options.max_payload_bytes = POOL_PAYLOAD_BYTES;
    buf_init(&self->payload, self->options.max_payload_bytes);
    buf_init(&self->result, self->options.max_payload_bytes);
    buf_init(&self->lines, JOURNAL_BYTES);
    buf_init(&self->sends, CELERY_SENDS_BYTES);
    rc = loop_timer_create(options->loop, on_turn, self, &self->timer, err);
    if (rc < 0) {
        free(self);
        return rc;
    }
    *out = &self->base;
    return 0;
}

const struct pool_ops pool_solo = {
    .name = "solo",
    .create = solo_create,
    .free = solo_free,
    .start = solo_start,
    .n_free = solo_n_free,
    .submit = solo_submit,
    .terminate = solo_terminate,
    .resize = solo_resize,
    .drain = solo_drain,
    .stop = solo_stop,
    .stats = solo_stats,
};
