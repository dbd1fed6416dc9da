/* The thread pool: for tasks that only wait, in the worker's own process.
 *
 * A thread cannot be killed.  A hard limit, a terminate whose grace is over and a cold stop are
 * therefore only reported: the request gets its outcome, the thread goes on, its slot stays taken
 * until the task returns, and what it then says is dropped.  A crash ends the whole worker.
 *
 * A thread and the loop share a board (board.h) as a process and the worker do; the rest is behind
 * one mutex, and loop_wake tells the loop to look. */

#include "celery/pool/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "celery/pool/proc.h"

#define LOOK_US     (5 * US_PER_MS)
#define PROGRESS_US (100 * US_PER_MS)
#define RESPAWN_US  US_PER_S
#define GRACE_MS    2000

static struct thread_pool *
thread_pool_of(struct pool *pool)
{
    return (struct thread_pool *)pool;
}

static void
wake_at(struct thread_pool *self, int64_t due_us)
{
    int64_t wait_us = due_us - clock_mono_us(&clock_system);

    if (due_us >= self->timer_due_us)
        return;
    self->timer_due_us = due_us;
    loop_timer_start(self->timer, wait_us > 0 ? (wait_us + US_PER_MS - 1) / US_PER_MS : 0, 0);
}

static void
tell_trouble(struct thread_pool *self, const struct error *err)
{
    self->respawn_us = clock_mono_us(&clock_system) + RESPAWN_US;
    wake_at(self, self->respawn_us);
    if (self->options.events.trouble)
        self->options.events.trouble(self->options.events.context, err);
}

static size_t
count_serving(const struct thread_pool *self)
{
    size_t n = 0;

    for (size_t i = 0; i < self->n_workers; i++)
        n += !self->workers[i]->is_leaving;
    return n;
}

static void
refill(struct thread_pool *self)
{
    struct error err;

    if (!self->is_running)
        return;
    for (size_t n = count_serving(self);
         n < self->n_wanted && self->n_workers < COUNT_OF(self->workers); n++) {
        if (clock_mono_us(&clock_system) < self->respawn_us) {
            wake_at(self, self->respawn_us);
            return;
        }
        if (thread_spawn(self, &err) < 0) {
            tell_trouble(self, &err);
            return;
        }
    }
}

static void
emit_done(struct thread_pool *self, const struct job *job, struct pool_outcome *outcome)
{
    outcome->pid = getpid();
    outcome->exception = error_exception_name((int)outcome->code);
    if (job->started_us) {
        outcome->has_started = true;
        outcome->started_at_us =
            clock_now_us(&clock_system) - (clock_mono_us(&clock_system) - job->started_us);
    }
    self->options.events.done(self->options.events.context, job->id, outcome);
}

static void
note_start(struct worker *worker, struct job *job)
{
    const struct pool_events *events = &worker->pool->options.events;
    int64_t mono_us = clock_mono_us(&clock_system);

    if (job->started_us || !board_has_started(&worker->board, job->serial, &job->started_us))
        return;
    job->progress_us = job->started_us + PROGRESS_US;
    if (events->started)
        events->started(events->context, job->id, getpid(),
                        clock_now_us(&clock_system) - (mono_us - job->started_us));
}

/* The owner hears now, the thread goes on. */
static void
report_early(struct worker *worker, enum pool_outcome_kind kind, const char *message)
{
    struct job *job = worker->job;
    struct pool_outcome outcome = {.kind = kind, .message = str_from_cstr(message)};

    if (kind == POOL_TERMINATED)
        outcome.code = ERR_CANCELLED;
    atomic_store(&worker->board.cancel_serial, job->serial);
    if (job->started_us)
        outcome.runtime_us = clock_mono_us(&clock_system) - job->started_us;
    job->is_reported = true;
    emit_done(worker->pool, job, &outcome);
}

static enum pool_outcome_kind
judge_job(const struct job *job)
{
    bool gave_up = job->rc == -ERR_CANCELLED || job->rc == -ERR_SOFT_LIMIT;

    if (job->rc == 0)
        return POOL_OK;
    if (gave_up && job->give_up_us)
        return POOL_TERMINATED;
    return gave_up && job->has_met_soft_limit ? POOL_SOFT_LIMIT : POOL_FAILED;
}

