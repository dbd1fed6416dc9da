#pragma once

/* What the files of the Redis broker share; nobody else includes it, except its own tests. */

#include "base/uuid.h"
#include "celery/broker/broker.h"
#include "celery/broker/outbox.h"
#include "celery/broker/tell.h"
#include "celery/broker/window.h"
#include "celery/redis/redis.h"

#define REDIS_MAX_STEPS      10            /* of priority */
#define REDIS_BOUND_QUEUES   64            /* names that are known to be bound */
#define REDIS_CLAIM_LIMIT    ((size_t)512) /* messages in one claim */
#define REDIS_CONSUMER_BYTES 200
#define REDIS_MAX_ASKED      64
#define REDIS_MAX_BINDING    32 /* questions under way, after which no queue is bound */

/* Where things lie in the database, and the options of the URL that say so. */
struct redis_layout {
    struct str prefix; /* of every key */
    struct str own;    /* prefix and "trawl." */
    struct str separator;
    struct str unacked;
    struct str unacked_index;
    struct str unacked_mutex;
    struct str binding; /* prefix and "_kombu.binding." */
    struct str steps[REDIS_MAX_STEPS];
    int64_t step_numbers[REDIS_MAX_STEPS]; /* ascending, the first is 0 */
    size_t n_steps;
    struct str steps_down; /* "9,6,3,0" */
    int64_t visibility_s;
    bool is_in_turn; /* queue_order_strategy: equals alternate */
};

/* Errors: ERR_CONFIG, ERR_NOMEM. */
MUST_CHECK int redis_layout_read(const struct redis_address *address, struct arena *arena,
                                 struct redis_layout *out, struct error *err);

/* The step of a priority: the greatest one that is not above it. */
int64_t redis_layout_step(const struct redis_layout *layout, int priority);

/* The words of a command, in an arena; the first failure sticks. */
struct words {
    struct arena *arena;
    struct str *items; /* [n_items] */
    size_t n_items;
    size_t n_room;
    bool is_failed;
};

