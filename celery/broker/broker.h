#pragma once

/* Message brokers behind one interface: at least once, nothing lost, a live task never stolen.
 *
 * A broker handle is a state machine for an event loop.  Operations (publish, settle) are written
 * into an outbox and come back at once; broker_run does what is due - one transaction on SQLite,
 * one pipeline on Redis - and tells the listener what came of it.  All that waits when broker_run
 * starts shares one sync of the disk: that is the group commit.  An operation counts only when its
 * completion says BROKER_DONE; then it is on disk (SQLite) or accepted by the server (Redis).
 *
 *     for (;;) {
 *         broker_get_wait(broker, &wait);
 *         poll wait.fd for wait.events, until wait.deadline_us at the latest
 *         rc = broker_run(broker, &err);              -> listener.delivered / completed / lost
 *     }
 *
 * Time: microseconds.  eta_us and expires_us are UTC (the wire's clock); leases and deadlines are
 * monotonic.  TIME_UNKNOWN means "none".
 *
 * Threads and processes: a handle belongs to one thread of one process (broker_shared.h shares one
 * among publishing threads).  After fork, the child calls broker_forget and nothing else on it.
 *
 * Leases: every delivery that is not settled is leased to this handle; broker_run renews them by
 * itself, so a worker only has to keep calling it when wait.deadline_us has come (every 3 s with
 * the usual lease of 10 s).  A dead worker's deliveries come back within the lease; whoever settles
 * a delivery after its lease was lost gets BROKER_FENCED, and nothing changes. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/clock.h"

#define BROKER_MAX_QUEUE_BYTES  ((size_t)255)
#define BROKER_MAX_ID_BYTES     ((size_t)255)
#define BROKER_MAX_REASON_BYTES ((size_t)1000) /* longer ones are cut */
#define BROKER_MAX_QUEUES       ((size_t)64)   /* that one handle consumes from */
#define BROKER_MAX_PRIORITY     9
#define BROKER_MAX_LISTED       ((size_t)1000)    /* messages in one list */
#define BROKER_MAX_LISTED_BYTES ((size_t)4 << 20) /* and bytes of them */
#define BROKER_MAX_CREDIT       ((size_t)1 << 20)
#define BROKER_MAX_GATES        ((size_t)8)
#define BROKER_MAX_KEY_BYTES    ((size_t)255) /* of a gate, and of a lock */
#define BROKER_MAX_GATE_COUNT   INT64_C(1000000)

struct broker_ops;

/* The first member of every implementation's handle. */
struct broker {
    const struct broker_ops *ops;
};

/* How long nobody else may have a lock. */
enum broker_lock_span {
    BROKER_LOCK_NONE,
    BROKER_LOCK_QUEUED, /* from publish to start */
    BROKER_LOCK_ENDED,  /* from publish to the end, whoever runs it and however often */
    BROKER_LOCK_TIMED,  /* span_us from when it was taken, whatever becomes of the message */
};

/* One task among those of the same key.  A lock of a message that is gone is free: nothing leaks,
 * whoever is killed (Redis: what a foreign worker runs holds it for a day). */
struct broker_lock {
    struct str key; /* 1 to BROKER_MAX_KEY_BYTES */
    enum broker_lock_span span;
    int64_t span_us;
    bool may_share; /* publish in any case: a retry, whose task has the lock or had it */
};

/* What a message has to pass before it starts.  Shared by all workers of the broker. */
struct broker_gate {
    struct str key;      /* 1 to BROKER_MAX_KEY_BYTES; the same key is the same gate */
    int64_t interval_us; /* a rate: one per so much time; 0: so many at the same time */
    int64_t n;           /* of a rate: the burst; else how many; 1 to BROKER_MAX_GATE_COUNT */
};

struct broker_admission {
    struct str id; /* of the task */
    struct broker_lock lock;
    const struct broker_gate *gates; /* in the order in which they are passed: rates first */
    size_t n_gates;
};

