/* The WAL is bounded here: automatic checkpoints are off (they would run without the guard), and
 * the commit that takes the WAL beyond its limit moves it into the database.
 *
 * A checkpoint that a reader keeps from finishing moves what it can and tries again once the WAL
 * has grown by another limit; nobody waits long for it. */

#include "base/database_internal.h"

#define READER_WAIT_MS INT64_C(100) /* for readers of old snapshots */

bool
database_checkpoint(struct database *database, int64_t wait_ms)
{
    int64_t busy_limit_ms = database->busy_limit_ms;
    int64_t reader_ms =
        database->checkpoint_ms < READER_WAIT_MS ? database->checkpoint_ms : READER_WAIT_MS;
    int n_wal = 0;
    int n_moved = 0;
    int rc;

    if (database->is_failed || !wal_guard_try_checkpoint(&database->guard, wait_ms))
        return false;
    database->busy_limit_ms = reader_ms;
    rc = sqlite3_wal_checkpoint_v2(database->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, &n_wal,
                                   &n_moved);
    database->busy_limit_ms = busy_limit_ms;
    /* Busy is a reader's doing; other failures mark what must be marked and come again. */
    if (rc != SQLITE_OK && (rc & 0xFF) != SQLITE_BUSY)
        error_ignore(database_set_error(database, NULL, rc, "cannot checkpoint"));
    wal_guard_end_checkpoint(&database->guard);
    return rc == SQLITE_OK;
}

int64_t
database_wal_limit_pages(const struct database *database)
{
    return database->wal_limit_bytes / (database->page_bytes > 0 ? database->page_bytes : 4096);
}

void
database_checkpoint_if_due(struct database *database)
{
    int64_t limit_pages = database_wal_limit_pages(database);

    if (database->n_wal_pages < database->checkpoint_at_pages)
        return;
    if (database_checkpoint(database, database->checkpoint_ms)) {
        database->n_wal_pages = 0;
        database->checkpoint_at_pages = limit_pages;
    } else {
        database->checkpoint_at_pages = database->n_wal_pages + limit_pages;
    }
}