void words_add(struct words *words, struct str word);
void words_add_i64(struct words *words, int64_t value);
void words_printf(struct words *words, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The first words of every script: what its keys are, or begin with. */
void redis_layout_add_keys(const struct redis_layout *layout, struct words *words);

enum redis_script_id { SCRIPT_PUBLISH, SCRIPT_SETTLE, SCRIPT_LEAVE, SCRIPT_TEND, SCRIPT_CLAIM, N_SCRIPTS };

/* What a reply of the main connection answers. */
enum redis_asked {
    ASKED_LOAD,
    ASKED_BIND,
    ASKED_TRACKING,
    ASKED_SETTLE,
    ASKED_RESUME,
    ASKED_TEND,
    ASKED_CLAIM,
};

/* A connection, and what epoll knows of it. */
struct redis_line {
    struct redis *redis;
    int watched_fd; /* -1: none */
    short watched_events;
};

/* Whether the server wakes us when a queue gets something. */
enum redis_tracking {
    TRACKING_NONE,  /* the second connection is not ready */
    TRACKING_KNOWN, /* its number is known, it is subscribed */
    TRACKING_ASKED,
    TRACKING_ON,
    TRACKING_REFUSED, /* polling instead */
};

/* Whether the server knows a consumer of our name. */
enum redis_membership {
    MEMBER_NO,
    MEMBER_ASKED, /* it may */
    MEMBER_YES,
};

struct redis_queue {
    struct str name;
    char bytes[BROKER_MAX_QUEUE_BYTES];
};

struct redis_broker {
    struct broker base;
    struct broker_options options; /* with the defaults filled in */
    struct arena arena;            /* for the handle's life: address, layout */
    struct redis_address address;
    struct redis_layout layout;
    struct redis_script scripts[N_SCRIPTS];
    char handle[UUID_TEXT_BYTES];
    char consumer[REDIS_CONSUMER_BYTES];      /* the name that its leases stand under */
    char next_consumer[REDIS_CONSUMER_BYTES]; /* asked for */
    uint64_t generation;                      /* of that name; never given twice */

    struct outbox outbox;
    struct window window;
    struct broker_stats stats;
    struct arena round; /* words of the commands of one round */

    struct redis_queue *queues; /* [n_queues], consumed from */
    size_t n_queues;
    size_t turn_idx;
    size_t credit;

    struct redis_queue bound[REDIS_BOUND_QUEUES]; /* whose binding is written */
    size_t n_bound;
    size_t bound_turn;

    /* The connections (redis_link.c). */
    int epoll_fd;
    struct redis_line main;
    struct redis_line wake;
    enum redis_asked asked[REDIS_MAX_ASKED]; /* a ring: what the next replies answer */
    size_t asked_head;
    size_t n_asked;
    bool is_greeted; /* the scripts are on their way, commands may follow */
    int64_t wake_id; /* the second connection's number */
    enum redis_tracking tracking;
    int64_t main_at_us; /* on the real clock: not opened before */
    int64_t main_span_us;
    int64_t wake_at_us;
    int64_t lost_at_us;     /* on the real clock; 0 = connected */
    int64_t logged_at_us;   /* on the real clock */
    bool is_loss_logged;    /* so its end is, too */
    struct redis *commands; /* the third one, that commands block on; opened when first used */

    /* What is under way. */
    bool is_settling;
    bool has_marked; /* the server keeps a batch's outcomes */
    bool was_lost;   /* a connection, once */
    bool is_resuming;
    bool is_tending;
    bool is_claiming;
    size_t claim_most;     /* messages in the next claim */
    size_t n_claim_queues; /* queues of the claim that is under way */
    int64_t n_claims;      /* serial number of the next one */

    /* What is due. */
    enum redis_membership membership;
    bool must_resume; /* the server may hold what we do not know of */
    bool must_bind;
    int64_t bind_at_us;   /* not before */
    bool may_be_ready;    /* a queue of ours may have a message */
    int64_t settle_at_us; /* on the handle's clock, as the rest: no batch before */
    int64_t settle_span_us;
    int64_t tend_at_us;
    int64_t claim_at_us; /* after a failure, not before */
    int64_t look_at_us;  /* whether a wake-up was missed, or none can come */
    int64_t look_span_us;
    int64_t eta_at_us;     /* INT64_MAX = none */
    int64_t restore_at_us; /* look for what Python workers left behind */
};

static inline struct redis_broker *
redis_broker_from(struct broker *broker)
{
    return (struct redis_broker *)broker;
}

static inline struct teller
redis_teller(struct redis_broker *self)
{
    return (struct teller){&self->outbox, &self->window, &self->stats, &self->options.listener};
}

static inline int64_t
redis_broker_mono_us(const struct redis_broker *self)
{
    return clock_mono_us(self->options.clock);
}

/* redis_call.c: what every script is given. */
void redis_call_begin(const struct redis_broker *self, struct words *words,
                      enum redis_script_id script);
void redis_call_add_common(const struct redis_broker *self, struct words *words);
/* The priority step, and the list that a message of this priority waits in: its key lives as long
 * as the round. */
int64_t redis_call_step(const struct redis_broker *self, int priority);
struct str redis_call_list_key(struct redis_broker *self, struct str queue, int priority);
void redis_call_rename(struct redis_broker *self, char out[REDIS_CONSUMER_BYTES]);

/* redis_link.c */
MUST_CHECK int redis_link_open(struct redis_broker *self, int64_t until_us, struct error *err);
void redis_link_close(struct redis_broker *self);
void redis_link_forget(struct redis_broker *self);
void redis_link_run(struct redis_broker *self);
void redis_link_write(struct redis_broker *self);
void redis_link_log_refusal(struct redis_broker *self, const char *what,
                            const struct redis_value *reply);
void redis_link_fail(struct redis_broker *self, const struct error *why);
MUST_CHECK bool redis_link_ask(struct redis_broker *self, enum redis_asked asked,
                               const struct words *words);
bool redis_link_must_greet(const struct redis_broker *self);  /* ready, and nothing was sent yet */
int64_t redis_link_deadline(const struct redis_broker *self); /* on the handle's clock */

/* redis_track.c: the second connection. */
void redis_track_run(struct redis_broker *self);
void redis_track_close(struct redis_broker *self);
void redis_track_on_reply(struct redis_broker *self, const struct redis_value *reply);

/* redis_round.c */
MUST_CHECK int redis_round_run(struct broker *broker, struct error *err);
void redis_round_get_wait(const struct broker *broker, struct broker_wait *out);

/* redis_settle.c: the outbox. */
void redis_settle_send(struct redis_broker *self);
void redis_settle_repeat(struct redis_broker *self);
void redis_settle_forget(struct redis_broker *self);
void redis_settle_on_reply(struct redis_broker *self, const struct redis_value *reply);

/* redis_limits.c */
enum redis_when { REDIS_AT_ONCE, REDIS_LATER };
void redis_limits_add_publish(struct redis_broker *self, const struct pending *publish,
                              enum redis_when when, struct words *words);
void redis_limits_add_question(struct redis_broker *self, const struct pending *question,
                               struct words *words);
void redis_limits_add_free(const struct pending *verdict, struct words *words);

/* redis_consumer.c: the lease. */
void redis_consumer_tend(struct redis_broker *self);
void redis_consumer_resume(struct redis_broker *self);
void redis_consumer_on_tended(struct redis_broker *self, const struct redis_value *reply);
void redis_consumer_on_resumed(struct redis_broker *self, const struct redis_value *reply);
void redis_consumer_note_lost(struct redis_broker *self);
void redis_consumer_leave(struct redis_broker *self);

/* redis_claim.c */
void redis_claim_send(struct redis_broker *self);
void redis_claim_on_reply(struct redis_broker *self, const struct redis_value *reply);

/* redis_bind.c: queues by name, and their bindings. */
void redis_bind_queues(struct redis_broker *self);
bool redis_bind_has_room(const struct redis_broker *self);
MUST_CHECK bool redis_bind_one(struct redis_broker *self, struct str queue);
void redis_bind_forget(struct redis_broker *self);
void redis_bind_on_refused(struct redis_broker *self);

/* redis_envelope.c: what the broker has to know of a message. */
struct redis_envelope {
    struct str id;
    int64_t priority;   /* -1: not told */
    int64_t expires_us; /* TIME_UNKNOWN: never */
    bool has_eta;
};

void redis_envelope_read(struct str bytes, struct arena *arena, struct redis_envelope *out);

/* redis_admin.c and redis_dead.c: the commands of broker_ops. */
MUST_CHECK int redis_admin_call(struct redis_broker *self, const struct words *words,
                                int64_t timeout_us, const struct redis_value **out,
                                struct error *err);
void redis_admin_begin(const struct redis_broker *self, struct words *words, const char *text);
int redis_admin_list_queues(struct broker *broker, struct arena *arena, struct str_list *out,
                            struct error *err);
int redis_admin_count(struct broker *broker, struct str queue, struct broker_depth *out,
                      struct error *err);
int redis_list_scheduled(struct broker *broker, struct str queue, size_t limit, struct arena *arena,
                         struct broker_scheduled_list *out, struct error *err);
int redis_admin_purge(struct broker *broker, struct str queue, int64_t *n_purged,
                      struct error *err);
int redis_admin_revoke(struct broker *broker, const struct str *ids, size_t n_ids, int64_t until_us,
                       struct error *err);
int redis_admin_list_revoked(struct broker *broker, struct str prefix, size_t limit,
                             struct arena *arena, struct str_list *out, struct error *err);
int redis_dead_bury(struct broker *broker, const struct broker_message *message, struct str reason,
                    struct error *err);
int redis_dead_list(struct broker *broker, struct str queue, int64_t after_id, size_t limit,
                    struct arena *arena, struct broker_dead_list *out, struct error *err);
int redis_dead_get(struct broker *broker, int64_t dead_id, struct arena *arena,
                   struct broker_dead *out, struct error *err);
int redis_dead_requeue(struct broker *broker, int64_t dead_id, struct error *err);
int redis_pause(struct broker *broker, const struct broker_pause *pause, struct error *err);
int redis_resume(struct broker *broker, struct str queue, struct error *err);
int redis_list_paused(struct broker *broker, struct arena *arena, struct broker_pause_list *out,
                      struct error *err);
int redis_dead_drop(struct broker *broker, int64_t dead_id, struct error *err);
