/* trawl runs: the ledger of what ran, and the records that a run could not use. */

#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/timestamp.h"
#include "lib/repositories/run_repository.h"

#define RUNS_ARENA_BYTES ((size_t)64 << 20)

static void
run_json(struct json_writer *json, const struct run *run)
{
    char text[TIMESTAMP_TEXT_BYTES];

    json_begin_object(json);
    json_member_i64(json, STR("run"), run->run_id);
    json_member_str(json, STR("task"), run->task_name);
    json_member_str(json, STR("task_id"), run->task_id);
    json_name(json, STR("arguments"));
    json_raw(json, run->arguments.len ? run->arguments : STR("null"));
    json_member_str(json, STR("state"), run->state);
    json_name(json, STR("result"));
    json_raw(json, run->result.len ? run->result : STR("null"));
    json_member_str(json, STR("error_type"), run->error_type);
    json_member_str(json, STR("error"), run->error_message);
    json_member_str(json, STR("worker_id"), run->worker_id);
    json_member_str(json, STR("started_at"),
                    str_from_cstr(timestamp_format(run->started_at_us, text)));
    json_member_str(json, STR("ended_at"),
                    run->ended_at_us == DATABASE_NULL
                        ? STR_NULL
                        : str_from_cstr(timestamp_format(run->ended_at_us, text)));
    json_end_object(json);
}

static void
print_run(const struct cli *cli, const struct run *run)
{
    char when[TIMESTAMP_TEXT_BYTES];
    char span[32] = "-";

    if (run->ended_at_us != DATABASE_NULL)
        (void)cli_format_span(run->ended_at_us - run->started_at_us, span);
    (void)printf("%s%5" PRId64 "%s  %s  %-27.*s %-8.*s %9s  %.*s\n", cli_bold(cli), run->run_id,
                 cli_reset(cli), timestamp_format(run->started_at_us, when),
                 STR_ARG(run->task_name), STR_ARG(run->state), span,
                 STR_ARG(run->error_message.len ? run->error_message : run->result));
}

static int
show_runs(struct cli *cli, struct database *database, struct str task_name, int64_t limit,
          struct arena *arena, struct error *err)
{
    struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    const struct run *runs;
    size_t n_runs;
    int rc = run_repo_list(database, task_name, (size_t)limit, arena, &runs, &n_runs, err);

    if (rc < 0)
        return rc;
    json_begin_array(&json);
    for (size_t i = 0; i < n_runs; i++) {
        if (cli->json)
            run_json(&json, &runs[i]);
        else
            print_run(cli, &runs[i]);
    }
    json_end_array(&json);
    if (cli->json)
        rc = cli_print(&out, err);
    else if (n_runs == 0)
        (void)printf("no runs yet\n");
    buf_fini(&out);
    return rc;
}

static int
show_rejects(struct cli *cli, struct database *database, int64_t run_id, int64_t limit,
             struct arena *arena, struct error *err)
{
    struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    const struct run_reject *rejects;
    size_t n_rejects;
    char text[32];
    int rc =
        run_repo_list_rejects(database, run_id, (size_t)limit, arena, &rejects, &n_rejects, err);

    if (rc < 0)
        return rc;
    json_begin_array(&json);
    for (size_t i = 0; i < n_rejects; i++) {
        const struct run_reject *reject = &rejects[i];
        bool has_offset = reject->byte_offset != DATABASE_NULL;

        if (!cli->json) {
            (void)printf("%.*s  record %" PRId64 "  byte %s  %.*s\n", STR_ARG(reject->source),
                         reject->record, cli_format_count(reject->byte_offset, text),
                         STR_ARG(reject->reason));
            continue;
        }
        json_begin_object(&json);
        json_member_str(&json, STR("source"), reject->source);
        json_member_i64(&json, STR("record"), reject->record);
        json_name(&json, STR("byte_offset"));
        if (has_offset)
            json_i64(&json, reject->byte_offset);
        else
            json_null(&json);
        json_member_str(&json, STR("reason"), reject->reason);
        json_end_object(&json);
    }
    json_end_array(&json);
    if (cli->json)
        rc = cli_print(&out, err);
    else if (n_rejects == 0)
        (void)printf("run %" PRId64 " has no rejected records\n", run_id);
    buf_fini(&out);
    return rc;
}

int
command_runs(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct arena arena = ARENA_INIT(RUNS_ARENA_BYTES);
    int64_t limit = 20;
    int64_t rejects_of = 0;
    struct database *database;
    struct cli_words words;
    const struct cli_option options[] = {
        CLI_OPTION_WHOLE("limit", "N", &limit, 1, 100000, "rows at most (20)"),
        CLI_OPTION_WHOLE("rejects", "RUN", &rejects_of, 1, INT64_MAX,
                         "the rejected records of that run"),
        CLI_OPTIONS_END,
    };
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 0, 1, err);
    if (rc == 0)
        rc = container_get_database(cli->app, CONTAINER_READS, &database, err);
    if (rc == 0 && rejects_of)
        rc = show_rejects(cli, database, rejects_of, limit, &arena, err);
    else if (rc == 0)
        rc =
            show_runs(cli, database, words.n_items ? words.items[0] : STR_NULL, limit, &arena, err);
    arena_fini(&arena);
    return rc;
}