/* What is sent.  All texts are borrowed for the call. */
struct broker_message {
    struct str queue;
    struct str id;      /* of the task, for lists and revokes; may be empty */
    struct str bytes;   /* the message as on the wire; never looked into */
    int priority;       /* 0 to 9; 0 is served first, as Kombu does on Redis */
    int64_t eta_us;     /* not before; TIME_UNKNOWN: at once */
    int64_t expires_us; /* TIME_UNKNOWN: never; carried, not acted on: a worker has to answer for
                           an expired task, so it is delivered like any other */
    const struct broker_lock *lock; /* NULL: none.  Held by another task: BROKER_HELD */
};

/* What is received; the texts are borrowed for the callback. */
struct broker_delivery {
    uint64_t tag; /* names it to broker_settle; unique within the handle's life, never 0 */
    struct str queue;
    struct str id;
    struct str bytes;
    int priority;
    int64_t expires_us;
    uint32_t attempt;    /* 1, 2, ...: times it was handed out, this one included.  With the id it
                            is the fencing token: of two runs the higher one is the newer */
    uint32_t n_crashes;  /* children that it has killed */
    bool is_redelivered; /* attempt > 1 */
    bool is_expired;     /* expires_us has passed at the time of delivery */
    bool is_revoked;
};

enum broker_action {
    BROKER_ACK,     /* done: forget it */
    BROKER_REQUEUE, /* again, at the end of its queue, after delay_us */
    BROKER_RELEASE, /* never started: back to its place at the front, the attempt not counted */
    BROKER_CRASHED, /* it killed its child: again after delay_us, or dead at the poison cap */
    BROKER_BURY,    /* to the dead set, with reason */
};

struct broker_verdict {
    enum broker_action action;
    int64_t delay_us;  /* BROKER_REQUEUE, BROKER_CRASHED; 0 = at once */
    struct str reason; /* BROKER_BURY, BROKER_CRASHED: UTF-8, copied */
    uint64_t after;    /* 0, or the ticket of a publish by this handle without which this must not
                          happen: a retry's new message before the old one's ack */
    const struct broker_lock *lock; /* NULL, or the message's: free with ACK and BURY, also where
                                       it was never admitted; id says whose */
    struct str id;
};

enum broker_outcome {
    BROKER_DONE,
    BROKER_BURIED, /* BROKER_CRASHED met the poison cap: the message is in the dead set */
    BROKER_FENCED, /* the lease was lost: somebody else has the message, nothing was changed */
    BROKER_FAILED, /* err tells; a message was not published, a delivery is still ours */
    BROKER_HELD,   /* another task has the lock: not published; or admitted, and still ours */
    BROKER_WAITS,  /* not admitted: the broker keeps it until its turn, the tag is settled */
};

struct broker_completion {
    uint64_t ticket;
    uint64_t tag; /* of the delivery; 0 for a publish */
    enum broker_outcome outcome;
    const struct error *err; /* for BROKER_FAILED, else NULL; borrowed for the callback */
    struct str holder;       /* for BROKER_HELD: the task that has the lock; borrowed likewise */
};

/* Who listens.  Called inside broker_run and broker_flush only.  A callback may publish, settle and
 * set the credit; it must not run, flush or close.  Each may be NULL. */
struct broker_listener {
    void (*delivered)(void *context, const struct broker_delivery *delivery);
    void (*completed)(void *context, const struct broker_completion *completion);
    /* The lease is gone although we live (the broker took us for dead): end the task.  Settling the
     * tag is still asked for, and gives BROKER_FENCED. */
    void (*lost)(void *context, uint64_t tag);
    void *context;
};

