/* Whether a delivery may start, and what it gives back in the end. */

#include "celery/broker/sqlite_limits.h"

static int
read_claim(struct sqlite_broker *self, int64_t message_id, struct message_place *out,
           struct error *err)
{
    static const char sql[] = "SELECT queue_id, priority, attempt, n_crashes FROM claims"
                              " WHERE consumer_id = $1 AND message_id = $2";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, self->consumer_id);
    statement_bind_i64(statement, 2, message_id);
    rc = statement_step(statement, err);
    if (rc == 1)
        *out = (struct message_place){
            .message_id = message_id,
            .queue_id = statement_i64(statement, 0),
            .priority = (int)statement_i64(statement, 1),
            .attempt = statement_i64(statement, 2) - 1, /* it was not run */
            .n_crashes = statement_i64(statement, 3),
        };
    statement_reset(statement);
    return rc;
}

static int
drop_claim(struct sqlite_broker *self, int64_t message_id, struct error *err)
{
    static const char sql[] = "DELETE FROM claims WHERE consumer_id = $1 AND message_id = $2";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, self->consumer_id);
    statement_bind_i64(statement, 2, message_id);
    return statement_run(statement, NULL, err);
}

/* 1: it has passed there before, and its place, if it is one, has not lapsed. */
static int
has_grant(struct sqlite_broker *self, int64_t message_id, struct str key, struct error *err)
{
    static const char sql[] = "SELECT 1 FROM limit_grants WHERE message_id = $1 AND gate_key = $2"
                              " AND (lapses_at IS NULL OR lapses_at > $3)";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, message_id);
    statement_bind_str(statement, 2, key);
    statement_bind_i64(statement, 3, clock_now_us(self->options.clock));
    rc = statement_step(statement, err);
    if (rc >= 0)
        statement_reset(statement);
    return rc;
}

/* 1: it has to wait, and is in the line. */
static int
pass_gate(struct sqlite_broker *self, const struct broker_gate *gate,
          const struct message_place *place, struct error *err)
{
    struct gate_state state;
    bool may_pass = false;
    int rc = has_grant(self, place->message_id, gate->key, err);

    if (rc < 0)
        return rc;
    if (rc == 0) {
        rc = sqlite_gate_read(self, gate, &state, err);
        if (rc == 0)
            rc = sqlite_gate_pass(self, &state, &may_pass, err);
        if (rc < 0)
            return rc;
    } else {
        may_pass = true;
    }
    if (may_pass)
        return sqlite_gate_grant(self, gate, place->message_id, GRANT_RUNS, err);
    rc = drop_claim(self, place->message_id, err);
    if (rc == 0)
        rc = sqlite_gate_queue(self, &state, place, err);
    return rc < 0 ? rc : 1;
}

static int
admit(struct sqlite_broker *self, struct pending *pending, const struct message_place *place,
      struct error *err)
{
    const struct broker_admission *admission = pending->admission;
    int rc = 0;

    self->has_limits = true;
    if (admission->lock.span != BROKER_LOCK_NONE)
        rc = sqlite_unique_take(self, &admission->lock, admission->id, place->message_id,
                                &pending->holder, err);
    if (rc == 1)
        pending->outcome = BROKER_HELD;
    for (size_t i = 0; rc == 0 && i < admission->n_gates; i++) {
        rc = pass_gate(self, &admission->gates[i], place, err);
        if (rc == 1)
            pending->outcome = BROKER_WAITS;
    }
    if (rc == 0 && admission->lock.span == BROKER_LOCK_QUEUED)
        rc = sqlite_unique_free(self, place->message_id, err);
    return rc < 0 ? rc : 0;
}

int
sqlite_admit_apply(struct sqlite_broker *self, struct pending *pending, struct error *err)
{
    const struct held *held = window_find(&self->window, pending->tag);
    struct message_place place;
    int rc;

    pending->outcome = BROKER_FENCED;
    if (!held || held->is_lost)
        return 0;
    rc = read_claim(self, held->key, &place, err);
    if (rc != 1)
        return rc;
    pending->outcome = BROKER_DONE;
    return admit(self, pending, &place, err);
}

struct places {
    struct str *keys; /* of gates that have a place more */
    size_t n_keys;
};

/* Grants that a statement deletes: key, is_place. */
static int
collect_places(struct sqlite_broker *self, struct statement *statement, struct places *out,
               struct error *err)
{
    bool is_copied = true;
    int rc;

    out->keys = arena_calloc(&self->round, BROKER_MAX_GATES, sizeof(*out->keys));
    if (!out->keys)
        return error_set(err, ERR_NOMEM, "no memory for the gates of a message");
    while ((rc = statement_step(statement, err)) == 1)
        if (statement_i64(statement, 1) && out->n_keys < BROKER_MAX_GATES)
            out->keys[out->n_keys++] =
                arena_dup(&self->round, statement_str(statement, 0), &is_copied);
    statement_reset(statement);
    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for the gates of a message");
    return rc;
}

int
sqlite_admit_release(struct sqlite_broker *self, int64_t message_id, enum grants_left left,
                     struct error *err)
{
    static const char sql[] = "DELETE FROM limit_grants WHERE message_id = $1"
                              " AND (is_place OR $2) RETURNING gate_key, is_place";
    struct places places = {NULL, 0};
    struct statement *statement;
    int rc;

    if (!self->has_limits)
        return 0;
    rc = database_prepare(self->database, sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, message_id);
    statement_bind_i64(statement, 2, left == GRANTS_NONE);
    rc = collect_places(self, statement, &places, err);
    for (size_t i = 0; rc == 0 && i < places.n_keys; i++)
        rc = sqlite_gate_serve(self, places.keys[i], err);
    return rc;
}

static int
run(struct sqlite_broker *self, const char *sql, int64_t value, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, value);
    return statement_run(statement, NULL, err);
}

/* The lines of all places are looked at, in the next transaction: it happens rarely. */
int
sqlite_admit_release_all(struct sqlite_broker *self, int64_t consumer_id, struct error *err)
{
    static const char grants_sql[] = "DELETE FROM limit_grants WHERE message_id IN"
                                     " (SELECT message_id FROM claims WHERE consumer_id = $1)";
    static const char lines_sql[] = "UPDATE limit_gates SET next_at = $1"
                                    " WHERE next_at > $1 AND interval_us = 0";
    int rc = run(self, grants_sql, consumer_id, err);

    return rc < 0 ? rc : run(self, lines_sql, clock_now_us(self->options.clock), err);
}

int
sqlite_admit_sweep(struct sqlite_broker *self, struct error *err)
{
    static const char grants_sql[] = "DELETE FROM limit_grants WHERE message_id NOT IN"
                                     " (SELECT message_id FROM messages)";
    static const char locks_sql[] =
        "DELETE FROM unique_locks AS l WHERE locked_until IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM messages AS m WHERE m.message_id = l.message_id"
        "   AND m.task_id = l.task_id)";
    struct statement *statement;
    int rc = database_prepare(self->database, grants_sql, &statement, err);

    if (rc == 0)
        rc = statement_run(statement, NULL, err);
    if (rc == 0)
        rc = database_prepare(self->database, locks_sql, &statement, err);
    return rc < 0 ? rc : statement_run(statement, NULL, err);
}

int
sqlite_admit_look(struct sqlite_broker *self, struct error *err)
{
    static const char sql[] =
        "SELECT 1 FROM limit_grants UNION ALL SELECT 1 FROM unique_locks LIMIT 1";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc == 0)
        rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    self->has_limits = rc == 1;
    statement_reset(statement);
    return 0;
}
