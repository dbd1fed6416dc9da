#pragma once

/* What `trawl worker`, `trawl tasks` and `trawl task` know of the history of tasks. */

#include "base/uuid.h"
#include "celery/history/history.h"
#include "celery/history/writer.h"
#include "cli/cli.h"

#define CLI_HISTORY_BYTES ((size_t)256 << 20) /* of the arena for a listing */

/* The settings of a worker's history, borrowed from config; *out is storage, or NULL where none is
 * to be kept.  Errors: ERR_CONFIG. */
MUST_CHECK int cli_history_settings(const struct config *config, struct history_settings *storage,
                                    const struct history_settings **out, struct error *err);

/* Errors: ERR_NOT_FOUND where no worker has written any, those of history_open. */
MUST_CHECK int cli_history_open(const struct cli *cli, struct history **out, struct error *err);

/* Options that choose tasks. */
struct cli_history_choice {
    struct str name;
    struct str state;
    struct str queue;
    struct str worker;
    struct str text;
    struct str since;
    struct str until;
    int64_t limit;
};

#define CLI_N_HISTORY_OPTIONS 8

/* Write the CLI_N_HISTORY_OPTIONS rows, without an end mark; limit is what it says already. */
void cli_history_options(struct cli_history_choice *values, struct cli_option *out);

/* Errors: ERR_ARGS, naming the option: times are "2026-11-24", "2026-11-24T18:00:00Z", "90m", "2h",
 * "3d", "2w". */
MUST_CHECK int cli_history_filter(const struct cli_history_choice *values,
                                  struct history_filter *out, struct error *err);

/* Members of an open JSON object: the task, and one run of it. */
void cli_history_write_task(struct json_writer *json, const struct history_record *record);
void cli_history_write_run(struct json_writer *json, const struct history_record *record);

/* task_retry.c */

struct celery_client;

enum cli_retry_verdict {
    CLI_RETRY_SENT, /* or would be */
    CLI_RETRY_DONE_BEFORE,
    CLI_RETRY_REDACTED,
    CLI_RETRY_CUT,
    CLI_RETRY_N_VERDICTS,
};

/* Why not, in a few words. */
const char *cli_retry_reason(enum cli_retry_verdict verdict);

/* May it be sent again?  A task that was is only where may_repeat.  Errors: of the history. */
MUST_CHECK int cli_retry_judge(struct history *history, const struct history_record *record,
                               bool may_repeat, enum cli_retry_verdict *out, struct error *err);

/* Send it, and note whose copy it is.  id gets the new task's.  Errors: of the client and of the
 * history. */
MUST_CHECK int cli_retry_send(struct celery_client *client, struct history *history,
                              const struct history_record *record, char id[UUID_TEXT_BYTES],
                              struct error *err);
