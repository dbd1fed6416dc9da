/* trawl/source.h without a network: pages, rows, places, texts, and what is refused. */

#include <trawl/source.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "celery/call.h"
#include "lib/core/container.h"

static char home[] = "/tmp/trawl_source_XXXXXX";

static const char *
get_env(const char *name)
{
    if (strcmp(name, "TRAWL_DATA_DIR") == 0)
        return home;
    if (strcmp(name, "TRAWL_PLUGINS_DEMO_PAGES") == 0)
        return "12";
    return strcmp(name, "TRAWL_PLUGINS_DEMO_WORD") == 0 ? "twelve" : NULL;
}

struct nothing_args {
    int64_t nothing;
};

static const struct celery_param nothing_params[] = {CELERY_PARAMS_END};

/* The test that runs inside of the task, where a source is opened. */
typedef void (*inside_fn)(struct celery_call *call, struct source *source);

static inside_fn inside;

static int
nothing(struct celery_call *call, struct error *err)
{
    struct source_options options = {.bytes = sizeof(options), .name = STR("demo")};
    CLEANUP(source_closep) struct source *source = NULL;
    int rc = source_open(call, &options, &source, err);

    if (rc == 0)
        inside(call, source);
    return rc;
}

static const struct celery_task task = CELERY_TASK("demo.nothing", nothing, .help = "Runs a test");

/* result gets what the task returned. */
static void
run(inside_fn fn, struct buf *result)
{
    struct config_options options = {.get_env = get_env, .dotenv_path = "/nowhere"};
    CLEANUP(config_freep) struct config *config = NULL;
    CLEANUP(container_freep) struct container *app = NULL;
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct celery_call_spec spec = {.task = &task, .id = STR("x")};
    struct error err = {0};

    inside = fn;
    assert_int_equal(config_create(&options, &config, NULL), 0);
    assert_int_equal(container_create(config, NULL, NULL, &app, NULL), 0);
    spec.context = app;
    if (celery_call_run(&spec, &arena, result, &err) < 0)
        fail_msg("%s", err.message);
}

static void
put(struct source *source, const char *key, const char *title)
{
    struct source_dataset row = SOURCE_DATASET_INIT;

    row.external_id = str_from_cstr(key);
    row.source_key = str_from_cstr(key);
    row.title = str_from_cstr(title);
    assert_int_equal(source_put(source, &row, NULL), 0);
}

static void
fill(struct celery_call *call, struct source *source)
{
    struct source_place place = SOURCE_PLACE_INIT;
    struct source_dataset row = SOURCE_DATASET_INIT;
    struct error err = {0};

    (void)call;
    assert_int_equal(source_load_place(source, STR("listing"), &place, NULL), 0);
    assert_null(place.cursor.ptr);
    assert_true(place.watermark_us == SOURCE_UNKNOWN);
    row.title = STR("x");
    assert_int_equal(source_put(source, &row, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "no page is open"));

    assert_int_equal(source_begin_page(source, NULL), 0);
    assert_int_equal(source_begin_page(source, NULL), -ERR_INVALID);
    put(source, "a", "Rivers");
    put(source, "b", "Lakes");
    put(source, "a", "Rivers");                          /* unchanged */
    put(source, "b", "Seas");                            /* updated */
    assert_int_equal(source_put(source, &row, NULL), 0); /* no key: rejected */
    assert_int_equal(source_reject(source, 7, "it is no record", NULL), 0);
    assert_int_equal(source_n_fetched(source), 0); /* not committed */
    place.cursor = STR("page 2");
    place.watermark_us = 77;
    assert_int_equal(source_commit_page(source, STR("listing"), &place, NULL), 0);
    assert_int_equal(source_n_fetched(source), 6);

    assert_int_equal(source_begin_page(source, NULL), 0);
    put(source, "c", "Dropped");
    source_abandon_page(source);
    assert_int_equal(source_n_fetched(source), 6);
    assert_int_equal(
        source_log_attempt(source, STR("a"), SOURCE_FAILED, 12, -ERR_NETWORK, "no route", NULL), 0);
    assert_int_equal(source_log_attempt(source, STR("c"), SOURCE_SUCCESS, 12, 0, NULL, NULL),
                     -ERR_NOT_FOUND);
    assert_int_equal(source_begin_page(source, NULL), 0);
    put(source, "d", "Open when the source closes");
    source_return_ledger(source);
}

static void
look_again(struct celery_call *call, struct source *source)
{
    struct source_place place = SOURCE_PLACE_INIT;
    struct {
        size_t bytes;
        struct str cursor;
        uint64_t guard;
    } older = {.bytes = offsetof(struct source_place, etag), .guard = 7};

    (void)call;
    assert_int_equal(source_load_place(source, STR("listing"), &place, NULL), 0);
    assert_true(str_equal(place.cursor, STR("page 2")));
    assert_int_equal(place.watermark_us, 77);
    /* A plug-in that was compiled when the record was shorter. */
    assert_int_equal(source_load_place(source, STR("listing"), (struct source_place *)&older, NULL),
                     0);
    assert_true(str_equal(older.cursor, STR("page 2")));
    assert_int_equal(older.guard, 7);
    assert_int_equal(source_begin_page(source, NULL), 0);
    put(source, "a", "Rivers");
    put(source, "d", "New: nothing of it was kept");
    assert_int_equal(source_commit_page(source, STR("listing"), NULL, NULL), 0);
    source_return_ledger(source);
}

