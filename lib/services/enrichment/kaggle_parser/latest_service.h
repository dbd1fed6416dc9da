#pragma once

/* Kaggle's newest datasets, from the pages of its list: kaggle.fetch_latest. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/clock.h"
#include "base/database.h"
#include "lib/models/ledger.h"
#include "lib/models/run_context.h"
#include "lib/repositories/dataset_repository.h"
#include "lib/services/enrichment/kaggle_parser/client_kaggle.h"

/* All borrowed; one run at a time. */
struct kaggle_latest_service {
    struct database *database;
    struct dataset_repo *datasets;
    struct kaggle_client *client;
    const struct clock *clock;
};

/* Bring the first limit rows of the list into the catalogue (10,000 is all that Kaggle shows).
 *
 * New datasets are MINIMAL, with their subtitle for a description until kaggle.enrich_pending has
 * fetched the real one; known ones get what the list shows and keep the rest; those that had been
 * given up are viewed at once, because the list proves that they are there.  A page is one
 * transaction: rows, rejects and the state of the stream "latest" together.  An empty page ends the
 * walk and says nothing about the rows behind it.
 *
 * sort_by  hottest, votes, updated, active or published
 * out      what the committed pages came to: filled on failure, too, and always balanced
 *
 * Errors: ERR_INVALID (sort_by); those of the client (ERR_RATE_LIMIT, ERR_AUTH, ERR_NETWORK ...)
 * and of the database; ERR_CANCELLED between pages. */
MUST_CHECK int kaggle_fetch_latest_run(const struct kaggle_latest_service *self, int64_t limit,
                                       struct str sort_by, const struct run_context *ctx,
                                       struct ledger *out, struct error *err);
