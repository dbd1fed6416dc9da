#pragma once

/* A database connection, prepared statements and transactions, for the repositories.
 *
 * Opened after fork, one per process or thread; never shared.  Only base/database*.c know the
 * engine's library.  SQLite is opened with WAL, busy timeout, foreign keys and synchronous=FULL;
 * the guard against the WAL-reset fault of versions before 3.51.3 (docs/database.md) is in here. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

struct database;
struct database_schema;
struct statement;

/* FULL: a commit returns when it is on disk.  NORMAL: a commit survives the process, and the
 * machine only once a later FULL commit or a checkpoint has synced it; the file is whole in any
 * case. */
enum database_sync { DATABASE_SYNC_FULL, DATABASE_SYNC_NORMAL };

enum database_cache { DATABASE_CACHE_LARGE, DATABASE_CACHE_SMALL }; /* 16 MiB, 2 MiB */

struct database_options {
    const struct database_schema *schema; /* database_migration.h; not NULL, borrowed for ever */
    int64_t busy_timeout_ms;              /* 0 = 10,000 */
    int64_t wal_limit_bytes;              /* 0 = 16 MiB: the commit that exceeds it checkpoints */
    int64_t checkpoint_ms;                /* 0 = 1,000: how long that waits for writers to leave */
    enum database_cache cache;
    bool is_read_only;
    bool may_create;      /* create file and directories when missing */
    bool must_be_current; /* refuse (ERR_CONFIG, with the command that helps) unless migrated */
};

/* url: "sqlite:///path" or a plain path.  Errors: ERR_CONFIG (url, newer or older schema),
 * ERR_NOT_FOUND, ERR_IO, ERR_DISK_FULL, ERR_BUSY, ERR_CORRUPT (with the way out). */
MUST_CHECK int database_open(struct str url, const struct database_options *options,
                             struct database **out, struct error *err);
void database_close(struct database *database); /* rolls back; last one out checkpoints */
void database_closep(struct database **database);

/* In a forked child: close the inherited side lock, so that the parent's death shows at once.  The
 * parent is not disturbed; the child does nothing else with the connection, not even close it. */
void database_forget(struct database *database);

/* The file's real path, as long as it is open. */
const char *database_path(const struct database *database);

/* A sync failed: what the disk holds is unknown, and nothing more will be written. */
bool database_is_failed(const struct database *database);

/* From the next transaction on. */
MUST_CHECK int database_set_sync(struct database *database, enum database_sync sync,
                                 struct error *err);
void database_set_busy_timeout(struct database *database, int64_t timeout_ms);

/* Apply the schema's migrations that are missing, in one transaction: all or none.  n_applied may
 * be NULL. */
MUST_CHECK int database_migrate(struct database *database, int *n_applied, struct error *err);
MUST_CHECK int database_schema_version(struct database *database, int64_t *out, struct error *err);
int64_t database_newest_version(const struct database *database);

/* Full integrity and foreign-key check, and the schema's own.  Errors: ERR_CORRUPT, the first
 * finding in the message. */
MUST_CHECK int database_check(struct database *database, struct error *err);

/* Transactions do not nest.  begin takes the write lock at once (or waits up to the busy timeout).
 * A commit that fails has rolled back.  Where the engine had to roll back in the middle (full
 * disk), every further statement and the commit fail, until database_rollback. */
MUST_CHECK int database_begin(struct database *database, struct error *err);
MUST_CHECK int database_commit(struct database *database, struct error *err);
void database_rollback(struct database *database);
bool database_in_transaction(const struct database *database);

/* Run fn right before each commit, inside the transaction: for work that is cheaper once per batch
 * than once per row, as the keyword index is.  Its failure is the commit's.  One per connection;
 * setting it again replaces it, NULL removes it. */
typedef int (*database_commit_fn)(void *context, struct error *err);
void database_set_commit_hook(struct database *database, database_commit_fn fn, void *context);

/* Savepoint around one row of a batch: undo it alone when it fails. */
MUST_CHECK int database_savepoint(struct database *database, struct error *err);
MUST_CHECK int database_release(struct database *database, struct error *err);
void database_undo(struct database *database);

/* A prepared statement, cached by the address of sql (a static string, or one kept by the caller
 * for the connection's life) and handed out reset and unbound.  Parameters are $1, $2 ... */
MUST_CHECK int database_prepare(struct database *database, const char *sql, struct statement **out,
                                struct error *err);

/* For statements without parameters or rows. */
MUST_CHECK int database_execute(struct database *database, const char *sql, struct error *err);

/* One number, by a statement without parameters that is not cached; *out is DATABASE_NULL without a
 * row. */
MUST_CHECK int database_query_i64(struct database *database, const char *sql, int64_t *out,
                                  struct error *err);

/* Values are borrowed until the statement is reset.  A failure sticks and shows in the next step.
 * Absent texts, DATABASE_NULL and unknown numbers bind NULL. */
#define DATABASE_NULL INT64_MIN
void statement_bind_i64(struct statement *statement, int idx, int64_t value);
void statement_bind_f64(struct statement *statement, int idx, double value);
void statement_bind_str(struct statement *statement, int idx, struct str text);
void statement_bind_blob(struct statement *statement, int idx, struct str bytes);

/* 1 with a row, 0 when done (the statement is then reset), negative on error. */
MUST_CHECK int statement_step(struct statement *statement, struct error *err);
/* Step once and reset: for statements that give no rows.  *n_changed may be NULL. */
MUST_CHECK int statement_run(struct statement *statement, int64_t *n_changed, struct error *err);
void statement_reset(struct statement *statement);

/* Columns of the present row, from 0.  Texts are borrowed until the next step; NULL gives STR_NULL,
 * DATABASE_NULL or NaN. */
int64_t statement_i64(const struct statement *statement, int column_idx);
double statement_f64(const struct statement *statement, int column_idx);
struct str statement_str(const struct statement *statement, int column_idx);
struct str statement_blob(const struct statement *statement, int column_idx);