/* Zero means the default, everywhere. */
struct broker_options {
    struct broker_listener listener;
    const struct clock *clock; /* the machine's */
    struct str name;           /* of the consumer, for lists: "worker1@host" */
    int64_t lease_us;          /* 10 s; renewed every 0.3 of it */
    int64_t max_block_us;      /* 5 ms: how long broker_run may wait for another process */
    int64_t max_open_us;       /* how long broker_open may wait: SQLite 10 s, Redis 1.5 s */
    int64_t max_command_us;    /* 10 s: how long a command that blocks may take */
    uint32_t poison_cap;       /* 3: so many crashes, and it is dead */
    size_t max_message_bytes;  /* 8 MiB */
    size_t max_pending_bytes;  /* 64 MiB in the outbox, then ERR_BUSY */
    bool must_exist;           /* for commands that look: make nothing */
};

/* What an event loop waits for. */
struct broker_wait {
    int fd; /* -1: nothing to poll, the deadline only */
    short events;
    int64_t deadline_us; /* monotonic, on the handle's clock; in the past: run at once */
};

/* Counted since the handle was opened. */
struct broker_stats {
    uint64_t n_published;
    uint64_t n_delivered;
    uint64_t n_redelivered;
    uint64_t n_acked;
    uint64_t n_requeued;
    uint64_t n_released;
    uint64_t n_crashed;
    uint64_t n_buried;
    uint64_t n_fenced;    /* settled too late: refused */
    uint64_t n_repeated;  /* settled twice: ignored */
    uint64_t n_foreign;   /* settled with a tag that was never ours: refused */
    uint64_t n_lost;      /* leases of ours that others took over */
    uint64_t n_recovered; /* messages of dead consumers that this handle brought back */
    uint64_t n_waited;    /* deliveries that went to wait for a gate */
    uint64_t n_held;      /* publishes and admissions that met another's lock */
    uint64_t n_commits;   /* transactions, or pipelines */
    uint64_t n_busy;      /* rounds given up because another process had the write lock */
    uint64_t n_wakeups;   /* rounds that another process caused */
    size_t n_unsettled;   /* now */
    size_t n_pending;     /* operations in the outbox, now */
    size_t n_asked;       /* questions to a server that have no answer yet, now */
};

struct broker_depth {
    int64_t n_ready;
    int64_t n_scheduled; /* waiting for their eta, or for a gate */
    int64_t n_claimed;   /* delivered, not settled; by anybody */
};

struct broker_dead {
    int64_t dead_id;
    struct str queue;
    struct str id; /* of the task; may be empty */
    struct str reason;
    struct str bytes; /* STR_NULL in lists */
    size_t n_bytes;
    int priority;
    uint32_t attempt; /* times it was handed out */
    uint32_t n_crashes;
    int64_t died_us;
};

struct broker_dead_list {
    const struct broker_dead *items; /* by dead_id, ascending */
    size_t n_items;
};

/* One that waits for its eta. */
struct broker_scheduled {
    struct str id;
    struct str bytes;
    int priority;
    int64_t eta_us;
};

struct broker_scheduled_list {
    const struct broker_scheduled *items; /* the earliest first */
    size_t n_items;
};

/* A queue that nobody takes from. */
struct broker_pause {
    struct str queue;
    struct str who;
    struct str why; /* may be empty */
    int64_t since_us;
};

struct broker_pause_list {
    const struct broker_pause *items; /* by queue */
    size_t n_items;
};

