/* A message's rows: its body, and its place among the ready ones. */

#include "celery/broker/sqlite_limits.h"

static int
insert_body(struct sqlite_broker *self, const struct pending *message, int64_t *message_id,
            struct error *err)
{
    static const char sql[] = "INSERT INTO messages (expires_at, task_id, body)"
                              " VALUES ($1, $2, $3) RETURNING message_id";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, message->expires_us);
    statement_bind_str(statement, 2, message->id);
    statement_bind_blob(statement, 3, message->bytes);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    *message_id = statement_i64(statement, 0);
    statement_reset(statement);
    return 0;
}

/* 1: another task has the lock. */
static int
find_lock(struct sqlite_broker *self, struct pending *message, struct error *err)
{
    const struct broker_admission *admission = message->admission;

    if (!admission || admission->lock.may_share)
        return 0;
    return sqlite_unique_find(self, &admission->lock, admission->id, &message->holder, err);
}

/* Where it may be shared, another's stays. */
static int
take_lock(struct sqlite_broker *self, struct pending *message, int64_t message_id,
          struct error *err)
{
    const struct broker_admission *admission = message->admission;
    int rc = sqlite_unique_take(self, &admission->lock, admission->id, message_id, &message->holder,
                                err);

    return rc < 0 ? rc : 0;
}

int
sqlite_message_insert(struct sqlite_broker *self, struct pending *message, struct error *err)
{
    struct message_place place = {.priority = message->priority};
    int rc = find_lock(self, message, err);

    if (rc == 1)
        message->outcome = BROKER_HELD;
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = sqlite_queue_find(self, message->queue, QUEUE_MAKE, &place.queue_id, err);
    if (rc == 0)
        rc = insert_body(self, message, &place.message_id, err);
    if (rc == 0 && message->admission)
        rc = take_lock(self, message, place.message_id, err);
    if (rc < 0)
        return rc;
    if (message->eta_us != TIME_UNKNOWN && message->eta_us > clock_now_us(self->options.clock))
        return sqlite_schedule_insert(self, message->eta_us, &place, err);
    return sqlite_message_insert_ready(self, &place, err);
}

int
sqlite_message_insert_ready(struct sqlite_broker *self, const struct message_place *place,
                            struct error *err)
{
    static const char sql[] = "INSERT INTO ready (queue_id, priority, message_id, attempt,"
                              " n_crashes) VALUES ($1, $2, $3, $4, $5)";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, place->queue_id);
    statement_bind_i64(statement, 2, place->priority);
    statement_bind_i64(statement, 3, place->message_id);
    statement_bind_i64(statement, 4, place->attempt);
    statement_bind_i64(statement, 5, place->n_crashes);
    self->has_news = true;
    return statement_run(statement, NULL, err);
}

int
sqlite_message_delete(struct sqlite_broker *self, int64_t message_id, struct error *err)
{
    static const char sql[] = "DELETE FROM messages WHERE message_id = $1";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, message_id);
    return statement_run(statement, NULL, err);
}
