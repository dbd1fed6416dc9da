#pragma once

/* The end of a pass: brakes, then the verdict on each row, stored with its log entry.
 *
 * Internal to lib/services/validation. */

#include "lib/services/validation/link_pass.h"

/* Judge the hosts, then the rows, and end every lease of the pass.  Adds to *counts what is
 * committed.  Errors: those of the database, ERR_NOMEM. */
MUST_CHECK int link_verdicts_store(const struct link_checker *checker, struct link_pass *pass,
                                   const struct run_context *ctx, struct link_counts *counts,
                                   struct error *err);
