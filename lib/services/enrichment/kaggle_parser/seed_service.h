#pragma once

/* The whole of Kaggle from six CSV files, without asking its API for one dataset:
 * kaggle.seed_initial. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/database.h"
#include "lib/models/ledger.h"
#include "lib/models/run_context.h"
#include "lib/repositories/dataset_repository.h"

/* A dump on this machine. */
struct kaggle_dump {
    const char *path;   /* directory or zip */
    struct str version; /* of kaggle/meta-kaggle; absent where unknown */
    bool is_held; /* hold_fd keeps it from being cleaned away; whoever gets the dump closes it */
    int hold_fd;
};

/* Where dumps come from when the caller names no path. */
struct kaggle_dump_fetcher {
    /* out lives as long as the arena.  Errors: those of the network, the API and the disk. */
    int (*fetch)(void *context, bool force_redownload, const struct progress *progress,
                 struct arena *arena, struct kaggle_dump *out, struct error *err);
    void *context;
};

/* All borrowed; one run at a time. */
struct kaggle_seed_service {
    struct database *database;
    struct dataset_repo *datasets;
    struct kaggle_dump_fetcher dumps; /* fetch NULL: a path must be given */
    const struct clock *clock;
};

/* Join a dump and bring its datasets into the catalogue, batch_size rows per transaction.
 *
 * force_redownload  fetch the dump even where the one at hand is of the newest version
 * path              directory or zip archive with the files; absent or empty = fetch the dump
 * out               fetched = the dump's datasets sent in this run + its unusable records (of
 *                   all six files); filled on failure, too, and always balanced
 *
 * Rows with reference and title are ENRICHED, the rest MINIMAL (docs/kaggle.md).  A row without
 * reference keeps the one that the catalogue knows.  The state of the stream "meta_kaggle" goes
 * with each batch: killed anywhere, the next run on the same files goes on behind the last batch,
 * and on other files starts over; both end in the same catalogue.
 *
 * Errors: those of the parser, the fetcher and the database; ERR_CONFIG (no path and nothing to
 * fetch with); ERR_CANCELLED between batches. */
MUST_CHECK int kaggle_seed_run(const struct kaggle_seed_service *self, int64_t batch_size,
                               bool force_redownload, struct str path,
                               const struct run_context *ctx, struct ledger *out,
                               struct error *err);
