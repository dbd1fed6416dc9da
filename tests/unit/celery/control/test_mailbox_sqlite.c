/* The suite on SQLite, and what only files can suffer. */

#include "tests/unit/celery/control/mailbox_suite.h"

#include <sys/stat.h>

#include "base/database.h"
#include "base/database_migration.h"
#include "tests/unit/celery/broker/party.h"

extern const struct migration control_migrations[];

static char dir[64];
static int n_urls;

const char *
mailbox_suite_url(void)
{
    static char url[128];

    (void)snprintf(url, sizeof(url), "sqlite:///%s/broker%d.db", dir, n_urls++);
    return url;
}

static int
set_up(void **state)
{
    (void)state;
    test_dir_make(dir);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    test_dir_remove(dir);
    return 0;
}

/* Another connection to the mailbox's file. */
static struct database *
open_side_file(const char *url, const char *suffix)
{
    static const struct database_schema schema = {.migrations = control_migrations,
                                                  .migrate_command = "x"};
    struct database_options options = {.schema = &schema, .busy_timeout_ms = 5000};
    struct database *database;
    char path[160];
    struct error err;

    (void)snprintf(path, sizeof(path), "%s%s", url, suffix);
    assert_ok(database_open(str_from_cstr(path), &options, &database, &err), err);
    return database;
}

static struct database *
open_file(const char *url)
{
    return open_side_file(url, "-control");
}

static int64_t
count(struct database *database, const char *sql)
{
    struct statement *statement;
    struct error err;
    int64_t n;

    assert_ok(database_prepare(database, sql, &statement, &err), err);
    assert_int_equal(statement_step(statement, &err), 1);
    n = statement_i64(statement, 0);
    statement_reset(statement);
    return n;
}

static struct mailbox *
open_mailbox(const char *url, bool must_exist)
{
    struct mailbox_options options = {.must_exist = must_exist};
    struct mailbox *mailbox;
    struct error err;

    assert_ok(mailbox_open(str_from_cstr(url), &options, &mailbox, &err), err);
    return mailbox;
}

static void
send_one(struct mailbox *mailbox)
{
    struct error err;

    assert_ok(mailbox_broadcast(mailbox, STR("e"), STR("x"), &err), err);
    while (!mailbox_is_idle(mailbox))
        assert_ok(mailbox_run_until(mailbox, clock_mono_us(&clock_system) + US_PER_MS, &err), err);
}

/* Somebody for whose sake letters are written. */
static struct mailbox *
open_ear(const char *url)
{
    struct mailbox *ear = open_mailbox(url, false);
    struct error err;

    assert_ok(mailbox_listen(ear, STR("e"), STR("ear"), &err), err);
    return ear;
}

/* Who only asks makes no file. */
static void
test_must_exist(void **state)
{
    const char *url = mailbox_suite_url();
    struct mailbox_options options = {.must_exist = true};
    struct mailbox *mailbox = NULL;
    char path[160];
    struct stat info;
    struct error err;

    (void)state;
    assert_int_equal(mailbox_open(str_from_cstr(url), &options, &mailbox, &err), -ERR_NOT_FOUND);
    (void)snprintf(path, sizeof(path), "%s-control", url + strlen("sqlite:///"));
    assert_int_equal(stat(path, &info), -1);
    mailbox_close(open_mailbox(url, false));
    mailbox_close(open_mailbox(url, true));
}

/* What is a minute old goes with the next letter; so do rows of listeners that died. */
static void
test_old_rows_go(void **state)
{
    const char *url = mailbox_suite_url();
    struct mailbox *ear = open_ear(url);
    struct mailbox *mailbox = open_mailbox(url, false);
    struct database *database = open_file(url);
    struct error err;

    (void)state;
    send_one(mailbox);
    send_one(mailbox);
    assert_int_equal(count(database, "SELECT count(*) FROM letters"), 2);
    assert_ok(database_execute(database, "UPDATE letters SET sent_at = sent_at - 61000000", &err),
              err);
    assert_ok(database_execute(database,
                               "INSERT INTO listeners (listener_id, exchange, queue)"
                               " VALUES (77, 'e', 'dead')",
                               &err),
              err);
    send_one(mailbox);
    assert_int_equal(count(database, "SELECT count(*) FROM letters"), 1);
    assert_int_equal(count(database, "SELECT count(*) FROM listeners"), 1);
    database_close(database);
    mailbox_close(mailbox);
    mailbox_close(ear);
}