static void
test_pages(void **state)
{
    CLEANUP(buf_fini) struct buf result = BUF_INIT(4096);

    (void)state;
    run(fill, &result);
    assert_string_equal(buf_cstr(&result),
                        "{\"total_fetched\":6,\"total_inserted\":2,\"total_updated\":1,"
                        "\"total_unchanged\":1,\"total_rejected\":2,\"total_failed\":0,"
                        "\"source\":\"demo\"}");
    buf_clear(&result);
    run(look_again, &result);
    assert_string_equal(buf_cstr(&result),
                        "{\"total_fetched\":2,\"total_inserted\":1,\"total_updated\":0,"
                        "\"total_unchanged\":1,\"total_rejected\":0,\"total_failed\":0,"
                        "\"source\":\"demo\"}");
}

static void
make_texts(struct celery_call *call, struct source *source)
{
    const struct json *json = NULL;
    struct error err = {0};

    (void)call;
    assert_true(str_equal(source_escape_query(source, STR("a b[\"c\"]-_.~\xC3\xA9")),
                          STR("a%20b%5B%22c%22%5D-_.~%C3%A9")));
    assert_true(str_equal(source_escape_query(source, STR("")), STR("")));
    assert_true(
        str_equal(source_plain_text(source, STR("<p>a &amp; b</p><p>c</p>")), STR("a & b\n\nc")));
    assert_null(source_plain_text(source, STR_NULL).ptr);
    assert_string_equal(source_printf(source, "%d-%s", 7, "x"), "7-x");
    assert_int_equal(source_parse(source, STR("{\"n\": [1, null, \"2024-01-02\"]}"), &json, NULL),
                     0);
    {
        const struct json *list = json_get(json, STR("n"));
        const struct source_meta members[] = {
            {.name = "list", .value = list},
            {.name = "text", .text = STR("a\"b")},
            {.name = "absent"},
        };
        int64_t time_us = 0;

        assert_int_equal(json_n_items(list), 3);
        assert_int_equal(json_type_of(json_item(list, 1)), JSON_NULL);
        assert_null(json_item(list, 3));
        assert_true(json_is_time(json_item(list, 2), &time_us));
        assert_true(time_us == INT64_C(1704153600000000));
        assert_false(json_is_time(json_item(list, 0), &time_us));
        assert_true(str_equal(source_format_meta(source, members, COUNT_OF(members)),
                              STR("{\"list\":[1,null,\"2024-01-02\"],\"text\":\"a\\\"b\"}")));
    }
    assert_int_equal(source_parse(source, STR("<html>"), &json, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "not what was asked for"));
    assert_int_equal(source_setting_int(source, "pages", 3, 1, 100), 12);
    assert_int_equal(source_setting_int(source, "pages", 3, 1, 11), 3);
    assert_int_equal(source_setting_int(source, "word", 3, 1, 100), 3);
    assert_true(str_equal(source_setting(source, "other", STR("x")), STR("x")));
}

static void
test_texts(void **state)
{
    CLEANUP(buf_fini) struct buf result = BUF_INIT(4096);

    (void)state;
    run(make_texts, &result);
}

static void
open_bad_ones(struct celery_call *call, struct source *source)
{
    static const struct source_options rows[] = {
        {.bytes = 0},
        {.bytes = sizeof(struct source_options)},
        {.bytes = sizeof(struct source_options), .name = {"Demo", 4}},
        {.bytes = sizeof(struct source_options), .name = {"1a", 2}},
        {.bytes = sizeof(struct source_options), .name = {"a.b", 3}},
        {.bytes = sizeof(struct source_options), .name = {"a", 1}, .min_interval_ms = -1},
    };
    struct source *other = NULL;
    struct source_request request = {.bytes = sizeof(request)};
    struct source_answer answer;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (source_open(call, &rows[i], &other, NULL) != -ERR_INVALID)
            fail_msg("row %zu", i);
    }
    assert_null(other);
    /* What data leads to must be public, whoever asks. */
    request.url = STR("http://127.0.0.1:9/x");
    assert_int_equal(source_fetch(source, &request, &answer, NULL), -ERR_INVALID);
    request.url = STR("file:///etc/passwd");
    assert_int_equal(source_fetch(source, &request, &answer, NULL), -ERR_INVALID);
    request.bytes = 3;
    assert_int_equal(source_fetch(source, &request, &answer, NULL), -ERR_INVALID);
}

static void
test_refusals(void **state)
{
    CLEANUP(buf_fini) struct buf result = BUF_INIT(4096);

    (void)state;
    run(open_bad_ones, &result);
}

static int
set_up(void **state)
{
    (void)state;
    log_configure(STDERR_FILENO, LOG_NOTHING, LOG_TEXT);
    return mkdtemp(home) ? 0 : -1;
}

static int
tear_down(void **state)
{
    static const char *const files[] = {"trawl.db", "trawl.db-wal", "trawl.db-shm",
                                        "trawl.db-lock"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", home, files[i]);
        (void)unlink(path);
    }
    return rmdir(home);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
