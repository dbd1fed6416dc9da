#pragma once

/* What the files of the SQLite broker share; nobody else includes it, except its own tests. */

#include "base/boot_id.h"
#include "base/database.h"
#include "celery/broker/broker.h"
#include "celery/broker/outbox.h"
#include "celery/broker/sqlite_live.h"
#include "celery/broker/tell.h"

#define QUEUE_CACHE_SIZE ((size_t)64)

struct queue_name {
    struct str name;
    int64_t queue_id; /* 0 = not known yet */
    bool is_paused;   /* as far as was looked */
    char bytes[BROKER_MAX_QUEUE_BYTES];
};

/* A delivery between its claim and its callback; texts in the round's arena. */
struct claimed {
    uint64_t tag;
    struct broker_delivery delivery;
};

struct sqlite_broker {
    struct broker base;
    struct broker_options options; /* with the defaults filled in */
    struct database *database;
    struct live_file live;
    char boot_id[BOOT_ID_BYTES];
    struct error broken; /* code is ERR_NONE, or why nothing is done any more */

    struct outbox outbox;
    struct window window;
    struct broker_stats stats;

    struct queue_name *queues; /* [n_queues], consumed from */
    size_t n_queues;
    size_t turn_idx; /* the queue whose turn it is among equals */
    size_t credit;

    struct queue_name cache[QUEUE_CACHE_SIZE]; /* published to */
    size_t n_cached;
    size_t cache_turn;

    int64_t consumer_id; /* 0 = no row in consumers */
    bool is_joining;     /* the row is of the transaction at hand */
    bool has_dead;       /* a dead consumer was seen */
    bool must_look;      /* what is known of ready and scheduled messages may be stale */
    bool may_be_ready;   /* a queue of ours may have a message */
    bool has_news;       /* the transaction at hand made messages available */
    bool has_limits;     /* somebody has a lock, or has passed a gate */
    int64_t next_eta_us; /* UTC, of what is scheduled and of lines; TIME_UNKNOWN = none */
    int64_t pause_at_us; /* no look at paused queues before */
    int64_t renew_at_us; /* monotonic, as the rest */
    int64_t scan_at_us;  /* look for the dead, and whether a wake-up was missed */
    int64_t retry_at_us; /* no round that writes before */
    int64_t retry_span_us;
    int64_t committed_at_us; /* on the real clock */
    uint64_t random;         /* of the waits for the write lock; never 0 */

    uint64_t n_recovering; /* messages of the dead in the transaction at hand */
    struct arena round;    /* deliveries of the round at hand */
    struct claimed *claimed;
    size_t n_claimed;
};

static inline struct sqlite_broker *
sqlite_broker_from(struct broker *broker)
{
    return (struct sqlite_broker *)broker;
}

static inline struct teller
sqlite_teller(struct sqlite_broker *self)
{
    return (struct teller){&self->outbox, &self->window, &self->stats, &self->options.listener};
}

/* sqlite_lock.c: database_begin, in turn with other processes, after wait_us at most. */
MUST_CHECK int sqlite_lock_begin(struct sqlite_broker *self, int64_t wait_us, struct error *err);

/* One write transaction outside of a round, for commands: begin, fn, commit. */
typedef int (*sqlite_work_fn)(struct sqlite_broker *self, void *context, struct error *err);
MUST_CHECK int sqlite_transact(struct sqlite_broker *self, int64_t wait_us, sqlite_work_fn fn,
                               void *context, struct error *err);

static inline int
sqlite_command(struct sqlite_broker *self, sqlite_work_fn fn, void *context, struct error *err)
{
    return sqlite_transact(self, self->options.max_command_us, fn, context, err);
}

/* The same, synced or not when it commits. */
MUST_CHECK int sqlite_transact_with(struct sqlite_broker *self, enum database_sync sync,
                                    int64_t wait_us, sqlite_work_fn fn, void *context,
                                    struct error *err);

/* sqlite_round.c */
MUST_CHECK int sqlite_round_run(struct broker *broker, struct error *err);
void sqlite_round_get_wait(const struct broker *broker, struct broker_wait *out);

