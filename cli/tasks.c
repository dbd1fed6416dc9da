/* trawl tasks: what has ended, newest first; trawl tasks retry: many of them again. */

#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/timestamp.h"
#include "cli/history.h"
#include "cli/safe_text.h"
#include "cli/task_result.h"

#define LIST_DEFAULT  50
#define RETRY_DEFAULT 10000
#define SHOWN_BYTES   80

struct tasks_values {
    struct cli_history_choice choice;
    bool is_dry;
    bool is_sure;
    bool may_repeat;
};

static void
print_cut(struct str text, size_t most)
{
    cli_print_safe(str_slice(text, 0, most), stdout);
    if (text.len > most)
        (void)printf("...");
}

static void
print_row(const struct cli *cli, const struct history_record *record)
{
    char when[TIMESTAMP_TEXT_BYTES];
    char span[32] = "-";

    if (record->runtime_us != INT64_MIN)
        (void)cli_format_span(record->runtime_us, span);
    (void)printf("%-20.19s %s%-9.*s%s %8s  ", timestamp_format(record->at_us, when), cli_bold(cli),
                 STR_ARG(record->state), cli_reset(cli), span);
    cli_print_safe(str_slice(record->task_id, 0, 8), stdout);
    (void)printf("  ");
    cli_print_safe(record->name, stdout);
    if (record->args.len)
        (void)printf(" ");
    print_cut(record->args, SHOWN_BYTES);
    if (record->kwargs.len)
        (void)printf(" ");
    print_cut(record->kwargs, SHOWN_BYTES);
    if (record->error.len) {
        (void)printf("  %s", cli_dim(cli));
        print_cut(record->error, SHOWN_BYTES);
        (void)printf("%s", cli_reset(cli));
    }
    (void)printf("\n");
}

/* A search that has not seen all says where to go on. */
static void
tell_bound(const struct history_list *list)
{
    char when[TIMESTAMP_TEXT_BYTES];

    if (list->searched_to_us == INT64_MIN)
        return;
    (void)fprintf(stderr, "looked at the newest %zu tasks: --until %s goes on\n",
                  HISTORY_SEARCH_MAX, timestamp_format(list->searched_to_us, when));
}

static int
print_list(const struct cli *cli, const struct history_list *list, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);

    if (!cli->json) {
        for (size_t i = 0; i < list->n_items; i++)
            print_row(cli, &list->items[i]);
        if (list->n_items == 0)
            (void)printf("no such tasks\n");
        return 0;
    }
    json_begin_array(&json);
    for (size_t i = 0; i < list->n_items; i++) {
        json_begin_object(&json);
        cli_history_write_task(&json, &list->items[i]);
        cli_history_write_run(&json, &list->items[i]);
        json_end_object(&json);
    }
    json_end_array(&json);
    return cli_print(&out, err);
}

/* What became of each, for the summary. */
struct retry_counts {
    int64_t n[CLI_RETRY_N_VERDICTS];
};

static int
print_counts(const struct cli *cli, const struct retry_counts *counts, bool is_sent,
             struct error *err)
{
    static const struct str names[CLI_RETRY_N_VERDICTS] = {
        [CLI_RETRY_SENT] = STR_INIT("sent"),
        [CLI_RETRY_DONE_BEFORE] = STR_INIT("sent_before"),
        [CLI_RETRY_REDACTED] = STR_INIT("redacted"),
        [CLI_RETRY_CUT] = STR_INIT("cut"),
    };
    CLEANUP(buf_fini) struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);

    json_begin_object(&json);
    for (size_t i = 0; i < CLI_RETRY_N_VERDICTS; i++) {
        struct str name = i == CLI_RETRY_SENT && !is_sent ? STR("would_be_sent") : names[i];

        json_member_i64(&json, name, counts->n[i]);
        if (cli->json || (counts->n[i] == 0 && i != CLI_RETRY_SENT))
            continue;
        if (i == CLI_RETRY_SENT)
            (void)printf("%" PRId64 " tasks %s\n", counts->n[i],
                         is_sent ? "sent again" : "would be sent again");
        else
            (void)printf("%" PRId64 " left out: %s\n", counts->n[i],
                         cli_retry_reason((enum cli_retry_verdict)i));
    }
    json_end_object(&json);
    return cli->json ? cli_print(&out, err) : 0;
}

