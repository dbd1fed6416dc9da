/* trawl task ID: one task, its attempts and its log; trawl task retry ID: once more. */

#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/timestamp.h"
#include "cli/history.h"
#include "cli/safe_text.h"
#include "cli/task_result.h"

static void
print_field(const char *name, struct str value)
{
    if (!value.len)
        return;
    (void)printf("%-10s ", name);
    cli_print_safe(value, stdout);
    (void)printf("\n");
}

static void
print_time(const char *name, int64_t time_us)
{
    char when[TIMESTAMP_TEXT_BYTES];

    if (time_us != INT64_MIN)
        print_field(name, str_from_cstr(timestamp_format(time_us, when)));
}

static void
print_lines(const struct history_record *attempt, const char *indent)
{
    if (attempt->n_dropped > 0)
        (void)printf("%s... %" PRId64 " earlier lines were dropped\n", indent, attempt->n_dropped);
    if (attempt->lines.len)
        cli_print_safe_lines(str_slice(attempt->lines, 0, attempt->lines.len - 1), indent, stdout);
}

static void
print_attempt(const struct cli *cli, const struct history_record *attempt)
{
    char span[32] = "-";

    if (attempt->runtime_us != INT64_MIN)
        (void)cli_format_span(attempt->runtime_us, span);
    (void)printf("\n%sretry %" PRId64 ", delivery %" PRId64 ": %.*s%s after %s\n", cli_bold(cli),
                 attempt->retries, attempt->attempt, STR_ARG(attempt->state), cli_reset(cli), span);
    (void)printf("%-10s ", "worker");
    cli_print_safe(attempt->worker, stdout);
    if (attempt->pid != INT64_MIN)
        (void)printf(" pid %" PRId64, attempt->pid);
    (void)printf("\n");
    print_time("received", attempt->received_at_us);
    print_time("started", attempt->started_at_us);
    print_time("ended", attempt->at_us);
    print_field("result", attempt->result);
    print_field("error", attempt->error);
    if (attempt->traceback.len) {
        (void)printf("traceback\n");
        cli_print_safe_lines(attempt->traceback, "  ", stdout);
    }
    if (attempt->lines.len || attempt->n_dropped > 0)
        (void)printf("log\n");
    print_lines(attempt, "  ");
}

static void
print_task(const struct cli *cli, const struct history_task *task)
{
    const struct history_record *last = &task->attempts[task->n_attempts - 1];

    print_field("task", last->name);
    print_field("id", last->task_id);
    print_field("state", last->state);
    print_field("queue", last->queue);
    print_field("args", last->args);
    print_field("kwargs", last->kwargs);
    if (last->flags & HISTORY_REDACTED)
        (void)printf("           (as their sender shows them)\n");
    if (last->flags & HISTORY_CUT)
        (void)printf("           (cut: they were longer)\n");
    if (!str_equal(last->root_id, last->task_id))
        print_field("root", last->root_id);
    print_field("parent", last->parent_id);
    print_field("group", last->group_id);
    print_field("retry of", task->retry_of);
    for (size_t i = 0; i < task->n_retried_as; i++)
        print_field("sent again", task->retried_as[i]);
    for (size_t i = 0; i < task->n_attempts; i++)
        print_attempt(cli, &task->attempts[i]);
}

static void
write_lines(struct json_writer *json, struct str lines)
{
    struct str line;

    json_begin_array(json);
    while (str_split(&lines, '\n', &line)) {
        struct str rest = line;
        struct str when, level;

        if (!str_split(&rest, ' ', &when) || !str_split(&rest, ' ', &level))
            continue;
        json_begin_object(json);
        json_member_str(json, STR("time"), when);
        json_member_str(json, STR("level"), level);
        /* The level stands in a column of seven. */
        json_member_str(json, STR("text"),
                        str_slice(rest, level.len < 7 ? 7 - level.len : 0, rest.len));
        json_end_object(json);
    }
    json_end_array(json);
}

