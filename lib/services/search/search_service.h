#pragma once

/* Hybrid search: keywords (BM25) and meaning (vectors), fused by rank, weighted by the static
 * score; exact names first.
 *
 * Without a model or vectors it goes on with keywords and says what is missing. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/clock.h"
#include "lib/models/dataset.h"
#include "lib/repositories/dataset_repository.h"
#include "lib/services/ml/embedder.h"
#include "lib/services/search/fusion.h"

#define SEARCH_QUERY_BYTES ((size_t)10000)
#define SEARCH_LIMIT_MAX   ((size_t)200)

struct vector_index;

struct search_service {
    struct dataset_repo *datasets; /* borrowed */
    struct embedder *embedder;     /* borrowed; NULL = keywords only */
    struct str why_no_embedder;    /* what to tell the user then */
    const struct clock *clock;
    struct vector_index *index; /* borrowed; may be NULL without an embedder */
    struct fusion_weights weights;
};

struct search_query {
    struct str text; /* empty = the best static scores */
    struct dataset_filter filter;
    size_t limit; /* 1 to SEARCH_LIMIT_MAX */
};

struct search_hit {
    const struct dataset *dataset;
    struct fused_hit why; /* ranks and scores; all but static_score zero without words */
    bool is_exact;        /* reference, name or title equals the query */
};

struct search_answer {
    const struct search_hit *items;
    size_t n_items;
    struct str note;   /* why vectors took no part; STR_NULL when they did */
    int64_t encode_us; /* how long each step took */
    int64_t keyword_us;
    int64_t dense_us;
};

/* out lives as long as the arena.  Errors: ERR_INVALID (a query over SEARCH_QUERY_BYTES), and the
 * database's. */
MUST_CHECK int search_service_run(struct search_service *self, const struct search_query *query,
                                  struct arena *arena, struct search_answer *out,
                                  struct error *err);
