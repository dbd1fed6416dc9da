#pragma once

/* Where beat keeps what it must not forget: in the broker's own database, so that a message and the
 * slot it was sent for are one transaction.  One party per handle; it blocks, for timeout_us at
 * most.
 *
 * Leadership.  The record of leadership is a term, its owner and a count of signs of life.  A
 * follower looks at it twice a second or so; when the count has stood still for BEAT_LEASE_US of
 * the follower's own monotonic clock, it takes the next term, by compare and swap.  So no clock is
 * compared with another one: neither a step of any wall clock (the server's, too) nor a suspended
 * machine makes two leaders or none.  Being wrong about a leader is harmless: every operation of a
 * leader names its term, in the same transaction as its effect, and a term that has passed is
 * answered by BEAT_FENCED, with nothing changed.
 *
 * Slots.  beat_store_send puts a message into its queue and writes down its slot, both or neither;
 * a slot that was sent before, by anybody, is not sent again.  The keys of the newest
 * BEAT_KEYS_KEPT runs of an entry are remembered; what is older stands behind the entry's last slot
 * anyway. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "celery/broker/broker.h"

#define BEAT_OWNER_BYTES 128 /* with the NUL */
#define BEAT_KEYS_KEPT   INT64_C(4096)
#define BEAT_LEASE_US    (US_PER_S * 5 / 2)

struct beat_store_ops;

/* The first member of every implementation's handle. */
struct beat_store {
    const struct beat_store_ops *ops;
};

/* Zero means the default, except for the owner. */
struct beat_store_options {
    struct str owner; /* who this party is, unique in the world, shown to people; shorter than
                         BEAT_OWNER_BYTES; copied */
    const struct clock *clock; /* the machine's; for dates that people read */
    int64_t timeout_us;        /* 1.5 s: of each call */
    int64_t n_keys_kept;       /* BEAT_KEYS_KEPT */
    bool must_exist;           /* for commands that look: make nothing */
};

enum beat_answer {
    BEAT_DONE,
    BEAT_REPEATED, /* the slot, or a later one, was sent before: nothing was sent */
    BEAT_FENCED,   /* we do not lead (any more): nothing was changed */
};

/* The record of leadership at a moment. */
struct beat_lead {
    int64_t term;                 /* 0: there never was a leader */
    int64_t n_signs;              /* of life, in this term */
    char owner[BEAT_OWNER_BYTES]; /* empty: nobody leads */
};

/* What is remembered of an entry. */
struct beat_state {
    int64_t last_slot_us; /* sent or passed over; at first the instant it counts from; UTC */
    int64_t n_runs;
    int64_t sent_at_us; /* UTC; TIME_UNKNOWN: never */
};

struct beat_record {
    struct str name;
    struct beat_state state;
    struct str task_id; /* of the last run; empty before the first */
};

struct beat_record_list {
    const struct beat_record *items; /* by name */
    size_t n_items;
};

/* One implementation; the functions below say what each must do. */
struct beat_store_ops {
    int (*open)(struct str url, const struct beat_store_options *options, struct beat_store **out,
                struct error *err);
    void (*close)(struct beat_store *store);
    int (*look)(struct beat_store *store, struct beat_lead *out, struct error *err);
    int (*take)(struct beat_store *store, const struct beat_lead *seen, enum beat_answer *out,
                struct error *err);
    int (*keep)(struct beat_store *store, enum beat_answer *out, struct error *err);
    int (*release)(struct beat_store *store, struct error *err);
    int (*load)(struct beat_store *store, const char *const *names, size_t n_names,
                int64_t anchor_us, struct beat_state *states, enum beat_answer *out,
                struct error *err);
    int (*send)(struct beat_store *store, const char *name, int64_t slot_us,
                const struct broker_message *message, struct beat_state *state,
                enum beat_answer *out, struct error *err);
    int (*skip)(struct beat_store *store, const char *name, int64_t slot_us, enum beat_answer *out,
                struct error *err);
    int (*list)(struct beat_store *store, struct arena *arena, struct beat_record_list *out,
                struct error *err);
};

extern const struct beat_store_ops beat_store_redis;
extern const struct beat_store_ops beat_store_sqlite;

/* Open by the scheme of the broker's URL.  Errors: those of broker_open. */
MUST_CHECK int beat_store_open(struct str url, const struct beat_store_options *options,
                               struct beat_store **out, struct error *err);
/* Without releasing: a leader's lease runs out.  NULL is fine. */
void beat_store_close(struct beat_store *store);
void beat_store_closep(struct beat_store **store);

/* What follows fails with ERR_BUSY, ERR_TIMEOUT, ERR_NETWORK or ERR_DISK_FULL where time may help,
 * ERR_IO, ERR_CORRUPT or ERR_AUTH where somebody has to.  After a failure nobody knows whether it
 * was done; close the store, open it again and take the next term, which fences what may still be
 * on its way. */

/* Who leads. */
MUST_CHECK static inline int
beat_store_look(struct beat_store *store, struct beat_lead *out, struct error *err)
{
    return store->ops->look(store, out, err);
}

/* Lead from now on, if the record still is as it was seen: BEAT_DONE or BEAT_FENCED. */
MUST_CHECK static inline int
beat_store_take(struct beat_store *store, const struct beat_lead *seen, enum beat_answer *out,
                struct error *err)
{
    return store->ops->take(store, seen, out, err);
}

/* A sign of life of the leader; sending, loading and skipping are such signs as well. */
MUST_CHECK static inline int
beat_store_keep(struct beat_store *store, enum beat_answer *out, struct error *err)
{
    return store->ops->keep(store, out, err);
}

/* Nobody leads, so that another one can at once; nothing happens if we do not lead. */
MUST_CHECK static inline int
beat_store_release(struct beat_store *store, struct error *err)
{
    return store->ops->release(store, err);
}

/* What is remembered of these entries, after new ones got anchor_us as their last slot (whole
 * seconds, UTC; whoever is first counts) and those that are not among the names were forgotten.
 *
 * names   [n_names], unique, UTF-8, of at most CELERY_SCHEDULE_NAME_BYTES
 * states  [n_names], filled when BEAT_DONE */
MUST_CHECK static inline int
beat_store_load(struct beat_store *store, const char *const *names, size_t n_names,
                int64_t anchor_us, struct beat_state *states, enum beat_answer *out,
                struct error *err)
{
    return store->ops->load(store, names, n_names, anchor_us, states, out, err);
}

/* Send a loaded entry's message for a slot (whole seconds, UTC) and remember it, or neither.
 *
 * message  its eta is not looked at: it is ready at once
 * state    of the entry afterwards; not filled when BEAT_FENCED
 *
 * Further errors: ERR_NOT_FOUND (the entry is not there), ERR_INVALID (queue, priority),
 * ERR_TOO_LARGE. */
MUST_CHECK static inline int
beat_store_send(struct beat_store *store, const char *name, int64_t slot_us,
                const struct broker_message *message, struct beat_state *state,
                enum beat_answer *out, struct error *err)
{
    return store->ops->send(store, name, slot_us, message, state, out, err);
}

/* Count from this slot on, be it earlier or later than the last one; nothing is sent. */
MUST_CHECK static inline int
beat_store_skip(struct beat_store *store, const char *name, int64_t slot_us, enum beat_answer *out,
                struct error *err)
{
    return store->ops->skip(store, name, slot_us, out, err);
}

/* All entries that are remembered; in the arena. */
MUST_CHECK static inline int
beat_store_list(struct beat_store *store, struct arena *arena, struct beat_record_list *out,
                struct error *err)
{
    return store->ops->list(store, arena, out, err);
}
