#pragma once

/* What the files of the database connection share; nobody else includes it. */

#include <limits.h>
#include <stddef.h>

#include <sqlite3.h>

#include "base/database.h"
#include "base/database_backoff.h"
#include "base/database_migration.h"
#include "base/database_wal_guard.h"

struct statement {
    sqlite3_stmt *handle;
    struct database *database;
    const char *sql; /* key of the cache */
    int bind_rc;     /* SQLITE_OK, or the first failed bind's code */
    bool has_guard;  /* a write outside a transaction holds byte 0 until it is reset */
};

struct statement_cache {
    struct statement **slots; /* [n_slots], open addressing by the address of sql */
    size_t n_slots;           /* 0 or a power of two */
    size_t n_used;
};

struct database {
    sqlite3 *handle;
    const struct database_schema *schema;
    char *path;
    bool is_read_only;
    bool is_begun;  /* from database_begin to its end, even if SQLite has rolled back by itself */
    bool is_failed; /* a sync failed: what the disk holds is unknown, nothing more is written */
    bool has_savepoint;
    int64_t busy_timeout_ms;
    int64_t busy_limit_ms; /* for the wait at hand; a checkpoint has less patience */
    struct backoff busy;
    struct wal_guard guard;
    int64_t page_bytes;
    int64_t n_wal_pages;         /* after our last commit */
    int64_t checkpoint_at_pages; /* the WAL's size at which to try next */
    int64_t checkpoint_ms;
    int64_t wal_limit_bytes;
    enum database_sync sync;
    struct statement_cache statements;
    database_commit_fn commit_fn;
    void *commit_context;
};

/* Fill *err from SQLite's state: rc is SQLite's code, what the caller was doing in printf's way.
 * Damage and failed syncs leave the marker DOUBT. */
#define database_set_error(database, err, rc, ...)                                                 \
    database_set_error_at((database), __FILE__, __LINE__, (err), (rc), __VA_ARGS__)
int database_set_error_at(struct database *database, const char *file, int line, struct error *err,
                          int rc, const char *fmt, ...) PRINTF_LIKE(6, 7);

/* The file of a URL, its real path and its mode, or the mode that a new one gets.  Makes
 * directories where a file may be made.  Errors: ERR_CONFIG, ERR_NOT_FOUND, ERR_IO. */
MUST_CHECK int database_path_find(struct str url, const struct database_options *options,
                                  char path[PATH_MAX], unsigned *mode, struct error *err);

/* Run SQL of any number of statements, without the guard. */
MUST_CHECK int database_run_script(struct database *database, const char *sql, struct error *err);

/* PRAGMA quick_check.  Errors: ERR_CORRUPT. */
MUST_CHECK int database_quick_check(struct database *database, struct error *err);

/* The WAL's size, in pages, that is let grow from one checkpoint to the next. */
int64_t database_wal_limit_pages(const struct database *database);

/* Checkpoint if the WAL has outgrown its limit; failures are put off to the next commit. */
void database_checkpoint_if_due(struct database *database);

/* Checkpoint all that can be and cut the WAL to nothing; true when both went well. */
bool database_checkpoint(struct database *database, int64_t wait_ms);

/* ERR_CONFIG for a schema that is too new, or too old while it must be current. */
MUST_CHECK int database_check_schema(struct database *database, bool must_be_current,
                                     struct error *err);

void statement_cache_fini(struct statement_cache *cache);
void statement_cache_reset(struct statement_cache *cache);
