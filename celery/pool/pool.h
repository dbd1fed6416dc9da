#pragma once

/* Who runs tasks: processes (prefork), threads, or the caller itself (solo).
 *
 * The owner is one event loop that never blocks.  It submits requests while pool_n_free says that
 * there is room, and hears of each one exactly once through events.done.  The pool knows nothing of
 * brokers, messages or results.
 *
 * All calls and all events happen on the loop's thread.  An event may call anything here but
 * pool_free; done may come from within pool_terminate, pool_recall, pool_drain, pool_stop and
 * pool_resize, for requests that had not started. */

#include <stdint.h>
#include <sys/types.h>

#include <trawl/error.h>
#include <trawl/str.h>
#include <trawl/task.h>

#include "base/buf.h"
#include "celery/call.h"
#include "celery/loop.h"
#include "celery/pool/journal.h"

#define POOL_MAX_CHILDREN 1024
#define POOL_MAX_PREFETCH 63
#define POOL_MAX_SPAN_MS  (INT64_C(1) << 40) /* limits and graces: 34 years */

/* The most that a request's payload or an outcome's result may have unless options say else. */
#define POOL_PAYLOAD_BYTES ((size_t)64 << 20)

struct pool;

struct pool_request {
    uint64_t id;                    /* the owner's, unique among requests under way */
    const struct celery_task *task; /* known before the pool was created: children inherit it */
    struct str payload;             /* bytes for runner.run; copied */
    int64_t soft_limit_ms;          /* from the start of the task; 0 = none */
    int64_t hard_limit_ms;
};

enum pool_outcome_kind {
    POOL_OK,         /* run returned 0 */
    POOL_FAILED,     /* run returned an error */
    POOL_RETURNED,   /* never started, and will not: submit it again */
    POOL_LOST,       /* its process died */
    POOL_SOFT_LIMIT, /* the task gave up because of its soft limit */
    POOL_HARD_LIMIT, /* killed (prefork), or given up on (thread) */
    POOL_TERMINATED, /* by pool_terminate or pool_stop */
};

enum pool_oom { POOL_OOM_NO, POOL_OOM_POSSIBLE, POOL_OOM_YES };

struct pool_outcome {
    enum pool_outcome_kind kind;
    bool has_started;      /* false: no line of the task has run */
    pid_t pid;             /* of the process that had it */
    int64_t started_at_us; /* UTC; 0 unless has_started */
    int64_t runtime_us;
    int64_t peak_rss_kib;   /* of its process, so far; 0 = not known */
    struct str result;      /* what run left in its buffer (FAILED: details); borrowed */
    struct str sends;       /* what run left in call->sends; borrowed; empty unless it returned */
    enum error_code code;   /* FAILED, SOFT_LIMIT, TERMINATED */
    const char *exception;  /* error_exception_name(code); static */
    struct str message;     /* FAILED and so on: the error's; LOST: how it died; borrowed */
    int64_t retry_after_ms; /* FAILED: 0, or how long the other side asked us to wait */
    int signal;             /* LOST: 0, or what killed the process */
    int exit_status;        /* LOST: when signal is 0 */
    enum pool_oom oom;      /* LOST by SIGKILL: whether memory ran out */
};

/* What the owner hears; every function but done may be NULL. */
struct pool_events {
    void (*ready)(void *context, pid_t pid); /* one more child may be given requests */
    void (*started)(void *context, uint64_t id, pid_t pid, int64_t at_us); /* UTC */
    /* At most ten times a second per request. */
    void (*progress)(void *context, uint64_t id, int64_t current, int64_t total);
    /* The latest log lines of a request that has run, before its done; lines are borrowed.  NULL:
     * they are not kept. */
    void (*logged)(void *context, uint64_t id, const struct pool_log *log);
    void (*done)(void *context, uint64_t id, const struct pool_outcome *outcome);
    /* The pool lives on with fewer children and tries again: a fork failed, a child died at its
     * start.  For the log. */
    void (*trouble)(void *context, const struct error *err);
    void (*stopped)(void *context); /* after pool_drain or pool_stop: nothing is left */
    void *context;
};

/* One run, in the child. */
struct pool_call {
    uint64_t id;
    const struct celery_task *task;
    struct str payload; /* borrowed for the call */
    struct celery_call_hooks hooks;
    struct buf *sends; /* empty; for the tasks that this one sends: travels as the result does */
};

/* What happens in a child (prefork: a process; thread: a thread; solo: the caller). */
struct pool_runner {
    /* Once, before the first request: open what a child needs.  May be NULL.  An error ends the
     * child. */
    int (*setup)(void *context, void **state, struct error *err);
    /* Run one task.  result is empty; what is in it travels to the owner, also after an error. */
    int (*run)(void *state, const struct pool_call *call, struct buf *result, struct error *err);
    void (*teardown)(void *state); /* only where a child leaves in peace; may be NULL */
    void *context;
};

struct pool_options {
    struct loop *loop; /* borrowed */
    struct pool_runner runner;
    struct pool_events events;
    uint64_t max_tasks_per_child;     /* 0 = no limit; prefork only */
    int64_t max_memory_per_child_kib; /* peak RSS, looked at after each task; 0 = no limit */
    unsigned child_prefetch;          /* requests that wait inside a busy child, 0 to 63 */
    int64_t terminate_grace_ms;       /* SIGTERM to SIGKILL; 0 = 2,000 */
    size_t max_payload_bytes;         /* 0 = POOL_PAYLOAD_BYTES */
    const int *keep_fds;              /* stay open in children, beside 0, 1, 2; copied */
    size_t n_keep_fds;                /* at most 8 */
};

