/* The SQLite result backend: one file, several processes on one host.  docs/results.md has the
 * picture.
 *
 * This file opens handles and writes; sqlite_read.c and sqlite_watch.c read. */

#include <stdlib.h>

#include "base/database_migration.h"
#include "celery/backend/sqlite_internal.h"

#define OPEN_WAIT_MS    500 /* at least: opening may have to wait for somebody who migrates */
#define WAL_LIMIT_BYTES (INT64_C(4) << 20) /* a checkpoint may happen in an event loop */
#define CHECKPOINT_MS   20

extern const struct migration backend_migrations[];

static const struct database_schema backend_schema = {
    .migrations = backend_migrations,
    .migrate_command = "trawl worker",
};

const char sqlite_find_sql[] = "SELECT status, run, expires_at FROM results WHERE task_id = $1";

const char sqlite_clean_sql[] =
    "DELETE FROM results WHERE result_id IN (SELECT result_id FROM results"
    " WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

static void
sqlite_close(struct backend *backend)
{
    struct sqlite_backend *self = sqlite_backend_from(backend);

    database_close(self->database);
    live_file_close(&self->live);
    watch_list_fini(&self->watched);
    free(self);
}

static void
close_selfp(struct sqlite_backend **self)
{
    if (*self)
        sqlite_close(&(*self)->base);
}

/* In a forked child: the parent's locks and watch are not ours. */
static void
sqlite_abandon(struct backend *backend)
{
    struct sqlite_backend *self = sqlite_backend_from(backend);

    live_file_close(&self->live);
    database_forget(self->database);
}

/* A file that is the broker's or the catalogue's has migrations of the same numbers. */
static int
check_is_ours(struct database *database, struct error *err)
{
    static const char sql[] = "SELECT count(*) FILTER (WHERE name = 'results'), count(*)"
                              " FROM sqlite_schema WHERE type = 'table'";
    struct statement *statement;
    bool is_ours;
    int rc = database_prepare(database, sql, &statement, err);

    if (rc == 0)
        rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    is_ours = statement_i64(statement, 0) > 0 || statement_i64(statement, 1) == 0;
    statement_reset(statement);
    if (!is_ours)
        return error_set(err, ERR_CONFIG,
                         "database '%.160s' holds something else than results: give the result"
                         " backend a file of its own",
                         database_path(database));
    return 0;
}

static int
open_database(struct sqlite_backend *self, struct str url, struct error *err)
{
    int64_t block_ms = (self->options.max_block_us + US_PER_MS - 1) / US_PER_MS;
    struct database_options options = {
        .schema = &backend_schema,
        .busy_timeout_ms = block_ms > OPEN_WAIT_MS ? block_ms : OPEN_WAIT_MS,
        .wal_limit_bytes = WAL_LIMIT_BYTES,
        .checkpoint_ms = CHECKPOINT_MS,
        .cache = DATABASE_CACHE_SMALL,
        .may_create = !self->options.must_exist,
        .must_be_current = self->options.must_exist,
    };
    int rc = database_open(url, &options, &self->database, err);

    if (rc == 0)
        rc = check_is_ours(self->database, err);
    if (rc == 0 && !self->options.must_exist)
        rc = database_migrate(self->database, NULL, err);
    if (rc == 0)
        rc = live_file_open(database_path(self->database), &self->live, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot open the result backend");
    database_set_busy_timeout(self->database, block_ms);
    return 0;
}

static int
sqlite_open(struct str url, const struct backend_options *options, struct backend **out,
            struct error *err)
{
    CLEANUP(close_selfp) struct sqlite_backend *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for a result backend");
    self->base.ops = &backend_sqlite;
    self->options = *options;
    self->live = (struct live_file)LIVE_FILE_INIT;
    rc = open_database(self, url, err);
    if (rc == 0)
        *out = &TAKE(self)->base;
    return rc;
}

/* 1 with what is stored, 0 where nothing is that counts. */
static int
find_standing(struct sqlite_backend *self, struct str task_id, bool *has_row,
              struct result_standing *out, struct error *err)
{
    struct statement *statement;
    int64_t expires_us;
    int rc = database_prepare(self->database, sqlite_find_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, task_id);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    *has_row = rc == 1;
    if (rc == 0)
        return 0;
    *out = (struct result_standing){result_state_of(statement_str(statement, 0)),
                                    statement_i64(statement, 1)};
    expires_us = statement_i64(statement, 2);
    statement_reset(statement);
    return expires_us == DATABASE_NULL || expires_us > clock_now_us(self->options.clock);
}

static int
delete_record(struct sqlite_backend *self, struct str task_id, int64_t *n_deleted,
              struct error *err)
{
    static const char sql[] = "DELETE FROM results WHERE task_id = $1";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, task_id);
    return statement_run(statement, n_deleted, err);
}

static int64_t
expiry_of(const struct sqlite_backend *self, const struct backend_record *record)
{
    int64_t expires_us;

    if (record->expires_us == TIME_UNKNOWN)
        return DATABASE_NULL;
    if (record->expires_us != 0)
        return record->expires_us;
    if (self->options.ttl_us == TIME_UNKNOWN ||
        __builtin_add_overflow(clock_now_us(self->options.clock), self->options.ttl_us,
                               &expires_us))
        return DATABASE_NULL;
    return expires_us;
}

