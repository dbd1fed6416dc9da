/* A thread of the thread pool: sets itself up, then runs what it is given until it may leave. */

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "celery/pool/thread.h"

void
job_free(struct job *job)
{
    if (!job)
        return;
    buf_fini(&job->payload);
    buf_fini(&job->result);
    buf_fini(&job->sends);
    free(job);
}

/* The soft limit needs no signal here: who asks, looks at the clock. */
static bool
is_cancelled(void *context)
{
    struct worker *worker = context;
    struct job *job = worker->job; /* does not change while the task runs */
    int64_t started_us;

    if (atomic_load(&worker->board.cancel_serial) == job->serial)
        return true;
    if (job->soft_us && board_has_started(&worker->board, job->serial, &started_us) &&
        clock_mono_us(&clock_system) - started_us >= job->soft_us)
        job->has_met_soft_limit = true;
    return job->has_met_soft_limit;
}

static void
set_progress(void *context, int64_t current, int64_t total)
{
    struct worker *worker = context;

    board_set_progress(&worker->board, worker->job->serial, current, total);
}

static void
run_job(struct worker *worker, struct job *job)
{
    int64_t started_us = clock_mono_us(&clock_system);
    struct pool_call call = {
        .id = job->id,
        .task = job->task,
        .payload = buf_str(&job->payload),
        .hooks = {set_progress, is_cancelled, worker},
        .sends = &job->sends,
    };

    if (!board_start(&worker->board, job->serial, started_us))
        return; /* taken back: the loop frees it */
    if (worker->pool->options.events.logged)
        journal_begin(&worker->board.journal, job->serial);
    job->rc = worker->pool->options.runner.run(worker->state, &call, &job->result, &job->err);
    journal_end();
    if (job->rc == 0)
        job->rc = buf_status(&job->result, &job->err);
    if (job->result.rc < 0)
        buf_clear(&job->result);
    job->runtime_us = clock_mono_us(&clock_system) - started_us;
}

static void *
serve(void *context)
{
    struct worker *worker = context;
    struct thread_pool *self = worker->pool;
    const struct pool_runner *runner = &self->options.runner;
    int rc = runner->setup ? runner->setup(runner->context, &worker->state, &worker->err) : 0;

    (void)pthread_mutex_lock(&self->mutex);
    worker->phase = rc < 0 ? WORKER_FAILED : WORKER_SERVING;
    loop_wake_send(self->wake);
    while (rc == 0) {
        while (!worker->is_leaving && (!worker->job || worker->is_job_done))
            (void)pthread_cond_wait(&worker->has_work, &self->mutex);
        if (!worker->job || worker->is_job_done)
            break;
        (void)pthread_mutex_unlock(&self->mutex);
        run_job(worker, worker->job);
        (void)pthread_mutex_lock(&self->mutex);
        worker->is_job_done = true;
        loop_wake_send(self->wake);
    }
    (void)pthread_mutex_unlock(&self->mutex);
    if (rc < 0)
        return NULL;
    if (runner->teardown)
        runner->teardown(worker->state);
    (void)pthread_mutex_lock(&self->mutex);
    worker->phase = WORKER_ENDED; /* whoever joins now does not wait */
    (void)pthread_mutex_unlock(&self->mutex);
    loop_wake_send(self->wake);
    return NULL;
}

int
thread_spawn(struct thread_pool *self, struct error *err)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    sigset_t all, before;
    int rc;

    if (!worker)
        return error_set(err, ERR_NOMEM, "out of memory for a thread");
    worker->pool = self;
    worker->next_serial = 1; /* nobody is cancelled: cancel_serial is 0 */
    (void)pthread_cond_init(&worker->has_work, NULL);
    (void)sigfillset(&all); /* signals are the loop's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&worker->thread, NULL, serve, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        (void)pthread_cond_destroy(&worker->has_work);
        free(worker);
        return error_set(err, ERR_IO, "cannot start a thread: %s", strerrordesc_np(rc));
    }
    self->workers[self->n_workers++] = worker;
    return 0;
}

int
job_create(const struct thread_pool *self, const struct pool_request *request, struct job **out,
           struct error *err)
{
    struct job *job;
    int rc;

    if (request->payload.len > self->options.max_payload_bytes)
        return error_set(err, ERR_TOO_LARGE, "a request of %zu bytes exceeds the limit of %zu",
                         request->payload.len, self->options.max_payload_bytes);
    job = calloc(1, sizeof(*job));
    if (!job)
        return error_set(err, ERR_NOMEM, "out of memory for a request");
    job->id = request->id;
    job->task = request->task;
    job->soft_us = request->soft_limit_ms * US_PER_MS;
    job->hard_us = request->hard_limit_ms * US_PER_MS;
    buf_init(&job->result, self->options.max_payload_bytes);
    buf_init(&job->sends, CELERY_SENDS_BYTES);
    buf_init(&job->payload, self->options.max_payload_bytes);
    buf_append(&job->payload, request->payload);
    rc = buf_status(&job->payload, err);
    if (rc < 0) {
        job_free(job);
        return rc;
    }
    *out = job;
    return 0;
}

void
thread_join(struct worker *worker)
{
    (void)pthread_join(worker->thread, NULL);
    (void)pthread_cond_destroy(&worker->has_work);
    job_free(worker->job);
    free(worker);
}
