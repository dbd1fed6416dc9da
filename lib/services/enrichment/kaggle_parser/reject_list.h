#pragma once

/* Rejects of Meta Kaggle, kept until a transaction is open that takes them along. */

#include <stdint.h>

#include <trawl/error.h>

#include "base/arena.h"
#include "lib/services/enrichment/kaggle_parser/batch_writer.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_parser.h"

struct kaggle_reject_list {
    struct arena arena;       /* texts of the items */
    struct run_reject *items; /* heap, [n_items]; not yet written */
    size_t n_items;
    size_t cap;
    int64_t n_noted;   /* since the start of the run, written or not */
    int64_t n_counted; /* of those, by the writer */
};

void kaggle_reject_list_init(struct kaggle_reject_list *self);
void kaggle_reject_list_fini(struct kaggle_reject_list *self);

/* Note a reject; past KAGGLE_STORED_REJECTS, and without memory, it is only counted. */
void kaggle_reject_list_note(struct kaggle_reject_list *self, const struct meta_reject *reject);

/* Hand everything to the writer's open batch: all are counted, those at hand are kept. */
MUST_CHECK int kaggle_reject_list_flush(struct kaggle_reject_list *self,
                                        struct kaggle_batch_writer *writer, struct error *err);
