/* celery/backend/sqlite*.c: what is SQLite's own - files, locks, plans - and backend.h's tables. */

#include "tests/unit/celery/backend/sqlite_place.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "celery/backend/sqlite_internal.h"
#include "celery/broker/broker.h"

static struct backend_place place;

static int
setup(void **state)
{
    (void)state;
    place = (struct backend_place){.url = ""};
    sqlite_place_create(&place);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    sqlite_place_destroy(&place);
    return 0;
}

static struct backend *
open_here(const struct backend_options *options)
{
    struct backend *backend = NULL;
    struct error err;

    assert_ok(backend_open(str_from_cstr(place.url), options, &backend, &err), err);
    return backend;
}

static int
store(struct backend *backend, struct str id, size_t n_bytes, struct error *err)
{
    CLEANUP(buf_fini) struct buf document = BUF_INIT((size_t)8 << 20);
    struct backend_record record = {.task_id = id, .status = STR("PROGRESS"), .run = 1};
    char *bytes = buf_reserve(&document, n_bytes);

    assert_non_null(bytes);
    (void)memset(bytes, 'x', n_bytes);
    buf_commit(&document, n_bytes);
    record.document = buf_str(&document);
    return backend_store(backend, &record, 1, NULL, err);
}

static void
test_urls(void **state)
{
    static const struct {
        struct str url;
        int rc;
        const char *message;
    } rows[] = {
        {STR_INIT("mysql://x/y"), -ERR_CONFIG, "scheme 'mysql' is not supported"},
        {STR_INIT("db+sqlite:///x"), -ERR_CONFIG, "scheme 'db+sqlite' is not supported"},
        {STR_INIT("sqlite:///"), -ERR_CONFIG, "cannot open the result backend"},
        {STR_INIT(""), -ERR_CONFIG, "cannot open the result backend"},
        {STR_INIT("sqlite:////nowhere/at/all.db"), -ERR_NOT_FOUND,
         "cannot open the result backend"},
        {STR_INIT("/nowhere/at/all.db"), -ERR_NOT_FOUND, "cannot open the result backend"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct backend_options options = {.must_exist = true};
        struct backend *backend = NULL;
        struct error err;

        if (backend_open(rows[i].url, &options, &backend, &err) != rows[i].rc)
            fail_msg("row %zu: %s", i, err.message);
        if (!strstr(err.message, rows[i].message))
            fail_msg("row %zu: %s", i, err.message);
        assert_null(backend);
    }
}

static void
test_who_looks_makes_nothing(void **state)
{
    struct backend_options looks = {.must_exist = true};
    struct backend_options makes = {0};
    struct backend *backend = NULL;

    (void)state;
    assert_int_equal(backend_open(str_from_cstr(place.url), &looks, &backend, NULL),
                     -ERR_NOT_FOUND);
    backend_close(open_here(&makes));
    backend_close(open_here(&looks));
    backend_close(NULL);
}

/* The broker's file, and a database of somebody else. */
static void
test_other_files_are_refused(void **state)
{
    static const char text[] =
        "this is not a database, and it is longer than a hundred bytes, so that"
        " nobody takes it for an empty one or for a header alone";
    struct broker_options broker_options = {0};
    struct backend_options options[] = {{.must_exist = true}, {.must_exist = false}};
    struct broker *broker = NULL;
    struct backend *backend = NULL;
    struct error err;
    char path[256];
    int fd;

    (void)state;
    assert_ok(broker_open(str_from_cstr(place.url), &broker_options, &broker, &err), err);
    broker_close(broker);
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        assert_int_equal(backend_open(str_from_cstr(place.url), &options[i], &backend, &err),
                         -ERR_CONFIG);
        assert_non_null(strstr(err.message, "holds something else than results"));
    }
    (void)snprintf(path, sizeof(path), "%s/garbage", place.dir);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
    (void)close(fd);
    assert_int_equal(backend_open(str_from_cstr(path), &options[1], &backend, &err), -ERR_CORRUPT);
    assert_int_equal(backend_advise(-ERR_CORRUPT), BACKEND_REOPEN);
    assert_null(backend);
}

/* Somebody else holds the write lock: bounded, told as worth a retry, and then it works. */
static void
test_locked(void **state)
{
    struct backend_options options = {.max_block_us = 20 * US_PER_MS};
    struct backend *backend = open_here(&options);
    struct backend *holder = open_here(&options);
    struct database *database = sqlite_backend_from(holder)->database;
    struct str id = STR("id");
    int64_t n_forgotten = 7;
    size_t n_removed = 7;
    int64_t begun_us;
    struct error err;
    int rc;

    (void)state;
    assert_ok(database_begin(database, &err), err);
    begun_us = clock_mono_us(&clock_system);
    rc = store(backend, id, 10, &err);
    assert_int_equal(rc, -ERR_BUSY);
    assert_true(clock_mono_us(&clock_system) - begun_us < 5 * US_PER_S);
    assert_int_equal(backend_advise(rc), BACKEND_RETRY);
    assert_int_equal(backend_forget(backend, &id, 1, &n_forgotten, NULL), -ERR_BUSY);
    assert_int_equal(backend_clean(backend, 10, &n_removed, NULL), -ERR_BUSY);
    assert_int_equal(n_forgotten, 7);
    assert_int_equal(n_removed, 7);
    database_rollback(database);
    assert_ok(store(backend, id, 10, &err), err);
    backend_close(holder);
    backend_close(backend);
}

