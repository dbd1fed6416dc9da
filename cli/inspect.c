/* trawl inspect: ask workers what they do. */

#include "cli/commands.h"

#include <stdio.h>

#include "cli/nodes.h"

static const struct cli_remote methods[] = {
    {"registered",
     "[ATTRIBUTE ...]",
     "the tasks that it knows",
     {{"taskinfoitems", CLI_REMOTE_REST, true}}},
    {"active", "", "the tasks that run", {{NULL, CLI_REMOTE_END, false}}},
    {"reserved", "", "the tasks that wait for their turn", {{NULL, CLI_REMOTE_END, false}}},
    {"scheduled",
     "",
     "the tasks that wait for their eta in its queues",
     {{NULL, CLI_REMOTE_END, false}}},
    {"revoked", "", "the ids that were revoked", {{NULL, CLI_REMOTE_END, false}}},
    {"query_task", "ID ...", "where these tasks are", {{"ids", CLI_REMOTE_REST, false}}},
    {"stats", "", "figures of the worker and its pool", {{NULL, CLI_REMOTE_END, false}}},
    {"active_queues", "", "the queues that it takes from", {{NULL, CLI_REMOTE_END, false}}},
    {"ping", "", "whether it answers", {{NULL, CLI_REMOTE_END, false}}},
    {"conf", "", "its settings, without secrets", {{NULL, CLI_REMOTE_END, false}}},
    {"report", "", "versions, for a bug report", {{NULL, CLI_REMOTE_END, false}}},
    {"clock", "", "its logical clock", {{NULL, CLI_REMOTE_END, false}}},
    {"memsample", "", "the memory of its parent process", {{NULL, CLI_REMOTE_END, false}}},
    {"memdump",
     "[SAMPLES]",
     "what memsample has seen, and the memory of now",
     {{"samples", CLI_REMOTE_WHOLE, true}}},
    {"objgraph",
     "[TYPE [NUM [DEPTH]]]",
     "objects of a Python worker",
     {{"type", CLI_REMOTE_TEXT, true},
      {"num", CLI_REMOTE_WHOLE, true},
      {"max_depth", CLI_REMOTE_WHOLE, true}}},
    {NULL, NULL, NULL, {{NULL, CLI_REMOTE_END, false}}},
};

/* "name [arguments={...}]", as our workers answer, as an object; a task of Python has its name
 * only.
 */
static void
write_registered(struct json_writer *json, struct str text)
{
    size_t at = str_find(text, STR(" [arguments="));

    json_begin_object(json);
    json_member_str(json, STR("name"), str_slice(text, 0, at));
    if (at < text.len && str_ends_with(text, STR("]"))) {
        json_name(json, STR("arguments"));
        json_raw(json, str_slice(text, at + 12, text.len - 1));
    }
    json_end_object(json);
}

static bool
is_json_object(struct str text, struct arena *arena)
{
    struct json value;

    return json_parse(text, NULL, arena, &value, NULL) == 0 && value.type == JSON_OBJECT;
}

/* One node's list; false where it is none of texts that read so. */
static bool
is_list_of_tasks(const struct json *value, struct arena *arena)
{
    if (value->type != JSON_ARRAY)
        return false;
    for (size_t i = 0; i < value->array.n_items; i++) {
        const struct json *item = &value->array.items[i];
        size_t at;

        if (item->type != JSON_STRING)
            return false;
        at = str_find(item->text, STR(" [arguments="));
        if (at < item->text.len &&
            !is_json_object(str_slice(item->text, at + 12, item->text.len - 1), arena))
            return false;
    }
    return true;
}

static int
print_registered(const struct control_replies *replies, struct arena *arena, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);

    json_begin_object(&json);
    for (size_t i = 0; i < replies->n_items; i++) {
        const struct json *value = &replies->items[i].value;

        json_name(&json, replies->items[i].node);
        if (!is_list_of_tasks(value, arena)) {
            json_value(&json, value);
            continue;
        }
        json_begin_array(&json);
        for (size_t k = 0; k < value->array.n_items; k++)
            write_registered(&json, value->array.items[k].text);
        json_end_array(&json);
    }
    json_end_object(&json);
    return cli_print(&out, err);
}

/* With --json, the tasks' parameters come along. */
static int
inspect(struct cli *cli, struct cli_question *question, const struct cli_remote *method,
        const struct cli_words *words, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CONTROL_REPLIES_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&question->arguments);
    bool has_parameters = cli->json && method == &methods[0] && words->n_items == 1;
    static const struct str parameters = STR_INIT("arguments");
    struct control_replies replies;
    int rc;

    question->question.method = str_from_cstr(method->name);
    json_begin_object(&json);
    rc = cli_remote_write(method, has_parameters ? &parameters : words->items + 1,
                          has_parameters ? 1 : words->n_items - 1, &json, err);
    json_end_object(&json);
    if (rc == 0)
        rc = cli_ask(cli, question, &arena, &replies, err);
    if (rc < 0 || !has_parameters || replies.n_items == 0)
        return rc < 0 ? rc : cli_print_replies(cli, question, &replies, err);
    rc = print_registered(&replies, &arena, err);
    return rc < 0 ? rc : cli_judge_replies(question, &replies, err);
}

int
command_inspect(struct cli *cli, int argc, char **argv, struct error *err)
{
    CLEANUP(cli_question_fini) struct cli_question question = {.arguments = BUF_INIT(0)};
    struct cli_node_options values = {STR_NULL, STR_NULL};
    const struct cli_remote *method = NULL;
    struct cli_words words;
    const struct cli_option options[] = {CLI_NODE_OPTIONS(&values), CLI_OPTIONS_END};
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 1, COUNT_OF(words.items), err);
    if (rc == 0)
        rc = cli_remote_find(methods, words.items[0], &method, err);
    if (rc == 0)
        rc = cli_question_init(&values, &question, err);
    return rc != 0 ? rc : inspect(cli, &question, method, &words, err);
}
