/* celery/canvas: what follows the end of a task, as Celery sends it.  Each row is a message's embed
 * object and the messages, sizes and documents that come of it; ids that are made up show as *. */

#include "tests/unit/check.h"

#include "base/clock.h"
#include "celery/canvas/outcome.h"

#define ARENA_BYTES ((size_t)16 << 20)
#define NOW_US      (INT64_C(1795436986) * US_PER_S)
#define SIG(name, args, options)                                                                   \
    "{\"task\": \"" name "\", \"args\": [" args "], \"kwargs\": {}, \"options\": {" options        \
    "}, \"subtask_type\": null, \"immutable\": false}"
#define FIXED(name, args, options)                                                                 \
    "{\"task\": \"" name "\", \"args\": [" args "], \"kwargs\": {}, \"options\": {" options        \
    "}, \"subtask_type\": null, \"immutable\": true}"
#define ID(id)   "\"task_id\": \"" id "\""
#define ID_R(id) ID(id) ", \"reply_to\": \"R\""
#define GROUP(id, tasks)                                                                           \
    "{\"task\": \"celery.group\", \"args\": [], \"kwargs\": {\"tasks\": [" tasks                   \
    "]}, \"options\": {" ID(id) "}, \"subtask_type\": \"group\", \"immutable\": false}"
#define CHORD(header, body, options)                                                               \
    "{\"task\": \"celery.chord\", \"args\": [], \"kwargs\": {\"kwargs\": {}, \"header\": " header  \
    ", \"body\": " body "}, \"options\": {" options                                                \
    "}, \"subtask_type\": \"chord\", \"immutable\": false}"
#define CHAIN(id, tasks)                                                                           \
    "{\"task\": \"celery.chain\", \"args\": [], \"kwargs\": {\"tasks\": [" tasks                   \
    "]}, \"options\": {" ID(id) "}, \"subtask_type\": \"chain\", \"immutable\": false}"
#define EMBED(callbacks, errbacks, chain, chord)                                                   \
    "{\"callbacks\": " callbacks ", \"errbacks\": " errbacks ", \"chain\": " chain                 \
    ", \"chord\": " chord "}"

struct embed_row {
    const char *name;
    const char *callbacks;
    const char *errbacks;
    const char *chain;
    const char *chord;
    const char *wanted;
};

static struct canvas_plan
make_plan(struct arena *arena)
{
    struct canvas_plan plan = {
        .arena = arena,
        .parent_id = STR("A"),
        .root_id = STR("A"),
        .seed = STR("seed"),
        .origin = STR("w1@host"),
        .reply_to = STR("R"),
        .default_queue = STR("celery"),
        .now_us = NOW_US,
    };

    buf_init(&plan.children, ARENA_BYTES);
    return plan;
}

static struct celery_message
make_message(const struct embed_row *row)
{
    struct celery_message message;

    celery_message_init(&message, STR("proj.add"), STR("A"));
    message.callbacks = str_from_cstr(row->callbacks);
    message.errbacks = str_from_cstr(row->errbacks);
    message.chain = str_from_cstr(row->chain);
    message.chord = str_from_cstr(row->chord);
    return message;
}

/* An id that was made up has 36 letters, none of the rows' has. */
static struct str
shown(struct str id)
{
    return id.len == 36 ? STR("*") : id.ptr ? id : STR("-");
}

static void
append_masked(struct buf *out, struct str text)
{
    while (text.len) {
        size_t at = str_find_char(text, '"');
        struct str rest = str_slice(text, at + 1, text.len);
        size_t end = str_find_char(rest, '"');

        buf_append(out, str_slice(text, 0, at));
        if (at == text.len)
            return;
        buf_append_char(out, '"');
        buf_append(out, shown(str_slice(rest, 0, end)));
        buf_append_char(out, '"');
        text = str_slice(rest, end + 1, rest.len);
    }
}

