/* celery/plugin.h: what is loaded, what is refused, and what a person is told. */

#include "celery/plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct known_args {
    int64_t n;
};

static const struct celery_param known_params[] = {
    CELERY_INT(struct known_args, n, .fallback = 1),
    CELERY_PARAMS_END,
};

static int
known(struct celery_call *call, struct error *err)
{
    (void)call;
    (void)err;
    return 0;
}

static const struct celery_task base_tasks[] = {
    CELERY_TASK("base.known", known, .help = "Was there before"),
    CELERY_TASKS_END,
};

static const struct celery_task *const base_modules[] = {base_tasks, NULL};

static const struct celery_removed_task base_removed[] = {
    {"base.removed", "base.known"},
    {NULL, NULL},
};

static const struct celery_registry base = {base_modules, base_removed};

static struct str
path_of(const char *name, char path[512])
{
    const char *dir = getenv("TRAWL_TEST_PLUGINS"); /* NOLINT: one thread */

    assert_non_null(dir);
    (void)snprintf(path, 512, "%s/%s", dir, name);
    return str_from_cstr(path);
}

static void
test_good_ones(void **state)
{
    char first[512], second[512];
    struct str paths[] = {path_of("bad0.so", first), path_of("bad1.so", second)};
    struct plugin_set *set = NULL;
    const struct celery_registry *registry;
    const struct celery_task *task;
    struct error err = {0};

    (void)state;
    if (plugin_set_load(&base, paths, COUNT_OF(paths), &set, &err) < 0)
        fail_msg("%s", err.message);
    registry = plugin_set_registry(set);
    assert_int_equal(celery_registry_find(registry, STR("base.known"), &task, NULL), 0);
    assert_ptr_equal(task, &base_tasks[0]);
    assert_int_equal(celery_registry_find(registry, STR("first.echo"), &task, NULL), 0);
    assert_string_equal(task->help, "Say it again");
    assert_int_equal(task->run(NULL, NULL), 0);
    assert_int_equal(celery_registry_find(registry, STR("second.echo"), &task, NULL), 0);
    assert_int_equal(celery_registry_find(registry, STR("base.removed"), &task, &err),
                     -ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "use 'base.known'"));
    plugin_set_free(set);
}

static void
test_what_is_refused(void **state)
{
    static const struct {
        const char *file;
        const char *says;
        const char *way_out;
    } rows[] = {
        {"bad2.so", "it has ABI version 99, trawl " TRAWL_VERSION " needs 1", "compile it again"},
        {"bad3.so", "its records have ", "compile it again"},
        {"bad4.so", "it has no symbol 'trawl_plugin'", "TRAWL_PLUGIN() of <trawl/plugin.h>"},
        {"bad5.so", "task 'base.known' exists already ('Was there before')", "name it otherwise"},
        {"bad6.so", "'Shouting' is no name of a task", "module.task"},
        {"bad7.so", "parameter 'times' lies outside of its struct (offset 4096 of 8)", ""},
        {"bad8.so", "it starts a thread while it is loaded", "start it in the task"},
        {"bad9.so", "undefined symbol: dataset_repo_nothing", "installed headers declare"},
        {"bad10.so", "has the name of one that was removed (now 'base.known')", "otherwise"},
        {"bad11.so", "task 'first.echo' is in its list twice", ""},
        {"bad12.so", "the default 3 of 'times' is not from 1 to 2", ""},
        {"bad13.so", "it has no tasks", ""},
        {"nothing.so", "there is no such file", ""},
        {"meson.build", "there is no such file", ""},
        {".", "it is not a file", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[512];
        struct str path = path_of(rows[i].file, text);
        struct plugin_set *set = NULL;
        struct error err = {0};
        int rc = plugin_set_load(&base, &path, 1, &set, &err);

        if (rc != -ERR_CONFIG || !strstr(err.message, rows[i].says) ||
            !strstr(err.message, rows[i].way_out) || !strstr(err.message, rows[i].file))
            fail_msg("%s: %d %s", rows[i].file, rc, err.message);
        assert_null(set);
    }
}

static void
test_files_that_are_none(void **state)
{
    char path[] = "/tmp/trawl_plugin_XXXXXX";
    int fd = mkstemp(path);
    struct str paths[] = {str_from_cstr(path)};
    struct plugin_set *set = NULL;
    struct error err = {0};

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "#!/bin/sh\necho no\n", 18), 18);
    assert_int_equal(plugin_set_load(&base, paths, 1, &set, &err), -ERR_CONFIG);
    assert_non_null(strstr(err.message, "it is no shared object that can be loaded"));
    assert_int_equal(fchmod(fd, 0666), 0);
    assert_int_equal(plugin_set_load(&base, paths, 1, &set, &err), -ERR_CONFIG);
    assert_non_null(strstr(err.message, "everybody may change it: chmod o-w"));
    (void)close(fd);
    (void)unlink(path);
}

static void
test_the_same_twice(void **state)
{
    char text[512];
    struct str path = path_of("bad0.so", text);
    struct str paths[] = {path, path};
    struct plugin_set *set = NULL;
    struct error err = {0};

    (void)state;
    assert_int_equal(plugin_set_load(&base, paths, 2, &set, &err), -ERR_CONFIG);
    assert_non_null(strstr(err.message, "'first.echo' exists already"));
    assert_null(set);
}

/* A later trawl adds to the end of nothing without a new version: all sizes count. */
static void
test_abi(void **state)
{
    const struct trawl_plugin good = {
        .abi_version = TRAWL_ABI_VERSION,
        .plugin_bytes = (uint32_t)sizeof(struct trawl_plugin),
        .task_bytes = (uint32_t)sizeof(struct celery_task),
        .param_bytes = (uint32_t)sizeof(struct celery_param),
        .error_bytes = (uint32_t)sizeof(struct error),
        .name = "x",
        .version = "1",
        .modules = base_modules,
    };
    uint32_t *numbers[5];
    struct trawl_plugin bad;

    (void)state;
    assert_int_equal(plugin_check_abi(&good, NULL), 0);
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        bad = good;
        numbers[0] = &bad.abi_version;
        numbers[1] = &bad.plugin_bytes;
        numbers[2] = &bad.task_bytes;
        numbers[3] = &bad.param_bytes;
        numbers[4] = &bad.error_bytes;
        *numbers[i] += 1;
        assert_int_equal(plugin_check_abi(&bad, NULL), -ERR_CONFIG);
    }
    bad = good;
    bad.modules = NULL;
    assert_int_equal(plugin_check_abi(&bad, NULL), -ERR_CONFIG);
}

static void
test_names(void **state)
{
    static const struct {
        const char *name;
        int rc;
    } rows[] = {
        {"a.b", 0},
        {"zenodo.fetch_datasets", 0},
        {"a.b.c9", 0},
        {"a", -ERR_CONFIG},
        {"", -ERR_CONFIG},
        {".b", -ERR_CONFIG},
        {"a.", -ERR_CONFIG},
        {"a..b", -ERR_CONFIG},
        {"a.9b", -ERR_CONFIG},
        {"a.B", -ERR_CONFIG},
        {"a. b", -ERR_CONFIG},
        {"a.b\n", -ERR_CONFIG},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct celery_task task = base_tasks[0];

        task.name = rows[i].name;
        if (plugin_check_task(&task, NULL) != rows[i].rc)
            fail_msg("'%s'", rows[i].name);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_ones),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_files_that_are_none),
        cmocka_unit_test(test_the_same_twice),
        cmocka_unit_test(test_abi),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
