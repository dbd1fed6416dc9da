/* celery/canvas/signature.h: what is not changed comes out as it went in. */

#include "tests/unit/check.h"

#include "base/json_scan.h"
#include "celery/canvas/signature.h"

#define ARENA_BYTES ((size_t)4 << 20)
#define TASK_A                                                                                     \
    "{\"task\": \"a\", \"args\": [1], \"kwargs\": {}, \"options\": {\"task_id\": \"A\"}, "         \
    "\"subtask_type\": null, \"immutable\": false}"
#define GROUP_OF(tasks, options)                                                                   \
    "{\"task\": \"celery.group\", \"args\": [], \"kwargs\": {\"tasks\": [" tasks                   \
    "]}, \"options\": {" options "}, \"subtask_type\": \"group\", \"immutable\": false}"
#define CHAIN_OF(tasks)                                                                            \
    "{\"task\": \"celery.chain\", \"args\": [], \"kwargs\": {\"tasks\": [" tasks                   \
    "]}, \"options\": {}, \"subtask_type\": \"chain\", \"immutable\": false}"
#define CHORD_OF(header, body)                                                                     \
    "{\"task\": \"celery.chord\", \"args\": [], \"kwargs\": {\"kwargs\": {}, \"header\": " header  \
    ", \"body\": " body "}, \"options\": {}, \"subtask_type\": \"chord\", \"immutable\": false}"

static void
test_round_trip(void **state)
{
    static const char *const rows[] = {
        TASK_A,
        "{\"task\":\"a\",\"args\":[1e400,-0.0,123456789012345678901234567890,\"\\ud800\",NaN]}",
        "{\"options\": {\"x\": {\"y\": [1]}, \"x\": 2}, \"task\": \"\\u0061\", \"chord_size\": 3}",
        GROUP_OF(TASK_A ", " TASK_A, "\"task_id\": \"G\""),
        CHAIN_OF(TASK_A ", " GROUP_OF(TASK_A, "")),
        CHORD_OF(GROUP_OF(TASK_A, "\"task_id\": \"G\""), TASK_A),
        CHORD_OF("[" TASK_A "]", TASK_A),
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct buf out = BUF_INIT(10000);
        struct canvas_node *node;
        struct error err;

        assert_ok(canvas_parse(str_from_cstr(rows[i]), &arena, &node, &err), err);
        canvas_write(node, &out);
        if (i < COUNT_OF(rows) - 1) /* a header that is a list becomes a group */
            assert_str_equal(buf_str(&out), rows[i]);
        else
            assert_str_equal(buf_str(&out), CHORD_OF(GROUP_OF(TASK_A, ""), TASK_A));
        buf_fini(&out);
        arena_fini(&arena);
    }
}

static void
test_options(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct buf out = BUF_INIT(10000);
    struct canvas_node *node;
    struct error err;
    bool ok = true;

    (void)state;
    assert_ok(canvas_parse(STR(TASK_A), &arena, &node, &err), err);
    assert_str_equal(canvas_get_text(node, STR("task_id"), &arena, &ok), "A");
    assert_null(canvas_get(node, STR("queue")).ptr);
    assert_ok(canvas_set(node, STR("queue"), STR("\"q\""), &arena, &err), err);
    assert_ok(canvas_add(node, STR("link"), STR("1"), &arena, &err), err);
    assert_ok(canvas_add(node, STR("link"), STR("[2, 3]"), &arena, &err), err);
    assert_ok(canvas_add(node, STR("link"), STR("[]"), &arena, &err), err);
    canvas_remove(node, STR("task_id"));
    canvas_write(node, &out);
    assert_str_equal(buf_str(&out),
                     "{\"task\": \"a\", \"args\": [1], \"kwargs\": {}, \"options\": {\"queue\": "
                     "\"q\", \"link\": [1, 2, 3]}, \"subtask_type\": null, \"immutable\": false}");
    assert_true(ok);
    buf_fini(&out);
    arena_fini(&arena);
}