static void
write_attempt(struct json_writer *json, const struct history_record *attempt)
{
    json_begin_object(json);
    cli_history_write_run(json, attempt);
    json_member_str(json, STR("traceback"), attempt->traceback);
    json_name(json, STR("lines"));
    write_lines(json, attempt->lines);
    json_member_i64(json, STR("lines_dropped"), attempt->n_dropped);
    json_end_object(json);
}

static int
print_json(const struct history_task *task, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    const struct history_record *last = &task->attempts[task->n_attempts - 1];

    json_begin_object(&json);
    cli_history_write_task(&json, last);
    cli_history_write_run(&json, last);
    json_member_str(&json, STR("retry_of"), task->retry_of);
    json_name(&json, STR("sent_again_as"));
    json_begin_array(&json);
    for (size_t i = 0; i < task->n_retried_as; i++)
        json_str(&json, task->retried_as[i]);
    json_end_array(&json);
    json_name(&json, STR("attempts"));
    json_begin_array(&json);
    for (size_t i = 0; i < task->n_attempts; i++)
        write_attempt(&json, &task->attempts[i]);
    json_end_array(&json);
    json_end_object(&json);
    return cli_print(&out, err);
}

static int
retry_task(struct cli *cli, struct history *history, const struct history_task *task,
           bool may_repeat, struct error *err)
{
    CLEANUP(celery_client_freep) struct celery_client *client = NULL;
    CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    struct json_writer json = JSON_WRITER_INIT(&out);
    const struct history_record *last = &task->attempts[task->n_attempts - 1];
    char id[UUID_TEXT_BYTES] = "";
    enum cli_retry_verdict verdict;
    int rc = cli_retry_judge(history, last, may_repeat, &verdict, err);

    if (rc == 0 && verdict != CLI_RETRY_SENT)
        rc = error_set(err, ERR_INVALID, "task %.*s is not sent again: its arguments were %s",
                       STR_ARG(last->task_id), cli_retry_reason(verdict));
    if (rc == 0)
        rc = cli_client_create(cli, &client, err);
    if (rc == 0)
        rc = cli_retry_send(client, history, last, id, err);
    if (rc < 0)
        return rc;
    if (cli->json) {
        json_begin_object(&json);
        json_member_str(&json, STR("task_id"), str_from_cstr(id));
        json_member_str(&json, STR("retry_of"), last->task_id);
        json_end_object(&json);
    } else {
        buf_append(&out, str_from_cstr(id));
    }
    return cli_print(&out, err);
}

int
command_task(struct cli *cli, int argc, char **argv, struct error *err)
{
    CLEANUP(history_closep) struct history *history = NULL;
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CLI_HISTORY_BYTES);
    bool is_only_logs = false;
    bool may_repeat = false;
    bool is_retry;
    struct history_task task;
    struct cli_words words;
    struct str id;
    const struct cli_option options[] = {
        CLI_OPTION_FLAG("logs", &is_only_logs, "only what it has logged, all attempts"),
        CLI_OPTION_FLAG("again", &may_repeat, "retry: although it was sent again before"),
        CLI_OPTIONS_END,
    };
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 1, 2, err);
    if (rc != 0)
        return rc;
    is_retry = str_equal(words.items[0], STR("retry"));
    if (words.n_items != (is_retry ? 2U : 1U))
        return error_set(err, ERR_ARGS, "usage: trawl task %s", cli->command->arguments);
    rc = cli_history_open(cli, &history, err);
    if (rc == 0)
        rc = history_find(history, words.items[words.n_items - 1], &arena, &id, err);
    if (rc == 0)
        rc = history_get(history, id, &arena, &task, err);
    if (rc < 0)
        return rc;
    if (is_retry)
        return retry_task(cli, history, &task, may_repeat, err);
    if (cli->json)
        return print_json(&task, err);
    if (!is_only_logs)
        print_task(cli, &task);
    for (size_t i = 0; is_only_logs && i < task.n_attempts; i++)
        print_lines(&task.attempts[i], "");
    return 0;
}
