#pragma once

/* Batches of rows on their way into the catalogue: rows, rejects, counters and the state of the
 * stream in one transaction, so that a batch is there as a whole or not at all. */

#include <stdint.h>

#include <trawl/error.h>

#include "base/clock.h"
#include "base/database.h"
#include "lib/models/dataset.h"
#include "lib/models/ledger.h"
#include "lib/models/run_context.h"
#include "lib/repositories/dataset_repository.h"
#include "lib/repositories/run_repository.h"
#include "lib/repositories/source_state_repository.h"

/* Rejects that one run keeps; all are counted. */
#define KAGGLE_STORED_REJECTS ((int64_t)10000)

struct kaggle_batch_writer {
    struct database *database; /* borrowed, as the next three */
    struct dataset_repo *datasets;
    const struct run_context *ctx;
    const struct clock *clock;
    struct ledger committed;
    struct ledger open; /* of the batch that is being written */
    int64_t now_us;     /* of the batch */
    int64_t n_stored_rejects;
};

MUST_CHECK int kaggle_batch_writer_begin(struct kaggle_batch_writer *self, struct error *err);

/* Upsert a row and count it.  A row that the catalogue refuses (ERR_INVALID, ERR_TOO_LARGE) is
 * undone alone, counted as failed and kept as a reject with its place.  Errors: any other of the
 * database. */
MUST_CHECK int kaggle_batch_writer_put(struct kaggle_batch_writer *self, const struct dataset *row,
                                       const struct run_reject *place, struct error *err);

/* Count a record that is unusable, and keep why, within KAGGLE_STORED_REJECTS. */
MUST_CHECK int kaggle_batch_writer_reject(struct kaggle_batch_writer *self,
                                          const struct run_reject *reject, struct error *err);

/* The two halves of a reject, for records that were met before the batch was open. */
void kaggle_batch_writer_count_rejects(struct kaggle_batch_writer *self, int64_t n_rejects);
MUST_CHECK int kaggle_batch_writer_keep(struct kaggle_batch_writer *self,
                                        const struct run_reject *reject, struct error *err);

/* state may be NULL. */
MUST_CHECK int kaggle_batch_writer_commit(struct kaggle_batch_writer *self,
                                          const struct source_state *state, struct error *err);

/* Forget the open batch; nothing happens when there is none. */
void kaggle_batch_writer_rollback(struct kaggle_batch_writer *self);
