/* The database under faults: damage, no space, no permission, a kill, other processes. */

#include "tests/unit/lib/core/database_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/database_wal_guard.h"

static const struct database_options existing = {.schema = &catalogue_schema,
                                                 .busy_timeout_ms = 200};
static const struct database_options read_only = {
    .schema = &catalogue_schema, .busy_timeout_ms = 200, .is_read_only = true};

static void
write_at(const char *path, off_t offset, const char *bytes, size_t n_bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, n_bytes, offset), (ssize_t)n_bytes);
    (void)close(fd);
}

static off_t
size_of(const struct fixture *fixture, const char *suffix)
{
    struct stat info;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s%s", fixture->path, suffix);
    return stat(path, &info) == 0 ? info.st_size : -1;
}

static void
mark(const struct fixture *fixture, const char *marker)
{
    char path[128];
    char bytes[64];

    (void)snprintf(path, sizeof(path), "%s-lock", fixture->path);
    (void)memset(bytes, ' ', sizeof(bytes));
    (void)memcpy(bytes, marker, strlen(marker));
    write_at(path, 0, bytes, sizeof(bytes));
}

static int
reopen(struct fixture *fixture, const struct database_options *options, struct error *err)
{
    database_close(fixture->database);
    fixture->database = NULL;
    return database_open(str_from_cstr(fixture->path), options, &fixture->database, err);
}

/* Rows until the file spans some pages, then closed. */
static void
fill(struct fixture *fixture, int n_rows)
{
    struct error err;

    assert_ok(database_begin(fixture->database, &err), err);
    fixture_execute(fixture->database, "CREATE TABLE IF NOT EXISTS t (i INTEGER PRIMARY KEY, b)");
    for (int i = 0; i < n_rows; i++)
        fixture_execute(fixture->database, "INSERT INTO t (b) VALUES (randomblob(3000))");
    assert_ok(database_commit(fixture->database, &err), err);
}

