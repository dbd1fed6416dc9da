#pragma once

/* Reciprocal rank fusion of a keyword list and a list by meaning, and the prior.  Pure.
 *
 * score(d) = (w_b / (60 + r_keyword(d)) + w_d / (60 + r_dense(d))) * (1 + beta * static_score(d)),
 * ranks from 1, a missing list adds nothing.  By default w_b = 1, w_d = 0.5: open-data queries are
 * won by keywords, and dense alone never leads; beta = 0.3: a prior that is bounded, for a strong
 * one pushes relevant rows out.  Ties: the better keyword rank, then the smaller row id. Source:
 * Cormack, Clarke & Buettcher 2009, "Reciprocal rank fusion"; weights in docs/search.md. */

#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>

#include "base/arena.h"

#define FUSION_K 60.0

struct fusion_weights {
    double keyword; /* w_b; a list of weight 0 takes no part */
    double dense;   /* w_d */
    double prior;   /* beta; 0 = without */
};

/* clang-format off */
#define FUSION_WEIGHTS_DEFAULT {.keyword = 1.0, .dense = 0.5, .prior = 0.3}
/* clang-format on */

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
    double score;        /* with the prior */
    double fused;        /* without */
    double static_score; /* of the prior */
    size_t keyword_rank; /* from 1; 0 = not in that list */
    size_t dense_rank;
    double keyword_score;
    double cosine;
};

/* The union, best first, in the arena, without the prior.  Errors: ERR_NOMEM. */
MUST_CHECK int fusion_merge(struct fusion_list keyword, struct fusion_list dense,
                            const struct fusion_weights *weights, struct arena *arena,
                            struct fused_hit **out, size_t *out_n, struct error *err);

/* Multiply by the prior and put in order again.
 * static_scores  [n_hits], of hits[i].row_id; 0 where a row has none */
void fusion_apply_prior(struct fused_hit *hits, size_t n_hits, const double *static_scores,
                        double beta);
