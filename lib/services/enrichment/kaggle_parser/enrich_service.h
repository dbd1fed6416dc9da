#pragma once

/* What list and dump left open is asked for, one dataset at a time: kaggle.enrich_pending. */

#include <stdint.h>

#include <trawl/error.h>

#include "base/clock.h"
#include "base/database.h"
#include "lib/models/run_context.h"
#include "lib/repositories/dataset_repository.h"
#include "lib/services/enrichment/kaggle_parser/client_kaggle.h"

/* Attempts after which a row is given up. */
#define KAGGLE_MAX_ATTEMPTS ((int64_t)3)

/* All borrowed; one run at a time. */
struct kaggle_enrich_service {
    struct database *database;
    struct dataset_repo *datasets;
    struct kaggle_client *client;
    const struct clock *clock;
};

struct kaggle_enrich_counts {
    int64_t n_enriched;
    int64_t n_failed;       /* attempts that ended in PENDING or FAILED */
    int64_t n_rate_limited; /* claimed, and given back uncounted */
};

/* Enrich up to batch_size rows that are MINIMAL, or PENDING and due.
 *
 * Every row is leased by ctx->worker_id, viewed (and asked for its metadata where the view lacks
 * the description, the licence or the files), and finished together with its log entry in one
 * transaction.
 *
 *   found                                       ENRICHED
 *   404                                         FAILED at once: the source says gone
 *   403, an unusable answer, a foreign id       PENDING for 1 h, 6 h; the third attempt: FAILED
 *   transient failures                          PENDING for 1 h, 6 h, then 24 h; never FAILED
 *   too many requests                           the run ends; this row and the rest are given back
 *
 * A row that the dump brought without a reference is looked for in the list by its title, and known
 * by its id.  Three transient failures in a row end the run: Kaggle is down, not the rows bad.
 * Whatever ends the run early gives the remaining rows back.
 *
 * out  filled on failure, too
 *
 * Errors: ERR_AUTH, ERR_NETWORK, ERR_TIMEOUT, ERR_CANCELLED (between rows), those of the database.
 */
MUST_CHECK int kaggle_enrich_run(const struct kaggle_enrich_service *self, int64_t batch_size,
                                 const struct run_context *ctx, struct kaggle_enrich_counts *out,
                                 struct error *err);
