/* The WAL is bounded here: automatic checkpoints are off (they would run without the guard), and
 * the commit that takes the WAL beyond its limit moves it into the database.
 *
 * A checkpoint that a reader keeps from finishing moves what it can and tries again once the WAL
 * has grown by another limit; nobody waits long for it. */

#include "base/database_internal.h"

#define DRAIN_WAIT_MS  INT64_C(1000) /* for write transactions to leave */
#define READER_WAIT_MS INT64_C(100)  /* for readers of old snapshots */

bool
database_checkpoint(struct database *database, int64_t wait_ms)
{
    int64_t busy_limit_ms = database->busy_limit_ms;
    int n_wal = 0;
    int n_moved = 0;
    int rc;

    if (database->is_failed || !wal_guard_try_checkpoint(&database->guard, wait_ms))
        return false;
    database->busy_limit_ms = READER_WAIT_MS;
    rc = sqlite3_wal_checkpoint_v2(database->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, &n_wal,
                                   &n_moved);
    database->busy_limit_ms = busy_limit_ms;
    /* Busy is a reader's doing; other failures mark what must be marked and come again. */
    if (rc != SQLITE_OK && (rc & 0xFF) != SQLITE_BUSY)
        error_ignore(database_set_error(database, NULL, rc, "cannot checkpoint"));
    wal_guard_end_checkpoint(&database->guard);
    return rc == SQLITE_OK;
}

void
database_checkpoint_if_due(struct database *database)
{
    int64_t limit_pages = WAL_LIMIT_BYTES / database->page_bytes;

    if (database->n_wal_pages < database->checkpoint_at_pages)
        return;
    if (database_checkpoint(database, DRAIN_WAIT_MS)) {
        database->n_wal_pages = 0;
        database->checkpoint_at_pages = limit_pages;
    } else {
        database->checkpoint_at_pages = database->n_wal_pages + limit_pages;
    }
}
