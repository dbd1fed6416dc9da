/* trawl call TASK: hand a task to whoever works on its queue.
 *
 * A task of ours is checked here, name and arguments, before anything is sent: a worker would
 * refuse it later, when nobody looks.  --foreign leaves both to a worker that knows the task. */

#include "cli/commands.h"

#include <stdio.h>

#include "base/log.h"
#include "base/timestamp.h"
#include "celery/events/sent.h"
#include "celery/registry.h"
#include "cli/task_options.h"
#include "cli/task_result.h"
#include "lib/limits_config.h"

#define ARGUMENTS_BYTES ((size_t)4 << 20) /* what workers take */
#define SPAN_MAX_S      (INT64_C(10) * 365 * 86400)
#define N_CALL_OPTIONS  13
#define RULES_BYTES     ((size_t)1 << 20)

/* What the options fill. */
struct call_values {
    struct str args;
    struct str kwargs;
    struct str eta;
    struct str queue;
    int64_t countdown_s;
    int64_t expires_s;
    int64_t priority;
    int64_t timeout_s;
    struct str unique;
    struct str unique_key;
    struct str key;
    bool is_waiting;
    bool is_foreign;
};

/* Both tables in one: an option of this command goes before a parameter of that name. */
struct call_options {
    struct call_values values;
    struct cli_task_options task;
    struct cli_option all[N_CALL_OPTIONS + CLI_TASK_PARAMS_MAX + 1];
};

static void
make_call_options(const struct celery_task *task, struct call_options *out)
{
    struct call_values *values = &out->values;
    const struct cli_option own[N_CALL_OPTIONS] = {
        CLI_OPTION_TEXT("args", "JSON", &values->args, "positional arguments: '[100]'"),
        CLI_OPTION_TEXT("kwargs", "JSON", &values->kwargs, "named arguments: '{\"limit\": 5}'"),
        CLI_OPTION_WHOLE("countdown", "S", &values->countdown_s, 0, SPAN_MAX_S,
                         "start after so many seconds"),
        CLI_OPTION_TEXT("eta", "DATE", &values->eta, "not before: 2026-12-24T18:00:00+01:00"),
        CLI_OPTION_WHOLE("expires", "S", &values->expires_s, 1, SPAN_MAX_S,
                         "not to be started after so many seconds"),
        CLI_OPTION_TEXT("queue", "Q", &values->queue, "where it waits (" CELERY_DEFAULT_QUEUE ")"),
        CLI_OPTION_WHOLE("priority", "0-9", &values->priority, 0, 9, "0 is served first (0)"),
        CLI_OPTION_TEXT("unique", "WHEN", &values->unique,
                        "one of its kind: queued, running (until its end), or 30s, 10m, 2h, 1d"),
        CLI_OPTION_TEXT("unique-key", "TEXT", &values->unique_key,
                        "what is unique, instead of name and arguments"),
        CLI_OPTION_TEXT("key", "TEXT", &values->key, "whose limits hold: a host, an account"),
        CLI_OPTION_FLAG("wait", &values->is_waiting, "for its result, with a progress bar"),
        CLI_OPTION_WHOLE("timeout", "S", &values->timeout_s, 1, 31536000,
                         "with --wait: seconds at most (no limit)"),
        CLI_OPTION_FLAG("foreign", &values->is_foreign, "a task of another worker: no checks"),
    };

    *out = (struct call_options){.task.n_params = 0};
    (void)memcpy(out->all, own, sizeof(own));
    if (task) {
        cli_task_options_make(task, &out->task);
        (void)memcpy(out->all + N_CALL_OPTIONS, out->task.options, sizeof(out->task.options));
    }
}

static int
read_eta(const struct call_values *values, struct celery_request *request, struct error *err)
{
    if (!values->eta.ptr)
        return 0;
    if (timestamp_parse_iso(values->eta, &request->eta_us, err) < 0) {
        error_ignore(cli_refuse_usage(err)); /* the code is set, wrap returns it */
        return error_wrap(err, -ERR_ARGS, "--eta");
    }
    return 0;
}

static int
fill_request(const struct celery_task *task, const struct call_options *options, struct str name,
             struct buf *kwargs, struct celery_request *out, struct error *err)
{
    const struct call_values *values = &options->values;
    struct celery_request request = CELERY_REQUEST_INIT;
    int rc = read_eta(values, &request, err);

    if (rc == 0 && values->timeout_s && !values->is_waiting)
        rc = error_set(err, ERR_ARGS, "--timeout goes with --wait");
    if (rc == 0)
        rc = cli_task_options_write(task, &options->task, values->kwargs, kwargs, err);
    if (rc == 0 && task)
        rc = cli_task_check_arguments(task, values->args, buf_str(kwargs), err);
    if (rc < 0)
        return rc;
    request.task = name;
    request.definition = task;
    request.unique = values->unique;
    request.unique_key = values->unique_key;
    request.key = values->key;
    request.args = values->args;
    request.kwargs = buf_str(kwargs);
    request.queue = values->queue;
    request.priority = (int)values->priority;
    request.countdown_us = values->countdown_s * US_PER_S;
    request.expires_in_us = values->expires_s * US_PER_S;
    *out = request;
    return 0;
}

