#pragma once

/* What the worker's files share: the worker, and one flight per message that it holds. */

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "celery/backend/backend.h"
#include "celery/backend/exception.h"
#include "celery/broker/broker.h"
#include "celery/canvas/outcome.h"
#include "celery/companion.h"
#include "celery/loop.h"
#include "celery/message.h"
#include "celery/worker.h"

#define WORKER_RETRY_MIN_US   (100 * US_PER_MS) /* of broker and backend, doubled up to */
#define WORKER_RETRY_MAX_US   (5 * US_PER_S)
#define WORKER_PROGRESS_US    (US_PER_S / 2) /* between two PROGRESS states of a task */
#define WORKER_PREFETCH       ((size_t)4)    /* messages held per child, the running one included */
#define WORKER_MAX_PREFETCH   ((size_t)256)
#define WORKER_CHILD_PREFETCH 63 /* of these, in the child itself beside the running one */
#define WORKER_SPAN_US        (50 * US_PER_MS) /* of work held, where more than WORKER_PREFETCH is */
#define WORKER_STUCK_US       US_PER_S /* no task has ended: what is held beyond goes back */
#define WORKER_CRASH_DELAY_US US_PER_S
#define WORKER_KILL_HOLD_US   (100 * US_PER_MS) /* who kills our children may be about to kill us */
#define WORKER_COMMAND_US     (500 * US_PER_MS) /* that remote control may wait for the broker */

#define WORKER_N_SIGNALS   4
#define WORKER_TAG_BUCKETS ((size_t)1024)

enum flight_stage {
    FLIGHT_WAITING,  /* for a place in the pool */
    FLIGHT_LIMITED,  /* until its task's rate limit lets it go */
    FLIGHT_ASKING,   /* the broker says whether limits let it start */
    FLIGHT_RUNNING,  /* the pool has it */
    FLIGHT_ENDED,    /* the verdict stands; its record first, then the verdict */
    FLIGHT_SETTLING, /* the broker has the verdict, its completion is to come */
};

/* A flight is in several lists at once, so that no turn walks over those that have nothing to do.
 */
enum flight_list_kind {
    FLIGHTS_ALL,      /* in the order of delivery */
    FLIGHTS_WAITING,  /* by priority, then in the order of delivery */
    FLIGHTS_LIMITED,  /* the same */
    FLIGHTS_ENDED,    /* in the order of their ends */
    FLIGHTS_RECORDED, /* has a record to be stored */
    FLIGHTS_LINKED,   /* what its end causes is not all with the backend: worker_canvas.c */
    FLIGHTS_N_LISTS,
};

struct limit_decision;

struct flight_link {
    struct flight *next;
    struct flight *previous;
};

struct flight_list {
    struct flight *first;
    struct flight *last;
};

struct canvas_work;
struct flight_map;

/* One message, from its delivery to the completion of its settlement. */
struct flight {
    struct flight_link links[FLIGHTS_N_LISTS];
    struct flight *next_of_tag;
    uint64_t serial; /* ascends with deliveries */
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
    const struct limit_decision *limits; /* in the arena; NULL = none hold for it */
    uint64_t question;                   /* ticket of what was asked about them; 0 = nothing */
    bool is_retry;                       /* publish it again before the verdict */
    struct worker_sends *sends; /* publish these before the verdict; NULL = none */
    bool is_returned; /* shutdown or a lost lease: the task's end is not its own */
    int64_t retry_at_us;
    int64_t hold_until_us;    /* monotonic: no verdict before; 0 = at once */
    struct canvas_work *work; /* what its end causes; NULL = nothing */
    struct flight_map *map;   /* it runs a task for each item of a list; NULL = it does not */
    struct str children;      /* JSON, of its document; absent = none */
    bool is_linked;
    bool is_buried;  /* in the dead set, by the poison cap: what follows goes without it */
    bool has_record; /* to be stored */
    enum result_state state;
    struct buf document;    /* of a state that is not soft: encoded already */
    pid_t pid;              /* of STARTED */
    int64_t started_at_us;  /* UTC; TIME_UNKNOWN = not started */
    int64_t runtime_us;     /* of the run that has ended; 0 = it did not start */
    int64_t received_at_us; /* UTC, of this delivery; 0 = it was not accepted */
    struct pool_log log;    /* what it has said; for the history */
    bool is_terminated;     /* remote control ends it: REVOKED, unless it succeeds */
    int terminate_signal;   /* with which it was told to */
    bool is_admitted;       /* its rate limit has let it go */
    int64_t progress[2];    /* of PROGRESS: current, total */
    int64_t progress_at_us; /* monotonic, of the last PROGRESS */
};

