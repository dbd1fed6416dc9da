#pragma once

/* What became of a task that was sent: for `trawl call --wait` and `trawl result`. */

#include "celery/client.h"
#include "cli/cli.h"

#define CLI_RESULT_BYTES ((size_t)64 << 20) /* of the arena for one document */

/* A client for the broker and the result backend of the settings. */
MUST_CHECK int cli_client_create(const struct cli *cli, struct celery_client **out,
                                 struct error *err);

/* Wait with a progress bar; timeout_s 0 = for ever.  Errors: as of celery_client_wait, with the
 * command that goes on waiting. */
MUST_CHECK int cli_result_wait(const struct cli *cli, struct celery_client *client, struct str id,
                               int64_t timeout_s, struct arena *arena, struct result *out,
                               struct error *err);

/* Print it; with --json as one object, with the queue that it was sent to unless absent. */
MUST_CHECK int cli_result_print(const struct cli *cli, const struct result *result,
                                struct str queue, struct arena *arena, struct error *err);

/* 0 unless the task has failed or was revoked; else the error that its exception stands for.  What
 * would be a usage error or an interrupt here is ERR_INVALID: it was not this command's. */
MUST_CHECK int cli_result_judge(const struct result *result, struct arena *arena,
                                struct error *err);