/* Celery 5.2 copies the body into each task of a header that has not been sent yet. */
static void
test_copied_bodies(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct buf out = BUF_INIT(10000);
    struct canvas_node *node;
    struct error err;

    (void)state;
    assert_ok(canvas_parse(
                  STR(CHORD_OF(GROUP_OF("{\"task\": \"a\", \"options\": {\"chord\": " TASK_A "}}",
                                        "\"task_id\": \"G\", \"chord\": " TASK_A),
                               TASK_A)),
                  &arena, &node, &err),
              err);
    assert_null(canvas_get(node->header, STR("chord")).ptr);
    assert_null(canvas_get(node->header->items[0], STR("chord")).ptr);
    arena_fini(&arena);
    buf_fini(&out);
}

static void
test_refusals(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"3", "signature must be an object, got number 3"},
        {"{}", "signature has no task"},
        {"{\"task\": null}", "signature's task must be a string, got null null"},
        {"{\"task\": \"a\", \"args\": {}}", "signature's args must be a list, got object {}"},
        {"{\"task\": \"a\", \"options\": []}",
         "signature's options must be an object, got array []"},
        {"{\"task\": \"a\", \"subtask_type\": 1}",
         "signature's subtask_type must be a string or null, got number 1"},
        {"{\"task\": \"a\", \"subtask_type\": \"chain\"}",
         "signature's kwargs must be a list of tasks, got object {}"},
        {"{\"task\": \"a\", \"subtask_type\": \"chord\", \"kwargs\": {\"header\": 1}}",
         "signature's header must be a group or a list, got number 1"},
        {"{\"task\": \"a\", \"subtask_type\": \"chord\", \"kwargs\": {\"header\": []}}",
         "signature's kwargs must be a header and a body, got object {\"header\": []}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct canvas_node *node = NULL;
        struct error err = {0};

        assert_int_equal(canvas_parse(str_from_cstr(rows[i].text), &arena, &node, &err),
                         -ERR_INVALID);
        assert_string_equal(err.message, rows[i].message);
        assert_null(node);
        arena_fini(&arena);
    }
}

static void
test_depth(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct buf text = BUF_INIT((size_t)1 << 20);
    struct canvas_node *node;
    struct error err = {0};

    (void)state;
    for (int i = 0; i < 201; i++)
        buf_append(&text, STR("{\"task\": \"g\", \"subtask_type\": \"group\", \"kwargs\": "
                              "{\"tasks\": ["));
    for (int i = 0; i < 201; i++)
        buf_append(&text, STR("]}}"));
    assert_int_equal(canvas_parse(buf_str(&text), &arena, &node, &err), -ERR_TOO_LARGE);
    buf_fini(&text);
    arena_fini(&arena);
}

static void
test_count_ends(void **state)
{
    static const struct {
        const char *text;
        int64_t n;
    } rows[] = {
        {TASK_A, 1},
        {GROUP_OF("", ""), 0},
        {GROUP_OF(TASK_A ", " TASK_A, ""), 2},
        {CHAIN_OF(TASK_A ", " GROUP_OF(TASK_A ", " TASK_A ", " TASK_A, "")), 3},
        {CHAIN_OF(TASK_A ", " GROUP_OF("", "")), 1},
        {CHORD_OF(GROUP_OF(TASK_A ", " TASK_A, ""), TASK_A), 1},
        {GROUP_OF(CHORD_OF("[]", CHAIN_OF(TASK_A ", " TASK_A)) ", " TASK_A, ""), 2},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct canvas_node *node;
        struct error err;

        assert_ok(canvas_parse(str_from_cstr(rows[i].text), &arena, &node, &err), err);
        assert_int_equal(canvas_count_ends(node), rows[i].n);
        arena_fini(&arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_options),
        cmocka_unit_test(test_copied_bodies), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_depth),         cmocka_unit_test(test_count_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
