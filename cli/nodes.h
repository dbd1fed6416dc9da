#pragma once

/* Asking the nodes of a broker: what inspect, control and status share. */

#include "base/arena.h"
#include "celery/control/client.h"
#include "cli/cli.h"

#define CLI_MAX_NODES ((size_t)256) /* named by --destination */

/* Of remote control's commands, one with its arguments. */
enum cli_remote_kind {
    CLI_REMOTE_END,
    CLI_REMOTE_TEXT,
    CLI_REMOTE_WHOLE,
    CLI_REMOTE_SECONDS,
    CLI_REMOTE_REST, /* all words that are left, as a list */
};

struct cli_remote_param {
    const char *name; /* on the wire */
    enum cli_remote_kind kind;
    bool is_optional;
};

struct cli_remote {
    const char *name;
    const char *arguments; /* for the help */
    const char *help;
    struct cli_remote_param params[4]; /* ended by CLI_REMOTE_END */
};

/* What the options of these commands fill. */
struct cli_node_options {
    struct str destination;
    struct str timeout;
};

/* The two, for a command's table. */
#define CLI_NODE_OPTIONS(values)                                                                   \
    {.name = "destination",                                                                        \
     .letter = 'd',                                                                                \
     .argument = "NODE,...",                                                                       \
     .kind = CLI_TEXT,                                                                             \
     .target = &(values)->destination,                                                             \
     .help = "only these nodes, by their exact names"},                                            \
    {                                                                                              \
        .name = "timeout", .letter = 't', .argument = "S", .kind = CLI_TEXT,                       \
        .target = &(values)->timeout, .help = "seconds to wait after the last answer (1)"          \
    }

/* One question, made from the options. */
struct cli_question {
    struct control_question question;
    struct str recipients[CLI_MAX_NODES];
    struct buf arguments; /* JSON */
};

/* Fill it; method and arguments are the caller's to add.  Errors: ERR_ARGS. */
MUST_CHECK int cli_question_init(const struct cli_node_options *options, struct cli_question *out,
                                 struct error *err);
void cli_question_fini(struct cli_question *question);

/* The row of a name; an error lists them all. */
MUST_CHECK int cli_remote_find(const struct cli_remote *table, struct str name,
                               const struct cli_remote **out, struct error *err);

/* Words behind the command's name, as its arguments.  Errors: ERR_ARGS. */
MUST_CHECK int cli_remote_write(const struct cli_remote *remote, const struct str *words,
                                size_t n_words, struct json_writer *json, struct error *err);

/* Ask the nodes of the configured broker. */
MUST_CHECK int cli_ask(const struct cli *cli, const struct cli_question *question,
                       struct arena *arena, struct control_replies *out, struct error *err);

/* Print the answers as Celery's tools do, or as one JSON object, node by node; and how many nodes
 * are online, unless --quiet.  Returns 0; CLI_PARTIAL where a node refused or a named one is
 * silent; ERR_NOT_FOUND where nobody answered, ERR_INVALID where all refused. */
MUST_CHECK int cli_print_replies(const struct cli *cli, const struct cli_question *question,
                                 const struct control_replies *replies, struct error *err);

/* What the command's exit is to be, without printing. */
MUST_CHECK int cli_judge_replies(const struct cli_question *question,
                                 const struct control_replies *replies, struct error *err);

/* One line per node, or more: "-> trawl@host: OK", and the value below it. */
void cli_print_node(const struct cli *cli, const struct control_node_reply *reply, bool has_value);
void cli_print_n_online(const struct cli *cli, size_t n_nodes);
