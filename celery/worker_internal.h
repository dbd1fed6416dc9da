#pragma once

/* What the worker's files share: the worker, and one flight per message that it holds. */

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "celery/backend/backend.h"
#include "celery/backend/exception.h"
#include "celery/broker/broker.h"
#include "celery/companion.h"
#include "celery/loop.h"
#include "celery/message.h"
#include "celery/worker.h"

#define WORKER_RETRY_MIN_US   (100 * US_PER_MS) /* of broker and backend, doubled up to */
#define WORKER_RETRY_MAX_US   (30 * US_PER_S)
#define WORKER_PROGRESS_US    (US_PER_S / 2) /* between two PROGRESS states of a task */
#define WORKER_LEAVE_MS       10000       /* for the last results and settlements, after the pool */
#define WORKER_PREFETCH       ((size_t)4) /* messages held per child, the running one included */
#define WORKER_CRASH_DELAY_US US_PER_S

enum flight_stage {
    FLIGHT_WAITING,  /* for a place in the pool */
    FLIGHT_RUNNING,  /* the pool has it */
    FLIGHT_ENDED,    /* the verdict stands; its record first, then the verdict */
    FLIGHT_SETTLING, /* the broker has the verdict, its completion is to come */
};

/* One message, from its delivery to the completion of its settlement. */
struct flight {
    struct flight *next;
    struct flight *previous;
    enum flight_stage stage;
    uint64_t tag; /* 0: the broker's handle is gone, or the message is dead: nothing to settle */
    struct arena arena;
    struct str id;
    struct str queue;
    struct str bytes;
    struct celery_message message;
    const struct celery_task *task;
    int priority;
    int64_t expires_us;
    uint32_t attempt;
    struct broker_verdict verdict;
    bool is_retry;    /* publish it again before the verdict */
    bool is_returned; /* shutdown or a lost lease: the task's end is not its own */
    int64_t retry_at_us;
    bool has_record; /* to be stored */
    bool is_soft;    /* the record may be skipped: a later one says more */
    enum result_state state;
    struct buf document;
    int64_t progress_at_us; /* monotonic, of the last PROGRESS */
};

/* Something that failed and is tried again. */
struct worker_pause {
    int64_t until_us; /* monotonic; 0 = all is well */
    int64_t span_us;
};

struct worker {
    const struct celery_worker_options *options;
    struct loop *loop;
    struct loop_hook *hook;
    struct loop_timer *timer;
    struct loop_timer *leave_timer;
    struct loop_signal *signals[2];
    struct loop_fd *broker_fd;
    int watched_fd;
    bool is_broker_ready; /* its descriptor said so */
    struct pool *pool;
    struct companion *companion; /* NULL = none */
    struct broker *broker;       /* NULL between a failure and the next try */
    struct backend *backend;
    struct worker_pause broker_pause;
    struct worker_pause backend_pause;
    struct flight *first; /* in the order of delivery */
    struct flight *last;
    size_t n_open; /* waiting and running */
    size_t n_flights;
    size_t n_ready_children;
    bool is_ready;
    int n_signals;
    bool is_pool_gone;
};

/* Double the pause; true when it has just begun, and is to be said. */
bool worker_pause_extend(struct worker_pause *pause);
bool worker_pause_is_over(const struct worker_pause *pause);

/* worker_flight.c */
MUST_CHECK int worker_flight_create(struct worker *self, const struct broker_delivery *delivery,
                                    struct flight **out, struct error *err);
void worker_flight_free(struct worker *self, struct flight *flight);
struct flight *worker_flight_find(struct worker *self, uint64_t tag);
/* The verdict stands; what is recorded is stored first. */
void worker_flight_end(struct worker *self, struct flight *flight, enum broker_action action,
                       int64_t delay_us, struct str reason);

/* worker_result.c: make the record of a flight, in the place of one that was not stored yet. */
void worker_record_started(struct worker *self, struct flight *flight, pid_t pid);
void worker_record_progress(struct worker *self, struct flight *flight, int64_t current,
                            int64_t total);
void worker_record_success(struct worker *self, struct flight *flight, struct str result);
void worker_record_error(struct worker *self, struct flight *flight, enum result_state state,
                         const struct error *error);
/* text absent: no argument */
void worker_record_exception(struct worker *self, struct flight *flight, enum result_state state,
                             enum exception_kind kind, struct str text);
/* Store what is to be stored, in batches. */
void worker_store_records(struct worker *self);

/* worker_delivery.c */
void worker_take_delivery(struct worker *self, const struct broker_delivery *delivery);
/* Hand what waits to the pool, as it has places. */
void worker_submit_waiting(struct worker *self);

/* worker_outcome.c */
extern const struct pool_events worker_pool_events; /* without its context */
void worker_on_buried(struct worker *self, struct flight *flight);

/* worker_broker.c */
MUST_CHECK int worker_broker_open(struct worker *self, struct error *err);
void worker_broker_close(struct worker *self);
/* Give verdicts, run what is due.  Returns when it wants to be called again, monotonic. */
int64_t worker_broker_turn(struct worker *self);