/* One child, now. */
struct pool_child_stats {
    pid_t pid;
    uint64_t n_done;
    int64_t rss_kib;      /* 0 = not known */
    int64_t peak_rss_kib; /* after its last request */
    bool is_busy;
    uint64_t current_id;      /* the rest only if busy */
    const char *current_task; /* the task's name */
    int64_t started_at_us;    /* UTC; 0 = not seen to start yet */
};

/* An implementation.  Meaning and errors: at the functions below. */
struct pool_ops {
    const char *name;
    int (*create)(const struct pool_options *options, struct pool **out, struct error *err);
    void (*free)(struct pool *pool);
    int (*start)(struct pool *pool, size_t n_children, struct error *err);
    size_t (*n_free)(const struct pool *pool);
    int (*submit)(struct pool *pool, const struct pool_request *request, struct error *err);
    int (*terminate)(struct pool *pool, uint64_t id, struct error *err);
    int (*kill)(struct pool *pool, uint64_t id, struct error *err); /* NULL: as terminate */
    int (*restart)(struct pool *pool, struct error *err);           /* NULL: it cannot */
    int (*resize)(struct pool *pool, size_t n_children, struct error *err);
    void (*recall)(struct pool *pool); /* NULL: nothing waits in its children */
    void (*drain)(struct pool *pool);
    void (*stop)(struct pool *pool);
    size_t (*stats)(const struct pool *pool, struct pool_child_stats *out, size_t n_out);
};

extern const struct pool_ops pool_prefork;
extern const struct pool_ops pool_thread;
extern const struct pool_ops pool_solo;

/* Every implementation's struct begins with this one. */
struct pool {
    const struct pool_ops *ops;
};

/* By name: "prefork", "thread" ("threads") or "solo".  Nothing runs until pool_start.
 * Errors: ERR_CONFIG (unknown name, naming the known ones; an option out of its range), ERR_NOMEM,
 * or of the system. */
MUST_CHECK int pool_create(struct str name, const struct pool_options *options, struct pool **out,
                           struct error *err);

/* Ends what still runs, without events: prefork kills and reaps its children, thread waits for its
 * threads.  NULL is fine. */
void pool_free(struct pool *pool);
void pool_freep(struct pool **pool);

/* Bring up n children, 1 to POOL_MAX_CHILDREN.  Each says ready when it is; one that cannot be had
 * now is tried again with growing pauses.  Errors: ERR_INVALID (n). */
MUST_CHECK int pool_start(struct pool *pool, size_t n_children, struct error *err);

/* How many requests pool_submit takes now.  A busy child with prefetch counts as well; which child
 * gets a request is the pool's business: an idle one first.  A request that waits in a busy child
 * while another has been idle for a millisecond comes back as POOL_RETURNED. */
size_t pool_n_free(const struct pool *pool);

/* Hand over a request.  Sent at the end of the loop's turn, all of a turn in one write per child.
 * Errors: ERR_BUSY (no free slot, or the pool is ending), ERR_INVALID (a limit), ERR_TOO_LARGE,
 * ERR_NOMEM; then nothing has happened. */
MUST_CHECK int pool_submit(struct pool *pool, const struct pool_request *request,
                           struct error *err);

/* End one request.  Not started: done(POOL_TERMINATED) at once.  Running: SIGTERM makes
 * celery_call_is_cancelled true; after terminate_grace_ms SIGKILL.  A task that ends well in spite
 * of it is POOL_OK.  Thread and solo cannot kill: thread reports the request after the grace and
 * its slot stays taken until the task returns.  Errors: ERR_NOT_FOUND. */
MUST_CHECK int pool_terminate(struct pool *pool, uint64_t id, struct error *err);

/* The same without the grace: SIGKILL at once.  Thread and solo: as pool_terminate. */
MUST_CHECK int pool_kill(struct pool *pool, uint64_t id, struct error *err);

/* Replace every child: each ends after its request, its successor starts now.  Errors: ERR_BUSY
 * (the pool is ending), ERR_UNSUPPORTED (thread, solo). */
MUST_CHECK int pool_restart(struct pool *pool, struct error *err);

/* Change the number of children.  Those too many end after their request.  Errors: ERR_INVALID;
 * ERR_UNSUPPORTED (solo). */
MUST_CHECK int pool_resize(struct pool *pool, size_t n_children, struct error *err);

/* Give back, as POOL_RETURNED, what waits inside busy children (child_prefetch). */
void pool_recall(struct pool *pool);

/* Warm shutdown: running requests end, waiting ones are POOL_RETURNED, children leave; then
 * events.stopped. */
void pool_drain(struct pool *pool);

/* Cold shutdown: running requests are killed and POOL_TERMINATED, waiting ones POOL_RETURNED; then
 * events.stopped. */
void pool_stop(struct pool *pool);

/* Do tasks still run?  After events.stopped: threads whose tasks do not end; pool_free would wait
 * for them.  True also when there is no memory to find out. */
bool pool_is_busy(const struct pool *pool);

/* Fill out with at most n_out children; returns how many there are. */
size_t pool_stats(const struct pool *pool, struct pool_child_stats *out, size_t n_out);