/* One implementation; the functions below say what each must do. */
struct broker_ops {
    const char *name; /* "sqlite" */
    int (*open)(struct str url, const struct broker_options *options, struct broker **out,
                struct error *err);
    void (*close)(struct broker *broker);
    void (*forget)(struct broker *broker);
    int (*publish)(struct broker *broker, const struct broker_message *message, uint64_t *ticket,
                   struct error *err);
    int (*settle)(struct broker *broker, uint64_t tag, const struct broker_verdict *verdict,
                  uint64_t *ticket, struct error *err);
    int (*admit)(struct broker *broker, uint64_t tag, const struct broker_admission *admission,
                 uint64_t *ticket, struct error *err);
    int (*consume)(struct broker *broker, const struct str *queues, size_t n_queues,
                   struct error *err);
    void (*set_credit)(struct broker *broker, size_t n_messages);
    int (*run)(struct broker *broker, struct error *err);
    void (*get_wait)(const struct broker *broker, struct broker_wait *out);
    void (*get_stats)(const struct broker *broker, struct broker_stats *out);
    int (*list_queues)(struct broker *broker, struct arena *arena, struct str_list *out,
                       struct error *err);
    int (*count)(struct broker *broker, struct str queue, struct broker_depth *out,
                 struct error *err);
    int (*list_scheduled)(struct broker *broker, struct str queue, size_t limit,
                          struct arena *arena, struct broker_scheduled_list *out,
                          struct error *err);
    int (*purge)(struct broker *broker, struct str queue, int64_t *n_purged, struct error *err);
    int (*revoke)(struct broker *broker, const struct str *ids, size_t n_ids, int64_t until_us,
                  struct error *err);
    int (*list_revoked)(struct broker *broker, struct str prefix, size_t limit, struct arena *arena,
                        struct str_list *out, struct error *err);
    int (*bury)(struct broker *broker, const struct broker_message *message, struct str reason,
                struct error *err);
    int (*list_dead)(struct broker *broker, struct str queue, int64_t after_id, size_t limit,
                     struct arena *arena, struct broker_dead_list *out, struct error *err);
    int (*get_dead)(struct broker *broker, int64_t dead_id, struct arena *arena,
                    struct broker_dead *out, struct error *err);
    int (*requeue_dead)(struct broker *broker, int64_t dead_id, struct error *err);
    int (*drop_dead)(struct broker *broker, int64_t dead_id, struct error *err);
    int (*pause)(struct broker *broker, const struct broker_pause *pause, struct error *err);
    int (*resume)(struct broker *broker, struct str queue, struct error *err);
    int (*list_paused)(struct broker *broker, struct arena *arena, struct broker_pause_list *out,
                       struct error *err);
};

extern const struct broker_ops broker_sqlite; /* sqlite:///path, or a plain path */
extern const struct broker_ops broker_redis;  /* redis_address_parse says which URLs */

/* Open by the URL's scheme.  Listener's context, clock and name's bytes must outlive the handle;
 * the rest of options is copied.  Blocks (SQLite: up to max_open_us while another process checks
 * the file after a crash, or holds it).  Errors: ERR_CONFIG (scheme, URL, schema), ERR_NOT_FOUND
 * (must_exist), ERR_IO, ERR_BUSY, ERR_DISK_FULL, ERR_CORRUPT (with the way out), ERR_NETWORK,
 * ERR_AUTH. */
MUST_CHECK int broker_open(struct str url, const struct broker_options *options,
                           struct broker **out, struct error *err);

/* Flush the outbox (for a second at most), release what is unsettled - back to the front of its
 * queue, the attempt not counted - and free the handle.  What cannot be told to the broker any more
 * comes back by the lease.  NULL is fine. */
void broker_close(struct broker *broker);
void broker_closep(struct broker **broker);

/* In a forked child: close the inherited descriptors, so that the parent's death shows at once. The
 * parent is not disturbed; the handle's memory stays until the child's exit. */
static inline void
broker_forget(struct broker *broker)
{
    broker->ops->forget(broker);
}

/* Put a message into the outbox; bytes are copied.  ticket (may be NULL) names the completion:
 * BROKER_DONE once it is durable.  Tickets ascend and are never 0.  Operations take effect in the
 * order of their tickets.  Returns at once.
 * Errors: ERR_INVALID (queue, priority), ERR_TOO_LARGE, ERR_BUSY (outbox full: run, then again),
 * ERR_NOMEM. */
MUST_CHECK static inline int
broker_publish(struct broker *broker, const struct broker_message *message, uint64_t *ticket,
               struct error *err)
{
    return broker->ops->publish(broker, message, ticket, err);
}

