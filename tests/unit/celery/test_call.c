/* celery/call.h: what a task sends, replaces and asks to be run again. */

#include "celery/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/uuid.h"
#include "celery/params.h"
#include "celery/send_record.h"

#define OWN_ID "0d3b4f1e-9c5a-4c1f-8b7e-5f0a6f1c2d3e"

struct act_args {
    int64_t n;
};

static const struct celery_param act_params[] = {
    CELERY_INT(struct act_args, n, .fallback = 0),
    CELERY_PARAMS_END,
};

typedef int (*act_fn)(struct celery_call *call, struct error *err);

static int
act(struct celery_call *call, struct error *err)
{
    act_fn *fn = celery_call_context(call);

    return (*fn)(call, err);
}

static const struct celery_task act_task = CELERY_TASK("demo.act", act, .help = "As it is told");

struct outcome {
    int rc;
    struct buf result;
    struct buf sends;
    struct send_list list;
    struct arena arena;
    struct error err;
};

static void
run(struct outcome *out, act_fn fn, int64_t retries)
{
    struct celery_call_spec spec = {
        .task = &act_task, .id = STR(OWN_ID), .context = &fn, .retries = retries};

    *out = (struct outcome){.result = BUF_INIT(65536),
                            .sends = BUF_INIT(CELERY_SENDS_BYTES),
                            .arena = ARENA_INIT((size_t)64 << 20)};
    spec.sends = &out->sends;
    out->rc = celery_call_run(&spec, &out->arena, &out->result, &out->err);
    if (out->sends.len && out->sends.rc == 0)
        assert_int_equal(send_list_decode(buf_str(&out->sends), &out->arena, &out->list, NULL), 0);
}

static void
finish(struct outcome *outcome)
{
    buf_fini(&outcome->result);
    buf_fini(&outcome->sends);
    arena_fini(&outcome->arena);
}

static int
send_two(struct celery_call *call, struct error *err)
{
    struct celery_subtask subtask = CELERY_SUBTASK_INIT;
    char id[CELERY_SUBTASK_ID_BYTES];
    int rc;

    subtask.task = STR("demo.echo");
    subtask.args = STR("[1, \"a\\nb\", 1.50]");
    subtask.queue = STR("other");
    subtask.priority = 3;
    subtask.countdown_ms = 1500;
    subtask.expires_in_ms = 60000;
    rc = celery_call_send(call, &subtask, id, err);
    assert_true(uuid_is_valid(str_from_cstr(id)));
    celery_call_return_str(call, "first", str_from_cstr(id));
    subtask = (struct celery_subtask)CELERY_SUBTASK_INIT;
    subtask.task = STR("demo.echo");
    return rc < 0 ? rc : celery_call_send(call, &subtask, NULL, err);
}

static void
test_sends(void **state)
{
    struct outcome first, second;
    const struct send_record *record;

    (void)state;
    run(&first, send_two, 0);
    run(&second, send_two, 1);
    assert_int_equal(first.rc, 0);
    assert_int_equal(first.list.n_items, 2);
    record = &first.list.items[0];
    assert_true(str_equal(record->task, STR("demo.echo")));
    assert_true(str_equal(record->args, STR("[1, \"a\\nb\", 1.50]"))); /* every digit */
    assert_true(str_equal(record->kwargs, STR("{}")));
    assert_true(str_equal(record->queue, STR("other")));
    assert_int_equal(record->priority, 3);
    assert_int_equal(record->countdown_ms, 1500);
    assert_int_equal(record->expires_in_ms, 60000);
    assert_false(record->is_replacement);
    assert_null(first.list.items[1].queue.ptr);
    assert_false(str_equal(record->id, first.list.items[1].id));
    /* A repeated run sends the same ones. */
    for (size_t i = 0; i < 2; i++)
        assert_true(str_equal(first.list.items[i].id, second.list.items[i].id));
    finish(&first);
    finish(&second);
}

static int
replace(struct celery_call *call, struct error *err)
{
    struct celery_subtask subtask = CELERY_SUBTASK_INIT;
    int rc;

    celery_call_return_int(call, "never", 1);
    subtask.task = STR("demo.other");
    rc = celery_call_replace(call, &subtask, err);
    assert_int_equal(celery_call_replace(call, &subtask, NULL), -ERR_INVALID); /* once */
    return rc;
}

static int
replace_and_fail(struct celery_call *call, struct error *err)
{
    struct celery_subtask subtask = CELERY_SUBTASK_INIT;

    subtask.task = STR("demo.echo");
    assert_int_equal(celery_call_send(call, &subtask, NULL, err), 0);
    assert_int_equal(celery_call_replace(call, &subtask, err), 0);
    return error_set(err, ERR_INVALID, "no");
}

static void
test_replace(void **state)
{
    struct outcome outcome;

    (void)state;
    run(&outcome, replace, 0);
    assert_int_equal(outcome.rc, 0);
    assert_true(str_equal(buf_str(&outcome.result), STR("null")));
    assert_int_equal(outcome.list.n_items, 1);
    assert_true(outcome.list.items[0].is_replacement);
    assert_true(str_equal(outcome.list.items[0].id, STR(OWN_ID)));
    finish(&outcome);

    run(&outcome, replace_and_fail, 0);
    assert_int_equal(outcome.rc, -ERR_INVALID);
    assert_int_equal(outcome.list.n_items, 1); /* the send stays, the replacement went */
    assert_false(outcome.list.items[0].is_replacement);
    finish(&outcome);
}

