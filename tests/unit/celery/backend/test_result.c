/* celery/backend/result.h: states, precedence, documents of real Celery and hostile ones. */

#include "tests/unit/check.h"

#include "base/clock.h"
#include "base/file.h"
#include "celery/backend/result.h"

#define ARENA_BYTES ((size_t)8 << 20)

static void
test_states(void **state)
{
    static const struct {
        struct str name;
        enum result_state state;
        bool is_ready;
        bool is_exception;
        bool is_stored;
    } rows[] = {
        {STR_INIT("PENDING"), RESULT_PENDING, false, false, false},
        {STR_INIT("RECEIVED"), RESULT_RECEIVED, false, false, false},
        {STR_INIT("STARTED"), RESULT_STARTED, false, false, true},
        {STR_INIT("PROGRESS"), RESULT_CUSTOM, false, false, true},
        {STR_INIT("INDEXING"), RESULT_CUSTOM, false, false, true},
        {STR_INIT("success"), RESULT_CUSTOM, false, false, true},
        {STR_INIT("RETRY"), RESULT_RETRY, false, true, true},
        {STR_INIT("REJECTED"), RESULT_REJECTED, false, true, false},
        {STR_INIT("IGNORED"), RESULT_IGNORED, false, false, false},
        {STR_INIT("FAILURE"), RESULT_FAILURE, true, true, true},
        {STR_INIT("REVOKED"), RESULT_REVOKED, true, true, true},
        {STR_INIT("SUCCESS"), RESULT_SUCCESS, true, false, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum result_state found = result_state_of(rows[i].name);

        assert_int_equal(found, rows[i].state);
        assert_int_equal(result_state_is_ready(found), rows[i].is_ready);
        assert_int_equal(result_state_is_exception(found), rows[i].is_exception);
        assert_int_equal(result_state_is_stored(found), rows[i].is_stored);
        if (found != RESULT_CUSTOM)
            assert_true(str_equal(result_state_name(found), rows[i].name));
    }
}

static void
test_run(void **state)
{
    (void)state;
    assert_int_equal(result_run(0, 1), 1);
    assert_true(result_run(0, 2) > result_run(0, 1));
    assert_true(result_run(1, 1) > result_run(0, INT64_MAX));
    assert_true(result_run(INT64_MAX, INT64_MAX) > result_run(INT64_MAX, 1));
    assert_int_equal(result_run(-1, -1), result_run(0, 1));
    assert_true(result_run(0, 0) > 0); /* 0 would be "not known" */
}

/* May the column's state, of the same run, replace the row's? */
static void
test_precedence_within_a_run(void **state)
{
    static const char *const names[] = {"STARTED", "PROGRESS", "RETRY",
                                        "FAILURE", "REVOKED",  "SUCCESS"};
    static const char *const rows[] = {
        "yyyyyy", /* STARTED */
        "nyyyyy", /* PROGRESS */
        "nnyyyy", /* RETRY */
        "nnnyyy", /* FAILURE */
        "nnnyyy", /* REVOKED */
        "nnnnnn", /* SUCCESS */
    };
    static const int64_t runs[][2] = {{7, 7}, {0, 0}, {0, 7}, {7, 0}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        for (size_t j = 0; j < COUNT_OF(names); j++) {
            for (size_t k = 0; k < COUNT_OF(runs); k++) {
                struct result_standing old = {result_state_of(str_from_cstr(names[i])), runs[k][0]};
                struct result_standing fresh = {result_state_of(str_from_cstr(names[j])),
                                                runs[k][1]};

                if (result_may_replace(old, fresh) != (rows[i][j] == 'y'))
                    fail_msg("%s over %s, runs %d and %d", names[j], names[i], (int)runs[k][0],
                             (int)runs[k][1]);
            }
        }
    }
}

static void
test_precedence_between_runs(void **state)
{
    static const struct {
        struct result_standing old;
        struct result_standing fresh;
        bool may;
    } rows[] = {
        {{RESULT_RETRY, 1}, {RESULT_STARTED, 2}, true},
        {{RESULT_FAILURE, 1}, {RESULT_STARTED, 2}, true}, /* given up for lost, run again */
        {{RESULT_REVOKED, 1}, {RESULT_CUSTOM, 2}, true},
        {{RESULT_SUCCESS, 1}, {RESULT_STARTED, 2}, false},
        {{RESULT_SUCCESS, 1}, {RESULT_FAILURE, 2}, false},
        {{RESULT_SUCCESS, 1}, {RESULT_SUCCESS, 2}, false},
        {{RESULT_STARTED, 2}, {RESULT_RETRY, 1}, false}, /* stored late */
        {{RESULT_STARTED, 2}, {RESULT_FAILURE, 1}, false},
        {{RESULT_FAILURE, 2}, {RESULT_SUCCESS, 1}, true}, /* it has succeeded, then */
        {{RESULT_STARTED, 2}, {RESULT_SUCCESS, 1}, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (result_may_replace(rows[i].old, rows[i].fresh) != rows[i].may)
            fail_msg("row %zu", i);
}

/* What ends up stored does not depend on the order in which one run's stores arrive. */
static void
test_any_order_gives_one_end(void **state)
{
    static const enum result_state states[] = {RESULT_STARTED, RESULT_CUSTOM, RESULT_RETRY,
                                               RESULT_SUCCESS};
    size_t order[] = {0, 1, 2, 3};
    size_t n_orders = 0;

    (void)state;
    for (order[0] = 0; order[0] < 4; order[0]++)
        for (order[1] = 0; order[1] < 4; order[1]++)
            for (order[2] = 0; order[2] < 4; order[2]++) {
                struct result_standing now = {RESULT_PENDING, 0};

                if (order[0] == order[1] || order[0] == order[2] || order[1] == order[2])
                    continue;
                order[3] = 6 - order[0] - order[1] - order[2];
                for (size_t i = 0; i < 4; i++) {
                    struct result_standing fresh = {states[order[i]], 1};

                    if (result_may_replace(now, fresh))
                        now = fresh;
                }
                assert_int_equal(now.state, RESULT_SUCCESS);
                n_orders++;
            }
    assert_int_equal(n_orders, 24);
}

/* As the parser and the writer of base/json see it: without white space. */
static void
append_canonical(struct str text, struct arena *arena, struct buf *out)
{
    static const struct json_limits limits = {.flags = JSON_ALLOW_NAN};
    struct json_writer json = JSON_WRITER_INIT(out);
    struct json value;
    struct error err;

    assert_ok(json_parse(text, &limits, arena, &value, &err), err);
    json_value(&json, &value);
}

static void
check_round_trip(struct str line, bool has_offset)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
    CLEANUP(buf_fini) struct buf ours = BUF_INIT(ARENA_BYTES);
    CLEANUP(buf_fini) struct buf left = BUF_INIT(ARENA_BYTES);
    CLEANUP(buf_fini) struct buf right = BUF_INIT(ARENA_BYTES);
    struct result result;
    struct result again;
    struct error err;
    size_t at;

    assert_ok(result_decode(line, &arena, &result, &err), err);
    assert_ok(result_encode(&result, &ours, &err), err);
    assert_ok(result_decode(buf_str(&ours), &arena, &again, &err), err);
    assert_true(str_equal(result.result, again.result)); /* byte for byte */
    assert_true(result.date_done_us == again.date_done_us);
    assert_int_equal(result_state_is_ready(result_state_of(result.status)),
                     result.date_done_us != TIME_UNKNOWN);
    append_canonical(line, &arena, &left);
    append_canonical(buf_str(&ours), &arena, &right);
    at = str_find(buf_str(&right), STR("+00:00\""));
    if (!has_offset && at < right.len) { /* 5.2 says UTC without saying so */
        buf_clear(&ours);
        buf_append(&ours, str_slice(buf_str(&right), 0, at));
        buf_append(&ours, str_slice(buf_str(&right), at + 6, right.len));
        assert_string_equal(buf_cstr(&left), buf_cstr(&ours));
    } else {
        assert_string_equal(buf_cstr(&left), buf_cstr(&right));
    }
}

/* Every document of a real worker, field by field and in Celery's order. */
static void
test_documents_of_celery(void **state)
{
    static const struct {
        const char *path;
        bool has_offset;
    } rows[] = {
        {"tests/fixtures/results/celery-5.2.7.jsonl", false},
        {"tests/fixtures/results/celery-5.7.0.jsonl", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(buf_fini) struct buf file = BUF_INIT(ARENA_BYTES);
        struct error err;
        struct str rest;
        struct str line;
        size_t n = 0;

        assert_ok(file_read(rows[i].path, &file, &err), err);
        rest = buf_str(&file);
        while (str_split(&rest, '\n', &line)) {
            if (line.len == 0)
                continue;
            check_round_trip(line, rows[i].has_offset);
            n++;
        }
        assert_int_equal(n, 114);
    }
}

static const struct result_extra stamps[] = {
    {STR_INIT("stamped_headers"), STR_INIT("[\"batch\"]")},
    {STR_INIT("batch"), STR_INIT("[17]")},
};

#define FAILED "{\"exc_type\":\"RateLimited\",\"exc_message\":[\"slow down\"],\"exc_module\":null}"
#define FULL                                                                                       \
    "{\"exc_type\":\"OSError\",\"exc_message\":[\"disk full\"],\"exc_module\":\"builtins\"}"
#define REVOKED                                                                                    \
    "{\"exc_type\":\"TaskRevokedError\",\"exc_message\":[\"expired\"],"                            \
    "\"exc_module\":\"celery.exceptions\"}"
#define LOST                                                                                       \
    "{\"exc_type\":\"WorkerLostError\",\"exc_message\":[\"signal 9\"],"                            \
    "\"exc_module\":\"billiard.exceptions\"}"

/* trawl.jsonl holds what these encode to; check_documents.py has real Celery read it. */
static const struct result ours[] = {
    {.status = STR_INIT("SUCCESS"),
     .result = STR_INIT("5"),
     .task_id = STR_INIT("id-0"),
     .date_done_us = 1795437386314079,
     .retries = RESULT_NO_RETRIES},
    {.status = STR_INIT("STARTED"),
     .result = STR_INIT("{\"pid\":8946,\"hostname\":\"w1@host\"}"),
     .task_id = STR_INIT("id-1"),
     .date_done_us = 1795437386314079,
     .retries = RESULT_NO_RETRIES}, /* not ready: the date is not written */
    {.status = STR_INIT("PROGRESS"),
     .result = STR_INIT("{\"current\":3,\"total\":10}"),
     .task_id = STR_INIT("id-2"),
     .date_done_us = TIME_UNKNOWN,
     .retries = RESULT_NO_RETRIES},
    {.status = STR_INIT("RETRY"),
     .result = STR_INIT(FAILED),
     .task_id = STR_INIT("id-3"),
     .traceback = STR_INIT("Traceback (most recent call last):\nRateLimited: slow down\n"),
     .children = STR_INIT("[[[\"id-3\",null],null]]"),
     .date_done_us = TIME_UNKNOWN,
     .retries = RESULT_NO_RETRIES},
    {.status = STR_INIT("FAILURE"),
     .result = STR_INIT(FAILED),
     .task_id = STR_INIT("id-4"),
     .traceback = STR_INIT(""),
     .date_done_us = 1795437386000000,
     .retries = RESULT_NO_RETRIES},
    {.status = STR_INIT("FAILURE"),
     .result = STR_INIT(FULL),
     .task_id = STR_INIT("id-5"),
     .date_done_us = 1795437386000001,
     .retries = RESULT_NO_RETRIES},
    {.status = STR_INIT("REVOKED"),
     .result = STR_INIT(REVOKED),
     .task_id = STR_INIT("id-6"),
     .date_done_us = 1795437386000001,
     .retries = RESULT_NO_RETRIES},
    {.status = STR_INIT("FAILURE"),
     .result = STR_INIT(LOST),
     .task_id = STR_INIT("id-7"),
     .date_done_us = 1795437386000001,
     .retries = RESULT_NO_RETRIES},
    {.status = STR_INIT("SUCCESS"),
     .result = STR_INIT("[1208925819614629174706176, NaN, \"\\ud83d\"]"),
     .children = STR_INIT("[[[\"id-9\",null],null]]"),
     .task_id = STR_INIT("id-8"),
     .group_id = STR_INIT("group"),
     .parent_id = STR_INIT("id-0"),
     .date_done_us = 1795437386999999,
     .is_extended = true,
     .name = STR_INIT("proj.add"),
     .args = STR_INIT("[1, {\"__type__\": \"uuid\", \"__value__\": {\"hex\":"
                      " \"12345678123456781234567812345678\"}}]"),
     .worker = STR_INIT("w1@host"),
     .retries = 2,
     .queue = STR_INIT("celery"),
     .extras = stamps,
     .n_extras = COUNT_OF(stamps)},
};

static void
test_documents_of_ours(void **state)
{
    CLEANUP(buf_fini) struct buf file = BUF_INIT(ARENA_BYTES);
    CLEANUP(buf_fini) struct buf text = BUF_INIT(ARENA_BYTES);
    struct error err;

    (void)state;
    assert_ok(file_read("tests/fixtures/results/trawl.jsonl", &file, &err), err);
    for (size_t i = 0; i < COUNT_OF(ours); i++) {
        assert_ok(result_encode(&ours[i], &text, &err), err);
        buf_append_char(&text, '\n');
    }
    assert_string_equal(buf_cstr(&text), buf_cstr(&file));
}

static void
test_encode_refuses(void **state)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(64);
    struct result result = RESULT_INIT;

    (void)state;
    result.status = STR("SUCCESS");
    assert_int_equal(result_encode(&result, &text, NULL), -ERR_INVALID);
    result.task_id = STR("id");
    result.status = STR("");
    assert_int_equal(result_encode(&result, &text, NULL), -ERR_INVALID);
    result.status = STR("SUCCESS");
    assert_int_equal(result_encode(&result, &text, NULL), -ERR_TOO_LARGE);
}

#define DOC(fields) STR_INIT("{\"status\":\"SUCCESS\",\"task_id\":\"i\"" fields "}")

static void
test_decode_keeps_slices(void **state)
{
    static const struct {
        struct str text;
        struct str result;
    } rows[] = {
        {DOC(""), {NULL, 0}},
        {DOC(",\"result\": null "), STR_INIT("null")},
        {DOC(",\"result\":1e400"), STR_INIT("1e400")},
        {DOC(",\"result\":-Infinity"), STR_INIT("-Infinity")},
        {DOC(", \"result\" : [ 1 , {\"a\":\"}]\\\"\"} ] "), STR_INIT("[ 1 , {\"a\":\"}]\\\"\"} ]")},
        {DOC(",\"result\":1,\"result\":2"), STR_INIT("2")},
        {DOC(",\"res\\u0075lt\":\"\\\\\""), STR_INIT("\"\\\\\"")},
        {DOC(",\"result\":{\"status\":\"FAILURE\"}"), STR_INIT("{\"status\":\"FAILURE\"}")},
        {STR_INIT(" {\"result\":\"\\ud800\",\"task_id\":\"i\",\"status\":\"SUCCESS\"}\n"),
         STR_INIT("\"\\ud800\"")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct result result;
        struct error err;

        assert_ok(result_decode(rows[i].text, &arena, &result, &err), err);
        assert_str_equal(result.status, "SUCCESS");
        assert_str_equal(result.task_id, "i");
        if (!str_equal(result.result, rows[i].result))
            fail_msg("row %zu: '%.*s'", i, STR_ARG(result.result));
    }
}

static void
test_decode_dates(void **state)
{
    static const struct {
        struct str text;
        int64_t time_us;
    } rows[] = {
        {DOC(",\"date_done\":\"2026-11-23T12:29:46.314079\""), 1795436986314079},
        {DOC(",\"date_done\":\"2026-11-23T12:29:46.314079+00:00\""), 1795436986314079},
        {DOC(",\"date_done\":\"2026-11-23T14:29:46.314079+02:00\""), 1795436986314079},
        {DOC(",\"date_done\":\"2026-11-23T12:29:46Z\""), 1795436986000000},
        {DOC(",\"date_done\":null"), TIME_UNKNOWN},
        {DOC(",\"date_done\":\"yesterday\""), TIME_UNKNOWN},
        {DOC(",\"date_done\":17"), TIME_UNKNOWN},
        {DOC(",\"date_done\":{\"__type__\":\"datetime\"}"), TIME_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct result result;
        struct error err;

        assert_ok(result_decode(rows[i].text, &arena, &result, &err), err);
        if (result.date_done_us != rows[i].time_us)
            fail_msg("row %zu: %lld", i, (long long)result.date_done_us);
    }
}

static void
test_decode_refuses(void **state)
{
    static const struct {
        struct str text;
        int rc;
    } rows[] = {
        {STR_INIT(""), -ERR_INVALID},
        {STR_INIT("[]"), -ERR_INVALID},
        {STR_INIT("{}"), -ERR_INVALID},
        {STR_INIT("null"), -ERR_INVALID},
        {STR_INIT("{\"status\":\"SUCCESS\"}"), -ERR_INVALID},
        {STR_INIT("{\"task_id\":\"i\"}"), -ERR_INVALID},
        {STR_INIT("{\"status\":\"\",\"task_id\":\"i\"}"), -ERR_INVALID},
        {STR_INIT("{\"status\":5,\"task_id\":\"i\"}"), -ERR_INVALID},
        {STR_INIT("{\"status\":null,\"task_id\":\"i\"}"), -ERR_INVALID},
        {DOC(",\"traceback\":[]"), -ERR_INVALID},
        {DOC(",\"retries\":\"1\""), -ERR_INVALID},
        {DOC(",\"retries\":-1"), -ERR_INVALID},
        {DOC(",\"retries\":99999999999999999999"), -ERR_INVALID},
        {DOC(",\"result\":\"\xff\""), -ERR_INVALID},
        {DOC(",\"result\":nan"), -ERR_INVALID},
        {DOC(",\"result\":"), -ERR_INVALID},
        {DOC(",\"result\":1} x"), -ERR_INVALID},
        {STR_INIT("{\"status\":\"SUCCESS\",\"task_id\":\"i\""), -ERR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct result result = {.retries = 77};

        if (result_decode(rows[i].text, &arena, &result, NULL) != rows[i].rc)
            fail_msg("row %zu", i);
        assert_int_equal(result.retries, 77);
    }
}

static void
test_decode_has_limits(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
    CLEANUP(arena_fini) struct arena small = ARENA_INIT(4096);
    CLEANUP(buf_fini) struct buf text = BUF_INIT(ARENA_BYTES);
    struct result result;

    (void)state;
    buf_append(&text, STR("{\"status\":\"SUCCESS\",\"task_id\":\"i\",\"result\":"));
    for (size_t i = 0; i < 100000; i++)
        buf_append_char(&text, '[');
    assert_int_equal(result_decode(buf_str(&text), &arena, &result, NULL), -ERR_TOO_LARGE);

    buf_clear(&text);
    buf_append(&text, STR("{\"status\":\"SUCCESS\",\"task_id\":\"i\",\"result\":[0"));
    for (size_t i = 0; i < 1000; i++)
        buf_append(&text, STR(",0"));
    buf_append(&text, STR("]}"));
    assert_int_equal(result_decode(buf_str(&text), &small, &result, NULL), -ERR_NOMEM);
    assert_int_equal(result_decode(buf_str(&text), &arena, &result, NULL), 0);
}

static void
test_progress_and_started(void **state)
{
    static const struct {
        struct str text;
        bool is_progress;
    } rows[] = {
        {STR_INIT("{\"current\": 3, \"total\": 10}"), true},
        {STR_INIT("{\"total\": 10.0, \"current\": 3, \"note\": []}"), true},
        {STR_INIT("{\"current\": 3}"), false},
        {STR_INIT("{\"current\": \"3\", \"total\": 10}"), false},
        {STR_INIT("{\"current\": 3, \"total\": null}"), false},
        {STR_INIT("[3, 10]"), false},
        {STR_INIT(""), false},
        {{NULL, 0}, false},
    };
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
    CLEANUP(buf_fini) struct buf text = BUF_INIT(4096);
    struct json_writer json = JSON_WRITER_INIT(&text);
    int64_t current;
    int64_t total;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        current = total = -7;
        assert_int_equal(result_read_progress(rows[i].text, &arena, &current, &total),
                         rows[i].is_progress);
        assert_int_equal(current, rows[i].is_progress ? 3 : -7);
        assert_int_equal(total, rows[i].is_progress ? 10 : -7);
    }
    json_begin_array(&json);
    result_write_progress(&json, 3, INT64_MAX);
    result_write_started(&json, 12, STR("w\"1"));
    result_write_child(&json, STR("id"));
    json_end_array(&json);
    assert_string_equal(buf_cstr(&text),
                        "[{\"current\":3,\"total\":9223372036854775807},"
                        "{\"pid\":12,\"hostname\":\"w\\\"1\"},[[\"id\",null],null]]");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_precedence_within_a_run),
        cmocka_unit_test(test_precedence_between_runs),
        cmocka_unit_test(test_any_order_gives_one_end),
        cmocka_unit_test(test_documents_of_celery),
        cmocka_unit_test(test_documents_of_ours),
        cmocka_unit_test(test_encode_refuses),
        cmocka_unit_test(test_decode_keeps_slices),
        cmocka_unit_test(test_decode_dates),
        cmocka_unit_test(test_decode_refuses),
        cmocka_unit_test(test_decode_has_limits),
        cmocka_unit_test(test_progress_and_started),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
