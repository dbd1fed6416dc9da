#pragma once

/* Reciprocal rank fusion of a keyword list and a list by meaning.  Pure.
 *
 * score(d) = w_b / (60 + r_keyword(d)) + w_d / (60 + r_dense(d)), ranks from 1, a missing list adds
 * nothing; w_b = 1, w_d = 0.5: open-data queries are won by keywords, and dense alone never leads.
 * Ties: the better keyword rank, then the smaller row id.
 * Source: Cormack, Clarke & Buettcher 2009, "Reciprocal rank fusion"; weights in docs/search.md. */

#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>

#include "base/arena.h"

#define FUSION_K              60.0
#define FUSION_KEYWORD_WEIGHT 1.0
#define FUSION_DENSE_WEIGHT   0.5

/* A row in one list, best first; its rank is its place. */
struct fusion_entry {
    int64_t row_id;
    double score; /* of its own list: BM25 or cosine */
};

struct fusion_list {
    const struct fusion_entry *items;
    size_t n_items;
};

struct fused_hit {
    int64_t row_id;
    double score;
    size_t keyword_rank; /* from 1; 0 = not in that list */
    size_t dense_rank;
    double keyword_score;
    double cosine;
};

/* The union, best first, in the arena.  Errors: ERR_NOMEM. */
MUST_CHECK int fusion_merge(struct fusion_list keyword, struct fusion_list dense,
                            struct arena *arena, struct fused_hit **out, size_t *out_n,
                            struct error *err);
