/* trawl run TASK: one task here and now, its parameters as options. */

#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "celery/params.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "lib/task_runner.h"
#include "lib/worker.h"

#define PARAMS_MAX 32

/* One option per parameter; each takes its word as text, the table of the task checks it. */
struct task_options {
    struct cli_option options[PARAMS_MAX + 1];
    struct str words[PARAMS_MAX];
    bool flags[PARAMS_MAX];
    char names[PARAMS_MAX][32]; /* with dashes */
    char help[PARAMS_MAX][128];
    size_t n_params;
};

static void
describe(const struct celery_param *param, char *text, size_t text_bytes)
{
    const char *help = param->help ? param->help : "";

    switch (param->type) {
    case CELERY_PARAM_INT:
        (void)snprintf(text, text_bytes, "%s (%" PRId64 ")", help, param->fallback);
        break;
    case CELERY_PARAM_BOOL:
        (void)snprintf(text, text_bytes, "%s (%s)", help, param->fallback ? "true" : "false");
        break;
    case CELERY_PARAM_STR:
        (void)snprintf(text, text_bytes, "%s (%s)", help,
                       param->fallback_text ? param->fallback_text : "none");
        break;
    }
}

static void
make_options(const struct celery_task *task, struct task_options *out)
{
    *out = (struct task_options){0};
    for (const struct celery_param *param = task->params; param->name && out->n_params < PARAMS_MAX;
         param++) {
        size_t i = out->n_params++;
        bool is_flag = param->type == CELERY_PARAM_BOOL;

        (void)snprintf(out->names[i], sizeof(out->names[i]), "%s", param->name);
        for (char *c = out->names[i]; *c; c++)
            *c = *c == '_' ? '-' : *c;
        describe(param, out->help[i], sizeof(out->help[i]));
        out->options[i] = (struct cli_option){
            .name = out->names[i],
            .argument = is_flag                           ? NULL
                        : param->type == CELERY_PARAM_INT ? "N"
                                                          : "TEXT",
            .kind = is_flag ? CLI_FLAG : CLI_TEXT,
            .target = is_flag ? (void *)&out->flags[i] : (void *)&out->words[i],
            .help = out->help[i],
        };
    }
}

/* The given options as the JSON object of named arguments. */
static int
write_arguments(const struct celery_task *task, const struct task_options *options, struct buf *out,
                struct error *err)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    json_begin_object(&json);
    for (size_t i = 0; i < options->n_params; i++) {
        const struct celery_param *param = &task->params[i];
        struct buf value = BUF_INIT(65536);
        int rc = 0;

        if (options->flags[i] || options->words[i].ptr)
            rc = celery_param_write_json(param, options->flags[i] ? STR("true") : options->words[i],
                                         &value, err);
        if (rc == 0 && value.len) {
            json_name(&json, str_from_cstr(param->name));
            json_raw(&json, buf_str(&value));
        }
        buf_fini(&value);
        if (rc < 0)
            return rc;
    }
    json_end_object(&json);
    return buf_status(out, err);
}

static void
list_tasks(void)
{
    for (const struct celery_task *const *module = worker_registry.modules; *module; module++) {
        for (const struct celery_task *task = *module; task->name; task++) {
            struct task_options options;

            make_options(task, &options);
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

/* Whatever was wrong, it was what the user typed. */
static int
refuse_usage(struct error *err)
{
    if (err)
        err->code = ERR_ARGS;
    return -ERR_ARGS;
}

/* Values that the task's table refuses are the user's mistake: exit status 2. */
static int
check_arguments(const struct celery_task *task, struct str arguments, struct error *err)
{
    struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct json kwargs;
    void *args;
    int rc = json_parse(arguments, NULL, &arena, &kwargs, err);

    if (rc == 0)
        rc = celery_params_bind(task, NULL, &kwargs, &arena, &args, err);
    arena_fini(&arena);
    return rc == 0 ? 0 : refuse_usage(err);
}

int
command_run(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct buf arguments = BUF_INIT((size_t)1 << 20);
    const struct celery_task *task;
    struct task_options options;
    struct cli_words words;
    int rc;

    if (argc < 2 || argv[1][0] == '-') { /* no task: options of no task, then the list */
        rc = cli_parse(cli, NULL, argc, argv, &words, err);
        if (rc >= 0)
            list_tasks();
        return rc;
    }
    rc = celery_registry_find(&worker_registry, str_from_cstr(argv[1]), &task, err);
    if (rc < 0)
        return refuse_usage(err);
    make_options(task, &options);
    rc = cli_parse(cli, options.options, argc, argv, &words, err);
    if (rc == 0)
        rc = cli_expect_words(cli, &words, 1, 1, err);
    if (rc == 0)
        rc = write_arguments(task, &options, &arguments, err);
    if (rc == 0)
        rc = check_arguments(task, buf_str(&arguments), err);
    if (rc == 0)
        rc = run_task(cli, task, buf_str(&arguments), err);
    buf_fini(&arguments);
    return rc;
}
