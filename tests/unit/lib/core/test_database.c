/* base/database.h: opening, settings, statements, transactions, migrations. */

#include "tests/unit/lib/core/database_fixture.h"

#include <math.h>
#include <sys/stat.h>

static const struct database_options creating = {
    .schema = &catalogue_schema, .may_create = true, .busy_timeout_ms = 200};
static const struct database_options existing = {.schema = &catalogue_schema,
                                                 .busy_timeout_ms = 200};

static void
test_url(void **state)
{
    static const struct {
        struct str url;
        int rc;
    } rows[] = {
        {STR_INIT("postgresql://localhost/x"), -ERR_CONFIG},
        {STR_INIT("sqlite:///"), -ERR_CONFIG},
        {STR_INIT("sqlite:///:memory:"), -ERR_CONFIG},
        {STR_INIT(":memory:"), -ERR_CONFIG},
        {STR_INIT(""), -ERR_CONFIG},
        {STR_INIT("sqlite:////tmp/a.db?mode=ro"), -ERR_CONFIG},
        {STR_INIT("/tmp/a\0b"), -ERR_CONFIG},
        {STR_INIT("/tmp"), -ERR_CONFIG},
        {STR_INIT("sqlite:////nowhere/at/all.db"), -ERR_NOT_FOUND},
        {STR_INIT("/nowhere/at/all.db"), -ERR_NOT_FOUND},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct database *database = NULL;
        struct error err;

        assert_int_equal(database_open(rows[i].url, &existing, &database, &err), rows[i].rc);
        assert_null(database);
    }
}

static void
test_url_opens_what_it_names(void **state)
{
    struct fixture fixture;
    struct database *database = NULL;
    struct error err;
    char url[128];

    (void)state;
    fixture_init(&fixture);
    (void)snprintf(url, sizeof(url), "sqlite:///%s/deep/er/trawl.db", fixture.dir);
    assert_ok(database_open(str_from_cstr(url), &creating, &database, &err), err);
    database_close(database);
    assert_int_equal(access(url + strlen("sqlite:///"), R_OK), 0);
    fixture_fini(&fixture);
}

/* By a link or by its name: one file, one side lock. */
static void
test_link_is_the_same_file(void **state)
{
    struct fixture fixture;
    struct database *linked = NULL;
    struct error err;
    char link[128];

    (void)state;
    fixture_init_migrated(&fixture);
    (void)snprintf(link, sizeof(link), "%s/link.db", fixture.dir);
    assert_int_equal(symlink(fixture.path, link), 0);
    assert_ok(database_open(str_from_cstr(link), &existing, &linked, &err), err);
    assert_ok(database_begin(fixture.database, &err), err);
    assert_int_equal(database_begin(linked, &err), -ERR_BUSY);
    database_close(linked);
    (void)snprintf(link, sizeof(link), "%s/link.db-lock", fixture.dir);
    assert_int_equal(access(link, F_OK), -1);
    fixture_fini(&fixture);
}

static void
test_settings(void **state)
{
    static const struct {
        const char *sql;
        int64_t value;
    } rows[] = {
        {"PRAGMA foreign_keys", 1},    {"PRAGMA synchronous", 2},
        {"PRAGMA mmap_size", 0},       {"PRAGMA wal_autocheckpoint", 0},
        {"PRAGMA cell_size_check", 1}, {"PRAGMA trusted_schema", 0},
    };
    struct fixture fixture;

    (void)state;
    fixture_init_migrated(&fixture);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (fixture_query(fixture.database, rows[i].sql) != rows[i].value)
            fail_msg("%s", rows[i].sql);
    fixture_fini(&fixture);
}

/* A closed database is one file and its lock; the marker says that the end was clean. */
static void
test_close_leaves_one_file(void **state)
{
    struct fixture fixture;
    char path[128];

    (void)state;
    fixture_init_migrated(&fixture);
    fixture_execute(fixture.database, "INSERT INTO embedding_models (model_id, name) VALUES (1, 'm')");
    database_close(fixture.database);
    fixture.database = NULL;
    (void)snprintf(path, sizeof(path), "%s-wal", fixture.path);
    assert_int_equal(access(path, F_OK), -1);
    (void)snprintf(path, sizeof(path), "%s-shm", fixture.path);
    assert_int_equal(access(path, F_OK), -1);
    fixture.database = fixture_open(&fixture);
    assert_int_equal(fixture_query(fixture.database, "SELECT model_id FROM embedding_models"), 1);
    fixture_fini(&fixture);
}