static int
retry(struct celery_call *call, struct error *err)
{
    return celery_call_retry(call, 30000, 2, "not ready", err);
}

static void
test_retry(void **state)
{
    struct outcome outcome;

    (void)state;
    run(&outcome, retry, 1);
    assert_int_equal(outcome.rc, -ERR_RETRY);
    assert_int_equal(outcome.err.retry_after_ms, 30000);
    assert_string_equal(outcome.err.message, "not ready");
    finish(&outcome);
    run(&outcome, retry, 2);
    assert_int_equal(outcome.rc, -ERR_IO);
    assert_false(error_is_retryable(outcome.rc));
    assert_string_equal(outcome.err.message, "gave up after 2 retries: not ready");
    finish(&outcome);
}

static int
send_bad_ones(struct celery_call *call, struct error *err)
{
    static const struct {
        struct celery_subtask subtask;
        int rc;
        const char *says;
    } rows[] = {
        {{.bytes = 0}, -ERR_INVALID, "CELERY_SUBTASK_INIT"},
        {CELERY_SUBTASK_INIT, -ERR_INVALID, "a task's name has"},
        {{.bytes = sizeof(struct celery_subtask), .task = {"a b", 3}}, -ERR_INVALID, "'a b'"},
        {{.bytes = sizeof(struct celery_subtask), .task = {"a", 1}, .args = {"{}", 2}},
         -ERR_ARGS,
         "must be a JSON array, got object"},
        {{.bytes = sizeof(struct celery_subtask), .task = {"a", 1}, .args = {"[1", 2}},
         -ERR_ARGS,
         "positional arguments are not JSON"},
        {{.bytes = sizeof(struct celery_subtask), .task = {"a", 1}, .kwargs = {"[]", 2}},
         -ERR_ARGS,
         "must be a JSON object, got array"},
        {{.bytes = sizeof(struct celery_subtask), .task = {"a", 1}, .priority = 10},
         -ERR_INVALID,
         "priority must be 0 to 9, got 10"},
        {{.bytes = sizeof(struct celery_subtask), .task = {"a", 1}, .countdown_ms = -1},
         -ERR_INVALID,
         "countdown and expiry"},
        {{.bytes = sizeof(struct celery_subtask), .task = {"a", 1}, .queue = {"", 0}},
         -ERR_INVALID,
         "a queue's name"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int rc = celery_call_send(call, &rows[i].subtask, NULL, err);

        if (rc != rows[i].rc || !strstr(err->message, rows[i].says))
            fail_msg("row %zu: %d %s", i, rc, err->message);
    }
    return 0;
}

static int
send_too_many(struct celery_call *call, struct error *err)
{
    struct celery_subtask subtask = CELERY_SUBTASK_INIT;

    subtask.task = STR("demo.echo");
    for (int i = 0; i < CELERY_SUBTASKS_MAX; i++)
        assert_int_equal(celery_call_send(call, &subtask, NULL, err), 0);
    return celery_call_send(call, &subtask, NULL, err);
}

static void
test_limits(void **state)
{
    struct outcome outcome;

    (void)state;
    run(&outcome, send_bad_ones, 0);
    assert_int_equal(outcome.rc, 0);
    assert_int_equal(outcome.sends.len, 0);
    finish(&outcome);
    run(&outcome, send_too_many, 0);
    assert_int_equal(outcome.rc, -ERR_TOO_LARGE);
    assert_int_equal(outcome.list.n_items, CELERY_SUBTASKS_MAX);
    finish(&outcome);
}

/* A child is not trusted with what it hands to its parent. */
static void
test_hostile_records(void **state)
{
    static const char *const rows[] = {
        "1",
        "{}",
        "{\"id\":\"x\"}",
        "{\"id\":\"x\",\"task\":\"a\",\"args\":[],\"kwargs\":{},\"priority\":77,\"countdown_ms\":0,"
        "\"expires_in_ms\":0,\"is_replacement\":false}",
        "{\"id\":\"x\",\"task\":\"a\",\"args\":3,\"kwargs\":{},\"priority\":0,\"countdown_ms\":0,"
        "\"expires_in_ms\":0,\"is_replacement\":false}",
        "{\"id\":\"x\"",
        "]",
        "{}\0{}",
    };
    struct send_list list = {.n_items = 77};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT((size_t)1 << 20);

        if (send_list_decode(str_from_cstr(rows[i]), &arena, &list, NULL) >= 0)
            fail_msg("accepted: %s", rows[i]);
        arena_fini(&arena);
    }
    assert_int_equal(list.n_items, 77);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sends),           cmocka_unit_test(test_replace),
        cmocka_unit_test(test_retry),           cmocka_unit_test(test_limits),
        cmocka_unit_test(test_hostile_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
