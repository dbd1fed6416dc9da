/* trawl control: tell workers what to do. */

#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "celery/broker/broker.h"
#include "celery/control/node.h"
#include "cli/nodes.h"

#define OPEN_US US_PER_S /* half of it for the command */

struct control_values {
    struct cli_node_options nodes;
    struct str signal;
    bool is_terminated;
};

static const struct cli_remote methods[] = {
    {"revoke",
     "ID ... [--terminate]",
     "do not run these tasks",
     {{"task_id", CLI_REMOTE_REST, false}}},
    {"terminate", "ID ...", "and end those that run", {{"task_id", CLI_REMOTE_REST, false}}},
    {"shutdown", "", "end after the running tasks", {{NULL, CLI_REMOTE_END, false}}},
    {"pool_grow", "[N]", "more processes", {{"n", CLI_REMOTE_WHOLE, true}}},
    {"pool_shrink", "[N]", "fewer processes", {{"n", CLI_REMOTE_WHOLE, true}}},
    {"add_consumer", "QUEUE", "take from this queue, too", {{"queue", CLI_REMOTE_TEXT, false}}},
    {"cancel_consumer", "QUEUE", "take no more from it", {{"queue", CLI_REMOTE_TEXT, false}}},
    {"time_limit",
     "TASK SOFT_S [HARD_S]",
     "limits of a task; 0 = none",
     {{"task_name", CLI_REMOTE_TEXT, false},
      {"soft", CLI_REMOTE_SECONDS, false},
      {"hard", CLI_REMOTE_SECONDS, true}}},
    {"rate_limit",
     "TASK RATE",
     "of a Python worker: '10/m'",
     {{"task_name", CLI_REMOTE_TEXT, false}, {"rate_limit", CLI_REMOTE_TEXT, false}}},
    {NULL, NULL, NULL, {{NULL, CLI_REMOTE_END, false}}},
};

static bool
is_method(const struct cli_remote *method, const char *name)
{
    return strcmp(method->name, name) == 0;
}

/* Workers leave without an answer: who is there is asked first, and told by name. */
static int
shut_down(struct cli *cli, struct cli_question *question, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CONTROL_REPLIES_BYTES);
    struct cli_question order = {.question = question->question, .arguments = BUF_INIT(0)};
    struct control_replies replies;
    struct control_replies nothing;
    int rc;

    question->question.method = STR("ping");
    rc = cli_ask(cli, question, &arena, &replies, err);
    if (rc < 0)
        return rc;
    if (replies.n_items > CLI_MAX_NODES)
        return error_set(err, ERR_ARGS, "%zu nodes are online: name at most %zu by --destination",
                         replies.n_items, CLI_MAX_NODES);
    order.question.method = STR("shutdown");
    order.question.has_reply = false;
    order.question.n_recipients = replies.n_items;
    for (size_t i = 0; i < replies.n_items; i++)
        order.recipients[i] = replies.items[i].node;
    if (replies.n_items > 0)
        rc = cli_ask(cli, &order, &arena, &nothing, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; !cli->json && i < replies.n_items; i++)
        cli_print_node(cli, &replies.items[i], false);
    if (!cli->json && !cli->quiet && replies.n_items > 0)
        (void)printf("\ntold to end after the running tasks: %zu\n", replies.n_items);
    return cli->json ? cli_print_replies(cli, question, &replies, err)
                     : cli_judge_replies(question, &replies, err);
}

/* Nobody is there to remember it: the broker does. */
static int
revoke_in_broker(struct cli *cli, const struct str *ids, size_t n_ids, struct error *err)
{
    CLEANUP(broker_closep) struct broker *broker = NULL;
    CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    struct broker_options options = {
        .must_exist = true, .max_open_us = OPEN_US, .max_command_us = OPEN_US / 2};
    int rc = broker_open(config_get(cli->config, CONFIG_BROKER_URL), &options, &broker, err);

    if (rc == 0)
        rc = broker_revoke(broker, ids, n_ids, clock_now_us(&clock_system) + CONTROL_REVOKED_US,
                           err);
    if (rc < 0)
        return rc;
    if (cli->json)
        buf_append(&out, STR("{}"));
    else
        buf_printf(&out, "no node is online: the broker will tell those that come (%zu task%s)",
                   n_ids, n_ids == 1 ? "" : "s");
    return cli_print(&out, err);
}

static int
order(struct cli *cli, struct cli_question *question, const struct cli_remote *method,
      const struct control_values *values, const struct cli_words *words, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CONTROL_REPLIES_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&question->arguments);
    bool is_terminate = is_method(method, "terminate");
    bool is_revoke = is_terminate || is_method(method, "revoke");
    struct control_replies replies;
    int rc;

    question->question.method = str_from_cstr(method->name);
    json_begin_object(&json);
    rc = cli_remote_write(method, words->items + 1, words->n_items - 1, &json, err);
    if (is_revoke && !is_terminate)
        json_member_bool(&json, STR("terminate"), values->is_terminated);
    if (is_revoke)
        json_member_str(&json, STR("signal"), values->signal.ptr ? values->signal : STR("SIGTERM"));
    json_end_object(&json);
    if (rc == 0)
        rc = cli_ask(cli, question, &arena, &replies, err);
    if (rc < 0)
        return rc;
    if (is_revoke && replies.n_heard == 0 && question->question.n_recipients == 0)
        return revoke_in_broker(cli, words->items + 1, words->n_items - 1, err);
    return cli_print_replies(cli, question, &replies, err);
}

static int
check_options(const struct cli_remote *method, const struct control_values *values,
              struct error *err)
{
    bool is_revoke = is_method(method, "revoke");

    if (values->is_terminated && !is_revoke)
        return error_set(err, ERR_ARGS, "--terminate goes with revoke");
    if (values->signal.ptr && !is_revoke && !is_method(method, "terminate"))
        return error_set(err, ERR_ARGS, "--signal goes with revoke and terminate");
    return 0;
}

int
command_control(struct cli *cli, int argc, char **argv, struct error *err)
{
    CLEANUP(cli_question_fini) struct cli_question question = {.arguments = BUF_INIT(0)};
    struct control_values values = {.signal = STR_NULL};
    const struct cli_remote *method = NULL;
    struct cli_words words;
    const struct cli_option options[] = {
        CLI_NODE_OPTIONS(&values.nodes),
        CLI_OPTION_FLAG("terminate", &values.is_terminated, "revoke: end those that run, too"),
        CLI_OPTION_TEXT("signal", "NAME", &values.signal,
                        "for Python workers (SIGTERM); ours ask a task to end, then kill it"),
        CLI_OPTIONS_END,
    };
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 1, COUNT_OF(words.items), err);
    if (rc == 0)
        rc = cli_remote_find(methods, words.items[0], &method, err);
    if (rc == 0)
        rc = check_options(method, &values, err);
    if (rc == 0)
        rc = cli_question_init(&values.nodes, &question, err);
    if (rc != 0)
        return rc;
    if (!is_method(method, "shutdown"))
        return order(cli, &question, method, &values, &words, err);
    rc = cli_expect_words(cli, &words, 1, 1, err);
    return rc < 0 ? rc : shut_down(cli, &question, err);
}
