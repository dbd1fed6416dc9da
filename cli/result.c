/* trawl result ID: what is known of a task that was sent. */

#include "cli/commands.h"

#include <stdio.h>

#include "cli/task_result.h"

static int
show_result(struct cli *cli, struct str id, bool is_waiting, int64_t timeout_s, struct error *err)
{
    CLEANUP(celery_client_freep) struct celery_client *client = NULL;
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CLI_RESULT_BYTES);
    struct result result;
    int rc = cli_client_create(cli, &client, err);

    if (rc < 0)
        return rc;
    if (is_waiting)
        rc = cli_result_wait(cli, client, id, timeout_s, &arena, &result, err);
    else
        rc = celery_client_get(client, id, &arena, &result, err);
    if (rc == 0)
        rc = cli_result_print(cli, &result, STR_NULL, &arena, err);
    if (rc < 0)
        return rc;
    if (!cli->json && !cli->quiet && result_state_of(result.status) == RESULT_PENDING)
        (void)fprintf(stderr, "PENDING is also the state of an id that was never sent, or whose "
                              "result has expired (one day): is the id right, and a worker "
                              "running?\n");
    return cli_result_judge(&result, &arena, err);
}

int
command_result(struct cli *cli, int argc, char **argv, struct error *err)
{
    bool is_waiting = false;
    int64_t timeout_s = 0;
    struct cli_words words;
    const struct cli_option options[] = {
        CLI_OPTION_FLAG("wait", &is_waiting, "until the task has ended"),
        CLI_OPTION_WHOLE("timeout", "S", &timeout_s, 1, 31536000,
                         "with --wait: seconds at most (no limit)"),
        CLI_OPTIONS_END,
    };
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 1, 1, err);
    if (rc == 0 && timeout_s && !is_waiting)
        rc = error_set(err, ERR_ARGS, "--timeout goes with --wait");
    if (rc == 0)
        rc = show_result(cli, words.items[0], is_waiting, timeout_s, err);
    return rc;
}