static int
insert_record(struct sqlite_backend *self, const struct backend_record *record, struct error *err)
{
    static const char sql[] = "INSERT INTO results (task_id, status, run, expires_at, document)"
                              " VALUES ($1, $2, $3, $4, $5)";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, record->task_id);
    statement_bind_str(statement, 2, record->status);
    statement_bind_i64(statement, 3, record->run);
    statement_bind_i64(statement, 4, expiry_of(self, record));
    statement_bind_str(statement, 5, record->document);
    return statement_run(statement, NULL, err);
}

static int
store_one(struct sqlite_backend *self, const struct backend_record *record,
          enum backend_outcome *outcome, struct error *err)
{
    struct result_standing fresh = {result_state_of(record->status), record->run};
    struct result_standing old;
    bool has_row = false;
    int rc = find_standing(self, record->task_id, &has_row, &old, err);

    if (rc < 0)
        return rc;
    *outcome = rc == 1 && !result_may_replace(old, fresh) ? BACKEND_KEPT : BACKEND_STORED;
    if (*outcome == BACKEND_KEPT)
        return 0;
    rc = has_row ? delete_record(self, record->task_id, NULL, err) : 0;
    return rc < 0 ? rc : insert_record(self, record, err);
}

static int
store_all(struct sqlite_backend *self, const struct backend_record *records, size_t n_records,
          enum backend_outcome *outcomes, size_t *n_stored, struct error *err)
{
    for (size_t i = 0; i < n_records; i++) {
        enum backend_outcome outcome;
        int rc = store_one(self, &records[i], &outcome, err);

        if (rc < 0)
            return error_wrap(err, rc, "cannot store the result of task '%.*s'",
                              STR_ARG(records[i].task_id));
        *n_stored += outcome == BACKEND_STORED;
        if (outcomes)
            outcomes[i] = outcome;
    }
    return 0;
}

static int
sqlite_store(struct backend *backend, const struct backend_record *records, size_t n_records,
             enum backend_outcome *outcomes, struct error *err)
{
    struct sqlite_backend *self = sqlite_backend_from(backend);
    size_t n_stored = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n_records; i++)
        rc = backend_check_record(&records[i], self->options.max_document_bytes, err);
    if (rc < 0 || n_records == 0)
        return rc;
    rc = database_begin(self->database, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot store %zu results", n_records);
    rc = store_all(self, records, n_records, outcomes, &n_stored, err);
    if (rc == 0 && n_stored > 0)
        rc = database_commit(self->database, err);
    database_rollback(self->database);
    if (rc == 0 && n_stored > 0)
        live_file_wake(&self->live);
    return rc;
}

static int
sqlite_forget(struct backend *backend, const struct str *ids, size_t n_ids, int64_t *n_forgotten,
              struct error *err)
{
    struct sqlite_backend *self = sqlite_backend_from(backend);
    int64_t n = 0;
    int rc = database_begin(self->database, err);

    for (size_t i = 0; rc == 0 && i < n_ids; i++) {
        int64_t n_deleted = 0;

        rc = delete_record(self, ids[i], &n_deleted, err);
        n += n_deleted;
    }
    if (rc == 0)
        rc = database_commit(self->database, err);
    database_rollback(self->database);
    if (rc < 0)
        return error_wrap(err, rc, "cannot forget %zu results", n_ids);
    if (n_forgotten)
        *n_forgotten = n;
    return 0;
}

static int
sqlite_clean(struct backend *backend, size_t limit, size_t *n_removed, struct error *err)
{
    struct sqlite_backend *self = sqlite_backend_from(backend);
    struct statement *statement;
    int64_t n = 0, n_chords = 0;
    int rc = database_prepare(self->database, sqlite_clean_sql, &statement, err);

    if (rc == 0)
        rc = database_begin(self->database, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot remove expired results");
    statement_bind_i64(statement, 1, clock_now_us(self->options.clock));
    statement_bind_i64(statement, 2, limit > INT32_MAX ? INT32_MAX : (int64_t)limit);
    rc = statement_run(statement, &n, err);
    if (rc == 0)
        rc = sqlite_chord_clean(self, limit > INT32_MAX ? INT32_MAX : (int64_t)limit, &n_chords,
                                err);
    if (rc == 0 && n + n_chords > 0)
        rc = database_commit(self->database, err);
    database_rollback(self->database);
    if (rc < 0)
        return error_wrap(err, rc, "cannot remove expired results");
    *n_removed = (size_t)n;
    return 0;
}

const struct backend_ops backend_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .abandon = sqlite_abandon,
    .store = sqlite_store,
    .get = sqlite_read_get,
    .watch = sqlite_watch_set,
    .get_wait = sqlite_watch_get_wait,
    .take_changes = sqlite_watch_take,
    .forget = sqlite_forget,
    .clean = sqlite_clean,
    .chord_begin = sqlite_chord_begin,
    .chord_count = sqlite_chord_count,
    .chord_end = sqlite_chord_end,
};