static void
test_which_versions_need_the_guard(void **state)
{
    static const struct {
        int version;
        bool is_needed;
    } rows[] = {
        {3007000, true}, {3040001, true},  {3044005, true},  {3044006, false},
        {3045000, true}, {3050006, true},  {3050007, false}, {3051000, true},
        {3051002, true}, {3051003, false}, {3052000, false}, {4000000, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (wal_guard_is_needed(rows[i].version) != rows[i].is_needed)
            fail_msg("%d", rows[i].version);
}

static void
test_guard_keeps_checkpoints_and_writers_apart(void **state)
{
    struct fixture fixture;
    struct wal_guard writer = {.fd = -1, .is_needed = true};
    struct wal_guard second = {.fd = -1, .is_needed = true};
    struct wal_guard checkpointer = {.fd = -1, .is_needed = true};
    struct error err;

    (void)state;
    fixture_init(&fixture);
    assert_ok(wal_guard_open(fixture.path, 0644, &writer, &err), err);
    assert_ok(wal_guard_open(fixture.path, 0644, &second, &err), err);
    assert_ok(wal_guard_open(fixture.path, 0644, &checkpointer, &err), err);

    assert_ok(wal_guard_begin_write(&writer, 10, &err), err);
    /* Several at once: the database's own lock orders them. */
    assert_ok(wal_guard_begin_write(&second, 10, &err), err);
    assert_false(wal_guard_try_checkpoint(&checkpointer, 10));
    wal_guard_end_write(&writer);
    assert_false(wal_guard_try_checkpoint(&checkpointer, 10));
    wal_guard_end_write(&second);
    assert_true(wal_guard_try_checkpoint(&checkpointer, 10));
    assert_int_equal(wal_guard_begin_write(&writer, 10, &err), -ERR_BUSY);
    assert_false(wal_guard_try_checkpoint(&second, 10)); /* one at a time */
    wal_guard_end_checkpoint(&checkpointer);
    assert_ok(wal_guard_begin_write(&writer, 10, &err), err);
    wal_guard_close(&writer); /* drops its locks, and only its own */
    assert_true(wal_guard_try_checkpoint(&checkpointer, 10));
    wal_guard_close(&checkpointer);
    wal_guard_close(&second);
    fixture_fini(&fixture);
}

static void
test_markers(void **state)
{
    static const struct {
        const char *text;
        enum wal_marker marker;
    } rows[] = {
        {"clean", WAL_MARKER_CLEAN},
        {"doubt", WAL_MARKER_DOUBT},
        {"open 00000000-0000-0000-0000-000000000000", WAL_MARKER_OTHER_BOOT},
        {"open unknown", WAL_MARKER_OTHER_BOOT},
        {"rubbish", WAL_MARKER_DOUBT},
        {"", WAL_MARKER_DOUBT},
    };
    struct fixture fixture;
    struct wal_guard guard = {.fd = -1};
    struct error err;

    (void)state;
    fixture_init(&fixture);
    assert_ok(wal_guard_open(fixture.path, 0644, &guard, &err), err);
    assert_int_equal(wal_guard_read_marker(&guard), WAL_MARKER_NONE);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        mark(&fixture, rows[i].text);
        assert_int_equal(wal_guard_read_marker(&guard), rows[i].marker);
    }
    wal_guard_write_marker(&guard, WAL_MARKER_OPEN);
    assert_int_equal(wal_guard_read_marker(&guard), WAL_MARKER_OPEN);
    wal_guard_write_marker(&guard, WAL_MARKER_DOUBT);
    assert_int_equal(wal_guard_read_marker(&guard), WAL_MARKER_DOUBT);
    wal_guard_close(&guard);
    fixture_fini(&fixture);
}

static void
test_not_a_database(void **state)
{
    struct fixture fixture;
    struct error err;

    (void)state;
    fixture_init(&fixture);
    for (int i = 0; i < 100; i++)
        write_at(fixture.path, i * 100, "This is no database at all, but somebody's diary.  ", 50);
    assert_int_equal(reopen(&fixture, &existing, &err), -ERR_CORRUPT);
    assert_non_null(strstr(err.message, ".recover"));
    assert_null(fixture.database);
    fixture_fini(&fixture);
}

/* Damage is looked for when in doubt, and refused with the way out; a clean file is trusted. */
static void
test_damage(void **state)
{
    static const struct {
        const char *marker;
        int rc;
    } rows[] = {
        {"clean", 0},
        {"doubt", -ERR_CORRUPT},
        {"open 00000000-0000-0000-0000-000000000000", -ERR_CORRUPT},
    };
    static char rubbish[4096];

    (void)state;
    (void)memset(rubbish, 0x5A, sizeof(rubbish));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fixture fixture;
        struct error err;
        int64_t page;

        fixture_init_migrated(&fixture);
        fill(&fixture, 50);
        page =
            fixture_query(fixture.database, "SELECT rootpage FROM sqlite_schema WHERE name = 't'");
        database_close(fixture.database);
        fixture.database = NULL;
        write_at(fixture.path, (page - 1) * 4096, rubbish, sizeof(rubbish));
        mark(&fixture, rows[i].marker);
        assert_int_equal(reopen(&fixture, &existing, &err), rows[i].rc);
        if (rows[i].rc == 0) {
            assert_int_equal(database_check(fixture.database, &err), -ERR_CORRUPT);
            assert_int_equal(reopen(&fixture, &existing, &err), -ERR_CORRUPT); /* remembered */
        }
        assert_non_null(strstr(err.message, ".recover"));
        fixture_fini(&fixture);
    }
}

/* A statement that meets damage leaves the mark, too. */
static void
test_damage_met_on_the_way(void **state)
{
    static char rubbish[4096];
    struct fixture fixture;
    struct statement *statement;
    struct error err;
    int64_t page;
    int rc;

    (void)state;
    (void)memset(rubbish, 0x5A, sizeof(rubbish));
    fixture_init_migrated(&fixture);
    fill(&fixture, 50);
    page = fixture_query(fixture.database, "SELECT rootpage FROM sqlite_schema WHERE name = 't'");
    database_close(fixture.database);
    fixture.database = NULL;
    write_at(fixture.path, (page - 1) * 4096, rubbish, sizeof(rubbish));
    assert_ok(reopen(&fixture, &existing, &err), err);
    assert_ok(database_prepare(fixture.database, "SELECT sum(length(b)) FROM t", &statement, &err),
              err);
    rc = statement_step(statement, &err);
    assert_int_equal(rc, -ERR_CORRUPT);
    assert_int_equal(reopen(&fixture, &existing, &err), -ERR_CORRUPT);
    fixture_fini(&fixture);
}

