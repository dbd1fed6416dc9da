/* Prepared statements: a cache by the address of the SQL text, binding, stepping, columns. */

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/database_internal.h"

#define CACHE_SLOTS_MIN ((size_t)64)
#define CACHE_SLOTS_MAX ((size_t)2048)

static size_t
hash_address(const char *sql, size_t n_slots)
{
    uint64_t bits = (uint64_t)(uintptr_t)sql;

    return (size_t)(bits * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (n_slots - 1);
}

/* The slot of sql: where it is, or where it would go. */
static struct statement **
find_slot(struct statement **slots, size_t n_slots, const char *sql)
{
    size_t idx = hash_address(sql, n_slots);

    while (slots[idx] && slots[idx]->sql != sql)
        idx = (idx + 1) & (n_slots - 1);
    return &slots[idx];
}

static int
grow_cache(struct statement_cache *cache, struct error *err)
{
    size_t n_slots = cache->n_slots ? cache->n_slots * 2 : CACHE_SLOTS_MIN;
    struct statement **slots;

    if (n_slots > CACHE_SLOTS_MAX)
        return error_set(err, ERR_TOO_LARGE, "more than %zu prepared statements", cache->n_used);
    slots = calloc(n_slots, sizeof(struct statement *));
    if (!slots)
        return error_set(err, ERR_NOMEM, "no memory for %zu prepared statements", n_slots);
    for (size_t i = 0; i < cache->n_slots; i++)
        if (cache->slots[i])
            *find_slot(slots, n_slots, cache->slots[i]->sql) = cache->slots[i];
    free(cache->slots);
    cache->slots = slots;
    cache->n_slots = n_slots;
    return 0;
}

void
statement_cache_reset(struct statement_cache *cache)
{
    for (size_t i = 0; i < cache->n_slots; i++)
        if (cache->slots[i])
            statement_reset(cache->slots[i]);
}

void
statement_cache_fini(struct statement_cache *cache)
{
    for (size_t i = 0; i < cache->n_slots; i++) {
        if (!cache->slots[i])
            continue;
        (void)sqlite3_finalize(cache->slots[i]->handle);
        free(cache->slots[i]);
    }
    free(cache->slots);
    *cache = (struct statement_cache){0};
}

static int
create_statement(struct database *database, const char *sql, struct statement **out,
                 struct error *err)
{
    struct statement *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for a statement");
    rc = sqlite3_prepare_v3(database->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &self->handle,
                            NULL);
    if (rc != SQLITE_OK) {
        free(self);
        return database_set_error(database, err, rc, "cannot prepare '%.100s'", sql);
    }
    self->database = database;
    self->sql = sql;
    *out = self;
    return 0;
}

int
database_prepare(struct database *database, const char *sql, struct statement **out,
                 struct error *err)
{
    struct statement_cache *cache = &database->statements;
    struct statement **slot;
    int rc = 0;

    if (2 * (cache->n_used + 1) > cache->n_slots)
        rc = grow_cache(cache, err);
    if (rc < 0)
        return rc;
    slot = find_slot(cache->slots, cache->n_slots, sql);
    if (!*slot) {
        rc = create_statement(database, sql, slot, err);
        if (rc < 0)
            return rc;
        cache->n_used++;
    }
    statement_reset(*slot);
    (void)sqlite3_clear_bindings((*slot)->handle);
    *out = *slot;
    return 0;
}

static void
note_bind(struct statement *statement, int rc)
{
    if (statement->bind_rc == SQLITE_OK)
        statement->bind_rc = rc;
}

void
statement_bind_i64(struct statement *statement, int idx, int64_t value)
{
    if (value == DATABASE_NULL)
        note_bind(statement, sqlite3_bind_null(statement->handle, idx));
    else
        note_bind(statement, sqlite3_bind_int64(statement->handle, idx, value));
}

void
statement_bind_f64(struct statement *statement, int idx, double value)
{
    if (isnan(value))
        note_bind(statement, sqlite3_bind_null(statement->handle, idx));
    else
        note_bind(statement, sqlite3_bind_double(statement->handle, idx, value));
}

void
statement_bind_str(struct statement *statement, int idx, struct str text)
{
    note_bind(statement, sqlite3_bind_text64(statement->handle, idx, text.ptr, text.len,
                                             SQLITE_STATIC, SQLITE_UTF8));
}

void
statement_bind_blob(struct statement *statement, int idx, struct str bytes)
{
    note_bind(statement,
              sqlite3_bind_blob64(statement->handle, idx, bytes.ptr, bytes.len, SQLITE_STATIC));
}

/* Before a statement starts: may it run, and does it need the guard? */
static int
begin_step(struct statement *statement, struct error *err)
{
    struct database *database = statement->database;
    int rc;

    if (statement->bind_rc != SQLITE_OK)
        return database_set_error(database, err, statement->bind_rc,
                                  "cannot bind a value of '%.60s'", statement->sql);
    if (database->is_begun && sqlite3_get_autocommit(database->handle))
        return error_set(
            err, ERR_IO,
            "the transaction on database '%.160s' was rolled back by an earlier failure",
            database->path);
    if (database->is_begun || sqlite3_stmt_readonly(statement->handle))
        return 0;
    if (database->is_failed)
        return error_set(err, ERR_IO, "database '%.160s': a write failed earlier, reopen it",
                         database->path);
    rc = wal_guard_begin_write(&database->guard, database->busy_timeout_ms, err);
    statement->has_guard = rc == 0;
    return rc;
}

int
statement_step(struct statement *statement, struct error *err)
{
    int rc = 0;

    if (!sqlite3_stmt_busy(statement->handle))
        rc = begin_step(statement, err);
    if (rc < 0) {
        statement_reset(statement);
        return rc;
    }
    rc = sqlite3_step(statement->handle);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE) {
        statement_reset(statement);
        return 0;
    }
    rc = database_set_error(statement->database, err, rc, "cannot run '%.60s'", statement->sql);
    statement_reset(statement);
    return rc;
}