static int
print_id(const struct cli *cli, struct str id, struct str queue, bool is_duplicate,
         struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    struct json_writer json = JSON_WRITER_INIT(&out);

    if (cli->json) {
        json_begin_object(&json);
        json_member_str(&json, STR("task_id"), id);
        json_member_str(&json, STR("queue"), queue);
        if (is_duplicate)
            json_member_bool(&json, STR("duplicate"), true);
        json_end_object(&json);
    } else {
        buf_append(&out, id);
    }
    return cli_print(&out, err);
}

/* Where that is configured; the task is on its way whatever becomes of the event. */
static void
tell_sent(const struct cli *cli, const struct celery_request *request, struct str id)
{
    struct error err = {0};

    if (str_equal(config_get(cli->config, CONFIG_SEND_SENT_EVENT), STR("true")) &&
        event_tell_sent(config_get(cli->config, CONFIG_BROKER_URL), request, id, &err) < 0)
        log_warning("event not sent, monitors see the task later: reason=%s", err.message);
}

/* The id of the one that is there is what the command was asked for; the status says the rest. */
static int
report_duplicate(const struct cli *cli, const struct celery_request *request, const char *id,
                 struct str queue, struct error *err)
{
    int rc = id[0] ? print_id(cli, str_from_cstr(id), queue, true, err) : 0;

    return rc < 0 ? rc
                  : error_wrap(err, -ERR_DUPLICATE, "task '%.*s' is unique, nothing was sent",
                               STR_ARG(str_slice(request->task, 0, 80)));
}

static int
create_client(const struct cli *cli, const struct limit_rules *rules, struct celery_client **out,
              struct error *err)
{
    struct celery_client_options options = {
        .broker_url = config_get(cli->config, CONFIG_BROKER_URL),
        .backend_url = config_get(cli->config, CONFIG_RESULT_BACKEND),
        .limits = rules,
    };

    return celery_client_create(&options, out, err);
}

static int
send_request(struct cli *cli, const struct celery_request *request,
             const struct call_values *values, struct error *err)
{
    CLEANUP(celery_client_freep) struct celery_client *client = NULL;
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CLI_RESULT_BYTES);
    CLEANUP(arena_fini) struct arena rules_arena = ARENA_INIT(RULES_BYTES);
    struct str queue = request->queue.ptr ? request->queue : STR(CELERY_DEFAULT_QUEUE);
    char id[UUID_TEXT_BYTES] = "";
    struct limit_rules rules;
    struct result result;
    int rc = limits_config_load(cli->config, &rules_arena, &rules, err);

    if (rc == 0)
        rc = create_client(cli, &rules, &client, err);
    if (rc < 0)
        return rc;
    rc = celery_client_send(client, request, id, err);
    if (rc == -ERR_TIMEOUT && id[0])
        return error_wrap(err, rc, "task %s may be sent or not ('trawl result' knows later)", id);
    if (rc == -ERR_DUPLICATE)
        return report_duplicate(cli, request, id, queue, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot send task '%.*s'",
                          STR_ARG(str_slice(request->task, 0, 80)));
    tell_sent(cli, request, str_from_cstr(id));
    if (!values->is_waiting)
        return print_id(cli, str_from_cstr(id), queue, false, err);
    rc = cli_result_wait(cli, client, str_from_cstr(id), values->timeout_s, &arena, &result, err);
    if (rc == 0)
        rc = cli_result_print(cli, &result, queue, &arena, err);
    return rc < 0 ? rc : cli_result_judge(&result, &arena, err);
}

/* Before the table of options is known; a value of another option that reads so is found out
 * afterwards. */
static bool
has_word(int argc, char **argv, struct str word)
{
    for (int i = 1; i < argc; i++) {
        if (str_equal(str_from_cstr(argv[i]), word))
            return true;
    }
    return false;
}

static int
call_task(struct cli *cli, const struct celery_task *task, const struct call_options *options,
          const struct cli_words *words, struct error *err)
{
    CLEANUP(buf_fini) struct buf kwargs = BUF_INIT(ARGUMENTS_BYTES);
    struct celery_request request;
    int rc = cli_expect_words(cli, words, 1, 1, err);

    if (rc == 0 && !task && !options->values.is_foreign)
        rc = error_set(err, ERR_ARGS, "name the task before its options; usage: trawl %s %s",
                       cli->command->name, cli->command->arguments);
    if (rc == 0)
        rc = fill_request(task, options, words->items[0], &kwargs, &request, err);
    return rc < 0 ? rc : send_request(cli, &request, &options->values, err);
}

int
command_call(struct cli *cli, int argc, char **argv, struct error *err)
{
    const struct celery_task *task = NULL;
    struct call_options options;
    struct cli_words words;
    int rc;

    if (argc >= 2 && argv[1][0] != '-' && !has_word(argc, argv, STR("--foreign")) &&
        celery_registry_find(cli->program->registry, str_from_cstr(argv[1]), &task, err) < 0)
        return cli_refuse_usage(err);
    make_call_options(task, &options);
    rc = cli_parse(cli, options.all, argc, argv, &words, err);
    return rc != 0 ? rc : call_task(cli, task, &options, &words, err);
}
