/* celery/limits: the words of rules, and what limits a message. */

#include "tests/unit/check.h"

#include "base/clock.h"
#include "celery/limits/decide.h"

static void
test_rates(void **state)
{
    static const struct {
        struct str text;
        int rc;
        int64_t interval_us;
    } rows[] = {
        {STR_INIT("10/s"), 0, 100000},
        {STR_INIT("10"), 0, 100000},
        {STR_INIT(" 2.5/m "), 0, 24000000},
        {STR_INIT("3/s"), 0, 333333},
        {STR_INIT("1/d"), 0, INT64_C(86400000000)},
        {STR_INIT("1000000/s"), 0, 1},
        {STR_INIT("0/s"), -ERR_INVALID, 7},
        {STR_INIT("-1/s"), -ERR_INVALID, 7},
        {STR_INIT("10/w"), -ERR_INVALID, 7},
        {STR_INIT("10/"), -ERR_INVALID, 7},
        {STR_INIT(""), -ERR_INVALID, 7},
        {STR_INIT("2000001/s"), -ERR_INVALID, 7},
        {STR_INIT("0.0001/d"), -ERR_INVALID, 7},
        {STR_INIT("nan"), -ERR_INVALID, 7},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t interval_us = 7;

        assert_int_equal(limit_parse_rate(rows[i].text, &interval_us, NULL), rows[i].rc);
        assert_int_equal(interval_us, rows[i].interval_us);
    }
}

static void
test_unique_words(void **state)
{
    static const struct {
        struct str text;
        int rc;
        enum broker_lock_span span;
        int64_t span_us;
    } rows[] = {
        {STR_INIT("queued"), 0, BROKER_LOCK_QUEUED, 0},
        {STR_INIT("running"), 0, BROKER_LOCK_ENDED, 0},
        {STR_INIT("no"), 0, BROKER_LOCK_NONE, 0},
        {STR_INIT("30"), 0, BROKER_LOCK_TIMED, 30 * US_PER_S},
        {STR_INIT("1.5h"), 0, BROKER_LOCK_TIMED, 5400 * US_PER_S},
        {STR_INIT("0"), -ERR_INVALID, BROKER_LOCK_NONE, 7},
        {STR_INIT("h"), -ERR_INVALID, BROKER_LOCK_NONE, 7},
        {STR_INIT("400d"), -ERR_INVALID, BROKER_LOCK_NONE, 7},
        {STR_INIT("always"), -ERR_INVALID, BROKER_LOCK_NONE, 7},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum broker_lock_span span = BROKER_LOCK_NONE;
        int64_t span_us = 7;

        assert_int_equal(limit_parse_unique(rows[i].text, &span, &span_us, NULL), rows[i].rc);
        assert_int_equal(span, rows[i].span);
        assert_int_equal(span_us, rows[i].span_us);
    }
}

