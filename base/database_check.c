/* Looking for damage: quick_check when in doubt at opening, the full check on demand. */

#include "base/database_internal.h"

static int
set_damage(struct database *database, const char *finding, struct error *err)
{
    if (database->guard.fd >= 0)
        wal_guard_write_marker(&database->guard, WAL_MARKER_DOUBT);
    return error_set(err, ERR_CORRUPT,
                     "database '%.160s' is damaged: %.120s; stop all of trawl and recover as"
                     " docs/database.md says (sqlite3 .dump or .recover)",
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

/* It writes, and needs the tables, so a read-only connection and an empty file leave it out. */
static int
check_schema(struct database *database, struct error *err)
{
    int64_t version = 0;
    int rc;

    if (!database->schema->check_sql || database->is_read_only)
        return 0;
    rc = database_schema_version(database, &version, err);
    return rc == 0 && version > 0 ? database_execute(database, database->schema->check_sql, err)
                                  : rc;
}

int
database_check(struct database *database, struct error *err)
{
    int rc = run_check(database, "PRAGMA integrity_check(1)", err);

    if (rc == 0)
        rc = check_foreign_keys(database, err);
    return rc < 0 ? rc : check_schema(database, err);
}