/* A full disk: nothing is stored, nothing is broken, and the same handle goes on. */
static void
test_full_disk(void **state)
{
    struct backend_options options = {0};
    struct backend *backend = open_here(&options);
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)16 << 20);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    struct rlimit limit;
    struct rlimit small;
    struct backend_record_list list;
    struct str ids[] = {STR("before"), STR("big")};
    struct error err;
    int rc;

    (void)state;
    assert_ok(store(backend, ids[0], 10, &err), err);
    assert_int_equal(sigaction(SIGXFSZ, &ignore, &before), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = (struct rlimit){.rlim_cur = 262144, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    rc = store(backend, ids[1], (size_t)1 << 20, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(sigaction(SIGXFSZ, &before, NULL), 0);
    assert_int_equal(rc, -ERR_DISK_FULL);
    assert_int_equal(backend_advise(rc), BACKEND_RETRY);
    assert_ok(backend_get(backend, ids, 2, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    assert_ok(store(backend, ids[1], (size_t)1 << 20, &err), err);
    assert_ok(backend_get(backend, ids, 2, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 2);
    backend_close(backend);
}

/* Whatever the other advice, nothing that heals by itself is given up. */
static void
test_advice(void **state)
{
    static const struct {
        enum error_code code;
        enum backend_advice advice;
    } rows[] = {
        {ERR_NOMEM, BACKEND_RETRY},       {ERR_ARGS, BACKEND_GIVE_UP},
        {ERR_INVALID, BACKEND_GIVE_UP},   {ERR_NOT_FOUND, BACKEND_REOPEN},
        {ERR_TOO_LARGE, BACKEND_GIVE_UP}, {ERR_CONFIG, BACKEND_GIVE_UP},
        {ERR_AUTH, BACKEND_REOPEN},       {ERR_NETWORK, BACKEND_REOPEN},
        {ERR_TIMEOUT, BACKEND_RETRY},     {ERR_IO, BACKEND_REOPEN},
        {ERR_DISK_FULL, BACKEND_RETRY},   {ERR_BUSY, BACKEND_RETRY},
        {ERR_CORRUPT, BACKEND_REOPEN},    {ERR_CANCELLED, BACKEND_RETRY},
    };
    static const enum error_code all[] = {
#define CODE(code, exception, retry, status) code,
        ERROR_CODES(CODE)
#undef CODE
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(backend_advise(-(int)rows[i].code), rows[i].advice);
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (error_is_retryable((int)all[i]))
            assert_int_not_equal(backend_advise(-(int)all[i]), BACKEND_GIVE_UP);
}

static void
check_plan(struct database *database, const char *sql, char explain[1024])
{
    struct statement *statement;
    struct error err;
    size_t n_rows = 0;
    int rc;

    (void)snprintf(explain, 1024, "EXPLAIN QUERY PLAN %.1000s", sql);
    assert_ok(database_prepare(database, explain, &statement, &err), err);
    while ((rc = statement_step(statement, &err)) == 1) {
        struct str detail = statement_str(statement, 3);

        if (str_starts_with(detail, STR("SCAN")) || str_find(detail, STR("TEMP")) < detail.len)
            fail_msg("%s: %.*s", sql, STR_ARG(detail));
        n_rows++;
    }
    assert_int_equal(rc, 0);
    assert_true(n_rows > 0);
}

/* A million results stay quick: each way in uses an index, none sorts. */
static void
test_plans(void **state)
{
    static const char *const ways[] = {sqlite_find_sql, sqlite_get_sql, sqlite_changes_sql,
                                       sqlite_clean_sql};
    static char explains[COUNT_OF(ways)][1024]; /* statements are known by their address */
    struct backend_options options = {0};
    struct backend *backend = open_here(&options);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ways); i++)
        check_plan(sqlite_backend_from(backend)->database, ways[i], explains[i]);
    backend_close(backend);
}

/* The wake-up file goes away: who waits finds the result by the timer all the same. */
static void
test_lost_wake_up_file(void **state)
{
    struct backend_options options = {0};
    struct backend *waiter = open_here(&options);
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)16 << 20);
    struct backend_record_list list;
    struct backend *writer;
    struct str id = STR("id");
    char path[256];
    struct error err;

    (void)state;
    assert_ok(backend_watch(waiter, &id, 1, &err), err);
    (void)snprintf(path, sizeof(path), "%s/results.db-live", place.dir);
    assert_int_equal(unlink(path), 0);
    assert_ok(backend_take_changes(waiter, &arena, &list, &err), err);
    writer = open_here(&options); /* makes a new one */
    assert_ok(store(writer, id, 10, &err), err);
    assert_ok(backend_wait_changes(waiter, 10 * US_PER_S, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    backend_close(writer);
    backend_close(waiter);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_urls),
        TEST(test_who_looks_makes_nothing),
        TEST(test_other_files_are_refused),
        TEST(test_locked),
        TEST(test_full_disk),
        TEST(test_advice),
        TEST(test_plans),
        TEST(test_lost_wake_up_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