static void
test_keys(void **state)
{
    static const struct {
        struct str text;
        int rc;
        enum limit_key_form form;
        struct str argument;
    } rows[] = {
        {STR_INIT("url"), 0, LIMIT_KEY_VALUE, STR_INIT("url")},
        {STR_INIT("host(url)"), 0, LIMIT_KEY_HOST, STR_INIT("url")},
        {STR_INIT("host()"), -ERR_INVALID, LIMIT_KEY_NONE, STR_INIT("-")},
        {STR_INIT("host(url"), -ERR_INVALID, LIMIT_KEY_NONE, STR_INIT("-")},
        {STR_INIT("a.b"), -ERR_INVALID, LIMIT_KEY_NONE, STR_INIT("-")},
        {STR_INIT(""), -ERR_INVALID, LIMIT_KEY_NONE, STR_INIT("-")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum limit_key_form form = LIMIT_KEY_NONE;
        struct str argument = STR("-");

        assert_int_equal(limit_parse_key(rows[i].text, &form, &argument, NULL), rows[i].rc);
        assert_int_equal(form, rows[i].form);
        assert_true(str_equal(argument, rows[i].argument));
    }
}

static const struct limit_rule task_rules[] = {
    {.name = STR_INIT("t.page"),
     .key_form = LIMIT_KEY_HOST,
     .key_argument = STR_INIT("url"),
     .burst = 1},
    {.name = STR_INIT("t.all"),
     .interval_us = 1000,
     .burst = 3,
     .most = 2,
     .key_form = LIMIT_KEY_VALUE,
     .key_argument = STR_INIT("account"),
     .unique = BROKER_LOCK_ENDED,
     .unique_by = LIMIT_BY_NAME},
};
static const struct limit_rule queue_rules[] = {
    {.name = STR_INIT("q"), .interval_us = 5000, .burst = 1, .most = 9}};
static const struct limit_rule key_rules[] = {
    {.name = STR_INIT("example.org"), .interval_us = 7000, .burst = 1},
    {.name = STR_INIT("*"), .interval_us = 9000, .burst = 1, .most = 1}};
static const struct limit_rules rules = {
    {task_rules, COUNT_OF(task_rules)}, {queue_rules, 1}, {key_rules, COUNT_OF(key_rules)}};

struct page_args {
    int64_t depth;
    struct str url;
};

static const struct celery_param page_params[] = {
    CELERY_INT(struct page_args, depth, .fallback = 0),
    CELERY_STR(struct page_args, url),
    CELERY_PARAMS_END,
};

static const struct celery_task page_task = {.name = "t.page", .params = page_params};
static const struct celery_task own_task = {
    .name = "t.own", .rate = "4/s", .unique = "queued", .max_running = 3};

/* "rate key a 9000x1; max key a 1; unique task t" */
static const char *
show(const struct limit_subject *subject)
{
    static char text[1024];
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(1 << 20);
    struct limit_decision decision;
    struct error err = {0};
    int len = 0;

    assert_ok(limit_decide(&rules, subject, &arena, &decision, &err), err);
    text[0] = '\0';
    for (size_t i = 0; i < decision.n_gates; i++) {
        const struct broker_gate *gate = &decision.gates[i];

        len += snprintf(text + len, sizeof(text) - (size_t)len, "%.*s %lldx%lld; ",
                        STR_ARG(gate->key), (long long)gate->interval_us, (long long)gate->n);
    }
    if (decision.lock.span != BROKER_LOCK_NONE)
        (void)snprintf(text + len, sizeof(text) - (size_t)len, "%d %.*s", (int)decision.lock.span,
                       STR_ARG(str_slice(decision.lock.key, 0, 12)));
    return text;
}

static void
test_decisions(void **state)
{
    static const struct {
        struct limit_subject subject;
        const char *wanted;
    } rows[] = {
        {{.task_name = STR_INIT("t.other"), .queue = STR_INIT("celery")}, ""},
        /* rates first, the narrow one first, then places */
        {{.task_name = STR_INIT("t.all"),
          .queue = STR_INIT("q"),
          .kwargs = STR_INIT("{\"account\": 12}")},
         "rate key 12 9000x1; rate task t.all 1000x3; rate queue q 5000x1; max key 12 0x1; "
         "max task t.all 0x2; max queue q 0x9; 2 unique task "},
        /* the host of a URL, by name, by its place, and where there is none */
        {{.task_name = STR_INIT("t.page"),
          .queue = STR_INIT("celery"),
          .kwargs = STR_INIT("{\"url\": \"https://u:p@Example.ORG:8443/a:b?c\"}")},
         "rate key example.org 7000x1; "},
        {{.task_name = STR_INIT("t.page"),
          .queue = STR_INIT("celery"),
          .task = &page_task,
          .args = STR_INIT("[3, \"http://[::1]:80/\"]")},
         "rate key [::1] 9000x1; max key [::1] 0x1; "},
        {{.task_name = STR_INIT("t.page"),
          .queue = STR_INIT("celery"),
          .kwargs = STR_INIT("{\"url\": null}")},
         ""},
        /* headers go before all */
        {{.task_name = STR_INIT("t.all"),
          .queue = STR_INIT("celery"),
          .headers = STR_INIT("{\"trawl_key\": \"example.org\", \"trawl_unique\": \"no\"}")},
         "rate key example.org 7000x1; rate task t.all 1000x3; max task t.all 0x2; "},
        {{.task_name = STR_INIT("x"),
          .queue = STR_INIT("celery"),
          .headers = STR_INIT("{\"trawl_unique\": 30, \"trawl_unique_key\": \"nightly\"}")},
         "3 unique night"},
        {{.task_name = STR_INIT("x"),
          .queue = STR_INIT("celery"),
          .headers = STR_INIT("{\"trawl_unique\": \"sometimes\", \"trawl_key\": [1]}")},
         ""},
        /* what a task says itself */
        {{.task_name = STR_INIT("t.own"), .queue = STR_INIT("celery"), .task = &own_task},
         "rate task t.own 250000x1; max task t.own 0x3; 1 unique call "},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(show(&rows[i].subject), rows[i].wanted);
}

/* The same call, however it is written; another call, another key. */
static void
test_lock_keys(void **state)
{
    static const struct {
        struct str args;
        struct str kwargs;
        bool is_same;
    } rows[] = {
        {STR_INIT("[1, \"a\"]"), STR_INIT("{\"x\": 1, \"y\": {\"b\": [], \"a\": null}}"), true},
        {STR_INIT("[1,\"\\u0061\"]"), STR_INIT("{\"y\":{\"a\":null,\"b\":[]},\"x\":1}"), true},
        {STR_INIT("[1,\"a\"]"), STR_INIT("{\"x\":2,\"x\":1,\"y\":{\"b\":[],\"a\":null}}"), true},
        {STR_INIT("[1,\"a\"]"), STR_INIT("{\"x\":1,\"y\":{\"b\":[]}}"), false},
        {STR_INIT("[\"1\",\"a\"]"), STR_INIT("{\"x\":1,\"y\":{\"b\":[],\"a\":null}}"), false},
        {STR_INIT("[1,\"a\",null]"), STR_INIT("{\"x\":1,\"y\":{\"b\":[],\"a\":null}}"), false},
    };
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(1 << 20);
    struct str first = STR_NULL;
    struct str key;
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct limit_subject subject = {
            .task_name = STR("t"), .args = rows[i].args, .kwargs = rows[i].kwargs};

        assert_ok(limit_make_lock_key(&subject, LIMIT_BY_ARGUMENTS, STR_NULL, &arena, &key, &err),
                  err);
        if (i == 0)
            first = key;
        assert_int_equal(str_equal(first, key), rows[i].is_same);
    }
    assert_int_equal(
        limit_make_lock_key(&(struct limit_subject){.task_name = STR("t"), .args = STR("[1")},
                            LIMIT_BY_ARGUMENTS, STR_NULL, &arena, &key, &err),
        -ERR_INVALID);
}

/* A key that is longer than brokers take is digested, and stays its own. */
static void
test_long_keys(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(1 << 20);
    struct limit_subject subject = {.task_name = STR("t")};
    char text[1000];
    struct str keys[2];
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        (void)memset(text, 'a', sizeof(text));
        text[sizeof(text) - 1] = (char)('b' + i);
        assert_ok(limit_make_lock_key(&subject, LIMIT_BY_NAME, (struct str){text, sizeof(text)},
                                      &arena, &keys[i], &err),
                  err);
        assert_true(keys[i].len <= BROKER_MAX_KEY_BYTES);
    }
    assert_false(str_equal(keys[0], keys[1]));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),     cmocka_unit_test(test_unique_words),
        cmocka_unit_test(test_keys),      cmocka_unit_test(test_decisions),
        cmocka_unit_test(test_lock_keys), cmocka_unit_test(test_long_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
