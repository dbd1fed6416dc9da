/* trawl status: who is there. */

#include "cli/commands.h"

#include <stdio.h>

#include "cli/nodes.h"

int
command_status(struct cli *cli, int argc, char **argv, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CONTROL_REPLIES_BYTES);
    CLEANUP(cli_question_fini) struct cli_question question = {.arguments = BUF_INIT(0)};
    struct cli_node_options values = {STR_NULL, STR_NULL};
    struct control_replies replies;
    struct cli_words words;
    const struct cli_option options[] = {CLI_NODE_OPTIONS(&values), CLI_OPTIONS_END};
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 0, 0, err);
    if (rc == 0)
        rc = cli_question_init(&values, &question, err);
    if (rc != 0)
        return rc;
    question.question.method = STR("ping");
    rc = cli_ask(cli, &question, &arena, &replies, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        return cli_print_replies(cli, &question, &replies, err);
    for (size_t i = 0; i < replies.n_items; i++)
        cli_print_node(cli, &replies.items[i], false);
    if (replies.n_items > 0)
        cli_print_n_online(cli, replies.n_items);
    return cli_judge_replies(&question, &replies, err);
}
