/* The result backend when memory runs out: each allocation fails in turn.  Nothing leaks, nothing
 * is half done, and the same handle goes on afterwards.  Linked with --wrap for malloc, calloc and
 * realloc. */

#include "tests/unit/celery/backend/sqlite_place.h"

#include "celery/backend/exception.h"
#include "tests/unit/celery/redis/redis_server.h"
#include "tests/unit/failing_allocations.h"

static int
store_failure(struct backend *backend, struct str id, struct error *err)
{
    CLEANUP(buf_fini) struct buf args = BUF_INIT(4096);
    CLEANUP(buf_fini) struct buf text = BUF_INIT(4096);
    struct json_writer json = JSON_WRITER_INIT(&text);
    struct error error = {.code = ERR_NETWORK, .message = "refused"};
    struct exception exception;
    struct result result = RESULT_INIT;
    int rc = exception_from_error(&error, &args, &exception, err);

    if (rc < 0)
        return rc;
    exception_write(&json, &exception);
    rc = buf_status(&text, err);
    if (rc < 0)
        return rc;
    result.status = STR("FAILURE");
    result.task_id = id;
    result.result = buf_str(&text);
    return backend_store_result(backend, &result, 1, NULL, err);
}

static int
read_failure(const struct backend_record *record, struct arena *arena, struct error *err)
{
    struct exception exception;
    struct result result;
    struct error back;
    int rc = result_decode(record->document, arena, &result, err);

    if (rc == 0)
        rc = exception_read(result.result, arena, &exception, err);
    if (rc == 0 && exception_to_error(&exception, arena, &back) != -ERR_NETWORK)
        fail_msg("another exception came back");
    if (rc == 0 && !str_starts_with(str_from_cstr(back.message), STR("ConnectionError")))
        fail_msg("another message came back: %s", back.message);
    return rc;
}

/* One store, watch, wait and read. */
static int
use(struct backend *backend, struct str id, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct backend_record_list list;
    int rc = store_failure(backend, id, err);

    if (rc == 0)
        rc = backend_await(backend, &id, 1, 0, &arena, &list, err);
    if (rc < 0)
        return rc;
    assert_int_equal(list.n_items, 1);
    return read_failure(&list.items[0], &arena, err);
}

/* How many of them cost something. */
static int
fail_each(const char *url)
{
    struct backend_options options = {0};
    int n = 0;
    int n_failed = 0;

    do {
        struct backend *backend = NULL;
        struct error err = {.code = ERR_NONE};
        char text[32];
        struct str id;
        int rc;

        (void)snprintf(text, sizeof(text), "id-%d", n);
        id = str_from_cstr(text);
        has_failed = false;
        assert_ok(backend_open(str_from_cstr(url), &options, &backend, &err), err);
        n_until_failure = ++n;
        rc = use(backend, id, &err);
        n_until_failure = 0;
        if (rc != 0 && (!has_failed || rc != -ERR_NOMEM)) /* what can be done without, is */
            fail_msg("allocation %d: %d, %s", n, rc, err.message);
        n_failed += rc != 0;
        rc = use(backend, id, &err);
        if (rc < 0)
            fail_msg("after allocation %d: %s", n, err.message);
        backend_close(backend);
    } while (has_failed);
    return n_failed;
}

static void
test_sqlite(void **state)
{
    struct backend_place place = {.url = ""};

    (void)state;
    sqlite_place_create(&place);
    assert_true(fail_each(place.url) > 15); /* the wrappers are in place */
    sqlite_place_destroy(&place);
}

static void
test_redis(void **state)
{
    struct redis_server *server = redis_server_start(NULL);

    (void)state;
    assert_true(fail_each(redis_server_url(server, "/1?global_keyprefix=p")) > 15);
    redis_server_stop(server);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sqlite),
        cmocka_unit_test(test_redis),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
