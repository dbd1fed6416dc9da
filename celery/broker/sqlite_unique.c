/* Locks of unique tasks.  One without an instant counts as long as the message of its task is in
 * the file: whatever ends it - an ack, the dead set, a purge - frees it in the same transaction,
 * and whoever is killed holds nothing. */

#include "celery/broker/sqlite_limits.h"

int
sqlite_unique_find(struct sqlite_broker *self, const struct broker_lock *lock, struct str task_id,
                   struct str *holder, struct error *err)
{
    static const char sql[] =
        "SELECT task_id FROM unique_locks AS l WHERE lock_key = $1 AND task_id <> $2"
        " AND CASE WHEN locked_until IS NULL THEN EXISTS (SELECT 1 FROM messages AS m"
        "   WHERE m.message_id = l.message_id AND m.task_id = l.task_id)"
        " ELSE locked_until > $3 END";
    struct statement *statement;
    bool is_copied = true;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, lock->key);
    statement_bind_str(statement, 2, task_id);
    statement_bind_i64(statement, 3, clock_now_us(self->options.clock));
    rc = statement_step(statement, err);
    if (rc == 1)
        *holder = arena_dup(&self->round, statement_str(statement, 0), &is_copied);
    statement_reset(statement);
    return is_copied ? rc : error_set(err, ERR_NOMEM, "no memory for a task id");
}

static int
forget_old(struct sqlite_broker *self, struct error *err)
{
    static const char sql[] = "DELETE FROM unique_locks WHERE locked_until <= $1";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, clock_now_us(self->options.clock));
    return statement_run(statement, NULL, err);
}

/* A timed lock that a task has is not made longer by its own delivery. */
static int
write_lock(struct sqlite_broker *self, const struct broker_lock *lock, struct str task_id,
           int64_t message_id, struct error *err)
{
    static const char sql[] =
        "INSERT INTO unique_locks (lock_key, task_id, message_id, locked_until)"
        " VALUES ($1, $2, $3, $4) ON CONFLICT (lock_key) DO UPDATE SET"
        " locked_until = CASE WHEN task_id = excluded.task_id AND locked_until IS NOT NULL"
        "   THEN locked_until ELSE excluded.locked_until END,"
        " task_id = excluded.task_id, message_id = excluded.message_id";
    int64_t until_us = TIME_UNKNOWN;
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    if (lock->span == BROKER_LOCK_TIMED)
        until_us = clock_now_us(self->options.clock) + lock->span_us;
    statement_bind_str(statement, 1, lock->key);
    statement_bind_str(statement, 2, task_id);
    statement_bind_i64(statement, 3, message_id);
    statement_bind_i64(statement, 4, until_us);
    return statement_run(statement, NULL, err);
}

int
sqlite_unique_take(struct sqlite_broker *self, const struct broker_lock *lock, struct str task_id,
                   int64_t message_id, struct str *holder, struct error *err)
{
    int rc = sqlite_unique_find(self, lock, task_id, holder, err);

    if (rc != 0)
        return rc;
    self->has_limits = true;
    rc = forget_old(self, err);
    return rc < 0 ? rc : write_lock(self, lock, task_id, message_id, err);
}

int
sqlite_unique_free(struct sqlite_broker *self, int64_t message_id, struct error *err)
{
    static const char sql[] =
        "DELETE FROM unique_locks WHERE message_id = $1 AND locked_until IS NULL";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, message_id);
    return statement_run(statement, NULL, err);
}

int
sqlite_unique_renumber(struct sqlite_broker *self, int64_t from_id, int64_t to_id,
                       struct error *err)
{
    static const char sql[] = "UPDATE unique_locks SET message_id = $1 WHERE message_id = $2";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, to_id);
    statement_bind_i64(statement, 2, from_id);
    return statement_run(statement, NULL, err);
}
