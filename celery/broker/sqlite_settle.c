/* Verdicts.  A claim's row is the right to settle: it is keyed by the consumer's number, which is
 * given once, so a verdict after the lease was lost finds no row and changes nothing. */

#include "celery/broker/sqlite_limits.h"

/* DELETE the claim; *out gets what it knew.  1 when it was there. */
static int
take_claim(struct sqlite_broker *self, int64_t message_id, struct message_place *out,
           struct error *err)
{
    static const char sql[] = "DELETE FROM claims WHERE consumer_id = $1 AND message_id = $2"
                              " RETURNING queue_id, priority, attempt, n_crashes";
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
            .attempt = statement_i64(statement, 2),
            .n_crashes = statement_i64(statement, 3),
        };
    statement_reset(statement);
    return rc;
}

/* For good: what it has of limits is free. */
static int
end_message(struct sqlite_broker *self, int64_t message_id, struct error *err)
{
    int rc;

    if (!self->has_limits)
        return 0;
    rc = sqlite_admit_release(self, message_id, GRANTS_NONE, err);
    return rc < 0 ? rc : sqlite_unique_free(self, message_id, err);
}

static int
acknowledge(struct sqlite_broker *self, int64_t message_id, bool *is_ours, struct error *err)
{
    static const char sql[] = "DELETE FROM claims WHERE consumer_id = $1 AND message_id = $2";
    struct statement *statement;
    int64_t n_changed = 0;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, self->consumer_id);
    statement_bind_i64(statement, 2, message_id);
    rc = statement_run(statement, &n_changed, err);
    *is_ours = n_changed > 0;
    if (rc < 0 || !*is_ours)
        return rc;
    rc = end_message(self, message_id, err);
    return rc < 0 ? rc : sqlite_message_delete(self, message_id, err);
}

/* A new number is a place at the end. */
static int
renumber(struct sqlite_broker *self, struct message_place *place, struct error *err)
{
    static const char sql[] =
        "UPDATE messages SET message_id = (SELECT max(message_id) + 1 FROM messages)"
        " WHERE message_id = $1 RETURNING message_id";
    int64_t old_id = place->message_id;
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, old_id);
    rc = statement_step(statement, err);
    if (rc == 1)
        place->message_id = statement_i64(statement, 0);
    statement_reset(statement);
    return rc < 0 ? rc : sqlite_unique_renumber(self, old_id, place->message_id, err);
}

static int
requeue(struct sqlite_broker *self, struct message_place *place, int64_t delay_us,
        struct error *err)
{
    int64_t ready_at_us = clock_now_us(self->options.clock);
    int rc = sqlite_admit_release(self, place->message_id, GRANTS_NONE, err);

    if (rc == 0)
        rc = renumber(self, place, err);
    if (rc < 0)
        return rc;
    if (delay_us <= 0)
        return sqlite_message_insert_ready(self, place, err);
    if (__builtin_add_overflow(ready_at_us, delay_us, &ready_at_us))
        ready_at_us = INT64_MAX;
    return sqlite_schedule_insert(self, ready_at_us, place, err);
}

static int
bury(struct sqlite_broker *self, const struct message_place *place, struct str reason,
     struct error *err)
{
    int rc = sqlite_dead_insert(self, place, reason, err);

    if (rc == 0)
        rc = end_message(self, place->message_id, err);
    return rc < 0 ? rc : sqlite_message_delete(self, place->message_id, err);
}

static int
apply(struct sqlite_broker *self, struct pending *pending, struct message_place *place,
      struct error *err)
{
    int rc;

    switch (pending->action) {
    case BROKER_ACK:
        break; /* without the claim's columns: acknowledge */
    case BROKER_REQUEUE:
        return requeue(self, place, pending->delay_us, err);
    case BROKER_RELEASE:
        place->attempt--;
        rc = sqlite_admit_release(self, place->message_id, GRANTS_OF_RATES, err);
        return rc < 0 ? rc : sqlite_message_insert_ready(self, place, err);
    case BROKER_CRASHED:
        place->n_crashes++;
        if (place->n_crashes < self->options.poison_cap)
            return requeue(self, place, pending->delay_us, err);
        pending->outcome = BROKER_BURIED;
        return bury(self, place, pending->reason, err);
    case BROKER_BURY:
        return bury(self, place, pending->reason, err);
    }
    return error_set(err, ERR_INVALID, "verdict %d is unknown", (int)pending->action);
}

int
sqlite_settle_apply(struct sqlite_broker *self, struct pending *pending, struct error *err)
{
    const struct held *held = window_find(&self->window, pending->tag);
    struct message_place place;
    bool is_ours = false;
    int rc;

    pending->outcome = BROKER_FENCED;
    if (!held || held->is_lost)
        return 0;
    if (pending->action == BROKER_ACK) {
        rc = acknowledge(self, held->key, &is_ours, err);
    } else {
        rc = take_claim(self, held->key, &place, err);
        is_ours = rc == 1;
    }
    if (rc < 0)
        return rc;
    if (!is_ours)
        return 0;
    pending->outcome = BROKER_DONE;
    return pending->action == BROKER_ACK ? 0 : apply(self, pending, &place, err);
}
