#pragma once

/* What every command shares: the table of commands, global options, and how results are shown.
 *
 * Results go to stdout, everything else to stderr.  A command returns 0 or a negative error code
 * (its exit status is the code's column in error.h), or CLI_HELP_SHOWN / CLI_PARTIAL. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/buf.h"
#include "base/json_writer.h"
#include "celery/pool/pool.h"
#include "celery/registry.h"
#include "celery/schedule.h"
#include "cli/options.h"
#include "lib/core/config.h"
#include "lib/core/container.h"
#include "lib/worker_runtime.h"

#define CLI_HELP_SHOWN 1 /* nothing more to do, exit status 0 */
#define CLI_PARTIAL    2 /* the work ended, some of it failed: exit status 5 */

#define CLI_OUTPUT_BYTES ((size_t)256 << 20)

struct cli;
struct plugin_set;

struct cli_command {
    const char *name;
    const char *arguments; /* "QUERY [options]", for the usage line */
    const char *summary;   /* one line for the list of commands */
    const char *details;   /* paragraphs and an example, for --help */
    int (*run)(struct cli *cli, int argc, char **argv, struct error *err);
};

/* What makes a program of the commands: trawl itself, or the probe that the tests run. */
struct cli_program {
    const struct celery_registry *registry;
    const struct celery_schedule *schedule; /* the default one; NULL = none */
    struct pool_runner (*runner)(const struct worker_runtime *runtime); /* runs a worker's tasks */
    const struct cli_command *more; /* beside cli_commands, ended by a NULL name; may be NULL */
};

struct cli {
    const struct cli_program *program; /* its registry with the plug-ins' tasks */
    struct cli_program own_program;
    const struct cli_command *command;
    struct plugin_set *plugins; /* NULL = none */
    struct config *config;
    struct container *app; /* opened by cli_parse; its parts open when first asked for */
    bool json;             /* --json */
    bool quiet;            /* --quiet: no progress, only warnings */
    bool has_color;        /* stdout is a terminal and NO_COLOR is not set */
    bool has_progress;     /* stderr is a terminal */
};

extern const struct cli_command cli_commands[]; /* ended by a NULL name */

/* Load the plug-ins that the settings name, where the command has to do with tasks: before its own
 * options are read, since those of `trawl run TASK` are the task's.  Errors: plugin_set_load's. */
MUST_CHECK int cli_include(struct cli *cli, int argc, char **argv, struct error *err);

/* Find the command and run it; the exit status of the process. */
int cli_main(const struct cli_program *program, int argc, char **argv);

/* Read the command's words, load the settings, set up the log.  Returns 0, CLI_HELP_SHOWN, or an
 * error.  options may be NULL. */
MUST_CHECK int cli_parse(struct cli *cli, const struct cli_option *options, int argc, char **argv,
                         struct cli_words *words, struct error *err);

/* ERR_ARGS unless there are between min and max words; the message shows the usage line. */
MUST_CHECK int cli_expect_words(const struct cli *cli, const struct cli_words *words, size_t min,
                                size_t max, struct error *err);

/* Print the buffer and a newline to stdout.  Errors: ERR_IO (a full disk, a closed pipe). */
MUST_CHECK int cli_print(const struct buf *text, struct error *err);

/* Terminal styles, empty without colour. */
const char *cli_bold(const struct cli *cli);
const char *cli_dim(const struct cli *cli);
const char *cli_reset(const struct cli *cli);

/* "25,918"; "1.4 GB"; "3 days ago"; each into the caller's 32 bytes, which it returns.  Unknown
 * values (INT64_MIN) give "-". */
const char *cli_format_count(int64_t value, char text[32]);
const char *cli_format_bytes(int64_t value, char text[32]);
const char *cli_format_age(int64_t time_us, int64_t now_us, char text[32]);
/* "0.8 s", "12 s", "1:05", "2:03:04". */
const char *cli_format_span(int64_t span_us, char text[32]);
