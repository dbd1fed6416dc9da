/* Commands: they block, a transaction each. */

#include "celery/broker/check.h"
#include "celery/broker/sqlite_limits.h"

#define PURGE_STEP      2000 /* messages in one transaction: others want the lock, too */
#define MAX_QUEUE_NAMES ((size_t)100000)

static int
transact(struct sqlite_broker *self, enum database_sync sync, int64_t wait_us, sqlite_work_fn fn,
         void *context, struct error *err)
{
    int rc = database_set_sync(self->database, sync, err);

    if (rc == 0)
        rc = sqlite_lock_begin(self, wait_us, err);
    if (rc < 0)
        return rc;
    rc = fn(self, context, err);
    if (rc == 0)
        rc = database_commit(self->database, err);
    if (rc < 0) {
        database_rollback(self->database);
        sqlite_queue_forget_ids(self);
    }
    return rc;
}

int
sqlite_transact_with(struct sqlite_broker *self, enum database_sync sync, int64_t wait_us,
                     sqlite_work_fn fn, void *context, struct error *err)
{
    struct error trouble = {0};
    int rc;

    if (self->broken.code != ERR_NONE) {
        if (err)
            *err = self->broken;
        return -(int)self->broken.code;
    }
    self->has_news = false;
    rc = transact(self, sync, wait_us, fn, context, &trouble);
    if (rc == -ERR_CORRUPT || database_is_failed(self->database))
        self->broken = trouble;
    if (rc < 0 && err)
        *err = trouble;
    if (rc == 0 && self->has_news)
        live_file_wake(&self->live);
    return rc;
}

int
sqlite_transact(struct sqlite_broker *self, int64_t wait_us, sqlite_work_fn fn, void *context,
                struct error *err)
{
    return sqlite_transact_with(self, DATABASE_SYNC_FULL, wait_us, fn, context, err);
}

int
sqlite_admin_list_queues(struct broker *broker, struct arena *arena, struct str_list *out,
                         struct error *err)
{
    static const char count_sql[] = "SELECT count(*) FROM queues";
    static const char sql[] = "SELECT name FROM queues ORDER BY name LIMIT $1";
    struct sqlite_broker *self = sqlite_broker_from(broker);
    struct statement *statement;
    struct str *names = NULL;
    size_t limit = 0;
    size_t n = 0;
    bool is_copied = true;
    int rc = database_prepare(self->database, count_sql, &statement, err);

    if (rc == 0)
        rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    limit = (size_t)statement_i64(statement, 0);
    statement_reset(statement);
    if (limit > MAX_QUEUE_NAMES)
        limit = MAX_QUEUE_NAMES;
    names = arena_calloc(arena, limit, sizeof(*names));
    if (!names)
        return error_set(err, ERR_NOMEM, "no memory for the names of %zu queues", limit);
    rc = database_prepare(self->database, sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, (int64_t)limit);
    while (n < limit && (rc = statement_step(statement, err)) == 1)
        names[n++] = arena_dup(arena, statement_str(statement, 0), &is_copied);
    statement_reset(statement);
    if (rc < 0)
        return rc;
    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for the names of %zu queues", n);
    *out = (struct str_list){names, n};
    return 0;
}

/* One statement, so that the three numbers are of one moment. */
int
sqlite_admin_count(struct broker *broker, struct str queue, struct broker_depth *out,
                   struct error *err)
{
    static const char sql[] = "SELECT"
                              " (SELECT count(*) FROM ready WHERE queue_id = q.queue_id),"
                              " (SELECT count(*) FROM scheduled WHERE queue_id = q.queue_id)"
                              " + (SELECT count(*) FROM limit_line WHERE queue_id = q.queue_id),"
                              " (SELECT count(*) FROM claims WHERE queue_id = q.queue_id)"
                              " FROM queues AS q WHERE name = $1";
    struct sqlite_broker *self = sqlite_broker_from(broker);
    struct broker_depth depth = {0};
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, queue);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    if (rc == 1)
        depth = (struct broker_depth){
            .n_ready = statement_i64(statement, 0),
            .n_scheduled = statement_i64(statement, 1),
            .n_claimed = statement_i64(statement, 2),
        };
    statement_reset(statement);
    *out = depth;
    return 0;
}

struct purge {
    const char *bodies_sql; /* $1: the queue, $2: how many */
    const char *places_sql;
    int64_t queue_id;
    int64_t n_purged; /* by the step at hand */
};

