/* The connection: opening in order (side lock, file, settings, doubt, schema), closing.
 *
 * Who opens a file alone looks at the marker of the side lock: after a machine that went down,
 * after damage that somebody saw, and for small files after any unclean end, quick_check runs
 * before anything else does.  A big file whose process was merely killed is not read through:
 * SQLite's WAL is made for that, and a check of 2 GB takes longer than the recovery may. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/database_internal.h"

#define BUSY_TIMEOUT_MS    INT64_C(10000)
#define CHECKPOINT_MS      INT64_C(1000)
#define WAL_LIMIT_BYTES    (INT64_C(16) << 20)
#define ALWAYS_CHECK_BYTES (INT64_C(64) << 20)
#define CLOSE_WAIT_MS      INT64_C(1000)

/* No mmap: a connection that writes must not use it while the WAL-reset fault is possible. */
static const char settings_sql[] = "PRAGMA foreign_keys = ON;"
                                   "PRAGMA synchronous = FULL;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA mmap_size = 0;"
                                   "PRAGMA secure_delete = OFF;"
                                   "PRAGMA cell_size_check = ON;"
                                   "PRAGMA trusted_schema = OFF;"
                                   "PRAGMA recursive_triggers = ON";

static const char *const cache_sql[] = {
    [DATABASE_CACHE_LARGE] = "PRAGMA cache_size = -16384",
    [DATABASE_CACHE_SMALL] = "PRAGMA cache_size = -2048",
};

static const char *const sync_sql[] = {
    [DATABASE_SYNC_FULL] = "PRAGMA synchronous = FULL",
    [DATABASE_SYNC_NORMAL] = "PRAGMA synchronous = NORMAL",
};

static int
on_busy(void *context, int n_calls)
{
    struct database *database = context;

    if (n_calls == 0)
        backoff_start(&database->busy, database->busy_limit_ms);
    return backoff_wait(&database->busy);
}

/* A WAL that has shrunk was cut by another process: the limit counts from the start again. */
static int
on_wal_commit(void *context, sqlite3 *handle, const char *schema, int n_pages)
{
    struct database *database = context;

    (void)handle;
    if (strcmp(schema, "main") != 0)
        return SQLITE_OK;
    if (n_pages < database->n_wal_pages)
        database->checkpoint_at_pages = database_wal_limit_pages(database);
    database->n_wal_pages = n_pages;
    return SQLITE_OK;
}

int
database_run_script(struct database *database, const char *sql, struct error *err)
{
    int rc = sqlite3_exec(database->handle, sql, NULL, NULL, NULL);

    if (rc != SQLITE_OK)
        return database_set_error(database, err, sqlite3_extended_errcode(database->handle),
                                  "cannot run '%.60s'", sql);
    return 0;
}

int
database_query_i64(struct database *database, const char *sql, int64_t *out, struct error *err)
{
    sqlite3_stmt *handle = NULL;
    int rc = sqlite3_prepare_v2(database->handle, sql, -1, &handle, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(handle);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_type(handle, 0) == SQLITE_NULL ? DATABASE_NULL
                                                             : sqlite3_column_int64(handle, 0);
    else if (rc == SQLITE_DONE)
        *out = DATABASE_NULL;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        rc = 0;
    else
        rc = database_set_error(database, err, rc, "cannot run '%.60s'", sql);
    (void)sqlite3_finalize(handle);
    return rc;
}

int
database_execute(struct database *database, const char *sql, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, sql, &statement, err);

    return rc < 0 ? rc : statement_run(statement, NULL, err);
}