static void
show_plan(const struct canvas_plan *plan, struct buf *out)
{
    for (const struct canvas_begin *begin = plan->begins; begin; begin = begin->next) {
        buf_printf(out, "size %.*s %d", STR_ARG(shown(begin->group_id)), (int)begin->size);
        buf_append_char(out, ' ');
        append_masked(out, begin->saved.ptr ? begin->saved : STR("-"));
        buf_append_char(out, '\n');
    }
    for (const struct canvas_message *sent = plan->messages; sent; sent = sent->next) {
        const struct celery_message *message = &sent->message;
        struct buf body = BUF_INIT(ARENA_BYTES);
        struct error err;

        assert_ok(celery_message_encode_body(message, &body, &err), err);
        buf_printf(out, "%.*s %.*s group %.*s %d parent %.*s root %.*s queue %.*s ",
                   STR_ARG(message->task), STR_ARG(shown(message->id)),
                   STR_ARG(shown(message->group)), (int)message->group_index,
                   STR_ARG(shown(message->parent_id)), STR_ARG(shown(message->root_id)),
                   STR_ARG(sent->queue));
        append_masked(out, buf_str(&body));
        buf_append_char(out, '\n');
        buf_fini(&body);
    }
    buf_append(out, STR("children "));
    append_masked(out, buf_str(&plan->children));
    buf_append_char(out, '\n');
}

static void
show_outcome(const struct canvas_outcome *outcome, struct buf *out)
{
    for (const struct canvas_failure *item = outcome->failures; item; item = item->next)
        buf_printf(out, "failure %.*s group %.*s%s\n", STR_ARG(item->task_id),
                   STR_ARG(shown(item->group_id)), item->is_chord_error ? " chord error" : "");
    for (const struct canvas_part *part = outcome->parts; part; part = part->next)
        buf_printf(out, "part %.*s of %.*s %d%s\n", STR_ARG(part->task_id), STR_ARG(part->group_id),
                   (int)part->index, part->is_chord_error ? " chord error" : "");
}

static void
check_shown(const char *name, struct buf *out, const char *wanted)
{
    if (!str_equal(buf_str(out), str_from_cstr(wanted)))
        fail_msg("%s: got\n%s\nnot\n%s", name, buf_cstr(out), wanted);
    buf_fini(out);
}

