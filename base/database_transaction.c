/* Transactions and savepoints.  A write transaction holds the guard from before BEGIN to after its
 * end, and is the moment at which the WAL's size is looked at. */

#include "base/database_internal.h"

/* Control statements go around begin_step's rules: they are what the rules are about. */
static int
run_control(struct database *database, const char *sql, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, sql, &statement, err);

    if (rc < 0)
        return rc;
    rc = sqlite3_step(statement->handle);
    if (rc != SQLITE_DONE)
        rc = database_set_error(database, err, rc, "cannot %s", sql);
    else
        rc = 0;
    (void)sqlite3_reset(statement->handle);
    return rc;
}

int
database_begin(struct database *database, struct error *err)
{
    int rc;

    if (database->is_begun)
        return error_set(err, ERR_INVALID, "transactions on database '%.160s' do not nest",
                         database->path);
    if (database->is_read_only)
        return error_set(err, ERR_IO, "database '%.160s' was opened read-only", database->path);
    if (database->is_failed)
        return error_set(err, ERR_IO, "database '%.160s': a write failed earlier, reopen it",
                         database->path);
    rc = wal_guard_begin_write(&database->guard, database->busy_timeout_ms, err);
    if (rc < 0)
        return rc;
    rc = run_control(database, "BEGIN IMMEDIATE", err);
    if (rc < 0)
        wal_guard_end_write(&database->guard);
    else
        database->is_begun = true;
    return rc;
}

static void
end_transaction(struct database *database)
{
    database->is_begun = false;
    database->has_savepoint = false;
    wal_guard_end_write(&database->guard);
}

int
database_commit(struct database *database, struct error *err)
{
    int rc = 0;

    if (!database->is_begun)
        return error_set(err, ERR_INVALID, "no transaction to commit on database '%.160s'",
                         database->path);
    if (sqlite3_get_autocommit(database->handle))
        rc = error_set(err, ERR_IO,
                       "the transaction on database '%.160s' was rolled back by an earlier failure",
                       database->path);
    if (rc == 0 && database->commit_fn)
        rc = database->commit_fn(database->commit_context, err);
    if (rc == 0)
        rc = run_control(database, "COMMIT", err);
    if (rc < 0) {
        database_rollback(database);
        return rc;
    }
    end_transaction(database);
    database_checkpoint_if_due(database);
    return 0;
}

void
database_rollback(struct database *database)
{
    if (!database->is_begun)
        return;
    statement_cache_reset(&database->statements);
    /* Not by the cache of statements, which may be what had no memory.  A transaction that cannot
     * be ended would swallow all that follows: then nothing follows. */
    if (!sqlite3_get_autocommit(database->handle))
        (void)sqlite3_exec(database->handle, "ROLLBACK", NULL, NULL, NULL);
    if (!sqlite3_get_autocommit(database->handle))
        database->is_failed = true;
    end_transaction(database);
}

bool
database_in_transaction(const struct database *database)
{
    return database->is_begun;
}

void
database_set_commit_hook(struct database *database, database_commit_fn fn, void *context)
{
    database->commit_fn = fn;
    database->commit_context = context;
}

int
database_savepoint(struct database *database, struct error *err)
{
    int rc;

    if (!database->is_begun || database->has_savepoint || sqlite3_get_autocommit(database->handle))
        return error_set(err, ERR_INVALID,
                         "a savepoint needs a live transaction without another savepoint");
    rc = run_control(database, "SAVEPOINT row", err);
    database->has_savepoint = rc == 0;
    return rc;
}

int
database_release(struct database *database, struct error *err)
{
    if (!database->has_savepoint || sqlite3_get_autocommit(database->handle))
        return error_set(
            err, ERR_IO,
            "the savepoint on database '%.160s' is gone: an earlier failure rolled back",
            database->path);
    database->has_savepoint = false;
    return run_control(database, "RELEASE row", err);
}

void
database_undo(struct database *database)
{
    if (!database->has_savepoint)
        return;
    database->has_savepoint = false;
    if (sqlite3_get_autocommit(database->handle))
        return; /* all of the transaction is undone already; the next call on it tells */
    error_ignore(run_control(database, "ROLLBACK TO row", NULL));
    error_ignore(run_control(database, "RELEASE row", NULL));
}