static void
tell_lines(struct worker *worker, const struct job *job)
{
    const struct pool_events *events = &worker->pool->options.events;
    CLEANUP(buf_fini) struct buf lines = BUF_INIT(JOURNAL_BYTES);
    struct pool_log log;

    if (events->logged && journal_read(&worker->board.journal, job->serial, &lines, &log))
        events->logged(events->context, job->id, &log);
}

/* The thread is through with its job. */
static void
land_job(struct worker *worker)
{
    struct thread_pool *self = worker->pool;
    struct job *job = worker->job;
    struct pool_outcome outcome;

    note_start(worker, job);
    (void)pthread_mutex_lock(&self->mutex);
    worker->job = NULL;
    worker->is_job_done = false;
    (void)pthread_mutex_unlock(&self->mutex);
    worker->n_done += job->started_us != 0;
    if (!job->is_reported) {
        outcome = (struct pool_outcome){
            .kind = judge_job(job),
            .runtime_us = job->runtime_us,
            .result = buf_str(&job->result),
            .sends = buf_str(&job->sends),
            .code = (enum error_code) - job->rc,
            .message = str_from_cstr(job->rc < 0 ? job->err.message : ""),
            .retry_after_ms = job->err.retry_after_ms,
        };
        if (outcome.kind == POOL_SOFT_LIMIT)
            outcome.code = ERR_SOFT_LIMIT;
        tell_lines(worker, job);
        emit_done(self, job, &outcome);
    }
    job_free(job);
}

static void
remove_worker(struct thread_pool *self, size_t idx)
{
    thread_join(self->workers[idx]);
    self->n_workers--;
    (void)memmove(&self->workers[idx], &self->workers[idx + 1],
                  (self->n_workers - idx) * sizeof(self->workers[0]));
}

static void
note_end(struct thread_pool *self)
{
    if (!self->is_ending)
        return;
    for (size_t i = 0; i < self->n_workers; i++) {
        if (self->workers[i]->job && !self->workers[i]->job->is_reported)
            return;
    }
    self->is_ending = false;
    if (self->options.events.stopped)
        self->options.events.stopped(self->options.events.context);
}

/* A thread has something to tell. */
static void
on_wake(void *context)
{
    struct thread_pool *self = context;
    const struct pool_events *events = &self->options.events;

    for (size_t i = 0; i < self->n_workers;) {
        struct worker *worker = self->workers[i];
        enum worker_phase phase;
        bool is_job_done;

        (void)pthread_mutex_lock(&self->mutex);
        phase = worker->phase;
        is_job_done = worker->is_job_done;
        (void)pthread_mutex_unlock(&self->mutex);
        if (is_job_done)
            land_job(worker);
        if (phase == WORKER_SERVING && !worker->is_announced && !worker->is_leaving) {
            worker->is_announced = true;
            if (events->ready)
                events->ready(events->context, getpid());
        }
        if (phase == WORKER_FAILED)
            tell_trouble(self, &worker->err);
        if (phase == WORKER_FAILED || (phase == WORKER_ENDED && !worker->job))
            remove_worker(self, i);
        else
            i++;
    }
    refill(self);
    note_end(self);
}

/* Returns when to look again. */
static int64_t
watch_worker(struct worker *worker, int64_t now_us)
{
    const struct pool_events *events = &worker->pool->options.events;
    struct job *job = worker->job;
    int64_t current, total;
    char message[120];

    if (!job || job->is_reported)
        return INT64_MAX;
    note_start(worker, job);
    if (!job->started_us)
        return now_us + LOOK_US;
    if (job->hard_us && now_us - job->started_us >= job->hard_us) {
        (void)snprintf(message, sizeof(message),
                       "over its limit of %" PRId64 " ms; a thread cannot be killed",
                       job->hard_us / US_PER_MS);
        report_early(worker, POOL_HARD_LIMIT, message);
        return INT64_MAX;
    }
    if (job->give_up_us && now_us >= job->give_up_us) {
        report_early(worker, POOL_TERMINATED, "terminated; a thread cannot be killed");
        return INT64_MAX;
    }
    if (now_us >= job->progress_us) {
        job->progress_us = now_us + PROGRESS_US;
        if (events->progress &&
            board_get_progress(&worker->board, job->serial, &job->progress_seen, &current, &total))
            events->progress(events->context, job->id, current, total);
    }
    now_us = job->progress_us;
    if (job->hard_us && job->started_us + job->hard_us < now_us)
        now_us = job->started_us + job->hard_us;
    if (job->give_up_us && job->give_up_us < now_us)
        now_us = job->give_up_us;
    return now_us;
}