static void
test_foreign_key_finding(void **state)
{
    struct fixture fixture;
    struct error err;

    (void)state;
    fixture_init_migrated(&fixture);
    fixture_execute(fixture.database, "PRAGMA foreign_keys = OFF");
    fixture_execute(fixture.database,
                    "INSERT INTO run_rejects (run_id, source, reason) VALUES (7, 's', 'r')");
    assert_int_equal(database_check(fixture.database, &err), -ERR_CORRUPT);
    assert_non_null(strstr(err.message, "run_rejects"));
    fixture_fini(&fixture);
}

/* The page limit makes SQLite answer "full" as a full disk does. */
static void
test_full(void **state)
{
    struct fixture fixture;
    struct statement *statement;
    struct error err;
    int64_t n_changed;
    int rc = 0;

    (void)state;
    fixture_init_migrated(&fixture);
    fill(&fixture, 10);
    (void)fixture_query(fixture.database, "PRAGMA max_page_count = 100");
    assert_ok(database_begin(fixture.database, &err), err);
    assert_ok(database_prepare(fixture.database, "INSERT INTO t (b) VALUES (randomblob(9000))",
                               &statement, &err),
              err);
    for (int i = 0; rc == 0 && i < 1000; i++)
        rc = statement_run(statement, &n_changed, &err);
    assert_int_equal(rc, -ERR_DISK_FULL);
    assert_non_null(strstr(err.message, "free space"));
    database_rollback(fixture.database);
    assert_int_equal(fixture_query(fixture.database, "SELECT count(*) FROM t"), 10);
    (void)fixture_query(fixture.database, "PRAGMA max_page_count = 100000");
    fill(&fixture, 10);
    assert_int_equal(fixture_query(fixture.database, "SELECT count(*) FROM t"), 20);
    assert_ok(database_check(fixture.database, &err), err);
    fixture_fini(&fixture);
}

/* No byte more than a limit in any file, as on a full file system: the transaction is lost as a
 * whole, what was committed stays, and all goes on once there is space. */