/* STARTED and PROGRESS: written when they are stored, and never where a later state is known. */
static inline bool
flight_is_soft(const struct flight *flight)
{
    return flight->state == RESULT_STARTED || flight->state == RESULT_CUSTOM;
}

/* Something that failed and is tried again. */
struct worker_pause {
    int64_t until_us; /* monotonic; 0 = all is well */
    int64_t span_us;
};

enum worker_phase { WORKER_RUNS, WORKER_DRAINS, WORKER_STOPS };

struct worker {
    const struct celery_worker_options *options;
    enum worker_phase phase;
    struct loop *loop;
    struct loop_hook *hook;
    struct loop_timer *timer;
    struct loop_timer *leave_timer;
    struct loop_timer *grace_timer;
    struct loop_timer *clean_timer;
    struct loop_timer *watchdog_timer;
    struct loop_signal *signals[WORKER_N_SIGNALS];
    bool has_terminal; /* the log is one */
    int notify_fd;     /* -1 = nobody wants to hear */
    struct loop_fd *broker_fd;
    int watched_fd;
    bool is_broker_ready; /* its descriptor said so */
    struct pool *pool;
    struct companion *companion; /* NULL = none */
    struct broker *broker;       /* NULL between a failure and the next try */
    struct backend *backend;
    struct error fatal; /* why the worker ends although nobody told it to; ERR_NONE: not */
    struct worker_pause broker_pause;
    struct worker_pause backend_pause;
    struct flight_list lists[FLIGHTS_N_LISTS];
    struct flight *by_tag[WORKER_TAG_BUCKETS];
    uint64_t next_serial;
    size_t n_open; /* waiting and running */
    size_t n_waiting;
    size_t n_limited;
    size_t n_ended;
    int64_t gather_until_us; /* monotonic; 0 = not gathering */
    int64_t hold_until_us;   /* monotonic, of the verdicts that are held: the next one */
    size_t prefetch;         /* messages held per child; worker_window.c */
    int64_t runtime_us;      /* of a task, on the average of the latest */
    int64_t
        moved_at_us; /* monotonic, when a task has last ended, or no more than usual were held */
    size_t n_flights;
    size_t most_flights; /* since memory was given back */
    size_t n_ready_children;
    size_t n_children; /* that are wanted: remote control changes it */
    struct worker_control *control;
    struct worker_history *history; /* NULL = none is kept */
    struct worker_events *events;
    bool is_ready;
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
/* The broker's handle is gone, and the tag with it. */
void worker_flight_drop_tag(struct worker *self, struct flight *flight);
void worker_flight_set_stage(struct worker *self, struct flight *flight, enum flight_stage stage);
void worker_flight_set_record(struct worker *self, struct flight *flight, bool has_record);
void worker_flight_set_linked(struct worker *self, struct flight *flight, bool is_linked);
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
/* TimeLimitExceeded(seconds) */
void worker_record_hard_limit(struct worker *self, struct flight *flight, int64_t limit_ms);
/* Store what is to be stored, in batches; then what the ends of tasks cause in the backend. */
void worker_store_records(struct worker *self);
/* What the backend has said, and when it is asked again.  False: no retry helps, drop it. */
bool worker_explain_store_failure(struct worker *self, int rc, const struct error *err);
/* The backend, opened again where it was closed after a failure. */
MUST_CHECK int worker_need_backend(struct worker *self, struct error *err);
/* Begin to remove expired results, by a timer. */
MUST_CHECK int worker_clean_open(struct worker *self, struct error *err);

/* worker_sends.c: the tasks that a task has sent.  They go out before the verdict on its message,
 * once its record is stored; a run that does not count (a retry, a loss) has sent nothing. */
void worker_sends_take(struct flight *flight, struct str text);
void worker_sends_drop(struct flight *flight);
/* The task goes on as another, under its id. */
bool worker_sends_has_replacement(const struct flight *flight);
/* For the record: [[[id, null], null], ...], then what the canvas sends; absent without any, and for lack of memory. */
struct str worker_sends_children(struct flight *flight);
/* Publish what is left, and have the verdict wait for it.  ERR_BUSY, ERR_NOMEM: go on later. */
MUST_CHECK int worker_sends_publish(struct worker *self, struct flight *flight, struct error *err);

/* worker_note.c: what happens to a message, told to whoever makes it known.  A note is made when
 * the fact stands, before its record is stored; what asks for no result has notes all the same. */
enum worker_moment {
    MOMENT_RECEIVED,
    MOMENT_STARTED,
    MOMENT_SUCCEEDED,
    MOMENT_FAILED,
    MOMENT_RETRIED,
    MOMENT_REVOKED,
    MOMENT_REJECTED, /* it goes back: its process died */
};

struct worker_note {
    enum worker_moment moment;
    struct str result;                 /* SUCCEEDED: JSON */
    const struct exception *exception; /* FAILED, RETRIED, REVOKED */
    struct str traceback;              /* FAILED, RETRIED; may be empty */
};

void worker_note(struct worker *self, struct flight *flight, const struct worker_note *note);

/* worker_history.c: hands what has become of messages to the process that writes it down. */
MUST_CHECK int worker_history_open(struct worker *self, struct error *err);
void worker_history_close(struct worker *self);
void worker_history_note(struct worker *self, struct flight *flight,
                         const struct worker_note *note);
/* A run that has ended without its message being done: "LOST", "REQUEUED". */
void worker_history_return(struct worker *self, struct flight *flight, struct str state,
                           struct str reason);
void worker_history_on_logged(void *context, uint64_t id, const struct pool_log *log);

/* worker_canvas.c: what the end of a task causes (canvas/outcome.h), from its end to the broker.
 *
 * Sizes, failures of others and chord parts go to the backend first, messages to the broker right
 * before the verdict on the task's own, and bound to it: docs/canvas.md says why. */
MUST_CHECK int worker_canvas_succeed(struct worker *self, struct flight *flight, struct str result,
                                     struct error *err);
void worker_canvas_fail(struct worker *self, struct flight *flight, enum result_state state,
                        struct str exception, struct str traceback);
/* Give to the backend what is for it. */
void worker_canvas_turn(struct worker *self);
/* Put messages into the outbox.  *after is the last one's ticket.  Errors: ERR_BUSY, ERR_NOMEM: the
 * rest is still to go. */
MUST_CHECK int worker_canvas_publish(struct worker *self, struct flight *flight, uint64_t *after,
                                     struct error *err);
/* The verdict is carried out. */
void worker_canvas_finish(struct worker *self, struct flight *flight);
void worker_canvas_drop(struct worker *self, struct flight *flight);
/* It was delivered before: where it has succeeded then, it ends so again, without running. */
bool worker_canvas_resume(struct worker *self, struct flight *flight);
/* A chord's parts, [1, id, state, result] each: start its body, or fail it. */
MUST_CHECK int worker_canvas_end_chord(struct worker *self, struct flight *flight,
                                       const struct canvas_chord *chord, struct error *err);
/* What a flight's plan is to start from; made where there is none.  NULL: no memory. */
struct canvas_plan *worker_canvas_plan(struct worker *self, struct flight *flight,
                                       const char *what);

/* worker_builtin.c: the tasks that every Celery worker has. */
extern const struct celery_task worker_builtins[];
/* NULL: none of these. */
const struct celery_task *worker_builtin_find(struct str name);
/* A message that was received: those that only look at messages and results end at once, map and
 * starmap become a run of the named task for each item. */
void worker_builtin_begin(struct worker *self, struct flight *flight);
/* The next item's arguments; those of the message where it is no map. */
struct str worker_map_args(const struct flight *flight);
struct str worker_map_kwargs(const struct flight *flight);
/* True: there is another item, the flight waits again.  Else *result becomes that of all. */
bool worker_map_goes_on(struct worker *self, struct flight *flight, struct str *result);
void worker_map_free(struct flight *flight);

/* worker_delivery.c */
void worker_take_delivery(struct worker *self, const struct broker_delivery *delivery);
/* It waits for a place in the pool from now on. */
void worker_receive(struct worker *self, struct flight *flight);
/* It will not run: its state is REVOKED, with the reason. */
void worker_revoke(struct worker *self, struct flight *flight, struct str why);
/* The limits of a message, else those of the worker; 0 = none. */
int64_t worker_soft_limit_ms(const struct worker *self, const struct flight *flight);
int64_t worker_hard_limit_ms(const struct worker *self, const struct flight *flight);
/* Hand what waits to the pool, as it has places. */
void worker_submit_waiting(struct worker *self);

/* worker_limits.c: which limits hold for a message.  First of all, since the lock of a unique task
 * has to be freed however its message ends. */
void worker_limits_decide(struct worker *self, struct flight *flight);
/* Ask the broker whether it may start; the answer comes with the next round.  False: no limit holds
 * for it. */
MUST_CHECK bool worker_limits_ask(struct worker *self, struct flight *flight);
/* The lock that a verdict frees, and a retry carries on; NULL = none. */
const struct broker_lock *worker_limits_lock(const struct flight *flight);
void worker_limits_on_answer(struct worker *self, struct flight *flight,
                             const struct broker_completion *completion);

/* worker_outcome.c */
extern const struct pool_events worker_pool_events; /* without its context */
void worker_on_buried(struct worker *self, struct flight *flight);

/* worker_window.c: how many messages are held. */
void worker_window_note_end(struct worker *self, int64_t runtime_us);
/* How many more the broker may deliver now. */
size_t worker_window_credit(const struct worker *self);
/* Adapt it to the turn; returns when it wants to be called again, monotonic. */
int64_t worker_window_turn(struct worker *self);

/* worker_broker.c */
MUST_CHECK int worker_broker_open(struct worker *self, struct error *err);
void worker_broker_close(struct worker *self);
/* Give verdicts, run what is due.  Returns when it wants to be called again, monotonic. */
int64_t worker_broker_turn(struct worker *self);

/* worker_control.c */
MUST_CHECK int worker_control_open(struct worker *self, struct error *err);
void worker_control_close(struct worker *self);
/* Answer what is asked.  Returns when it wants to be called again, monotonic. */
int64_t worker_control_turn(struct worker *self);
/* Consume from the queues of now. */
MUST_CHECK int worker_control_consume(struct worker *self, struct error *err);
/* It hears commands, or cannot for now. */
bool worker_control_is_ready(const struct worker *self);
bool worker_control_is_revoked(const struct worker *self, const struct celery_message *message);
void worker_control_count_start(struct worker *self, const struct flight *flight);
/* Of messages that carry none; 0 = none. */
int64_t worker_control_soft_limit_ms(const struct worker *self, const struct celery_task *task);
int64_t worker_control_hard_limit_ms(const struct worker *self, const struct celery_task *task);

/* worker_rate.c: a message that has come is kept back where its task's rate limit wants it. */
void worker_rate_admit(struct worker *self, struct flight *flight);
/* worker_events.c */
MUST_CHECK int worker_events_open(struct worker *self, struct error *err);
void worker_events_close(struct worker *self);
void worker_events_note(struct worker *self, const struct flight *flight,
                        const struct worker_note *note);
/* Hear and tell what there is.  Returns when it wants to be called again, monotonic. */
int64_t worker_events_turn(struct worker *self);
/* Events of tasks from now on, or no more; false: it was so already. */
bool worker_events_enable(struct worker *self, bool is_enabled);
/* A heartbeat at once, for a monitor that has just come: without figures, with Celery's freq. */
void worker_events_heartbeat(struct worker *self);
/* Hold an election; action is JSON text, run by who wins (topic "task": a signature).  Nothing
 * happens without gossip.  Errors: ERR_INVALID, ERR_BUSY, ERR_NOMEM. */
MUST_CHECK int worker_events_elect(struct worker *self, struct str id, struct str topic,
                                   struct str action, struct error *err);

/* worker_shutdown.c */
MUST_CHECK int worker_shutdown_open(struct worker *self, struct error *err);
void worker_shutdown_close(struct worker *self);
/* Warm: running tasks end, the rest goes back.  Cold: running ones are killed and go back, too.
 * Once is enough; the loop ends by itself. */
void worker_drain(struct worker *self);
void worker_stop(struct worker *self);
void worker_on_pool_stopped(void *context);

/* worker_notify.c: to the service manager, if there is one. */
MUST_CHECK int worker_notify_open(struct worker *self, struct error *err);
void worker_notify(struct worker *self, const char *state);
void worker_notify_reloading(struct worker *self);
void worker_notify_close(struct worker *self);
