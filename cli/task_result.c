/* Results come from any worker, ours or Python's: shown as text they are a stranger's. */

#include "cli/task_result.h"

#include <stdio.h>

#include "base/timestamp.h"
#include "celery/backend/exception.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/safe_text.h"

int
cli_client_create(const struct cli *cli, struct celery_client **out, struct error *err)
{
    struct celery_client_options options = {
        .broker_url = config_get(cli->config, CONFIG_BROKER_URL),
        .backend_url = config_get(cli->config, CONFIG_RESULT_BACKEND),
    };

    return celery_client_create(&options, out, err);
}

static void
on_progress(void *context, int64_t current, int64_t total)
{
    cli_progress_update(context, current, total);
}

int
cli_result_wait(const struct cli *cli, struct celery_client *client, struct str id,
                int64_t timeout_s, struct arena *arena, struct result *out, struct error *err)
{
    struct cli_progress progress;
    struct celery_client_hooks hooks = {on_progress, interrupt_is_pending, &progress};
    int rc;

    cli_progress_init(&progress, id, cli->has_progress);
    rc = celery_client_wait(client, id, timeout_s * US_PER_S, &hooks, arena, out, err);
    cli_progress_clear(&progress);
    if (rc == -ERR_TIMEOUT || rc == -ERR_CANCELLED)
        return error_wrap(err, rc, "'trawl result %.*s --wait' goes on waiting", STR_ARG(id));
    return rc;
}

static int
print_json(const struct result *result, struct str queue, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    char text[TIMESTAMP_TEXT_BYTES];

    json_begin_object(&json);
    json_member_str(&json, STR("task_id"), result->task_id);
    if (queue.ptr)
        json_member_str(&json, STR("queue"), queue);
    json_member_str(&json, STR("status"), result->status);
    json_name(&json, STR("result"));
    json_raw(&json, result->result.ptr ? result->result : STR("null"));
    json_member_str(&json, STR("traceback"), result->traceback);
    json_member_str(&json, STR("date_done"),
                    result->date_done_us == TIME_UNKNOWN
                        ? STR_NULL
                        : str_from_cstr(timestamp_format(result->date_done_us, text)));
    json_end_object(&json);
    return cli_print(&out, err);
}

static void
print_line(const char *name, struct str value)
{
    (void)printf("%-10s", name);
    cli_print_safe(value, stdout);
    (void)putchar('\n');
}

int
cli_result_print(const struct cli *cli, const struct result *result, struct str queue,
                 struct arena *arena, struct error *err)
{
    bool is_exception = result_state_is_exception(result_state_of(result->status));
    struct exception exception;
    char text[TIMESTAMP_TEXT_BYTES];

    if (cli->json)
        return print_json(result, queue, err);
    print_line("task_id", result->task_id);
    print_line("status", result->status);
    if (is_exception && result->result.ptr &&
        exception_read(result->result, arena, &exception, NULL) == 0) {
        struct error failure;

        (void)exception_to_error(&exception, arena, &failure);
        print_line("error", str_from_cstr(failure.message));
    } else if (result->result.ptr) {
        print_line("result", result->result);
    }
    if (result->date_done_us != TIME_UNKNOWN)
        print_line("done", str_from_cstr(timestamp_format(result->date_done_us, text)));
    if (result->traceback.len) {
        (void)printf("traceback\n");
        cli_print_safe_lines(result->traceback, "  ", stdout);
    }
    return 0;
}

int
cli_result_judge(const struct result *result, struct arena *arena, struct error *err)
{
    enum result_state state = result_state_of(result->status);
    struct exception exception;
    struct error failure = {.message = "its result names no exception"};
    int rc = -ERR_INVALID;

    if (!result_state_is_ready(state) || state == RESULT_SUCCESS)
        return 0;
    if (result->result.ptr && exception_read(result->result, arena, &exception, NULL) == 0)
        rc = exception_to_error(&exception, arena, &failure);
    if (rc == -ERR_ARGS || rc == -ERR_CANCELLED)
        rc = -ERR_INVALID;
    return error_set(err, (enum error_code) - rc, "task '%.*s' ended as %.*s: %s",
                     STR_ARG(result->task_id), STR_ARG(result->status), failure.message);
}