static int
open_handle(struct database *database, const struct database_options *options, struct error *err)
{
    int flags = database->is_read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    int rc;

    if (options->may_create && !database->is_read_only)
        flags |= SQLITE_OPEN_CREATE;
    rc = sqlite3_open_v2(database->path, &database->handle,
                         flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (!database->handle)
        return error_set(err, ERR_NOMEM, "no memory to open database '%.160s'", database->path);
    if (rc != SQLITE_OK)
        return database_set_error(database, err, rc, "cannot open");
    (void)sqlite3_busy_handler(database->handle, on_busy, database);
    (void)sqlite3_wal_hook(database->handle, on_wal_commit, database); /* no automatic checkpoint */
    (void)sqlite3_db_config(database->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_db_config(database->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    rc = database_run_script(database, settings_sql, err);
    if (rc == 0)
        rc = database_run_script(database, cache_sql[options->cache], err);
    if (rc == 0)
        rc = database_query_i64(database, "PRAGMA page_size", &database->page_bytes, err);
    database->checkpoint_at_pages = database_wal_limit_pages(database);
    return rc;
}

static int
read_is_wal(struct database *database, bool *out, struct error *err)
{
    sqlite3_stmt *handle = NULL;
    int rc = sqlite3_prepare_v2(database->handle, "PRAGMA journal_mode", -1, &handle, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(handle);
    if (rc == SQLITE_ROW) {
        *out = sqlite3_stricmp((const char *)sqlite3_column_text(handle, 0), "wal") == 0;
        rc = 0;
    } else {
        rc = database_set_error(database, err, rc, "cannot read the journal mode");
    }
    (void)sqlite3_finalize(handle);
    return rc;
}

/* The journal mode stays in the file; changing it needs the file alone, which SQLite does not wait
 * for, so a second process that creates the same file at the same time comes round again. */
static int
set_wal_mode(struct database *database, struct error *err)
{
    struct backoff backoff;
    bool is_wal = false;
    int rc = read_is_wal(database, &is_wal, err);

    if (rc < 0 || is_wal)
        return rc;
    rc = wal_guard_begin_write(&database->guard, database->busy_timeout_ms, err);
    if (rc < 0)
        return rc;
    backoff_start(&backoff, database->busy_timeout_ms);
    do
        rc = database_run_script(database, "PRAGMA journal_mode = WAL", err);
    while (rc == -ERR_BUSY && backoff_wait(&backoff));
    wal_guard_end_write(&database->guard);
    if (rc == 0)
        rc = read_is_wal(database, &is_wal, err);
    if (rc == 0 && !is_wal)
        return error_set(err, ERR_CONFIG, "database '%.160s': its file system cannot do WAL",
                         database->path);
    return rc;
}

static bool
needs_check(const struct database *database, enum wal_marker marker)
{
    struct stat info;

    switch (marker) {
    case WAL_MARKER_DOUBT:
    case WAL_MARKER_OTHER_BOOT:
        return true;
    case WAL_MARKER_NONE:
    case WAL_MARKER_OPEN:
        return stat(database->path, &info) == 0 && info.st_size <= ALWAYS_CHECK_BYTES;
    case WAL_MARKER_CLEAN:
        return false;
    }
    return true;
}

/* Read-write only.  The first connection looks for damage while no other can open. */
static int
open_writable(struct database *database, const struct database_options *options, struct error *err)
{
    bool is_alone = wal_guard_try_alone(&database->guard);
    int rc = 0;

    if (!is_alone)
        rc = wal_guard_share_open(&database->guard, database->busy_timeout_ms, err);
    if (rc == 0)
        rc = open_handle(database, options, err);
    if (rc == 0)
        rc = set_wal_mode(database, err);
    if (rc < 0 || !is_alone)
        return rc;
    if (needs_check(database, wal_guard_read_marker(&database->guard)))
        rc = database_quick_check(database, err);
    if (rc < 0)
        return rc;
    wal_guard_write_marker(&database->guard, WAL_MARKER_OPEN);
    return wal_guard_share_open(&database->guard, 0, err); /* exclusive becomes shared */
}

static struct database *
create_database(const char *path, const struct database_options *options)
{
    struct database *self = calloc(1, sizeof(*self));

    if (!self)
        return NULL;
    self->guard.fd = -1;
    self->schema = options->schema;
    self->is_read_only = options->is_read_only;
    self->busy_timeout_ms = options->busy_timeout_ms ? options->busy_timeout_ms : BUSY_TIMEOUT_MS;
    self->busy_limit_ms = self->busy_timeout_ms;
    self->checkpoint_ms = options->checkpoint_ms ? options->checkpoint_ms : CHECKPOINT_MS;
    self->wal_limit_bytes = options->wal_limit_bytes ? options->wal_limit_bytes : WAL_LIMIT_BYTES;
    self->path = strdup(path);
    if (self->path)
        return self;
    free(self);
    return NULL;
}

int
database_open(struct str url, const struct database_options *options, struct database **out,
              struct error *err)
{
    CLEANUP(database_closep) struct database *database = NULL;
    char path[PATH_MAX];
    unsigned mode = 0;
    int rc = database_path_find(url, options, path, &mode, err);

    if (rc < 0)
        return rc;
    database = create_database(path, options);
    if (!database)
        return error_set(err, ERR_NOMEM, "no memory to open database '%.160s'", path);
    if (database->is_read_only) {
        rc = open_handle(database, options, err);
    } else {
        database->guard.is_needed = wal_guard_is_needed(sqlite3_libversion_number());
        rc = wal_guard_open(path, mode, &database->guard, err);
        if (rc == 0)
            rc = open_writable(database, options, err);
    }
    if (rc == 0)
        rc = database_check_schema(database, options->must_be_current, err);
    if (rc == 0)
        *out = TAKE(database);
    return rc;
}

/* The last one out leaves one whole file: SQLite, alone on it, removes the empty WAL. */
static void
close_writable(struct database *database)
{
    bool is_alone;

    wal_guard_leave_open(&database->guard);
    is_alone = wal_guard_try_alone(&database->guard);
    if (is_alone && database_checkpoint(database, CLOSE_WAIT_MS)) {
        (void)sqlite3_db_config(database->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        if (wal_guard_read_marker(&database->guard) == WAL_MARKER_OPEN)
            wal_guard_write_marker(&database->guard, WAL_MARKER_CLEAN);
    }
}

void
database_close(struct database *database)
{
    if (!database)
        return;
    database_rollback(database);
    statement_cache_fini(&database->statements);
    if (database->handle && database->guard.fd >= 0)
        close_writable(database);
    (void)sqlite3_close(database->handle);
    wal_guard_close(&database->guard);
    free(database->path);
    free(database);
}

void
database_closep(struct database **database)
{
    database_close(*database);
}

void
database_forget(struct database *database)
{
    wal_guard_close(&database->guard);
}

const char *
database_path(const struct database *database)
{
    return database->path;
}

bool
database_is_failed(const struct database *database)
{
    return database->is_failed;
}

int
database_set_sync(struct database *database, enum database_sync sync, struct error *err)
{
    int rc;

    if (sync == database->sync)
        return 0;
    rc = database_run_script(database, sync_sql[sync], err);
    if (rc == 0)
        database->sync = sync;
    return rc;
}

void
database_set_busy_timeout(struct database *database, int64_t timeout_ms)
{
    database->busy_timeout_ms = timeout_ms;
    database->busy_limit_ms = timeout_ms;
}