static int
delete_some(struct sqlite_broker *self, const char *sql, const struct purge *purge,
            int64_t *n_changed, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, purge->queue_id);
    statement_bind_i64(statement, 2, PURGE_STEP);
    return statement_run(statement, n_changed, err);
}

static int
purge_step(struct sqlite_broker *self, void *context, struct error *err)
{
    struct purge *purge = context;
    int rc = delete_some(self, purge->bodies_sql, purge, NULL, err);

    return rc < 0 ? rc : delete_some(self, purge->places_sql, purge, &purge->n_purged, err);
}

static int
sweep(struct sqlite_broker *self, void *context, struct error *err)
{
    (void)context;
    return sqlite_admit_sweep(self, err);
}

int
sqlite_admin_purge(struct broker *broker, struct str queue, int64_t *n_purged, struct error *err)
{
    /* Bodies first: the places say which ones. */
    static const struct purge kinds[] = {
        {.bodies_sql = "DELETE FROM messages WHERE message_id IN (SELECT message_id FROM ready"
                       " WHERE queue_id = $1 ORDER BY priority, message_id LIMIT $2)",
         .places_sql = "DELETE FROM ready WHERE queue_id = $1 AND (priority, message_id) IN"
                       " (SELECT priority, message_id FROM ready WHERE queue_id = $1"
                       "   ORDER BY priority, message_id LIMIT $2)"},
        {.bodies_sql = "DELETE FROM messages WHERE message_id IN (SELECT message_id FROM scheduled"
                       " WHERE queue_id = $1 ORDER BY ready_at, message_id LIMIT $2)",
         .places_sql = "DELETE FROM scheduled WHERE (ready_at, message_id) IN"
                       " (SELECT ready_at, message_id FROM scheduled WHERE queue_id = $1"
                       "   ORDER BY ready_at, message_id LIMIT $2)"},
        {.bodies_sql = "DELETE FROM messages WHERE message_id IN (SELECT message_id FROM limit_line"
                       " WHERE queue_id = $1 ORDER BY message_id LIMIT $2)",
         .places_sql = "DELETE FROM limit_line WHERE queue_id = $1 AND message_id IN"
                       " (SELECT message_id FROM limit_line WHERE queue_id = $1"
                       "   ORDER BY message_id LIMIT $2)"},
    };
    struct sqlite_broker *self = sqlite_broker_from(broker);
    int64_t queue_id = 0;
    int64_t n_all = 0;
    int rc = sqlite_queue_find(self, queue, QUEUE_LEAVE, &queue_id, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; queue_id && i < COUNT_OF(kinds); i++) {
        struct purge purge = kinds[i];

        purge.queue_id = queue_id;
        do {
            rc = sqlite_command(self, purge_step, &purge, err);
            if (rc < 0)
                return rc;
            n_all += purge.n_purged;
        } while (purge.n_purged > 0);
    }
    if (n_all > 0)
        rc = sqlite_command(self, sweep, NULL, err);
    if (rc == 0)
        *n_purged = n_all;
    return rc;
}

struct revocation {
    const struct str *ids;
    size_t n_ids;
    int64_t until_us;
};

static int
insert_revoked(struct sqlite_broker *self, struct str id, int64_t until_us, struct error *err)
{
    static const char sql[] =
        "INSERT INTO revoked (task_id, revoked_until) VALUES ($1, $2) ON CONFLICT (task_id)"
        " DO UPDATE SET revoked_until = max(revoked_until, excluded.revoked_until)";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, id);
    statement_bind_i64(statement, 2, until_us);
    return statement_run(statement, NULL, err);
}

static int
revoke(struct sqlite_broker *self, void *context, struct error *err)
{
    static const char forget_sql[] = "DELETE FROM revoked WHERE revoked_until <= $1";
    const struct revocation *revocation = context;
    struct statement *statement;
    int rc = database_prepare(self->database, forget_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, clock_now_us(self->options.clock));
    rc = statement_run(statement, NULL, err);
    for (size_t i = 0; rc == 0 && i < revocation->n_ids; i++)
        rc = insert_revoked(self, revocation->ids[i], revocation->until_us, err);
    return rc;
}

int
sqlite_admin_revoke(struct broker *broker, const struct str *ids, size_t n_ids, int64_t until_us,
                    struct error *err)
{
    struct revocation revocation = {ids, n_ids, until_us};
    int rc = check_ids(ids, n_ids, err);

    if (rc < 0)
        return rc;
    return sqlite_command(sqlite_broker_from(broker), revoke, &revocation, err);
}