static void
on_tick(void *context)
{
    struct thread_pool *self = context;
    int64_t now_us = clock_mono_us(&clock_system);
    int64_t due_us = INT64_MAX;

    self->timer_due_us = INT64_MAX;
    for (size_t i = 0; i < self->n_workers; i++) {
        int64_t worker_due_us = watch_worker(self->workers[i], now_us);

        if (worker_due_us < due_us)
            due_us = worker_due_us;
    }
    refill(self);
    if (due_us != INT64_MAX)
        wake_at(self, due_us);
    note_end(self);
}

static bool
can_take(const struct worker *worker)
{
    return worker->is_announced && !worker->is_leaving && !worker->job;
}

static size_t
thread_n_free(const struct pool *pool)
{
    const struct thread_pool *self = (const struct thread_pool *)pool;
    size_t n = 0;

    for (size_t i = 0; self->is_running && i < self->n_workers; i++)
        n += can_take(self->workers[i]);
    return n;
}

static int
thread_submit(struct pool *pool, const struct pool_request *request, struct error *err)
{
    struct thread_pool *self = thread_pool_of(pool);
    struct worker *worker = NULL;
    struct job *job = NULL;
    int rc;

    for (size_t i = 0; self->is_running && i < self->n_workers && !worker; i++) {
        if (can_take(self->workers[i]))
            worker = self->workers[i];
    }
    if (!worker)
        return error_set(err, ERR_BUSY, "no thread is free");
    rc = job_create(self, request, &job, err);
    if (rc < 0)
        return rc;
    job->serial = worker->next_serial++;
    board_queue(&worker->board, job->serial);
    (void)pthread_mutex_lock(&self->mutex);
    worker->job = job;
    worker->is_job_done = false;
    (void)pthread_cond_signal(&worker->has_work);
    (void)pthread_mutex_unlock(&self->mutex);
    wake_at(self, clock_mono_us(&clock_system) + LOOK_US);
    return 0;
}

static int
thread_terminate(struct pool *pool, uint64_t id, struct error *err)
{
    struct thread_pool *self = thread_pool_of(pool);

    for (size_t i = 0; i < self->n_workers; i++) {
        struct worker *worker = self->workers[i];
        struct job *job = worker->job;

        if (!job || job->is_reported || job->id != id)
            continue;
        if (board_revoke(&worker->board, job->serial)) {
            report_early(worker, POOL_TERMINATED, "terminated before it started");
        } else if (!job->give_up_us) {
            job->give_up_us =
                clock_mono_us(&clock_system) + self->options.terminate_grace_ms * US_PER_MS;
            atomic_store(&worker->board.cancel_serial, job->serial);
            wake_at(self, job->give_up_us);
        }
        return 0;
    }
    return error_set(err, ERR_NOT_FOUND, "no request with this id is under way");
}

static void
let_go(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->pool->mutex);
    worker->is_leaving = true;
    (void)pthread_cond_signal(&worker->has_work);
    (void)pthread_mutex_unlock(&worker->pool->mutex);
}

static int
thread_resize(struct pool *pool, size_t n_children, struct error *err)
{
    struct thread_pool *self = thread_pool_of(pool);

    if (!self->is_running)
        return error_set(err, ERR_BUSY, "the pool does not run");
    self->n_wanted = n_children;
    for (int busy = 0; busy < 2; busy++) { /* idle ones first */
        for (size_t i = self->n_workers; i-- > 0 && count_serving(self) > n_children;) {
            if (!self->workers[i]->is_leaving && (busy || !self->workers[i]->job))
                let_go(self->workers[i]);
        }
    }
    refill(self);
    return 0;
}

