#pragma once

/* Revoking without the help of a worker: what is said lasts, whoever is online. */

#include "cli/cli.h"

/* Task ids, or "HEADER=VALUE"; borrowed. */
struct cli_revocation {
    const struct str *words;
    size_t n_words;
    bool is_by_stamps;
};

/* The broker remembers it for CONTROL_REVOKED_US; workers that come later do not run such a task.
 * One that nobody ever made is an error.  Errors: ERR_ARGS (a word), those of broker_revoke. */
MUST_CHECK int cli_revoke_in_broker(const struct cli *cli, const struct cli_revocation *revocation,
                                    struct error *err);

/* Nobody is online: each task is REVOKED now, and it is said who tells those that come.  A result
 * backend that is away is a warning: the state follows when a worker meets the message. */
MUST_CHECK int cli_revoke_alone(const struct cli *cli, const struct cli_revocation *revocation,
                                struct error *err);
