#pragma once

/* What the two files of beat's store on SQLite share; nobody else includes it. */

#include "celery/broker/beat_store.h"
#include "celery/broker/sqlite_internal.h"

struct sqlite_beat {
    struct beat_store base;
    struct broker *broker;
    int64_t timeout_us;
    int64_t n_keys_kept;
    int64_t term; /* of ours; 0 = we never led */
    char owner[BEAT_OWNER_BYTES];
};

/* One operation of a leader, and what comes of it. */
struct beat_operation {
    const struct sqlite_beat *store;
    const struct beat_lead *seen;
    struct str names; /* a JSON array */
    const char *name;
    int64_t slot_us;
    const struct broker_message *message;
    struct beat_state state;
    enum beat_answer answer;
};

static inline struct sqlite_beat *
sqlite_beat_from(struct beat_store *store)
{
    return (struct sqlite_beat *)store;
}

/* sqlite_beat.c: fn in a write transaction; operation->answer is BEAT_FENCED at first. */
MUST_CHECK int sqlite_beat_transact(struct sqlite_beat *self, sqlite_work_fn fn,
                                    struct beat_operation *operation, struct error *err);

/* Every operation of a leader begins with it.  answer BEAT_DONE: we lead, for the rest of the
 * transaction. */
MUST_CHECK int sqlite_beat_give_sign(struct sqlite_broker *broker, struct beat_operation *operation,
                                     struct error *err);

/* sqlite_beat_entries.c: operations of beat_store_ops. */
int sqlite_beat_load(struct beat_store *store, const char *const *names, size_t n_names,
                     int64_t anchor_us, struct beat_state *states, enum beat_answer *out,
                     struct error *err);
int sqlite_beat_send(struct beat_store *store, const char *name, int64_t slot_us,
                     const struct broker_message *message, struct beat_state *state,
                     enum beat_answer *out, struct error *err);
int sqlite_beat_skip(struct beat_store *store, const char *name, int64_t slot_us,
                     enum beat_answer *out, struct error *err);
int sqlite_beat_list(struct beat_store *store, struct arena *arena, struct beat_record_list *out,
                     struct error *err);
