/* trawl run TASK: one task here and now, its parameters as options. */

#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/task_options.h"
#include "lib/task_runner.h"

static void
list_tasks(const struct celery_registry *registry)
{
    for (const struct celery_task *const *module = registry->modules; *module; module++) {
        for (const struct celery_task *task = *module; task->name; task++) {
            struct cli_task_options options;

            cli_task_options_make(task, &options);
            (void)printf("%s\n  %s\n", task->name, task->help);
            cli_options_print(options.options, stdout);
        }
    }
}

static void
on_progress(void *context, int64_t current, int64_t total)
{
    cli_progress_update(context, current, total);
}

/* A run that ended well may still have failed for some rows, or been told to wait. */
static int
judge_result(const struct buf *result, struct error *err)
{
    static const struct str failed_keys[] = {STR_INIT("total_failed"), STR_INIT("failed")};
    struct arena arena = ARENA_INIT(65536);
    struct json value;
    int64_t count = 0;
    int rc = 0;

    if (json_parse(buf_str(result), NULL, &arena, &value, NULL) == 0) {
        for (size_t i = 0; i < COUNT_OF(failed_keys); i++) {
            if (json_is_i64(json_get(&value, failed_keys[i]), &count) && count > 0)
                rc = CLI_PARTIAL;
        }
        if (json_is_i64(json_get(&value, STR("rate_limited")), &count) && count > 0)
            rc = error_set(err, ERR_RATE_LIMIT,
                           "the source asked to slow down, rows were given back: run it again "
                           "later");
    }
    arena_fini(&arena);
    return rc;
}

static int
print_result(const struct cli *cli, const struct celery_task *task, const struct buf *result,
             int64_t span_us, struct error *err)
{
    struct arena arena = ARENA_INIT(65536);
    char text[32];
    struct json value;
    int rc = 0;

    if (cli->json) {
        rc = cli_print(result, err);
    } else if (json_parse(buf_str(result), NULL, &arena, &value, NULL) == 0 &&
               value.type == JSON_OBJECT) {
        (void)printf("%s%s%s done in %s\n", cli_bold(cli), task->name, cli_reset(cli),
                     cli_format_span(span_us, text));
        for (size_t i = 0; i < value.object.n_members; i++) {
            const struct json_member *member = &value.object.members[i];
            int64_t number;

            if (json_is_i64(&member->value, &number))
                (void)printf("  %-16.*s %s\n", STR_ARG(member->name),
                             cli_format_count(number, text));
            else if (member->value.type == JSON_STRING)
                (void)printf("  %-16.*s %.*s\n", STR_ARG(member->name),
                             STR_ARG(member->value.text));
        }
    }
    arena_fini(&arena);
    return rc;
}

static int
run_task(struct cli *cli, const struct celery_task *task, struct str arguments, struct error *err)
{
    struct buf result = BUF_INIT(CELERY_RESULT_BYTES);
    struct cli_progress progress;
    struct task_run run = {
        .task = task,
        .arguments = arguments,
        .hooks = {on_progress, interrupt_is_pending, &progress},
    };
    int64_t begin_us = clock_mono_us(&clock_system);
    int rc;

    cli_progress_init(&progress, str_from_cstr(task->name), cli->has_progress);
    rc = task_runner_run(cli->app, &run, &result, err);
    cli_progress_clear(&progress);
    if (rc == 0)
        rc = print_result(cli, task, &result, clock_mono_us(&clock_system) - begin_us, err);
    if (rc == 0 && interrupt_is_pending(NULL))
        rc = error_set(err, ERR_CANCELLED, "%s was interrupted: run it again to go on", task->name);
    if (rc == 0)
        rc = judge_result(&result, err);
    buf_fini(&result);
    return rc;
}

int
command_run(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct buf arguments = BUF_INIT((size_t)1 << 20);
    const struct celery_task *task;
    struct cli_task_options options;
    struct cli_words words;
    bool has_list = true;
    const struct cli_option list_options[] = {
        CLI_OPTION_FLAG("list", &has_list, "the tasks and their parameters, as without a task"),
        CLI_OPTIONS_END,
    };
    int rc;

    if (argc < 2 || argv[1][0] == '-') { /* no task: its options cannot be meant */
        rc = cli_parse(cli, list_options, argc, argv, &words, err);
        if (rc >= 0)
            list_tasks(cli->program->registry);
        return rc;
    }
    rc = celery_registry_find(cli->program->registry, str_from_cstr(argv[1]), &task, err);
    if (rc < 0)
        return cli_refuse_usage(err);
    cli_task_options_make(task, &options);
    rc = cli_parse(cli, options.options, argc, argv, &words, err);
    if (rc == 0)
        rc = cli_expect_words(cli, &words, 1, 1, err);
    if (rc == 0)
        rc = cli_task_options_write(task, &options, STR_NULL, &arguments, err);
    if (rc == 0)
        rc = cli_task_check_arguments(task, STR_NULL, buf_str(&arguments), err);
    if (rc == 0)
        rc = run_task(cli, task, buf_str(&arguments), err);
    buf_fini(&arguments);
    return rc;
}
