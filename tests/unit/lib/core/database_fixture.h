#pragma once

/* A database in a directory of its own, for the tests of everything that sits on one. */

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/database.h"
#include "lib/core/catalogue_schema.h"
#include "tests/unit/check.h"

struct fixture {
    char dir[64];
    char path[96]; /* of the database file, in dir */
    struct database *database;
};

static inline int
fixture_remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

/* The directory only. */
static inline void
fixture_init(struct fixture *fixture)
{
    const char *root = getenv("TMPDIR");

    *fixture = (struct fixture){.database = NULL};
    (void)snprintf(fixture->dir, sizeof(fixture->dir), "%.40s/trawl-test-XXXXXX",
                   root ? root : "/tmp");
    assert_non_null(mkdtemp(fixture->dir));
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/trawl.db", fixture->dir);
}

static inline struct database *
fixture_open(const struct fixture *fixture)
{
    static const struct database_options options = {
        .schema = &catalogue_schema, .may_create = true, .busy_timeout_ms = 5000};
    struct database *database = NULL;
    struct error err;

    assert_ok(database_open(str_from_cstr(fixture->path), &options, &database, &err), err);
    return database;
}

/* A migrated database, too. */
static inline void
fixture_init_migrated(struct fixture *fixture)
{
    struct error err;

    fixture_init(fixture);
    fixture->database = fixture_open(fixture);
    assert_ok(database_migrate(fixture->database, NULL, &err), err);
}

static inline void
fixture_fini(struct fixture *fixture)
{
    database_close(fixture->database);
    fixture->database = NULL;
    (void)nftw(fixture->dir, fixture_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The first column of the first row; DATABASE_NULL without a row. */
static inline int64_t
fixture_query(struct database *database, const char *sql)
{
    struct statement *statement;
    struct error err;
    int64_t value = DATABASE_NULL;
    int rc = database_prepare(database, sql, &statement, &err);

    assert_ok(rc, err);
    rc = statement_step(statement, &err);
    if (rc < 0)
        fail_msg("%s: %s", sql, err.message);
    if (rc == 1)
        value = statement_i64(statement, 0);
    statement_reset(statement);
    return value;
}

static inline void
fixture_execute(struct database *database, const char *sql)
{
    struct error err;

    assert_ok(database_execute(database, sql, &err), err);
}