static void
test_no_space_in_the_wal(void **state)
{
    struct fixture fixture;
    struct rlimit limit;
    struct rlimit small;
    struct error err;
    int rc = 0;

    (void)state;
    fixture_init_migrated(&fixture);
    fill(&fixture, 10);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = (struct rlimit){.rlim_cur = (rlim_t)size_of(&fixture, "-wal") + 50000,
                            .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_ok(database_begin(fixture.database, &err), err);
    for (int i = 0; rc == 0 && i < 200; i++)
        rc =
            database_execute(fixture.database, "INSERT INTO t (b) VALUES (randomblob(3000))", &err);
    if (rc == 0)
        rc = database_commit(fixture.database, &err);
    database_rollback(fixture.database);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    if (rc != -ERR_DISK_FULL)
        fail_msg("%d: %s", rc, err.message);
    assert_int_equal(fixture_query(fixture.database, "SELECT count(*) FROM t"), 10);
    fill(&fixture, 5);
    assert_int_equal(fixture_query(fixture.database, "SELECT count(*) FROM t"), 15);
    assert_ok(database_check(fixture.database, &err), err);
    fixture_fini(&fixture);
}

/* After SQLite rolled back by itself, nothing may slip out of the transaction one by one. */
static void
test_lost_transaction_stays_lost(void **state)
{
    struct fixture fixture;
    struct error err;

    (void)state;
    fixture_init_migrated(&fixture);
    fill(&fixture, 1);
    assert_ok(database_begin(fixture.database, &err), err);
    assert_int_equal(
        database_execute(fixture.database, "INSERT OR ROLLBACK INTO t (i) VALUES (1)", &err),
        -ERR_INVALID);
    assert_int_equal(database_execute(fixture.database, "INSERT INTO t (i) VALUES (2)", &err),
                     -ERR_IO);
    assert_int_equal(database_savepoint(fixture.database, &err), -ERR_INVALID);
    assert_int_equal(database_commit(fixture.database, &err), -ERR_IO);
    assert_false(database_in_transaction(fixture.database));
    assert_int_equal(fixture_query(fixture.database, "SELECT count(*) FROM t"), 1);
    fixture_fini(&fixture);
}

static void
test_read_only(void **state)
{
    struct fixture fixture;
    struct error err;

    (void)state;
    fixture_init_migrated(&fixture);
    fill(&fixture, 1);
    assert_ok(reopen(&fixture, &read_only, &err), err);
    assert_int_equal(fixture_query(fixture.database, "SELECT count(*) FROM t"), 1);
    assert_int_equal(database_begin(fixture.database, &err), -ERR_IO);
    assert_non_null(strstr(err.message, "read-only"));
    assert_int_equal(database_execute(fixture.database, "DELETE FROM t", &err), -ERR_IO);
    assert_ok(database_check(fixture.database, &err), err);
    fixture_fini(&fixture);
}

/* In a child, which may drop root's rights for good: root may write anywhere. */
static void
open_without_permission(struct fixture *fixture)
{
    struct error err = {.message = ""};

    if (geteuid() == 0 && setuid(65534) < 0)
        _exit(2);
    if (reopen(fixture, &existing, &err) != -ERR_IO || !strstr(err.message, "writable"))
        _exit(3);
    _exit(0);
}

static void
test_directory_without_permission(void **state)
{
    struct fixture fixture;
    char path[128];
    int status = -1;
    pid_t pid;

    (void)state;
    fixture_init_migrated(&fixture);
    database_close(fixture.database);
    fixture.database = NULL;
    (void)snprintf(path, sizeof(path), "%s-lock", fixture.path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(chmod(fixture.dir, 0555), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        open_without_permission(&fixture);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(chmod(fixture.dir, 0700), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    fixture_fini(&fixture);
}

/* The WAL stays bounded whatever is written, and a reader only delays that. */
static void
test_wal_is_bounded(void **state)
{
    struct fixture fixture;
    struct database *reader = NULL;
    struct statement *statement;
    struct error err;
    off_t held;

    (void)state;
    fixture_init_migrated(&fixture);
    for (int i = 0; i < 12; i++)
        fill(&fixture, 1000);
    assert_in_range(size_of(&fixture, "-wal"), 0, 24 << 20);

    assert_ok(database_open(str_from_cstr(fixture.path), &existing, &reader, &err), err);
    assert_ok(database_prepare(reader, "SELECT i FROM t", &statement, &err), err);
    assert_int_equal(statement_step(statement, &err), 1);
    for (int i = 0; i < 12; i++)
        fill(&fixture, 1000);
    held = size_of(&fixture, "-wal");
    assert_true(held > 24 << 20);
    statement_reset(statement);
    for (int i = 0; i < 6; i++)
        fill(&fixture, 1000);
    assert_true(size_of(&fixture, "-wal") < 24 << 20);
    database_close(reader);
    assert_ok(database_check(fixture.database, &err), err);
    fixture_fini(&fixture);
}

/* Killed in the middle of a transaction: what was committed is there, the rest is not. */
static void
test_kill(void **state)
{
    struct fixture fixture;
    struct error err;
    int status;
    pid_t pid;

    (void)state;
    fixture_init(&fixture);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fixture.database = fixture_open(&fixture);
        fill(&fixture, 7);
        if (database_begin(fixture.database, &err) == 0 &&
            database_execute(fixture.database, "DELETE FROM t", &err) == 0)
            (void)raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    fixture.database = fixture_open(&fixture);
    assert_int_equal(fixture_query(fixture.database, "SELECT count(*) FROM t"), 7);
    fixture_fini(&fixture);
}

/* In a child: write small transactions until the time is up, counting those that were acknowledged;
 * now and then close and open, which checkpoints.  Exits with 0, or a number per place. */
static void
write_until(const struct fixture *fixture, time_t end, unsigned seed, int64_t *n_commits)
{
    static const struct database_options options = {.schema = &catalogue_schema,
                                                    .busy_timeout_ms = 30000};
    struct database *database = NULL;
    struct error err;

    for (int i = 0; time(NULL) < end; i++) {
        if (!database && database_open(str_from_cstr(fixture->path), &options, &database, &err) < 0)
            _exit(2);
        if (database_begin(database, &err) < 0)
            _exit(3);
        for (unsigned j = 0; j < 20 + seed; j++)
            if (database_execute(database, "INSERT INTO t (b) VALUES (randomblob(3000))", &err) < 0)
                _exit(4);
        if (i % 5 == 0 &&
            database_execute(database, "DELETE FROM t WHERE i IN (SELECT i FROM t LIMIT 100)",
                             &err) < 0)
            _exit(5);
        if (database_execute(database, "INSERT INTO commits VALUES (1)", &err) < 0 ||
            database_commit(database, &err) < 0)
            _exit(6);
        ++*n_commits;
        if (i % 50 == 49) {
            database_close(database);
            database = NULL;
        }
    }
    database_close(database);
    _exit(0);
}

/* TRAWL_TEST_WAL_SECONDS makes it long. */
static void
test_processes_and_checkpoints(void **state)
{
    const char *seconds = getenv("TRAWL_TEST_WAL_SECONDS");
    time_t end = time(NULL) + (seconds ? (time_t)strtoll(seconds, NULL, 10) : 2);
    struct fixture fixture;
    struct error err;
    int64_t *n_commits; /* [3], shared with the children */
    pid_t pids[3];

    (void)state;
    n_commits = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(n_commits != MAP_FAILED);
    fixture_init_migrated(&fixture);
    fill(&fixture, 1);
    fixture_execute(fixture.database, "CREATE TABLE commits (i)");
    database_close(fixture.database); /* none of ours while the children have theirs */
    fixture.database = NULL;
    for (unsigned i = 0; i < COUNT_OF(pids); i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            write_until(&fixture, end, i, &n_commits[i]);
    }
    for (size_t i = 0; i < COUNT_OF(pids); i++) {
        int status = -1;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    assert_int_equal(size_of(&fixture, "-wal"), -1); /* the last one out cleaned up */
    fixture.database = fixture_open(&fixture);
    assert_ok(database_check(fixture.database, &err), err);
    assert_true(n_commits[0] && n_commits[1] && n_commits[2]);
    assert_int_equal(fixture_query(fixture.database, "SELECT count(*) FROM commits"),
                     n_commits[0] + n_commits[1] + n_commits[2]);
    (void)munmap(n_commits, 4096);
    fixture_fini(&fixture);
}

static void
test_processes_migrate_at_once(void **state)
{
    struct fixture fixture;
    struct error err;
    int n_applied = 0;
    pid_t pids[4];

    (void)state;
    fixture_init(&fixture);
    for (size_t i = 0; i < COUNT_OF(pids); i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            fixture.database = fixture_open(&fixture);
            _exit(database_migrate(fixture.database, &n_applied, &err) == 0 ? n_applied : 100);
        }
    }
    for (size_t i = 0; i < COUNT_OF(pids); i++) {
        int status = -1;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status));
        n_applied += WEXITSTATUS(status);
    }
    fixture.database = fixture_open(&fixture);
    assert_int_equal(n_applied,
                     database_newest_version(fixture.database)); /* each by exactly one */
    assert_ok(database_check(fixture.database, &err), err);
    fixture_fini(&fixture);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_versions_need_the_guard),
        cmocka_unit_test(test_guard_keeps_checkpoints_and_writers_apart),
        cmocka_unit_test(test_markers),
        cmocka_unit_test(test_not_a_database),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_damage_met_on_the_way),
        cmocka_unit_test(test_foreign_key_finding),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_no_space_in_the_wal),
        cmocka_unit_test(test_lost_transaction_stays_lost),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_directory_without_permission),
        cmocka_unit_test(test_wal_is_bounded),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_processes_and_checkpoints),
        cmocka_unit_test(test_processes_migrate_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