static void
test_success(void **state)
{
    static const struct embed_row rows[] = {
        {"nothing", NULL, NULL, "[]", NULL, "children \n"},
        {"chain of three, its second", NULL, NULL,
         "[" SIG("proj.add", "4", ID_R("C")) ", " SIG("proj.add", "3", ID_R("B")) "]", NULL,
         "proj.add B group - -1 parent A root A queue celery [[3, 3], {}, " EMBED(
             "null", "null", "[" SIG("proj.add", "4", ID_R("C")) "]",
             "null") "]\n"
                     "children [[\"B\", null], null]\n"},
        {"chain of three, its last", NULL, NULL, "[" SIG("proj.add", "4", ID_R("C")) "]", NULL,
         "proj.add C group - -1 parent A root A queue celery [[3, 4], {}, " EMBED(
             "null", "null", "[]", "null") "]\n"
                                           "children [[\"C\", null], null]\n"},
        {"one callback", "[" SIG("cb", "1", ID("X") ", \"queue\": \"other\"") "]", NULL, NULL, NULL,
         "cb X group - -1 parent A root A queue other [[3, 1], {}, " EMBED(
             "null", "null", "null", "null") "]\n"
                                             "children [[\"X\", null], null]\n"},
        {"callbacks are a group", "[" SIG("cb", "", "") ", " FIXED("cd", "7", "") "]", NULL, NULL,
         NULL,
         "cb * group * 0 parent A root A queue celery [[3], {}, " EMBED(
             "null", "null", "null",
             "null") "]\n"
                     "cd * group * 1 parent A root A queue celery [[7], {}, " EMBED(
                         "null", "null", "null", "null") "]\n"
                                                         "children [[\"*\", null], [[[\"*\", "
                                                         "null], null], [[\"*\", null], null]]]\n"},
        {"chord in the middle of a chain", NULL, NULL,
         "[" CHORD(
             GROUP("G", SIG("proj.add", "2", ID_R("H0")) ", " SIG("proj.add", "3", ID_R("H1"))),
             SIG("proj.xsum", "", ID_R("B")), ID("G")) "]",
         NULL,
         "size G 2 -\n"
         "proj.add H0 group G 0 parent A root A queue celery [[3, 2], {}, " EMBED(
             "null", "null", "null",
             SIG("proj.xsum", "",
                 ID_R(
                     "B") ", \"group_id\": \"G\", \"chain\": [], \"parent_id\": \"A\", "
                          "\"root_id\": \"A\"")) "]\n"
                                                 "proj.add H1 group G 1 parent A root A queue "
                                                 "celery [[3, 3], {}, " EMBED(
                                                     "null", "null", "null",
                                                     SIG("proj.xsum", "",
                                                         ID_R(
                                                             "B") ", \"group_id\": \"G\", "
                                                                  "\"chain\": [], \"parent_id\": "
                                                                  "\"A\", "
                                                                  "\"root_id\": \"A\"")) "]\n"
                                                                                         "children "
                                                                                         "[[\"G\", "
                                                                                         "null], "
                                                                                         "[[["
                                                                                         "\"H0\", "
                                                                                         "null], "
                                                                                         "null], "
                                                                                         "[[\"H1\","
                                                                                         " null], "
                                                                                         "null]]]"
                                                                                         "\n"},
        {"a group that something follows", NULL, NULL,
         "[" SIG("next", "", ID("N")) ", " GROUP("G", SIG("m", "", ID("M"))) "]", NULL,
         "size G 1 -\n"
         "m M group G 0 parent A root A queue celery [[3], {}, " EMBED(
             "null", "null", "null",
             SIG("next", "",
                 ID("N") ", \"group_id\": \"G\", \"chain\": [], \"parent_id\": \"A\", "
                         "\"root_id\": \"A\"")) "]\n"
                                                "children [[\"G\", null], [[[\"M\", null], "
                                                "null]]]\n"},
        {"an empty header", NULL, NULL, "[" CHORD("[]", SIG("body", "5", ID("B")), "") "]", NULL,
         "body B group * -1 parent A root A queue celery [[[], 5], {}, " EMBED(
             "null", "null", "[]", "null") "]\n"
                                           "children [[\"B\", null], null]\n"},
        {"a chain in a chain", NULL, NULL,
         "[" SIG("z", "", ID("Z")) ", " CHAIN("Y",
                                              SIG("x", "", ID("X")) ", " SIG("y", "", ID("Y"))) "]",
         NULL,
         "x X group - -1 parent A root A queue celery [[3], {}, " EMBED(
             "null", "null", "[" SIG("z", "", ID("Z")) ", " SIG("y", "", ID("Y")) "]",
             "null") "]\n"
                     "children [[\"X\", null], null]\n"},
        {"stamps", "[" SIG("cb", "", ID("X") ", \"stamped_headers\": [\"s\"], \"s\": \"v\"") "]",
         NULL, NULL, NULL,
         "cb X group - -1 parent A root A queue celery [[3], {}, " EMBED(
             "null", "null", "null", "null") "]\n"
                                             "children [[\"X\", null], null]\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct canvas_plan plan = make_plan(&arena);
        struct celery_message message = make_message(&rows[i]);
        struct buf out = BUF_INIT(ARENA_BYTES);
        struct error err = {0};

        assert_ok(canvas_succeed(&plan, &message, STR("3"), &err), err);
        show_plan(&plan, &out);
        check_shown(rows[i].name, &out, rows[i].wanted);
        buf_fini(&plan.children);
        arena_fini(&arena);
    }
}

static void
test_failure(void **state)
{
    static const struct embed_row rows[] = {
        {"nothing", NULL, NULL, NULL, NULL, "children \n"},
        {"errbacks are a new group, each told the id", NULL, "[" SIG("eb", "", "") "]", NULL, NULL,
         "eb * group * 0 parent A root A queue celery [[\"A\"], {}, " EMBED("null", "null", "null",
                                                                            "null") "]\n"
                                                                                    "children \n"},
        {"those later in the chain", NULL, NULL,
         "[" SIG("d", "",
                 ID("D") ", \"group_id\": \"G\", \"group_index\": 3, \"chord\": " SIG(
                     "b", "", ID("B"))) ", " SIG("c", "", "") ", " SIG("b", "", ID("X")) "]",
         NULL,
         "children \n"
         "failure D group G\n"
         "failure X group -\n"
         "part D of G 3\n"},
        {"a chord's body", NULL, NULL,
         "[" CHORD(GROUP("G", SIG("m", "", ID("M"))), SIG("b", "", ID("B")), ID("G")) "]", NULL,
         "children \n"
         "failure G group -\n"
         "failure B group -\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct canvas_plan plan = make_plan(&arena);
        struct celery_message message = make_message(&rows[i]);
        struct canvas_outcome outcome = {0};
        struct buf out = BUF_INIT(ARENA_BYTES);
        struct error err = {0};

        assert_ok(canvas_fail(&plan, &message, &outcome, &err), err);
        show_plan(&plan, &out);
        show_outcome(&outcome, &out);
        check_shown(rows[i].name, &out, rows[i].wanted);
        buf_fini(&plan.children);
        arena_fini(&arena);
    }
}

static void
test_chord_end(void **state)
{
    static const struct {
        const char *name;
        const char *body;
        const char *parts[3];
        const char *saved;
        const char *wanted;
    } rows[] = {
        {"all well",
         SIG("sum", "9",
             ID("B") ", \"parent_id\": \"P\", \"root_id\": \"Q\", "
                     "\"group_id\": \"G\""),
         {"[1, \"H0\", \"SUCCESS\", 4]", "[1, \"H1\", \"SUCCESS\", 5]"},
         NULL,
         "sum B group G -1 parent P root Q queue celery [[[4, 5], 9], {}, " EMBED(
             "null", "null", "null", "null") "]\n"
                                             "children [[\"B\", null], null]\n"},
        {"nested",
         SIG("sum", "", ID("B")),
         {"[1, \"H1\", \"SUCCESS\", 5]", "[1, \"H0\", \"SUCCESS\", 4]"},
         "{\"result\": [[\"G\", null], [[[\"H0\", null], null], [[\"K\", null], [[[\"H1\", null], "
         "null], [[\"?\", null], null]]]]]}",
         "sum B group - -1 parent A root A queue celery [[[4, [5, null]]], {}, " EMBED(
             "null", "null", "null", "null") "]\n"
                                             "children [[\"B\", null], null]\n"},
        {"the body is a chain",
         CHAIN("B", SIG("x", "", ID("X")) ", " SIG("y", "", ID("B"))),
         {"[1, \"H0\", \"SUCCESS\", 4]"},
         NULL,
         "x X group - -1 parent A root A queue celery [[[4]], {}, " EMBED(
             "null", "null", "[" SIG("y", "", ID("B")) "]",
             "null") "]\n"
                     "children [[\"X\", null], null]\n"},
        {"a part has failed",
         SIG("sum", "",
             ID("B") ", \"link_error\": [" SIG("eb", "", ID("E")) "], \"chain\": [" SIG(
                 "z", "", ID("Z")) "]"),
         {"[1, \"H0\", \"SUCCESS\", 4]",
          "[1, \"H1\", \"FAILURE\", {\"exc_type\": \"ValueError\", \"exc_message\": [\"bad\", 1], "
          "\"exc_module\": \"builtins\"}]"},
         NULL,
         "eb E group * 0 parent B root B queue celery [[\"B\"], {}, " EMBED(
             "null", "null", "null", "null") "]\n"
                                             "children [[\"*\", null], [[[\"E\", null], null]]]\n"
                                             "failure B group - chord error\n"
                                             "failure Z group - chord error\n"
                                             "Dependency H1 raised ValueError('bad', 1)\n"},
        {"the body is a group",
         GROUP("K", SIG("x", "", ID("X")) ", " SIG("y", "", ID("Y"))),
         {"[1, \"H0\", \"REVOKED\", {\"exc_type\": \"TaskRevokedError\", \"exc_message\": "
          "[\"revoked\"], \"exc_module\": \"celery.exceptions\"}]"},
         NULL,
         "children \n"
         "failure K group -\n"
         "failure X group -\n"
         "failure Y group -\n"
         "Dependency H0 raised TaskRevokedError('revoked')\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct canvas_plan plan = make_plan(&arena);
        struct canvas_outcome outcome = {0};
        struct buf out = BUF_INIT(ARENA_BYTES);
        struct str parts[3] = {0}, exception = STR_NULL, reason = STR_NULL;
        struct canvas_chord chord = {.group_id = STR("G"),
                                     .body = str_from_cstr(rows[i].body),
                                     .parts = parts,
                                     .saved = str_from_cstr(rows[i].saved)};
        struct error err = {0};

        for (; chord.n_parts < COUNT_OF(parts) && rows[i].parts[chord.n_parts]; chord.n_parts++)
            parts[chord.n_parts] = str_from_cstr(rows[i].parts[chord.n_parts]);
        assert_ok(canvas_end_chord(&plan, &chord, &outcome, &exception, &reason, &err), err);
        show_plan(&plan, &out);
        show_outcome(&outcome, &out);
        if (exception.ptr)
            buf_printf(&out, "%.*s\n", STR_ARG(reason));
        check_shown(rows[i].name, &out, rows[i].wanted);
        buf_fini(&plan.children);
        arena_fini(&arena);
    }
}

/* The same task ends again, after a crash: the same ids. */
static void
test_ids_repeat(void **state)
{
    static const struct embed_row row = {
        .callbacks = "[" SIG("cb", "", "") ", " SIG("cd", "", "") "]",
        .chain = "[" GROUP("G", SIG("m", "", "") ", " SIG("n", "", "")) "]"};
    struct buf ids[2] = {BUF_INIT(1000), BUF_INIT(1000)};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct canvas_plan plan = make_plan(&arena);
        struct celery_message message = make_message(&row);
        struct error err;

        plan.now_us += i;
        assert_ok(canvas_succeed(&plan, &message, i ? STR("4") : STR("3"), &err), err);
        for (struct canvas_message *sent = plan.messages; sent; sent = sent->next)
            buf_printf(&ids[i], "%.*s %.*s ", STR_ARG(sent->message.id),
                       STR_ARG(sent->message.group));
        assert_int_equal(plan.n_messages, 4);
        buf_fini(&plan.children);
        arena_fini(&arena);
    }
    assert_string_equal(buf_cstr(&ids[0]), buf_cstr(&ids[1]));
    buf_fini(&ids[0]);
    buf_fini(&ids[1]);
}

static void
test_options(void **state)
{
    static const char text[] =
        "{\"task\": \"t\", \"kwargs\": {\"k\": 1}, \"options\": {\"task_id\": \"X\", \"countdown\":"
        " 2.5, \"expires\": {\"__type__\": \"datetime\", \"__value__\": "
        "\"2026-11-23T12:28:46.633048+00:00\"}, \"priority\": 3, \"time_limit\": 9, "
        "\"soft_time_limit\": 4, \"shadow\": \"s\", \"headers\": {\"xh\": 1}, \"ignore_result\": "
        "true, \"unknown\": [1, 2], \"queue\": null, \"routing_key\": \"rk\", \"stamped_headers\": "
        "[\"m\"], \"m\": [\"v\"], \"retries\": 1}}";
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct canvas_plan plan = make_plan(&arena);
    struct canvas_node *node;
    struct canvas_extra extra = {0};
    const struct celery_message *message;
    struct error err;

    (void)state;
    assert_ok(canvas_parse(STR(text), &arena, &node, &err), err);
    assert_ok(canvas_apply(&plan, node, &extra, &err), err);
    message = &plan.messages->message;
    assert_str_equal(plan.messages->queue, "rk");
    assert_int_equal(plan.messages->eta_us, NOW_US + 2500 * US_PER_MS);
    assert_str_equal(message->expires.text, "2026-11-23T12:28:46.633048+00:00");
    assert_int_equal(message->priority, 3);
    assert_true(message->timelimit.hard_s == 9 && message->timelimit.soft_s == 4);
    assert_str_equal(message->shadow, "s");
    assert_str_equal(message->headers, "{\"xh\": 1}");
    assert_int_equal(message->ignore_result, CELERY_TRUE);
    assert_str_equal(message->properties, "{\"unknown\": [1, 2]}");
    assert_str_equal(message->stamped_headers, "[\"m\"]");
    assert_str_equal(message->stamps, "{\"m\": [\"v\"]}");
    assert_int_equal(message->retries, 1);
    buf_fini(&plan.children);
    arena_fini(&arena);
}

static void
test_bad_options(void **state)
{
    static const struct {
        const char *options;
        const char *message;
    } rows[] = {
        {"\"queue\": 3", "task 't': signature's option 'queue' must be a string, got 3"},
        {"\"priority\": 10", "task 't': signature's option 'priority' must be 0 to 9, got 10"},
        {"\"priority\": -1",
         "task 't': signature's option 'priority' must be a whole number from 0, got -1"},
        {"\"eta\": \"soon\"",
         "task 't': signature's option 'eta' must be an ISO 8601 date, got \"soon\""},
        {"\"ignore_result\": 1",
         "task 't': signature's option 'ignore_result' must be true or false, got 1"},
        {"\"chord\": []", "task 't': signature's option 'chord' must be an object, got []"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct canvas_plan plan = make_plan(&arena);
        struct canvas_extra extra = {0};
        struct canvas_node *node;
        struct error err = {0};
        char *text = arena_printf(&arena, "{\"task\": \"t\", \"options\": {%s}}", rows[i].options);

        assert_ok(canvas_parse(str_from_cstr(text), &arena, &node, &err), err);
        assert_int_equal(canvas_apply(&plan, node, &extra, &err), -ERR_INVALID);
        assert_string_equal(err.message, rows[i].message);
        buf_fini(&plan.children);
        arena_fini(&arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success),   cmocka_unit_test(test_failure),
        cmocka_unit_test(test_chord_end), cmocka_unit_test(test_ids_repeat),
        cmocka_unit_test(test_options),   cmocka_unit_test(test_bad_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
