/* trawl control: tell workers what to do. */

#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/nodes.h"
#include "cli/revoke.h"

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
    {"revoke_by_stamped_headers",
     "HEADER=VALUE ... [--terminate]",
     "do not run tasks that carry one of these stamps",
     {{"headers", CLI_REMOTE_REST, false}}},
    {"shutdown", "", "end after the running tasks", {{NULL, CLI_REMOTE_END, false}}},
    {"pool_grow", "[N]", "more processes", {{"n", CLI_REMOTE_WHOLE, true}}},
    {"pool_shrink", "[N]", "fewer processes", {{"n", CLI_REMOTE_WHOLE, true}}},
    {"pool_restart", "", "new processes, after their tasks", {{NULL, CLI_REMOTE_END, false}}},
    {"autoscale",
     "[MAX [MIN]]",
     "bounds of a pool that scales by itself",
     {{"max", CLI_REMOTE_WHOLE, true}, {"min", CLI_REMOTE_WHOLE, true}}},
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
     "starts of a task by each worker: '10/m'; 0 = no limit",
     {{"task_name", CLI_REMOTE_TEXT, false}, {"rate_limit", CLI_REMOTE_TEXT, false}}},
    {"enable_events", "", "tell monitors of each task", {{NULL, CLI_REMOTE_END, false}}},
    {"disable_events", "", "no longer", {{NULL, CLI_REMOTE_END, false}}},
    {"heartbeat", "", "tell monitors that it lives, now", {{NULL, CLI_REMOTE_END, false}}},
    {NULL, NULL, NULL, {{NULL, CLI_REMOTE_END, false}}},
};

static bool
is_method(const struct cli_remote *method, const char *name)
{
    return strcmp(method->name, name) == 0;
}

static bool
is_revoking(const struct cli_remote *method)
{
    return is_method(method, "revoke") || is_method(method, "terminate") ||
           is_method(method, "revoke_by_stamped_headers");
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

/* What the broker is told is for good: it comes first, whoever is online.  A locked one is told by
 * the nodes that hear of it. */
static int
revoke(struct cli *cli, const struct cli_question *question,
       const struct cli_revocation *revocation, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CONTROL_REPLIES_BYTES);
    struct control_replies replies;
    struct error busy = {0};
    int saved_rc = cli_revoke_in_broker(cli, revocation, &busy);
    int rc = 0;

    if (saved_rc == 0 || saved_rc == -ERR_BUSY)
        rc = cli_ask(cli, question, &arena, &replies, err);
    if (rc < 0)
        return rc;
    if (saved_rc < 0 && (saved_rc != -ERR_BUSY || replies.n_heard == 0)) {
        *err = busy;
        return saved_rc;
    }
    /* Without an answer there is nobody, too: a worker that was killed is heard for a moment. */
    return replies.n_items == 0 ? cli_revoke_alone(cli, revocation, err)
                                : cli_print_replies(cli, question, &replies, err);
}

static int
order(struct cli *cli, struct cli_question *question, const struct cli_remote *method,
      const struct control_values *values, const struct cli_words *words, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CONTROL_REPLIES_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&question->arguments);
    bool is_terminate = is_method(method, "terminate");
    bool is_for_all = question->question.n_recipients == 0;
    struct cli_revocation revocation;
    struct control_replies replies;
    int rc;

    question->question.method = str_from_cstr(method->name);
    json_begin_object(&json);
    rc = cli_remote_write(method, words->items + 1, words->n_items - 1, &json, err);
    if (is_revoking(method) && !is_terminate)
        json_member_bool(&json, STR("terminate"), values->is_terminated);
    if (is_revoking(method))
        json_member_str(&json, STR("signal"), values->signal.ptr ? values->signal : STR("SIGTERM"));
    json_end_object(&json);
    if (rc < 0 || !is_revoking(method) || !is_for_all) {
        if (rc == 0)
            rc = cli_ask(cli, question, &arena, &replies, err);
        return rc < 0 ? rc : cli_print_replies(cli, question, &replies, err);
    }
    revocation = (struct cli_revocation){words->items + 1, words->n_items - 1,
                                         is_method(method, "revoke_by_stamped_headers")};
    return revoke(cli, question, &revocation, err);
}

static int
check_options(const struct cli_remote *method, const struct control_values *values,
              struct error *err)
{
    if (values->is_terminated && (!is_revoking(method) || is_method(method, "terminate")))
        return error_set(err, ERR_ARGS, "--terminate goes with revoke");
    if (values->signal.ptr && !is_revoking(method))
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
                        "SIGTERM asks, and kills two seconds later; SIGKILL kills at once"),
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
