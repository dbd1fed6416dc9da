#pragma once

/* Command line words against a table of options; --help comes from the same table. */

#include <stdint.h>
#include <stdio.h>

#include <trawl/error.h>
#include <trawl/str.h>

enum cli_option_kind { CLI_FLAG, CLI_TEXT, CLI_WHOLE };

/* One option and the variable it fills. */
struct cli_option {
    const char *name;     /* "limit" for --limit */
    char letter;          /* 'n' for -n, or 0 */
    const char *argument; /* "N", shown in the help; NULL for a flag */
    enum cli_option_kind kind;
    void *target; /* bool, struct str or int64_t, set to its default by the caller */
    int64_t min;  /* CLI_WHOLE, inclusive */
    int64_t max;
    const char *help;
};

#define CLI_OPTION_FLAG(option_name, variable, text)                                               \
    {                                                                                              \
        .name = (option_name), .kind = CLI_FLAG, .target = (variable), .help = (text)              \
    }
#define CLI_OPTION_TEXT(option_name, argument_name, variable, text)                                \
    {                                                                                              \
        .name = (option_name), .argument = (argument_name), .kind = CLI_TEXT,                      \
        .target = (variable), .help = (text)                                                       \
    }
#define CLI_OPTION_WHOLE(option_name, argument_name, variable, low, high, text)                    \
    {                                                                                              \
        .name = (option_name), .argument = (argument_name), .kind = CLI_WHOLE,                     \
        .target = (variable), .min = (low), .max = (high), .help = (text)                          \
    }
/* clang-format off */
#define CLI_OPTIONS_END {.name = NULL}
/* clang-format on */

/* Words that are not options, in their order; borrowed from argv. */
struct cli_words {
    struct str items[32];
    size_t n_items;
};

/* Read argv[1...] against one or two tables (more may be NULL): "--name value", "--name=value", "-n
 * value", flags, "--" before words that begin with a dash.
 * Errors: ERR_ARGS (unknown option with the nearest name, missing or bad value, too many words). */
MUST_CHECK int cli_options_parse(const struct cli_option *options, const struct cli_option *more,
                                 int argc, char **argv, struct cli_words *out, struct error *err);

/* The table as lines of help. */
void cli_options_print(const struct cli_option *options, FILE *out);