static void
end(struct thread_pool *self, bool is_cold)
{
    if (!self->is_running && !self->is_ending)
        return;
    self->is_running = false;
    self->is_ending = true;
    for (size_t i = 0; i < self->n_workers; i++) {
        struct worker *worker = self->workers[i];

        let_go(worker);
        if (!worker->job || worker->job->is_reported)
            continue;
        if (board_revoke(&worker->board, worker->job->serial)) {
            report_early(worker, POOL_RETURNED, "not started");
        } else if (is_cold) {
            note_start(worker, worker->job);
            report_early(worker, POOL_TERMINATED, "the worker stops; a thread cannot be killed");
        }
    }
    wake_at(self, 0); /* stopped never comes from within this call */
}

static void
thread_drain(struct pool *pool)
{
    end(thread_pool_of(pool), false);
}

static void
thread_stop(struct pool *pool)
{
    end(thread_pool_of(pool), true);
}

static size_t
thread_stats(const struct pool *pool, struct pool_child_stats *out, size_t n_out)
{
    const struct thread_pool *self = (const struct thread_pool *)pool;
    int64_t back_us = clock_now_us(&clock_system) - clock_mono_us(&clock_system);

    for (size_t i = 0; i < self->n_workers && i < n_out; i++) {
        const struct worker *worker = self->workers[i];

        out[i] = (struct pool_child_stats){
            .pid = getpid(),
            .n_done = worker->n_done,
            .rss_kib = proc_rss_kib(getpid()),
            .is_busy = worker->job != NULL,
        };
        if (!worker->job)
            continue;
        out[i].current_id = worker->job->id;
        out[i].current_task = worker->job->task->name;
        out[i].started_at_us = worker->job->started_us ? back_us + worker->job->started_us : 0;
    }
    return self->n_workers;
}

static int
thread_start(struct pool *pool, size_t n_children, struct error *err)
{
    struct thread_pool *self = thread_pool_of(pool);

    if (self->n_wanted)
        return error_set(err, ERR_BUSY, "the pool was started before");
    self->is_running = true;
    self->n_wanted = n_children;
    refill(self);
    return 0;
}

static void
thread_free(struct pool *pool)
{
    struct thread_pool *self = thread_pool_of(pool);

    for (size_t i = 0; i < self->n_workers; i++) {
        struct worker *worker = self->workers[i];

        if (worker->job) {
            (void)board_revoke(&worker->board, worker->job->serial);
            atomic_store(&worker->board.cancel_serial, worker->job->serial);
        }
        let_go(worker);
    }
    while (self->n_workers > 0)
        thread_join(self->workers[--self->n_workers]);
    loop_wake_free(self->wake);
    loop_timer_free(self->timer);
    (void)pthread_mutex_destroy(&self->mutex);
    free(self);
}

static int
thread_create(const struct pool_options *options, struct pool **out, struct error *err)
{
    struct thread_pool *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "out of memory for a pool");
    self->base.ops = &pool_thread;
    self->options = *options;
    self->timer_due_us = INT64_MAX;
    if (self->options.max_payload_bytes == 0)
        self->options.max_payload_bytes = POOL_PAYLOAD_BYTES;
    if (self->options.terminate_grace_ms == 0)
        self->options.terminate_grace_ms = GRACE_MS;
    (void)pthread_mutex_init(&self->mutex, NULL);
    rc = loop_wake_create(options->loop, on_wake, self, &self->wake, err);
    if (rc == 0)
        rc = loop_timer_create(options->loop, on_tick, self, &self->timer, err);
    if (rc < 0) {
        thread_free(&self->base);
        return rc;
    }
    *out = &self->base;
    return 0;
}

const struct pool_ops pool_thread = {
    .name = "thread",
    .create = thread_create,
    .free = thread_free,
    .start = thread_start,
    .n_free = thread_n_free,
    .submit = thread_submit,
    .terminate = thread_terminate,
    .resize = thread_resize,
    .drain = thread_drain,
    .stop = thread_stop,
    .stats = thread_stats,
};