static void
test_values(void **state)
{
    static const char insert_sql[] = "INSERT INTO t VALUES ($1, $2, $3, $4)";
    struct fixture fixture;
    struct statement *statement;
    struct error err;
    int64_t n_changed = 0;

    (void)state;
    fixture_init(&fixture);
    fixture.database = fixture_open(&fixture);
    fixture_execute(fixture.database, "CREATE TABLE t (i, f, s, b)");
    assert_ok(database_prepare(fixture.database, insert_sql, &statement, &err), err);
    statement_bind_i64(statement, 1, INT64_MAX);
    statement_bind_f64(statement, 2, 0.25);
    statement_bind_str(statement, 3, STR("caf\xC3\xA9"));
    statement_bind_blob(statement, 4, STR("\0\1"));
    assert_ok(statement_run(statement, &n_changed, &err), err);
    assert_int_equal(n_changed, 1);

    /* Unbound again, and the absent values. */
    assert_ok(database_prepare(fixture.database, insert_sql, &statement, &err), err);
    statement_bind_i64(statement, 1, DATABASE_NULL);
    statement_bind_str(statement, 3, STR(""));
    assert_ok(statement_run(statement, NULL, &err), err);

    assert_ok(
        database_prepare(fixture.database, "SELECT * FROM t ORDER BY rowid", &statement, &err),
        err);
    assert_int_equal(statement_step(statement, &err), 1);
    assert_int_equal(statement_i64(statement, 0), INT64_MAX);
    assert_true(statement_f64(statement, 1) == 0.25);
    assert_str_equal(statement_str(statement, 2), "caf\xC3\xA9");
    assert_true(str_equal(statement_blob(statement, 3), STR("\0\1")));
    assert_int_equal(statement_step(statement, &err), 1);
    assert_int_equal(statement_i64(statement, 0), DATABASE_NULL);
    assert_true(isnan(statement_f64(statement, 1)));
    assert_non_null(statement_str(statement, 2).ptr);
    assert_int_equal(statement_str(statement, 2).len, 0);
    assert_null(statement_blob(statement, 3).ptr);
    assert_int_equal(statement_step(statement, &err), 0);
    fixture_fini(&fixture);
}

static void
test_statement_errors_stick(void **state)
{
    struct fixture fixture;
    struct statement *statement;
    struct error err;

    (void)state;
    fixture_init(&fixture);
    fixture.database = fixture_open(&fixture);
    assert_int_equal(database_prepare(fixture.database, "SELEC 1", &statement, &err), -ERR_IO);
    assert_non_null(strstr(err.message, "SELEC"));
    assert_ok(database_prepare(fixture.database, "SELECT $1", &statement, &err), err);
    statement_bind_i64(statement, 2, 1);
    assert_true(statement_step(statement, &err) < 0);
    assert_int_equal(statement_step(statement, &err), 1); /* told once, then forgotten */
    statement_reset(statement);
    fixture_fini(&fixture);
}

/* More statements than the cache starts with: all are found again. */
static void
test_statement_cache_grows(void **state)
{
    static char sqls[300][24];
    struct fixture fixture;
    struct statement *first = NULL;
    struct statement *again = NULL;
    struct error err;

    (void)state;
    fixture_init(&fixture);
    fixture.database = fixture_open(&fixture);
    for (size_t i = 0; i < COUNT_OF(sqls); i++) {
        (void)snprintf(sqls[i], sizeof(sqls[i]), "SELECT %zu", i);
        assert_int_equal(fixture_query(fixture.database, sqls[i]), (int64_t)i);
    }
    assert_ok(database_prepare(fixture.database, sqls[0], &first, &err), err);
    for (size_t i = 0; i < COUNT_OF(sqls); i++)
        assert_int_equal(fixture_query(fixture.database, sqls[i]), (int64_t)i);
    assert_ok(database_prepare(fixture.database, sqls[0], &again, &err), err);
    assert_ptr_equal(first, again);
    fixture_fini(&fixture);
}

static void
test_transactions(void **state)
{
    struct fixture fixture;
    struct error err;

    (void)state;
    fixture_init(&fixture);
    fixture.database = fixture_open(&fixture);
    fixture_execute(fixture.database, "CREATE TABLE t (i)");
    assert_int_equal(database_commit(fixture.database, &err), -ERR_INVALID);
    assert_int_equal(database_savepoint(fixture.database, &err), -ERR_INVALID);

    assert_ok(database_begin(fixture.database, &err), err);
    assert_true(database_in_transaction(fixture.database));
    assert_int_equal(database_begin(fixture.database, &err), -ERR_INVALID);
    fixture_execute(fixture.database, "INSERT INTO t VALUES (1)");
    assert_ok(database_savepoint(fixture.database, &err), err);
    fixture_execute(fixture.database, "INSERT INTO t VALUES (2)");
    database_undo(fixture.database);
    assert_ok(database_savepoint(fixture.database, &err), err);
    fixture_execute(fixture.database, "INSERT INTO t VALUES (4)");
    assert_ok(database_release(fixture.database, &err), err);
    assert_ok(database_commit(fixture.database, &err), err);
    assert_false(database_in_transaction(fixture.database));
    assert_int_equal(fixture_query(fixture.database, "SELECT sum(i) FROM t"), 5);

    assert_ok(database_begin(fixture.database, &err), err);
    fixture_execute(fixture.database, "DELETE FROM t");
    database_rollback(fixture.database);
    database_rollback(fixture.database);
    assert_int_equal(fixture_query(fixture.database, "SELECT sum(i) FROM t"), 5);
    fixture_fini(&fixture);
}

