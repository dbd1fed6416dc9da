#pragma once

/* Are the datasets still there?  cleanup.check_broken_links.
 *
 * A pass leases a batch, asks for each distinct URL once, and gives its verdicts when all answers
 * are in: how many links of a host fail together is part of the verdict on each.  docs/links.md has
 * the policy. */

#include <stdint.h>

#include <trawl/error.h>

#include "base/clock.h"
#include "base/database.h"
#include "lib/models/run_context.h"
#include "lib/services/validation/link_prober.h"
#include "lib/services/validation/link_target.h"

/* All borrowed; one run at a time. */
struct link_checker {
    struct database *database;
    struct link_transport transport;
    struct link_sites sites;
    const struct clock *clock;
};

struct link_counts {
    int64_t n_checked;     /* rows with a verdict */
    int64_t n_broken;      /* of them, those with evidence of gone or unreachable */
    int64_t n_deactivated; /* of them, those that are hidden from now on */
    int64_t n_errors;      /* rows without: a pause, an outage, no time left; tried again */
};

/* Check up to batch_size rows: half of them those whose time has come (in doubt, put off, gone),
 * the rest those whose last check is older than stale_after_hours, the stalest first.
 *
 * A run asks for 40 minutes at most, and then gives back what is left.  When it is cancelled, what
 * has been found is kept.
 *
 * out  filled on failure, too
 *
 * Errors: ERR_AUTH (the Hub refuses our token; the verdicts on others are stored), ERR_CANCELLED,
 * ERR_NOMEM, those of the database. */
MUST_CHECK int link_checker_run(const struct link_checker *self, int64_t batch_size,
                                int64_t stale_after_hours, const struct run_context *ctx,
                                struct link_counts *out, struct error *err);
