/* celery/history: what is written is found again, in the right order, by every filter. */

#include "celery/history/history.h"

#include <ftw.h>

#include "base/clock.h"
#include "tests/unit/check.h"

#define DAY_US (INT64_C(86400) * US_PER_S)

struct place {
    char directory[64];
    char url[96];
    struct history *history;
    struct arena arena;
};

static void
open_place(struct place *place)
{
    struct error err;

    (void)snprintf(place->directory, sizeof(place->directory), "/tmp/trawl-history-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    (void)snprintf(place->url, sizeof(place->url), "sqlite:///%s/history.db", place->directory);
    place->arena = (struct arena)ARENA_INIT((size_t)64 << 20);
    assert_ok(history_open(str_from_cstr(place->url), HISTORY_WRITES, &place->history, &err), err);
}

static int
remove_one(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    (void)info;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void
close_place(struct place *place)
{
    history_close(place->history);
    arena_fini(&place->arena);
    assert_int_equal(nftw(place->directory, remove_one, 4, FTW_DEPTH | FTW_PHYS), 0);
}

static struct history_record
make_record(const char *id, const char *name, const char *state, int64_t at_us)
{
    return (struct history_record){
        .task_id = str_from_cstr(id),
        .name = str_from_cstr(name),
        .queue = STR("celery"),
        .worker = STR("trawl@a"),
        .state = str_from_cstr(state),
        .at_us = at_us,
        .received_at_us = at_us - 20,
        .started_at_us = at_us - 10,
        .runtime_us = 10,
        .pid = 7,
        .attempt = 1,
    };
}

static void
put(struct place *place, const struct history_record *record)
{
    struct error err;

    assert_ok(history_put(place->history, record, 1, &err), err);
}

static struct history_task
get(struct place *place, const char *id)
{
    struct history_task task;
    struct error err;

    assert_ok(history_get(place->history, str_from_cstr(id), &place->arena, &task, &err), err);
    return task;
}

/* The ids that a filter gives, newest first, as one text. */
static const char *
list_ids(struct place *place, const struct history_filter *filter)
{
    struct history_list list;
    struct error err;
    char *text = arena_printf(&place->arena, "%s", "");

    assert_ok(history_list(place->history, filter, &place->arena, &list, &err), err);
    for (size_t i = 0; i < list.n_items; i++)
        text = arena_printf(&place->arena, "%s%s%.*s", text, i ? " " : "",
                            STR_ARG(list.items[i].task_id));
    return text;
}

static void
test_record(void **state)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(HISTORY_RECORD_BYTES);
    struct history_record record = make_record("id-1", "a.b", "SUCCESS", 100);
    struct history_record got;
    size_t n_taken;
    char broken[8192];

    (void)state;
    record.result = STR("");
    history_record_encode(&record, &bytes);
    assert_int_equal(buf_status(&bytes, NULL), 0);
    for (size_t n = 0; n < bytes.len; n++)
        assert_int_equal(
            history_record_decode(str_slice(buf_str(&bytes), 0, n), &got, &n_taken, NULL), 0);
    assert_int_equal(history_record_decode(buf_str(&bytes), &got, &n_taken, NULL), 1);
    assert_int_equal(n_taken, bytes.len);
    assert_str_equal(got.task_id, "id-1");
    assert_str_equal(got.worker, "trawl@a");
    assert_non_null(got.result.ptr); /* empty is not absent */
    assert_null(got.error.ptr);
    assert_int_equal(got.at_us, 100);
    assert_int_equal(got.started_at_us, 90);

    /* Any byte of the lengths may be a lie. */
    assert_true(bytes.len < sizeof(broken));
    for (size_t i = 0; i < 4 + 9 * 8 + 14 * 4; i++) {
        int rc;

        (void)memcpy(broken, bytes.ptr, bytes.len);
        broken[i] = (char)(broken[i] ^ 0x55);
        rc = history_record_decode((struct str){broken, bytes.len}, &got, &n_taken, NULL);
        assert_true(rc == 1 || rc == 0 || rc == -ERR_INVALID);
        if (i >= 4 + 9 * 8)
            assert_int_equal(rc, -ERR_INVALID);
    }
}

static void
test_attempts(void **state)
{
    struct place place;
    struct history_record record = make_record("t-1", "a.b", "RETRY", 1000);
    struct history_task task;

    (void)state;
    open_place(&place);
    record.error = STR("OSError: no");
    record.lines = STR("x info    first\n");
    put(&place, &record);

    record = make_record("t-1", "a.b", "LOST", 2000);
    record.retries = 1;
    record.worker = STR("trawl@b");
    put(&place, &record);
    record.state = STR("FAILURE"); /* the same run again, with its last word */
    record.error = STR("WorkerLostError: it died");
    put(&place, &record);

    record = make_record("t-1", "a.b", "SUCCESS", 3000);
    record.retries = 1;
    record.attempt = 2;
    record.result = STR("{\"n\":1}");
    put(&place, &record);
    put(&place, &record); /* a batch whose commit was not heard of */

    task = get(&place, "t-1");
    assert_int_equal(task.n_attempts, 3);
    assert_str_equal(task.attempts[0].state, "RETRY");
    assert_str_equal(task.attempts[0].lines, "x info    first\n");
    assert_str_equal(task.attempts[1].state, "FAILURE");
    assert_str_equal(task.attempts[1].worker, "trawl@b");
    assert_str_equal(task.attempts[1].error, "WorkerLostError: it died");
    assert_str_equal(task.attempts[2].state, "SUCCESS");
    assert_str_equal(task.attempts[2].result, "{\"n\":1}");
    assert_null(task.attempts[2].error.ptr);

    record = make_record("t-1", "a.b", "LOST", 2500); /* from a worker that was taken for dead */
    record.retries = 0;
    record.attempt = 2;
    put(&place, &record);
    task = get(&place, "t-1");
    assert_int_equal(task.n_attempts, 4);
    assert_str_equal(task.attempts[1].state, "LOST");
    assert_str_equal(task.attempts[3].state, "SUCCESS");
    close_place(&place);
}

static void
fill(struct place *place)
{
    static const struct {
        const char *id, *name, *queue, *worker, *state, *kwargs;
    } rows[] = {
        {"i-0", "app.fetch", "celery", "trawl@a", "SUCCESS", "{\"ref\": \"owner/name\"}"},
        {"i-1", "app.fetch", "slow", "trawl@b", "FAILURE", "{\"ref\": \"caf\\u00e9\"}"},
        {"i-2", "app.score", "celery", "trawl@b", "FAILURE", NULL},
        {"i-3", "app.score", "slow", "trawl@a", "SUCCESS", "{\"ref\": \"caf\xc3\xa9\"}"},
        {"i-4", "demo.x", "celery", "trawl@a", "REVOKED", "{}"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct history_record record =
            make_record(rows[i].id, rows[i].name, rows[i].state, (int64_t)(1000 * i));

        record.queue = str_from_cstr(rows[i].queue);
        record.worker = str_from_cstr(rows[i].worker);
        record.result = STR("1"); /* goes along when the task is removed */
        record.kwargs = rows[i].kwargs ? str_from_cstr(rows[i].kwargs) : STR_NULL;
        put(place, &record);
    }
}

static void
test_filters(void **state)
{
    static const struct {
        struct history_filter filter;
        const char *ids;
    } rows[] = {
        {HISTORY_FILTER_INIT, "i-4 i-3 i-2 i-1 i-0"},
        {{.since_us = INT64_MIN, .until_us = INT64_MIN, .limit = 2}, "i-4 i-3"},
        {{.since_us = 1000, .until_us = 3000, .limit = 9}, "i-2 i-1"},
#define MATCH(...) .since_us = INT64_MIN, .until_us = INT64_MIN, .limit = 9, __VA_ARGS__
        {{MATCH(.name = STR_INIT("app.fetch"))}, "i-1 i-0"},
        {{MATCH(.name = STR_INIT("app.*"))}, "i-3 i-2 i-1 i-0"},
        {{MATCH(.name = STR_INIT("demo*"))}, "i-4"},
        {{MATCH(.name = STR_INIT("nobody"))}, ""},
        {{MATCH(.name = STR_INIT("nobody*"))}, ""},
        {{MATCH(.state = STR_INIT("FAILURE"))}, "i-2 i-1"},
        {{MATCH(.state = STR_INIT("SUCCESS"))}, "i-3 i-0"},
        {{MATCH(.state = STR_INIT("FAILURE"), .name = STR_INIT("app.score"))}, "i-2"},
        {{MATCH(.state = STR_INIT("FAILURE"), .name = STR_INIT("*score"))}, "i-2"},
        {{MATCH(.queue = STR_INIT("slow"))}, "i-3 i-1"},
        {{MATCH(.worker = STR_INIT("trawl@b"))}, "i-2 i-1"},
        {{MATCH(.worker = STR_INIT("trawl@b"), .queue = STR_INIT("slow"))}, "i-1"},
        {{MATCH(.text = STR_INIT("owner/name"))}, "i-0"},
        {{MATCH(.text = STR_INIT("caf\xc3\xa9"))}, "i-3 i-1"}, /* both ways to write it */
        {{MATCH(.text = STR_INIT("ref"), .state = STR_INIT("SUCCESS"))}, "i-3 i-0"},
        {{MATCH(.name = STR_INIT("x' OR 1=1 --"))}, ""},
#undef MATCH
    };
    struct place place;

    (void)state;
    open_place(&place);
    fill(&place);
    for (int round = 0; round < 2; round++) { /* the second one has its statements already */
        for (size_t i = 0; i < COUNT_OF(rows); i++)
            assert_string_equal(list_ids(&place, &rows[i].filter), rows[i].ids);
    }
    close_place(&place);
}

static void
test_find(void **state)
{
    struct place place;
    struct history_record record = make_record("abcd-1", "a", "SUCCESS", 1);
    struct error err;
    struct str id;

    (void)state;
    open_place(&place);
    put(&place, &record);
    record.task_id = STR("abcd-12");
    put(&place, &record);
    assert_int_equal(history_find(place.history, STR("abcd-12"), &place.arena, &id, &err), 0);
    assert_str_equal(id, "abcd-12");
    assert_int_equal(history_find(place.history, STR("abcd-1"), &place.arena, &id, &err), 0);
    assert_str_equal(id, "abcd-1"); /* a whole id goes before a longer one */
    assert_int_equal(history_find(place.history, STR("abc"), &place.arena, &id, &err), -ERR_ARGS);
    assert_string_equal(err.message, "several tasks begin with 'abc': abcd-1 abcd-12");
    assert_int_equal(history_find(place.history, STR("x"), &place.arena, &id, &err),
                     -ERR_NOT_FOUND);
    assert_int_equal(
        history_get(place.history, STR("abc"), &place.arena, &(struct history_task){0}, &err),
        -ERR_NOT_FOUND);
    close_place(&place);
}

static void
test_clean(void **state)
{
    struct place place;
    struct history_limits limits = {.oldest_us = INT64_MIN, .max_rows = 0, .n_most = 2};
    struct history_filter all = HISTORY_FILTER_INIT;
    struct error err;
    size_t n;

    (void)state;
    open_place(&place);
    fill(&place);
    fill(&place); /* known rows do not count twice */
    assert_ok(history_clean(place.history, &limits, &n, &err), err);
    assert_int_equal(n, 0);
    limits.max_rows = 4;
    assert_ok(history_clean(place.history, &limits, &n, &err), err);
    assert_int_equal(n, 1);
    assert_string_equal(list_ids(&place, &all), "i-4 i-3 i-2 i-1");
    limits.max_rows = 1; /* in steps */
    assert_ok(history_clean(place.history, &limits, &n, &err), err);
    assert_int_equal(n, 2);
    assert_ok(history_clean(place.history, &limits, &n, &err), err);
    assert_int_equal(n, 1);
    assert_string_equal(list_ids(&place, &all), "i-4");
    limits.max_rows = 0;
    limits.oldest_us = 4000;
    assert_ok(history_clean(place.history, &limits, &n, &err), err);
    assert_int_equal(n, 0);
    limits.oldest_us = 4001;
    assert_ok(history_clean(place.history, &limits, &n, &err), err);
    assert_int_equal(n, 1);
    assert_string_equal(list_ids(&place, &all), "");
    close_place(&place);
}

static void
test_retries(void **state)
{
    struct place place;
    struct history_task task;
    struct history *reader;
    struct error err;

    (void)state;
    open_place(&place);
    fill(&place);
    assert_ok(history_open(str_from_cstr(place.url), HISTORY_READS, &reader, &err), err);
    assert_ok(history_note_retry(reader, STR("i-4"), STR("i-1"), DAY_US, &err), err);
    history_close(reader);
    task = get(&place, "i-4");
    assert_str_equal(task.retry_of, "i-1");
    assert_int_equal(task.n_retried_as, 0);
    task = get(&place, "i-1");
    assert_null(task.retry_of.ptr);
    assert_int_equal(task.n_retried_as, 1);
    assert_str_equal(task.retried_as[0], "i-4");
    close_place(&place);
}

static void
test_wrong_stores(void **state)
{
    struct history *history = NULL;
    struct error err;

    (void)state;
    assert_int_equal(history_open(STR("redis://h/0"), HISTORY_READS, &history, &err), -ERR_CONFIG);
    assert_string_equal(err.message,
                        "history_url has the unknown scheme 'redis': use sqlite:///path");
    assert_int_equal(
        history_open(STR("sqlite:////nonexistent/h.db"), HISTORY_READS, &history, &err),
        -ERR_NOT_FOUND);
    assert_null(history);
}

int
main(void)
{
    const struct CMUnitTest rows[] = {
        cmocka_unit_test(test_record),       cmocka_unit_test(test_attempts),
        cmocka_unit_test(test_filters),      cmocka_unit_test(test_find),
        cmocka_unit_test(test_clean),        cmocka_unit_test(test_retries),
        cmocka_unit_test(test_wrong_stores),
    };

    return cmocka_run_group_tests(rows, NULL, NULL);
}
