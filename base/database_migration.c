/* Numbered, forward-only migrations, all that are missing in one transaction together with their
 * rows in schema_migrations: nobody ever sees a file that is half new.  Two migrators at once are
 * safe: the version is read again under the write lock. */

#include <inttypes.h>

#include "base/clock.h"
#include "base/database_internal.h"

static const char table_sql[] = "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                " version INTEGER PRIMARY KEY, name TEXT NOT NULL,"
                                " checksum TEXT NOT NULL, applied_at INTEGER NOT NULL)";

int64_t
database_newest_version(const struct database *database)
{
    const struct migration *migration = database->schema->migrations;
    int64_t newest = 0;

    for (; migration->version > 0; migration++)
        newest = migration->version;
    return newest;
}

int
database_schema_version(struct database *database, int64_t *out, struct error *err)
{
    static const char exists_sql[] =
        "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_migrations'";
    int64_t version = 0;
    int rc = database_query_i64(database, exists_sql, &version, err);

    if (rc == 0 && version > 0)
        rc = database_query_i64(database, "SELECT coalesce(max(version), 0) FROM schema_migrations",
                                &version, err);
    if (rc == 0)
        *out = version;
    return rc;
}

/* A file of another kind has migrations of the same numbers: the first one's name tells. */
static int
check_kind(struct database *database, struct error *err)
{
    static const char sql[] = "SELECT name FROM schema_migrations WHERE version = 1";
    const struct migration *first = database->schema->migrations;
    struct statement *statement;
    struct str name;
    int rc = database_prepare(database, sql, &statement, err);

    if (rc == 0)
        rc = statement_step(statement, err);
    if (rc <= 0)
        return rc;
    name = statement_str(statement, 0);
    rc = 0;
    if (first->version > 0 && !str_equal(name, str_from_cstr(first->name)))
        rc = error_set(err, ERR_CONFIG,
                       "database '%.160s' holds something else than %s (it was made for %.*s): use"
                       " a file for each",
                       database->path, first->name, STR_ARG(str_slice(name, 0, 64)));
    statement_reset(statement);
    return rc;
}

int
database_check_schema(struct database *database, bool must_be_current, struct error *err)
{
    int64_t newest = database_newest_version(database);
    int64_t version = 0;
    int rc = database_schema_version(database, &version, err);

    if (rc == 0 && version > 0)
        rc = check_kind(database, err);
    if (rc < 0)
        return rc;
    if (version > newest)
        return error_set(err, ERR_CONFIG,
                         "database '%.160s' has schema %" PRId64 ", this program knows %" PRId64
                         ": upgrade trawl",
                         database->path, version, newest);
    if (must_be_current && version < newest)
        return error_set(err, ERR_CONFIG,
                         "database '%.160s' has schema %" PRId64 ", this program needs %" PRId64
                         ": run `%s`",
                         database->path, version, newest, database->schema->migrate_command);
    return 0;
}

/* An applied migration whose text has changed since would make two databases that claim one
 * version. */
static int
check_applied(struct database *database, const struct migration *migration, bool *is_applied,
              struct error *err)
{
    static const char sql[] = "SELECT checksum FROM schema_migrations WHERE version = $1";
    struct statement *statement;
    int rc = database_prepare(database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, migration->version);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    *is_applied = rc == 1;
    rc = 0;
    if (*is_applied && !str_equal(statement_str(statement, 0), str_from_cstr(migration->checksum)))
        rc = error_set(err, ERR_CONFIG,
                       "database '%.160s': migration %" PRId64
                       " (%s) was applied with another text: it comes from another build",
                       database->path, migration->version, migration->name);
    statement_reset(statement);
    return rc;
}

static int
apply(struct database *database, const struct migration *migration, struct error *err)
{
    static const char sql[] = "INSERT INTO schema_migrations (version, name, checksum, applied_at)"
                              " VALUES ($1, $2, $3, $4)";
    struct statement *statement;
    int rc = database_run_script(database, migration->sql, err);

    if (rc == 0)
        rc = database_prepare(database, sql, &statement, err);
    if (rc < 0)
        return error_wrap(err, rc, "migration %" PRId64 " (%s)", migration->version,
                          migration->name);
    statement_bind_i64(statement, 1, migration->version);
    statement_bind_str(statement, 2, str_from_cstr(migration->name));
    statement_bind_str(statement, 3, str_from_cstr(migration->checksum));
    statement_bind_i64(statement, 4, clock_now_us(&clock_system));
    return statement_run(statement, NULL, err);
}

/* Those that are not there yet, in an open transaction. */
static int
apply_missing(struct database *database, int *n_applied, struct error *err)
{
    const struct migration *migration = database->schema->migrations;
    int rc = database_run_script(database, table_sql, err);

    if (rc == 0)
        rc = database_check_schema(database, false, err);
    for (; rc == 0 && migration->version > 0; migration++) {
        bool is_applied = false;

        rc = check_applied(database, migration, &is_applied, err);
        if (rc < 0 || is_applied)
            continue;
        rc = apply(database, migration, err);
        ++*n_applied;
    }
    return rc;
}

int
database_migrate(struct database *database, int *n_applied, struct error *err)
{
    int n = 0;
    int rc = database_begin(database, err);

    if (rc < 0)
        return rc;
    rc = apply_missing(database, &n, err);
    if (rc == 0 && n > 0)
        rc = database_commit(database, err);
    database_rollback(database);
    if (rc == 0 && n_applied)
        *n_applied = n;
    return rc;
}