/* Judge all, and send those that may be where client is not NULL. */
static int
retry_list(struct celery_client *client, struct history *history, const struct history_list *list,
           bool may_repeat, struct retry_counts *counts, struct error *err)
{
    char id[UUID_TEXT_BYTES];
    int rc = 0;

    *counts = (struct retry_counts){0};
    for (size_t i = 0; rc == 0 && i < list->n_items; i++) {
        enum cli_retry_verdict verdict;

        rc = cli_retry_judge(history, &list->items[i], may_repeat, &verdict, err);
        if (rc == 0 && verdict == CLI_RETRY_SENT && client)
            rc = cli_retry_send(client, history, &list->items[i], id, err);
        if (rc == 0)
            counts->n[verdict]++;
    }
    return rc;
}

static int
retry_tasks(struct cli *cli, struct history *history, const struct tasks_values *values,
            const struct history_list *list, struct error *err)
{
    CLEANUP(celery_client_freep) struct celery_client *client = NULL;
    struct retry_counts counts;
    struct error send_err;
    bool is_sending = values->is_sure && !values->is_dry;
    int rc = retry_list(NULL, history, list, values->may_repeat, &counts, err);

    if (rc == 0 && !is_sending)
        rc = print_counts(cli, &counts, false, err);
    if (rc < 0)
        return rc;
    if (!is_sending && (values->is_dry || counts.n[CLI_RETRY_SENT] == 0))
        return 0;
    if (!is_sending)
        return error_set(err, ERR_ARGS,
                         "nothing was sent: say --yes to send %" PRId64 " tasks again",
                         counts.n[CLI_RETRY_SENT]);
    if (!cli->json && !cli->quiet)
        (void)fprintf(stderr, "sending %" PRId64 " tasks again\n", counts.n[CLI_RETRY_SENT]);
    rc = cli_client_create(cli, &client, err);
    if (rc < 0)
        return rc;
    rc = retry_list(client, history, list, values->may_repeat, &counts, &send_err);
    if (print_counts(cli, &counts, true, rc < 0 ? NULL : err) < 0 && rc == 0)
        return -ERR_IO;
    if (rc < 0) {
        *err = send_err;
        return error_wrap(err, rc, "not all were sent");
    }
    return counts.n[CLI_RETRY_REDACTED] || counts.n[CLI_RETRY_CUT] ? CLI_PARTIAL : 0;
}

static int
run_tasks(struct cli *cli, const struct tasks_values *values, bool is_retry, struct error *err)
{
    CLEANUP(history_closep) struct history *history = NULL;
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CLI_HISTORY_BYTES);
    struct history_filter filter;
    struct history_list list = {0};
    int rc = cli_history_filter(&values->choice, &filter, err);

    if (is_retry && !filter.state.ptr)
        filter.state = STR("FAILURE");
    if (rc == 0)
        rc = cli_history_open(cli, &history, err);
    if (rc == 0)
        rc = history_list(history, &filter, &arena, &list, err);
    if (rc < 0)
        return rc;
    tell_bound(&list);
    return is_retry ? retry_tasks(cli, history, values, &list, err) : print_list(cli, &list, err);
}

int
command_tasks(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct tasks_values values = {.choice.limit = 0};
    const struct cli_option own[] = {
        CLI_OPTION_FLAG("yes", &values.is_sure, "retry: do it; without, only count"),
        CLI_OPTION_FLAG("dry-run", &values.is_dry, "retry: only count"),
        CLI_OPTION_FLAG("again", &values.may_repeat,
                        "retry: those too that were sent again before"),
        CLI_OPTIONS_END,
    };
    struct cli_option options[CLI_N_HISTORY_OPTIONS + COUNT_OF(own)];
    struct cli_words words;
    bool is_retry;
    int rc;

    cli_history_options(&values.choice, options);
    (void)memcpy(options + CLI_N_HISTORY_OPTIONS, own, sizeof(own));
    rc = cli_parse(cli, options, argc, argv, &words, err);
    if (rc == 0)
        rc = cli_expect_words(cli, &words, 0, 1, err);
    if (rc != 0)
        return rc;
    is_retry = words.n_items == 1;
    if (is_retry && !str_equal(words.items[0], STR("retry")))
        return error_set(err, ERR_ARGS,
                         "'%.*s' is unknown: trawl tasks [retry]; one task is shown"
                         " by 'trawl task ID'",
                         STR_ARG(str_slice(words.items[0], 0, 64)));
    if (!is_retry && (values.is_sure || values.is_dry || values.may_repeat))
        return error_set(err, ERR_ARGS, "--yes, --dry-run and --again go with 'trawl tasks retry'");
    if (values.choice.limit == 0)
        values.choice.limit = is_retry ? RETRY_DEFAULT : LIST_DEFAULT;
    return run_tasks(cli, &values, is_retry, err);
}
