#pragma once

/* Scores the datasets whose score is missing or out of date; see docs/ranking.md. */

#include <stdint.h>

#include <trawl/error.h>

#include "base/clock.h"
#include "base/database.h"
#include "lib/models/run_context.h"

struct static_score_calculator {
    struct database *database; /* borrowed, like all here */
    const struct clock *clock;
};

struct score_counts {
    int64_t n_processed;
    int64_t n_failed; /* they stay in line for the next run */
};

/* Score every row in line, batch_size of them at once, a commit at least every half second, until
 * none is left or the run is to stop.
 *
 * First the percentile tables are made anew, by one pass over the catalogue.  Those that have moved
 * by more than half a percent are stored, and their rows come in line; the others stay as they are,
 * and so do the scores that were made with them.  What is in line is in the database: a run that is
 * killed goes on with the next.  Errors: ERR_NOMEM, ERR_CORRUPT, the database's. */
MUST_CHECK int static_score_calculator_run(struct static_score_calculator *self, int64_t batch_size,
                                           const struct run_context *run, struct score_counts *out,
                                           struct error *err);