/* Say what becomes of a delivery.  Settling again is fine: the first verdict counts, *ticket is
 * then 0 and no completion follows (after BROKER_FAILED the tag is open again).  Returns at once.
 * Errors: ERR_INVALID (no tag of this handle; counted as foreign), ERR_BUSY, ERR_NOMEM. */
MUST_CHECK static inline int
broker_settle(struct broker *broker, uint64_t tag, const struct broker_verdict *verdict,
              uint64_t *ticket, struct error *err)
{
    return broker->ops->settle(broker, tag, verdict, ticket, err);
}

/* Ask whether a delivery may start now; texts are copied.  Its completion says so: BROKER_DONE (its
 * lock and its places are held until it is settled), BROKER_HELD (another task has the lock: settle
 * it), BROKER_WAITS (it is no longer ours: it is delivered again when its turn has come, in the
 * order in which it came here, the attempt not counted), BROKER_FENCED.
 *
 * Each gate has a line of its own; who waits for one has passed those before it, and keeps what he
 * has of them.  So whatever the backlog is, a message is moved once per gate.
 * Errors: ERR_INVALID (tag, keys, numbers), ERR_BUSY, ERR_NOMEM. */
MUST_CHECK static inline int
broker_admit(struct broker *broker, uint64_t tag, const struct broker_admission *admission,
             uint64_t *ticket, struct error *err)
{
    return broker->ops->admit(broker, tag, admission, ticket, err);
}

/* Consume from these queues (copied) instead of those before; none: stop.  The queues need not
 * exist.  Order: by priority; among queues of equal priority in turn; within a queue first in,
 * first out.  Errors: ERR_INVALID (a name, more than BROKER_MAX_QUEUES), ERR_NOMEM. */
MUST_CHECK static inline int
broker_consume(struct broker *broker, const struct str *queues, size_t n_queues, struct error *err)
{
    return broker->ops->consume(broker, queues, n_queues, err);
}

/* How many more messages may be delivered (at first 0); each delivery takes one off.  A worker
 * gives its prefetch window minus what it holds, whenever that changes. */
static inline void
broker_set_credit(struct broker *broker, size_t n_messages)
{
    broker->ops->set_credit(broker, n_messages);
}

/* One round: outbox, renewals, recovery of dead consumers, due etas, deliveries; then the
 * callbacks.  Never waits for news, for another process at most max_block_us (then it comes back
 * with 0 and asks for another round by its deadline).
 *
 * Trouble that time heals: without space, publishes fail (their completions say so) and verdicts
 * stay in the outbox; while the database is locked or the server away, everything stays.  What is
 * returned is for good: ERR_CORRUPT, and ERR_IO after a failed sync (what the disk holds is
 * unknown).  Stop then: every operation fails, and every further call says so.
 */
MUST_CHECK static inline int
broker_run(struct broker *broker, struct error *err)
{
    return broker->ops->run(broker, err);
}

static inline void
broker_get_wait(const struct broker *broker, struct broker_wait *out)
{
    broker->ops->get_wait(broker, out);
}

static inline void
broker_get_stats(const struct broker *broker, struct broker_stats *out)
{
    broker->ops->get_stats(broker, out);
}

/* Run until the outbox is empty: for commands and tests, not for an event loop.  The real clock
 * counts.  Errors: ERR_TIMEOUT (operations stay in the outbox), and those of broker_run; what
 * became of each operation is told to its completion only. */
MUST_CHECK int broker_flush(struct broker *broker, int64_t timeout_us, struct error *err);

/* What follows blocks until the broker has answered (for max_command_us at most): for
 * commands, not for an event loop. */

/* Names of the queues that were ever used, sorted; they live in the arena. */
MUST_CHECK static inline int
broker_list_queues(struct broker *broker, struct arena *arena, struct str_list *out,
                   struct error *err)
{
    return broker->ops->list_queues(broker, arena, out, err);
}

/* An unknown queue is empty. */
MUST_CHECK static inline int
broker_count(struct broker *broker, struct str queue, struct broker_depth *out, struct error *err)
{
    return broker->ops->count(broker, queue, out, err);
}

