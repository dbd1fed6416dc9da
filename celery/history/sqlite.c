/* The SQLite history: one file, written by one process per worker, read by the command line.
 *
 * This file opens and closes; sqlite_write.c writes and removes, sqlite_list.c and sqlite_read.c
 * read.  Commits are not synced one by one (DATABASE_SYNC_NORMAL): a machine that goes down may
 * take the last moments with it, which results and messages do not depend on. */

#include <stdlib.h>

#include "base/database_migration.h"
#include "celery/history/sqlite_internal.h"

#define OPEN_WAIT_MS    5000
#define BUSY_WAIT_MS    1000
#define WAL_LIMIT_BYTES (INT64_C(8) << 20)

extern const struct migration history_migrations[];

static const struct database_schema history_schema = {
    .migrations = history_migrations,
    .migrate_command = "trawl worker",
};

static void
sqlite_close(struct history *history)
{
    struct sqlite_history *self = sqlite_history_from(history);

    database_close(self->database);
    for (size_t i = 0; i < self->n_lists; i++)
        free(self->lists[i]);
    free(self);
}

static void
close_selfp(struct sqlite_history **self)
{
    if (*self)
        sqlite_close(&(*self)->base);
}

/* A file that is the broker's or the catalogue's has migrations of the same numbers. */
static int
check_is_ours(struct database *database, struct error *err)
{
    int64_t is_ours;
    int rc = database_query_i64(database,
                                "SELECT count(*) FILTER (WHERE name = 'totals') > 0"
                                " OR count(*) = 0 FROM sqlite_schema WHERE type = 'table'",
                                &is_ours, err);

    if (rc < 0 || is_ours)
        return rc;
    return error_set(err, ERR_CONFIG,
                     "database '%.160s' holds something else than the history: give history_url a"
                     " file of its own",
                     database_path(database));
}

/* Names of long ago, of which no task is left. */
static int
drop_unused_words(struct database *database, struct error *err)
{
    return database_execute(database,
                            "DELETE FROM words WHERE"
                            " NOT EXISTS (SELECT 1 FROM tasks WHERE name = word_id)"
                            " AND NOT EXISTS (SELECT 1 FROM tasks WHERE queue = word_id)"
                            " AND NOT EXISTS (SELECT 1 FROM tasks WHERE worker = word_id)",
                            err);
}

static int
sqlite_open(struct str url, enum history_access access, struct history **out, struct error *err)
{
    CLEANUP(close_selfp) struct sqlite_history *self = calloc(1, sizeof(*self));
    const struct database_options options = {
        .schema = &history_schema,
        .busy_timeout_ms = OPEN_WAIT_MS,
        .wal_limit_bytes = WAL_LIMIT_BYTES,
        .cache = DATABASE_CACHE_SMALL,
        .may_create = access == HISTORY_WRITES,
        .must_be_current = access == HISTORY_READS,
    };
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for the history");
    self->base.ops = &history_sqlite;
    rc = database_open(url, &options, &self->database, err);
    if (rc == 0)
        rc = check_is_ours(self->database, err);
    if (rc == 0 && access == HISTORY_WRITES)
        rc = database_migrate(self->database, NULL, err);
    if (rc == 0)
        rc = database_set_sync(self->database, DATABASE_SYNC_NORMAL, err);
    if (rc == 0 && access == HISTORY_WRITES)
        rc = drop_unused_words(self->database, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot open the history");
    database_set_busy_timeout(self->database, BUSY_WAIT_MS);
    *out = &TAKE(self)->base;
    return 0;
}

const struct history_ops history_sqlite = {
    .scheme = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .put = sqlite_history_put,
    .clean = sqlite_history_clean,
    .list = sqlite_history_list,
    .find = sqlite_history_find,
    .get = sqlite_history_get,
    .note_retry = sqlite_history_note_retry,
};
