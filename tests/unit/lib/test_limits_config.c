/* lib/limits_config.h: what trawl.yaml says of limits. */

#include "tests/unit/check.h"

#include "base/file.h"
#include "lib/limits_config.h"

static char dir[] = "/tmp/trawl-limits-XXXXXX";
static char yaml[64];

static const char *
no_env(const char *name)
{
    return strcmp(name, "HOME") == 0 ? dir : NULL;
}

/* Its rules to out, or the error's text. */
static const char *
load(const char *text, struct arena *arena, struct config **config, struct limit_rules *out)
{
    static struct error err;
    const struct config_options options = {.get_env = no_env, .yaml_path = yaml};
    FILE *file = fopen(yaml, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    err = (struct error){0};
    if (config_create(&options, config, &err) < 0)
        return err.message;
    return limits_config_load(*config, arena, out, &err) < 0 ? err.message : "";
}

static void
test_rules(void **state)
{
    static const char text[] = "limits:\n"
                               "  tasks:\n"
                               "    a.b: {key: host(url), rate: 100/m, burst: 5, max: 8,\n"
                               "          unique: running, unique_by: name}\n"
                               "  queues:\n"
                               "    crawl: {rate: 10/s}\n"
                               "  keys:\n"
                               "    '*': {max: 1}\n"
                               "    example.org: {rate: 2/s}\n";
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(1 << 20);
    CLEANUP(config_freep) struct config *config = NULL;
    struct limit_rules rules;
    const struct limit_rule *task;

    (void)state;
    assert_string_equal(load(text, &arena, &config, &rules), "");
    assert_int_equal(rules.tasks.n_items, 1);
    task = limit_rules_find(&rules.tasks, STR("a.b"));
    assert_non_null(task);
    assert_int_equal(task->interval_us, 600000);
    assert_int_equal(task->burst, 5);
    assert_int_equal(task->most, 8);
    assert_int_equal(task->key_form, LIMIT_KEY_HOST);
    assert_true(str_equal(task->key_argument, STR("url")));
    assert_int_equal(task->unique, BROKER_LOCK_ENDED);
    assert_int_equal(task->unique_by, LIMIT_BY_NAME);
    assert_int_equal(limit_rules_find(&rules.queues, STR("crawl"))->interval_us, 100000);
    assert_int_equal(limit_rules_find(&rules.queues, STR("crawl"))->burst, 1);
    assert_int_equal(limit_rules_find(&rules.keys, STR(LIMIT_ANY_KEY))->most, 1);
    assert_int_equal(limit_rules_find(&rules.keys, STR("example.org"))->interval_us, 500000);
    assert_null(limit_rules_find(&rules.keys, STR("example.com")));
}

static void
test_nothing(void **state)
{
    static const char *const texts[] = {"", "limits:\n", "limits: {}\n", "limits:\n  keys:\n"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(1 << 20);
        CLEANUP(config_freep) struct config *config = NULL;
        struct limit_rules rules;

        assert_string_equal(load(texts[i], &arena, &config, &rules), "");
        assert_int_equal(rules.tasks.n_items + rules.queues.n_items + rules.keys.n_items, 0);
    }
}

/* Each says where, of what, and what would do. */
static void
test_mistakes(void **state)
{
    static const struct {
        const char *text;
        const char *wanted; /* at the end of what is said */
    } rows[] = {
        {"limits: [1]\n", ":1: limits must be a mapping with tasks, queues and keys"},
        {"limits:\n  task: {}\n", ":2: limits has no 'task': it has tasks, queues and keys"},
        {"limits:\n  queues: {q: 10/s}\n",
         ":2: limits.queues 'q': q: must be a mapping, as {rate: 10/s}"},
        {"limits:\n  queues:\n    q:\n      rate: 10/w\n",
         ":4: limits.queues 'q': rate: rate '10/w' is not a number per time, as in 10/s, 100/m,"
         " 5/h or 1/d"},
        {"limits:\n  queues: {q: {unique: running}}\n",
         ":2: limits.queues 'q': unique: unknown; known are rate, burst, max"},
        {"limits:\n  tasks: {t: {max: 0}}\n",
         ":2: limits.tasks 't': max: '0' is not a number from 1 to 1000000"},
        {"limits:\n  tasks: {t: {burst: 3}}\n",
         ":2: limits.tasks 't': t: has a burst, but no rate"},
        {"limits:\n  tasks: {t: {rate: [1]}}\n",
         ":2: limits.tasks 't': rate: must be a single value"},
        {"limits: {}\nlimits: {}\n", ":2: limits is already set in line 1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(1 << 20);
        CLEANUP(config_freep) struct config *config = NULL;
        struct limit_rules rules;
        const char *said = load(rows[i].text, &arena, &config, &rules);
        size_t n = strlen(rows[i].wanted);

        assert_true(strlen(said) >= n);
        assert_string_equal(said + strlen(said) - n, rows[i].wanted);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_mistakes),
    };
    int n_failed;

    if (!mkdtemp(dir))
        return 1;
    (void)snprintf(yaml, sizeof(yaml), "%s/trawl.yaml", dir);
    n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(yaml);
    (void)rmdir(dir);
    return n_failed;
}