/* Messages of a queue that wait for their eta, the next ones, at most limit and BROKER_MAX_LISTED;
 * of many bytes fewer (BROKER_MAX_LISTED_BYTES), but one at least.  An unknown queue has none. */
MUST_CHECK static inline int
broker_list_scheduled(struct broker *broker, struct str queue, size_t limit, struct arena *arena,
                      struct broker_scheduled_list *out, struct error *err)
{
    return broker->ops->list_scheduled(broker, queue, limit, arena, out, err);
}

/* Remove what is ready and scheduled; what is delivered stays with who has it. */
MUST_CHECK static inline int
broker_purge(struct broker *broker, struct str queue, int64_t *n_purged, struct error *err)
{
    return broker->ops->purge(broker, queue, n_purged, err);
}

/* Deliveries of these task ids carry is_revoked until then (UTC).  Durable. */
MUST_CHECK static inline int
broker_revoke(struct broker *broker, const struct str *ids, size_t n_ids, int64_t until_us,
              struct error *err)
{
    return broker->ops->revoke(broker, ids, n_ids, until_us, err);
}

/* At most limit of the ids that begin so and are revoked now, in no order; they live in the arena.
 */
MUST_CHECK static inline int
broker_list_revoked(struct broker *broker, struct str prefix, size_t limit, struct arena *arena,
                    struct str_list *out, struct error *err)
{
    return broker->ops->list_revoked(broker, prefix, limit, arena, out, err);
}

/* Put bytes that never were a delivery into the dead set. */
MUST_CHECK static inline int
broker_bury(struct broker *broker, const struct broker_message *message, struct str reason,
            struct error *err)
{
    return broker->ops->bury(broker, message, reason, err);
}

/* Those with dead_id > after_id, at most limit; queue STR_NULL: of all.  Without their bytes. */
MUST_CHECK static inline int
broker_list_dead(struct broker *broker, struct str queue, int64_t after_id, size_t limit,
                 struct arena *arena, struct broker_dead_list *out, struct error *err)
{
    return broker->ops->list_dead(broker, queue, after_id, limit, arena, out, err);
}

/* With its bytes.  Errors: ERR_NOT_FOUND. */
MUST_CHECK static inline int
broker_get_dead(struct broker *broker, int64_t dead_id, struct arena *arena,
                struct broker_dead *out, struct error *err)
{
    return broker->ops->get_dead(broker, dead_id, arena, out, err);
}

/* Back to the end of its queue, as new: attempts and crashes count from 0.  Errors: ERR_NOT_FOUND.
 */
MUST_CHECK static inline int
broker_requeue_dead(struct broker *broker, int64_t dead_id, struct error *err)
{
    return broker->ops->requeue_dead(broker, dead_id, err);
}

/* For good.  Errors: ERR_NOT_FOUND. */
MUST_CHECK static inline int
broker_drop_dead(struct broker *broker, int64_t dead_id, struct error *err)
{
    return broker->ops->drop_dead(broker, dead_id, err);
}

/* Nobody takes from the queue until it is resumed, whoever is started meanwhile: workers heed it
 * within a second.  What is delivered goes on, what is sent waits.  Durable; pausing again changes
 * who and why.  since_us is set here.  The queue need not exist.  Errors: ERR_INVALID (a text). */
MUST_CHECK static inline int
broker_pause_queue(struct broker *broker, const struct broker_pause *pause, struct error *err)
{
    return broker->ops->pause(broker, pause, err);
}

/* Errors: ERR_NOT_FOUND (it is not paused). */
MUST_CHECK static inline int
broker_resume_queue(struct broker *broker, struct str queue, struct error *err)
{
    return broker->ops->resume(broker, queue, err);
}

MUST_CHECK static inline int
broker_list_paused(struct broker *broker, struct arena *arena, struct broker_pause_list *out,
                   struct error *err)
{
    return broker->ops->list_paused(broker, arena, out, err);
}
