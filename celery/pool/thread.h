#pragma once

/* The thread pool, shared by its two files: thread.c is the loop's half, thread_worker.c the
 * thread's. */

#include <pthread.h>

#include "base/clock.h"
#include "celery/pool/board.h"
#include "celery/pool/pool.h"

struct job {
    uint64_t id;
    uint64_t serial;
    const struct celery_task *task;
    struct buf payload;
    int64_t soft_us;
    int64_t hard_us;
    int64_t started_us; /* as the loop knows it */
    int64_t give_up_us; /* terminated: when the loop stops waiting; 0 = was not */
    int64_t progress_us;
    uint64_t progress_seen;
    bool is_reported; /* the owner has an outcome already */
    bool has_met_soft_limit;
    /* by the thread, once it is done */
    int rc;
    struct error err;
    struct buf result;
    struct buf sends;
    int64_t runtime_us;
};

enum worker_phase { WORKER_SETUP, WORKER_SERVING, WORKER_FAILED, WORKER_ENDED };

struct worker {
    struct thread_pool *pool;
    pthread_t thread;
    pthread_cond_t has_work;
    void *state;
    struct board board;
    /* The loop's. */
    bool is_announced;
    uint64_t next_serial;
    uint64_t n_done;
    /* Behind the mutex. */
    enum worker_phase phase;
    bool is_leaving;
    struct job *job;
    bool is_job_done;
    struct error err; /* FAILED */
};

struct thread_pool {
    struct pool base;
    struct pool_options options;
    pthread_mutex_t mutex;
    struct loop_wake *wake;
    struct loop_timer *timer;
    int64_t timer_due_us;
    int64_t respawn_us;
    bool is_running;
    bool is_ending;
    size_t n_wanted;
    size_t n_workers;
    struct worker *workers[2 * POOL_MAX_CHILDREN];
};

/* thread_worker.c */
MUST_CHECK int thread_spawn(struct thread_pool *self, struct error *err);
/* Wait until the thread has ended, and release what is its own. */
void thread_join(struct worker *worker);
MUST_CHECK int job_create(const struct thread_pool *self, const struct pool_request *request,
                          struct job **out, struct error *err);
void job_free(struct job *job);