/* sqlite_queue.c: *queue_id is 0 where the queue is not known and may not be made. */
enum queue_missing { QUEUE_LEAVE, QUEUE_MAKE };
MUST_CHECK int sqlite_queue_find(struct sqlite_broker *self, struct str name,
                                 enum queue_missing missing, int64_t *queue_id, struct error *err);
void sqlite_queue_forget_ids(struct sqlite_broker *self); /* a transaction was rolled back */

/* sqlite_message.c: inside a write transaction. */
struct message_place {
    int64_t message_id;
    int64_t queue_id;
    int priority;
    int64_t attempt;
    int64_t n_crashes;
};

MUST_CHECK int sqlite_message_insert(struct sqlite_broker *self, struct pending *message,
                                     struct error *err);
MUST_CHECK int sqlite_message_insert_ready(struct sqlite_broker *self,
                                           const struct message_place *place, struct error *err);
MUST_CHECK int sqlite_message_delete(struct sqlite_broker *self, int64_t message_id,
                                     struct error *err);

/* sqlite_settle.c: pending->outcome says what came of it. */
MUST_CHECK int sqlite_settle_apply(struct sqlite_broker *self, struct pending *pending,
                                   struct error *err);

/* sqlite_claim.c */
MUST_CHECK int sqlite_claim_look(struct sqlite_broker *self, bool *out, struct error *err);
MUST_CHECK int sqlite_claim_batch(struct sqlite_broker *self, struct error *err);
void sqlite_claim_undo(struct sqlite_broker *self);

/* sqlite_schedule.c */
MUST_CHECK int sqlite_schedule_read_next(struct sqlite_broker *self, struct error *err);
MUST_CHECK int sqlite_schedule_promote(struct sqlite_broker *self, struct error *err);
MUST_CHECK int sqlite_schedule_insert(struct sqlite_broker *self, int64_t ready_at_us,
                                      const struct message_place *place, struct error *err);

/* sqlite_consumer.c */
MUST_CHECK int sqlite_consumer_join(struct sqlite_broker *self, struct error *err);
MUST_CHECK int sqlite_consumer_keep(struct sqlite_broker *self, struct error *err);
MUST_CHECK int sqlite_consumer_scan(struct sqlite_broker *self, struct error *err);
MUST_CHECK int sqlite_consumer_recover(struct sqlite_broker *self, struct error *err);
MUST_CHECK int sqlite_consumer_leave(struct sqlite_broker *self, struct error *err);

/* sqlite_admin.c and sqlite_dead.c: the commands of broker_ops. */
int sqlite_admin_list_queues(struct broker *broker, struct arena *arena, struct str_list *out,
                             struct error *err);
int sqlite_admin_count(struct broker *broker, struct str queue, struct broker_depth *out,
                       struct error *err);
int sqlite_list_scheduled(struct broker *broker, struct str queue, size_t limit,
                          struct arena *arena, struct broker_scheduled_list *out,
                          struct error *err);
int sqlite_admin_purge(struct broker *broker, struct str queue, int64_t *n_purged,
                       struct error *err);
int sqlite_admin_revoke(struct broker *broker, const struct str *ids, size_t n_ids,
                        int64_t until_us, struct error *err);
int sqlite_admin_list_revoked(struct broker *broker, struct str prefix, size_t limit,
                              struct arena *arena, struct str_list *out, struct error *err);
int sqlite_dead_bury(struct broker *broker, const struct broker_message *message, struct str reason,
                     struct error *err);
int sqlite_dead_list(struct broker *broker, struct str queue, int64_t after_id, size_t limit,
                     struct arena *arena, struct broker_dead_list *out, struct error *err);
int sqlite_dead_get(struct broker *broker, int64_t dead_id, struct arena *arena,
                    struct broker_dead *out, struct error *err);
int sqlite_dead_requeue(struct broker *broker, int64_t dead_id, struct error *err);
int sqlite_pause(struct broker *broker, const struct broker_pause *pause, struct error *err);
int sqlite_resume(struct broker *broker, struct str queue, struct error *err);
int sqlite_list_paused(struct broker *broker, struct arena *arena, struct broker_pause_list *out,
                       struct error *err);
int sqlite_dead_drop(struct broker *broker, int64_t dead_id, struct error *err);
MUST_CHECK int sqlite_dead_insert(struct sqlite_broker *self, const struct message_place *place,
                                  struct str reason, struct error *err);
