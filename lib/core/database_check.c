/* Looking for damage: quick_check when in doubt at opening, the full check on demand. */

#include "lib/core/database_internal.h"

/* The keyword index against the rows that it was made from, the filter index within itself (it is
 * contentless); each only where its table exists. */
static const struct {
    const char *exists_sql;
    const char *check_sql;
} index_checks[] = {
    {"SELECT count(*) FROM sqlite_schema WHERE name = 'datasets_fts'",
     "INSERT INTO datasets_fts (datasets_fts, rank) VALUES ('integrity-check', 1)"},
    {"SELECT count(*) FROM sqlite_schema WHERE name = 'dataset_facets'",
     "INSERT INTO dataset_facets (dataset_facets) VALUES ('integrity-check')"},
};

static int
set_damage(struct database *database, const char *finding, struct error *err)
{
    if (database->guard.fd >= 0)
        wal_guard_write_marker(&database->guard, WAL_MARKER_DOUBT);
    return error_set(err, ERR_CORRUPT,
                     "database '%.160s' is damaged: %.120s; stop all of trawl and recover with"
                     " `sqlite3 OLD .recover | sqlite3 NEW` (docs/database.md)",
                     database->path, finding);
}

/* Both pragmas answer one row "ok", or a row per finding. */
static int
run_check(struct database *database, const char *sql, struct error *err)
{
    sqlite3_stmt *handle = NULL;
    const char *text;
    int rc = sqlite3_prepare_v2(database->handle, sql, -1, &handle, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(handle);
    if (rc == SQLITE_ROW) {
        text = (const char *)sqlite3_column_text(handle, 0);
        rc = text && sqlite3_stricmp(text, "ok") == 0 ? 0 : set_damage(database, text, err);
    } else if (rc == SQLITE_DONE) {
        rc = 0;
    } else {
        rc = database_set_error(database, err, rc, "cannot check");
    }
    (void)sqlite3_finalize(handle);
    return rc;
}

int
database_quick_check(struct database *database, struct error *err)
{
    return run_check(database, "PRAGMA quick_check(1)", err);
}

static int
check_foreign_keys(struct database *database, struct error *err)
{
    static const char sql[] = "SELECT \"table\" || ' row ' || coalesce(rowid, 0) ||"
                              " ' has no row in ' || parent FROM pragma_foreign_key_check LIMIT 1";

    return run_check(database, sql, err);
}

/* FTS5 checks itself by a write command, so a read-only connection leaves it out. */
static int
check_indexes(struct database *database, struct error *err)
{
    for (size_t i = 0; i < COUNT_OF(index_checks); i++) {
        int64_t n_tables = 0;
        int rc = database_query_i64(database, index_checks[i].exists_sql, &n_tables, err);

        if (rc == 0 && n_tables > 0)
            rc = database_execute(database, index_checks[i].check_sql, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int
database_check(struct database *database, struct error *err)
{
    int rc = run_check(database, "PRAGMA integrity_check(1)", err);

    if (rc == 0)
        rc = check_foreign_keys(database, err);
    if (rc == 0 && !database->is_read_only)
        rc = check_indexes(database, err);
    return rc;
}
