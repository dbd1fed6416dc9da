#pragma once

/* Table `dataset_enrichment_logs`: what was tried on a dataset, and how it ended. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/database.h"

enum enrichment_stage { STAGE_API_METADATA, STAGE_EMBEDDING, STAGE_STATIC_SCORE, STAGE_LINK };
enum enrichment_outcome { OUTCOME_SUCCESS, OUTCOME_FAILED, OUTCOME_RATE_LIMITED, OUTCOME_SKIPPED };

struct enrichment_log {
    int64_t row_id; /* of the dataset */
    enum enrichment_stage stage;
    enum enrichment_outcome outcome;
    int64_t attempt;
    struct str error_type; /* "ConnectionError"; absent on success */
    struct str error_message;
    int64_t duration_ms;
    struct str worker_id;
    struct str task_id;
    int64_t at_us;
};

const char *enrichment_stage_name(enum enrichment_stage stage);
const char *enrichment_outcome_name(enum enrichment_outcome outcome);

MUST_CHECK int enrichment_log_repo_append(struct database *database,
                                          const struct enrichment_log *entry, struct error *err);

/* The newest entries of a dataset, newest first. */
MUST_CHECK int enrichment_log_repo_find(struct database *database, int64_t row_id, size_t limit,
                                        struct arena *arena, const struct enrichment_log **out,
                                        size_t *out_n, struct error *err);

/* Remove entries older than before_us, at most limit; returns how many went. */
MUST_CHECK int enrichment_log_repo_prune(struct database *database, int64_t before_us,
                                         int64_t limit, int64_t *n_removed, struct error *err);