static int
insert_from_hook(void *context, struct error *err)
{
    return database_execute(context, "INSERT INTO t VALUES (100)", err);
}

static int
fail_in_hook(void *context, struct error *err)
{
    (void)context;
    return error_set(err, ERR_INVALID, "no");
}

static void
test_commit_hook(void **state)
{
    struct fixture fixture;
    struct error err;

    (void)state;
    fixture_init(&fixture);
    fixture.database = fixture_open(&fixture);
    fixture_execute(fixture.database, "CREATE TABLE t (i)");
    database_set_commit_hook(fixture.database, insert_from_hook, fixture.database);
    assert_ok(database_begin(fixture.database, &err), err);
    assert_ok(database_commit(fixture.database, &err), err);
    database_set_commit_hook(fixture.database, fail_in_hook, NULL);
    assert_ok(database_begin(fixture.database, &err), err);
    fixture_execute(fixture.database, "INSERT INTO t VALUES (1)");
    assert_int_equal(database_commit(fixture.database, &err), -ERR_INVALID);
    assert_false(database_in_transaction(fixture.database));
    assert_int_equal(fixture_query(fixture.database, "SELECT sum(i) FROM t"), 100);
    fixture_fini(&fixture);
}

static void
test_busy(void **state)
{
    struct fixture fixture;
    struct database *other = NULL;
    struct error err;

    (void)state;
    fixture_init_migrated(&fixture);
    assert_ok(database_open(str_from_cstr(fixture.path), &existing, &other, &err), err);
    assert_ok(database_begin(fixture.database, &err), err);
    assert_int_equal(database_begin(other, &err), -ERR_BUSY);
    assert_false(database_in_transaction(other));
    assert_int_equal(fixture_query(other, "SELECT count(*) FROM datasets"), 0); /* readers go on */
    assert_ok(database_commit(fixture.database, &err), err);
    assert_ok(database_begin(other, &err), err);
    database_close(other);
    fixture_fini(&fixture);
}

static void
test_migrations(void **state)
{
    static const struct database_options current = {
        .schema = &catalogue_schema, .may_create = true, .must_be_current = true};
    struct fixture fixture;
    struct database *database = NULL;
    struct error err;
    int64_t version = -1;
    int n_applied = -1;

    (void)state;
    fixture_init(&fixture);
    assert_int_equal(database_open(str_from_cstr(fixture.path), &current, &database, &err),
                     -ERR_CONFIG);
    assert_non_null(strstr(err.message, "trawl db migrate"));
    fixture.database = fixture_open(&fixture);
    assert_ok(database_schema_version(fixture.database, &version, &err), err);
    assert_int_equal(version, 0);
    assert_ok(database_migrate(fixture.database, &n_applied, &err), err);
    assert_int_equal(n_applied, database_newest_version(fixture.database));
    assert_true(n_applied > 0);
    assert_ok(database_schema_version(fixture.database, &version, &err), err);
    assert_int_equal(version, database_newest_version(fixture.database));
    assert_ok(database_migrate(fixture.database, &n_applied, &err), err);
    assert_int_equal(n_applied, 0);
    assert_ok(database_check(fixture.database, &err), err);
    assert_ok(database_open(str_from_cstr(fixture.path), &current, &database, &err), err);
    database_close(database);
    fixture_fini(&fixture);
}

static void
test_foreign_schemas(void **state)
{
    static const struct {
        const char *sql;
        const char *told;
        bool is_open_refused;
    } rows[] = {
        {"UPDATE schema_migrations SET checksum = 'x' WHERE version = 1", "another text", false},
        {"INSERT INTO schema_migrations VALUES (99, 'later', 'x', 0)", "schema 99", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fixture fixture;
        struct database *database = NULL;
        struct error err = {0};

        fixture_init_migrated(&fixture);
        fixture_execute(fixture.database, rows[i].sql);
        assert_int_equal(database_migrate(fixture.database, NULL, &err), -ERR_CONFIG);
        assert_non_null(strstr(err.message, rows[i].told));
        assert_false(database_in_transaction(fixture.database));
        if (rows[i].is_open_refused) {
            assert_int_equal(database_open(str_from_cstr(fixture.path), &existing, &database, &err),
                             -ERR_CONFIG);
            assert_non_null(strstr(err.message, "upgrade trawl"));
        }
        fixture_fini(&fixture);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url),
        cmocka_unit_test(test_url_opens_what_it_names),
        cmocka_unit_test(test_link_is_the_same_file),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_close_leaves_one_file),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_statement_errors_stick),
        cmocka_unit_test(test_statement_cache_grows),
        cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_commit_hook),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_migrations),
        cmocka_unit_test(test_foreign_schemas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