int
statement_run(struct statement *statement, int64_t *n_changed, struct error *err)
{
    sqlite3 *handle = statement->database->handle;
    int64_t before = sqlite3_total_changes64(handle);
    int rc = statement_step(statement, err);

    statement_reset(statement);
    if (rc < 0)
        return rc;
    if (n_changed)
        *n_changed = sqlite3_total_changes64(handle) - before;
    return 0;
}

void
statement_reset(struct statement *statement)
{
    (void)sqlite3_reset(statement->handle); /* repeats the error of the step, already told */
    statement->bind_rc = SQLITE_OK;
    if (!statement->has_guard)
        return;
    statement->has_guard = false;
    wal_guard_end_write(&statement->database->guard);
    database_checkpoint_if_due(statement->database);
}

int64_t
statement_i64(const struct statement *statement, int column_idx)
{
    if (sqlite3_column_type(statement->handle, column_idx) == SQLITE_NULL)
        return DATABASE_NULL;
    return sqlite3_column_int64(statement->handle, column_idx);
}

double
statement_f64(const struct statement *statement, int column_idx)
{
    if (sqlite3_column_type(statement->handle, column_idx) == SQLITE_NULL)
        return NAN;
    return sqlite3_column_double(statement->handle, column_idx);
}

struct str
statement_str(const struct statement *statement, int column_idx)
{
    const char *ptr = (const char *)sqlite3_column_text(statement->handle, column_idx);

    if (!ptr)
        return STR_NULL;
    return (struct str){ptr, (size_t)sqlite3_column_bytes(statement->handle, column_idx)};
}

struct str
statement_blob(const struct statement *statement, int column_idx)
{
    const char *ptr;

    if (sqlite3_column_type(statement->handle, column_idx) == SQLITE_NULL)
        return STR_NULL;
    ptr = sqlite3_column_blob(statement->handle, column_idx);
    return (struct str){ptr ? ptr : "",
                        (size_t)sqlite3_column_bytes(statement->handle, column_idx)};
}
