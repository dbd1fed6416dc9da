#pragma once

/* Limits on SQLite: gates with their lines, grants, locks.  All inside a write transaction. */

#include "celery/broker/sqlite_internal.h"

struct gate_state {
    struct broker_gate gate;
    int64_t arrival_us; /* theoretical; a rate's */
    int64_t next_us;    /* UTC, when its line is looked at; TIME_UNKNOWN: nobody waits */
    bool is_known;
};

/* A place of a message that nobody has taken lapses. */
enum grant_use { GRANT_WAITS, GRANT_RUNS };

/* sqlite_gate.c */
MUST_CHECK int sqlite_gate_read(struct sqlite_broker *self, const struct broker_gate *gate,
                                struct gate_state *out, struct error *err);
/* Whether one may pass that is in no line; a rate is then used up by one. */
MUST_CHECK int sqlite_gate_pass(struct sqlite_broker *self, struct gate_state *state,
                                bool *may_pass, struct error *err);
MUST_CHECK int sqlite_gate_grant(struct sqlite_broker *self, const struct broker_gate *gate,
                                 int64_t message_id, enum grant_use use, struct error *err);
/* To the end of the line; the message is in no other place. */
MUST_CHECK int sqlite_gate_queue(struct sqlite_broker *self, struct gate_state *state,
                                 const struct message_place *place, struct error *err);
MUST_CHECK int sqlite_gate_serve_due(struct sqlite_broker *self, struct error *err);
MUST_CHECK int sqlite_gate_serve(struct sqlite_broker *self, struct str key, struct error *err);

/* sqlite_unique.c: 1 when another task has it, *holder is then that task's id, in the round's
 * arena; else it is ours, of this message. */
MUST_CHECK int sqlite_unique_take(struct sqlite_broker *self, const struct broker_lock *lock,
                                  struct str task_id, int64_t message_id, struct str *holder,
                                  struct error *err);
/* Whether sqlite_unique_take would be refused. */
MUST_CHECK int sqlite_unique_find(struct sqlite_broker *self, const struct broker_lock *lock,
                                  struct str task_id, struct str *holder, struct error *err);
MUST_CHECK int sqlite_unique_free(struct sqlite_broker *self, int64_t message_id,
                                  struct error *err);
MUST_CHECK int sqlite_unique_renumber(struct sqlite_broker *self, int64_t from_id, int64_t to_id,
                                      struct error *err);

/* sqlite_admit.c */
MUST_CHECK int sqlite_admit_apply(struct sqlite_broker *self, struct pending *pending,
                                  struct error *err);
/* What a message has of its gates: all of it is given back, or its places only, as it is to start
 * later.  Nothing to do where there are no limits. */
enum grants_left { GRANTS_NONE, GRANTS_OF_RATES };
MUST_CHECK int sqlite_admit_release(struct sqlite_broker *self, int64_t message_id,
                                    enum grants_left left, struct error *err);
/* All claims of a consumer come to an end. */
MUST_CHECK int sqlite_admit_release_all(struct sqlite_broker *self, int64_t consumer_id,
                                        struct error *err);
/* Grants and locks of messages that are gone. */
MUST_CHECK int sqlite_admit_sweep(struct sqlite_broker *self, struct error *err);
/* Once a second: whether there is anything of all this. */
MUST_CHECK int sqlite_admit_look(struct sqlite_broker *self, struct error *err);

/* sqlite_pause.c */
MUST_CHECK int sqlite_pause_look(struct sqlite_broker *self, struct error *err);
