/* celery/: params, call, registry. */

#include "tests/unit/check.h"

#include "celery/call.h"
#include "celery/params.h"
#include "celery/registry.h"

struct sum_args {
    int64_t limit;
    bool drain;
    struct str path;
    struct str sort_by;
    struct str extra;
};

static const char *const sorts[] = {"updated", "votes", NULL};

static const struct celery_param sum_params[] = {
    CELERY_INT(struct sum_args, limit, .fallback = 100, .min = 1, .max = 1000),
    CELERY_BOOL(struct sum_args, drain, .fallback = false),
    CELERY_STR(struct sum_args, path),
    CELERY_STR(struct sum_args, sort_by, .fallback_text = "updated", .choices = sorts),
    CELERY_JSON(struct sum_args, extra),
    CELERY_PARAMS_END,
};

static int
sum(struct celery_call *call, struct error *err)
{
    const struct sum_args *args = celery_call_args(call);

    celery_call_progress(call, 1, 2);
    celery_call_return_int(call, "limit", args->limit);
    celery_call_return_int(call, "drain", args->drain);
    celery_call_return_str(call, "path", args->path);
    celery_call_return_str(call, "sort_by", args->sort_by);
    celery_call_return_str(call, "id", celery_call_id(call));
    celery_call_return_json(call, "extra", args->extra);
    if (args->limit == 13)
        return error_set(err, ERR_NETWORK, "unlucky");
    return 0;
}

static const struct celery_task tasks[] = {
    CELERY_TASK("demo.sum", sum, .help = "For the tests"),
    CELERY_TASKS_END,
};

static void
count_progress(void *context, int64_t current, int64_t total)
{
    *(int64_t *)context += current * 10 + total;
}

static int
run(const char *args_text, const char *kwargs_text, struct buf *result, struct error *err)
{
    struct arena arena = ARENA_INIT(1 << 20);
    struct json args;
    struct json kwargs;
    int64_t seen = 0;
    struct celery_call_spec spec = {.task = tasks,
                                    .id = STR("some-id"),
                                    .hooks = {.progress = count_progress, .context = &seen}};
    int rc;

    if (args_text) {
        assert_int_equal(json_parse(str_from_cstr(args_text), NULL, &arena, &args, NULL), 0);
        spec.args = &args;
    }
    if (kwargs_text) {
        assert_int_equal(json_parse(str_from_cstr(kwargs_text), NULL, &arena, &kwargs, NULL), 0);
        spec.kwargs = &kwargs;
    }
    rc = celery_call_run(&spec, &arena, result, err);
    if (rc == 0)
        assert_int_equal(seen, 12);
    arena_fini(&arena);
    return rc;
}

static void
test_bind(void **state)
{
    static const struct {
        const char *args;
        const char *kwargs;
        const char *result; /* or the error's message */
        int rc;
    } rows[] = {
        {NULL, NULL,
         "{\"limit\":100,\"drain\":0,\"path\":null,\"sort_by\":\"updated\",\"id\":\"some-id\","
         "\"extra\":null}",
         0},
        {"[5]", "{\"drain\":true,\"path\":\"/x\"}",
         "{\"limit\":5,\"drain\":1,\"path\":\"/"
         "x\",\"sort_by\":\"updated\",\"id\":\"some-id\",\"extra\":null}",
         0},
        {"[5, false, null, \"votes\"]", "{}",
         "{\"limit\":5,\"drain\":0,\"path\":null,\"sort_by\":\"votes\",\"id\":\"some-id\","
         "\"extra\":null}",
         0},
        {NULL, "{\"extra\":[-0.0,1e400,12345678901234567890123,{\"a\":\"\u00fc\\n\"}]}",
         "{\"limit\":100,\"drain\":0,\"path\":null,\"sort_by\":\"updated\",\"id\":\"some-id\","
         "\"extra\":[-0.0, 1e400, 12345678901234567890123, {\"a\": \"\\u00fc\\n\"}]}",
         0},
        {NULL, "{\"path\":{\"__type__\":\"datetime\",\"__value__\":\"2020-01-02T00:00:00\"}}",
         "{\"limit\":100,\"drain\":0,\"path\":\"2020-01-02T00:00:00\",\"sort_by\":\"updated\","
         "\"id\":\"some-id\",\"extra\":null}",
         0},
        {NULL,
         "{\"path\":{\"__type__\":\"uuid\",\"__value__\":"
         "{\"hex\":\"0123456789abcdef0123456789abcdef\"}}}",
         "{\"limit\":100,\"drain\":0,\"path\":\"01234567-89ab-cdef-0123-456789abcdef\","
         "\"sort_by\":\"updated\",\"id\":\"some-id\",\"extra\":null}",
         0},
        {NULL, "{\"path\":{\"__type__\":\"uuid\",\"__value__\":{\"hex\":\"0\"}}}",
         "demo.sum: path must be a text, got object", -ERR_ARGS},
        {NULL, "{\"path\":{\"__type__\":\"own\",\"__value__\":\"x\"}}",
         "demo.sum: path must be a text, got object", -ERR_ARGS},
        {NULL, "{\"limt\":5}",
         "demo.sum got an unexpected parameter 'limt': did you mean 'limit'? (allowed: limit, "
         "drain, path, sort_by, extra)",
         -ERR_ARGS},
        {NULL, "{\"everything\":5}",
         "demo.sum got an unexpected parameter 'everything' (allowed: limit, drain, path, sort_by, "
         "extra)",
         -ERR_ARGS},
        {"[1,true,null,\"votes\",5,6]", NULL, "demo.sum takes at most 5 arguments, got 6",
         -ERR_ARGS},
        {"[1]", "{\"limit\":2}", "demo.sum got more than one value for 'limit'", -ERR_ARGS},
        {"[\"1\"]", NULL, "demo.sum: limit must be a whole number, got string 1", -ERR_ARGS},
        {"[1.5]", NULL, "demo.sum: limit must be a whole number, got number 1.5", -ERR_ARGS},
        {"[null]", NULL, "demo.sum: limit must be a whole number, got null", -ERR_ARGS},
        {"[0]", NULL, "demo.sum: limit must be between 1 and 1000, got 0", -ERR_INVALID},
        {"[1, 1]", NULL, "demo.sum: drain must be true or false, got number 1", -ERR_ARGS},
        {NULL, "{\"path\":[]}", "demo.sum: path must be a text, got array", -ERR_ARGS},
        {NULL, "{\"sort_by\":null}", "demo.sum: sort_by must be a text, got null", -ERR_ARGS},
        {NULL, "{\"sort_by\":\"x\"}", "demo.sum: sort_by must be one of updated, votes, got 'x'",
         -ERR_INVALID},
        {"{}", NULL, "demo.sum: positional arguments must be an array, got object", -ERR_ARGS},
        {NULL, "[]", "demo.sum: named arguments must be an object, got array", -ERR_ARGS},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf result = BUF_INIT(1000);
        struct error err = {0};

        assert_int_equal(run(rows[i].args, rows[i].kwargs, &result, &err), rows[i].rc);
        assert_string_equal(rows[i].rc ? err.message : buf_cstr(&result), rows[i].result);
        buf_fini(&result);
    }
}

