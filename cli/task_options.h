#pragma once

/* A task's parameters as command line options: for `trawl run` and `trawl call`. */

#include <trawl/error.h>
#include <trawl/task.h>

#include "base/buf.h"
#include "cli/options.h"

#define CLI_TASK_PARAMS_MAX 32

/* One option per parameter; each takes its word as text, the table of the task checks it. */
struct cli_task_options {
    struct cli_option options[CLI_TASK_PARAMS_MAX + 1];
    struct str words[CLI_TASK_PARAMS_MAX];
    bool flags[CLI_TASK_PARAMS_MAX];
    char names[CLI_TASK_PARAMS_MAX][32]; /* with dashes */
    char help[CLI_TASK_PARAMS_MAX][128];
    size_t n_params;
};

/* The options point into out, which must stay where it is. */
void cli_task_options_make(const struct celery_task *task, struct cli_task_options *out);

/* The given options as the JSON object of named arguments, behind the members of kwargs, a JSON
 * object that was given as one (STR_NULL = none).  task may be NULL, for kwargs alone.
 * Errors: ERR_ARGS, those of the buffer. */
MUST_CHECK int cli_task_options_write(const struct celery_task *task,
                                      const struct cli_task_options *options, struct str kwargs,
                                      struct buf *out, struct error *err);

/* Bind arguments against the task's table: what it refuses is the user's mistake.  args is a JSON
 * array or STR_NULL, kwargs a JSON object.  Errors: ERR_ARGS. */
MUST_CHECK int cli_task_check_arguments(const struct celery_task *task, struct str args,
                                        struct str kwargs, struct error *err);

/* Whatever was wrong, it was what the user typed: exit status 2. */
int cli_refuse_usage(struct error *err);
