#pragma once

/* Embeds the rows whose vector is missing, older than their text, or of another model.
 *
 * Vectors of another model than the one that is searched are made beside those; search goes over to
 * them when they are complete, and the old ones are removed in small steps.  A run that is killed
 * anywhere is continued by the next one.
 *
 * Works in batches: lease, encode, store, commit.  A row that cannot be encoded is logged, counted
 * and left to its lease; a batch that dies with its process is found again when its lease has run
 * out. */

#include <trawl/error.h>

#include "base/clock.h"
#include "base/database.h"
#include "lib/models/run_context.h"
#include "lib/repositories/dataset_repository.h"
#include "lib/services/ml/embedder.h"

struct embedding_processor {
    struct database *database; /* all borrowed */
    struct dataset_repo *datasets;
    struct embedder *embedder;
    struct str location; /* the embedder's model as the settings name it; may be absent */
    /* Told after rows were embedded, so that searches find the new vectors ready; may be NULL. What
     * it fails at is its own to tell. */
    void (*on_vectors)(void *context);
    void *context;
    const struct clock *clock;
};

struct embedding_counts {
    int64_t n_processed;
    int64_t n_failed;
    int64_t n_remaining; /* still to do when the run ended, rows leased by others included */
};

/* One batch of at most batch_size rows, or with drain one after the other until none is left (or
 * the run is cancelled: then 0 is returned and n_remaining tells).  *out is filled on failure too.
 * Errors: of the database, and ERR_NOMEM; what concerns one row is counted instead. */
MUST_CHECK int embedding_processor_run(struct embedding_processor *self, int64_t batch_size,
                                       bool drain, const struct run_context *run,
                                       struct embedding_counts *out, struct error *err);