static void
test_failed_task_keeps_its_counts(void **state)
{
    struct buf result = BUF_INIT(1000);
    struct error err = {0};

    (void)state;
    assert_int_equal(run("[13]", NULL, &result, &err), -ERR_NETWORK);
    assert_string_equal(err.message, "unlucky");
    assert_true(str_starts_with(buf_str(&result), STR("{\"limit\":13,")));
    buf_fini(&result);
}

static void
test_words_to_json(void **state)
{
    static const struct {
        size_t param_idx;
        struct str word;
        const char *json;
        int rc;
    } rows[] = {
        {0, STR_INIT("12"), "12", 0},          {0, STR_INIT("x"), "", -ERR_ARGS},
        {1, STR_INIT("YES"), "true", 0},       {1, STR_INIT("0"), "false", 0},
        {4, STR_INIT("[1, "), "", -ERR_ARGS},  {4, STR_INIT(" [1,  null]"), "[1,  null]", 0},
        {1, STR_INIT("maybe"), "", -ERR_ARGS}, {2, STR_INIT("a\"b"), "\"a\\\"b\"", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out = BUF_INIT(100);

        assert_int_equal(
            celery_param_write_json(&sum_params[rows[i].param_idx], rows[i].word, &out, NULL),
            rows[i].rc);
        assert_string_equal(buf_cstr(&out), rows[i].json);
        buf_fini(&out);
    }
    assert_ptr_equal(celery_params_find(tasks, STR("sort-by")), &sum_params[3]);
    assert_null(celery_params_find(tasks, STR("sort")));
}

static void
test_registry(void **state)
{
    static const struct celery_task *const modules[] = {tasks, NULL};
    static const struct celery_removed_task removed[] = {{"old.sum", "demo.sum"}, {NULL, NULL}};
    static const struct celery_registry registry = {modules, removed};
    const struct celery_task *task = NULL;
    struct error err;

    (void)state;
    assert_ok(celery_registry_find(&registry, STR("demo.sum"), &task, &err), err);
    assert_ptr_equal(task, tasks);
    assert_int_equal(celery_registry_find(&registry, STR("demo.sun"), &task, &err), -ERR_NOT_FOUND);
    assert_string_equal(err.message, "task 'demo.sun' is unknown: did you mean 'demo.sum'?");
    assert_int_equal(celery_registry_find(&registry, STR("old.sum"), &task, &err), -ERR_NOT_FOUND);
    assert_string_equal(err.message, "task 'old.sum' was removed: use 'demo.sum'");
    assert_int_equal(celery_registry_find(&registry, STR("zzz"), &task, &err), -ERR_NOT_FOUND);
    assert_string_equal(err.message, "task 'zzz' is unknown");
}

int
main(void)
{
    const struct CMUnitTest rows[] = {
        cmocka_unit_test(test_bind),
        cmocka_unit_test(test_failed_task_keeps_its_counts),
        cmocka_unit_test(test_words_to_json),
        cmocka_unit_test(test_registry),
    };

    return cmocka_run_group_tests(rows, NULL, NULL);
}