/* Nothing is written for nobody, also where the one who listens is who speaks. */
static void
test_nobody_hears(void **state)
{
    const char *url = mailbox_suite_url();
    struct mailbox *mailbox = open_ear(url);
    struct database *database = open_file(url);

    (void)state;
    send_one(mailbox);
    assert_int_equal(count(database, "SELECT count(*) FROM letters"), 0);
    assert_int_equal(count(database, "SELECT count(*) FROM sqlite_sequence WHERE name = 'letters'"),
                     0);
    database_close(database);
    mailbox_close(mailbox);
}

/* A mailbox of a file of its own keeps as many letters as it was told, the newest. */
static void
test_bounds(void **state)
{
    const char *url = mailbox_suite_url();
    struct mailbox_options options = {.suffix = "-news", .max_letters = 3};
    struct mailbox_options tiny = {.suffix = "-news", .max_pending_bytes = 100};
    struct mailbox *mailbox;
    struct mailbox *full;
    struct mailbox *ear;
    struct database *database;
    char bytes[200] = {0};
    struct error err;

    (void)state;
    assert_ok(mailbox_open(str_from_cstr(url), &options, &mailbox, &err), err);
    assert_ok(mailbox_open(str_from_cstr(url), &options, &ear, &err), err);
    assert_ok(mailbox_open(str_from_cstr(url), &tiny, &full, &err), err);
    assert_ok(mailbox_listen(ear, STR("e"), STR("ear"), &err), err);
    database = open_side_file(url, "-news");
    for (int i = 0; i < 5; i++)
        send_one(mailbox);
    assert_int_equal(count(database, "SELECT count(*) FROM letters"), 4); /* and its own */
    assert_int_equal(mailbox_broadcast(full, STR("e"), (struct str){bytes, sizeof(bytes)}, &err),
                     -ERR_BUSY);
    database_close(database);
    mailbox_close(full);
    mailbox_close(ear);
    mailbox_close(mailbox);
}

/* A letter waits for a lock that somebody holds, and run comes back meanwhile. */
static void
test_locked(void **state)
{
    const char *url = mailbox_suite_url();
    struct mailbox *ear = open_ear(url);
    struct mailbox *mailbox = open_mailbox(url, false);
    struct database *database = open_file(url);
    int64_t start_us;
    struct error err;

    (void)state;
    assert_ok(database_begin(database, &err), err);
    assert_ok(mailbox_broadcast(mailbox, STR("e"), STR("x"), &err), err);
    start_us = clock_mono_us(&clock_system);
    assert_ok(mailbox_run(mailbox, &err), err);
    assert_true(clock_mono_us(&clock_system) - start_us < US_PER_S);
    assert_false(mailbox_is_idle(mailbox));
    database_rollback(database);
    for (int i = 0; i < 1000 && !mailbox_is_idle(mailbox); i++)
        assert_ok(mailbox_run_until(mailbox, clock_mono_us(&clock_system) + US_PER_MS, &err), err);
    assert_true(mailbox_is_idle(mailbox));
    database_close(database);
    mailbox_close(mailbox);
    mailbox_close(ear);
}

/* Locks and news of a file that was removed reach nobody: the listener fails, to be opened again.
 */
static void
test_file_removed(void **state)
{
    const char *url = mailbox_suite_url();
    struct mailbox *mailbox = open_mailbox(url, false);
    char path[160];
    struct error err;

    (void)state;
    assert_ok(mailbox_listen(mailbox, STR("e"), STR("q"), &err), err);
    assert_ok(mailbox_run(mailbox, &err), err);
    (void)snprintf(path, sizeof(path), "%s-control-live", url + strlen("sqlite:///"));
    assert_int_equal(unlink(path), 0);
    usleep(1100000);
    assert_int_equal(mailbox_run(mailbox, &err), -ERR_IO);
    mailbox_close(mailbox);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        MAILBOX_SUITE_TESTS,
        cmocka_unit_test(test_must_exist),
        cmocka_unit_test(test_old_rows_go),
        cmocka_unit_test(test_nobody_hears),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_locked),
        cmocka_unit_test(test_file_removed),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
