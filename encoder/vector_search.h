#pragma once

/* Exact nearest neighbours by inner product, at a quarter of the memory traffic.
 *
 * A first pass over 8-bit codes gives each row a lower and an upper bound of its f32 score.  Rows
 * whose upper bound reaches the k-th best lower bound are scored in f32, best upper bound first,
 * until no other can get into the answer.  What comes out is what a scan of all rows in f32 gives,
 * always. */

#include <stddef.h>
#include <stdint.h>

#include <trawl/attributes.h>
#include <trawl/error.h>

#include "encoder/vector_codes.h"

/* Some rows; all borrowed, read only.  Every list is aligned to VECTOR_CODE_ALIGN. */
struct vector_part {
    const int8_t *codes;    /* [n_rows, vector_code_bytes(dim)] */
    const float *scales;    /* [n_rows], and the next: of struct vector_code */
    const float *errors;    /* [n_rows] */
    const float *vectors;   /* [n_rows, dim] */
    const uint64_t *checks; /* [n_rows]: vector_checksum of each vector; NULL = not to be checked */
    const int64_t *ids;     /* [n_rows]: what the answer says, and how ties are broken */
    const uint64_t *allowed; /* bit i of word i / 64: row i takes part; none beyond n_rows.  NULL =
                              * all do */
    size_t n_rows;
    float max_norm; /* no norm of these rows is greater */
};

struct vector_found {
    int64_t id;
    float score; /* f32 inner product; cosine for unit vectors */
};

/* What a search did, for measurements. */
struct vector_search_counts {
    size_t n_scanned;  /* rows of the first pass */
    size_t n_rescored; /* rows scored in f32 */
};

/* The k rows with the greatest score, best first, of equal scores the lower id first.
 *
 * query      [dim]
 * n_threads  1 to PARALLEL_THREADS_MAX, started for this call; the answer does not depend on it
 * found      [k]
 * n_found    less than k only where less rows take part
 * counts     may be NULL
 *
 * Any thread.  Cost: the codes once; 16 bytes of memory for each row whose bound comes near the
 * k-th best, usually some thousands, at worst (all rows equal) all. Errors: ERR_NOMEM, ERR_INVALID
 * (the query is not finite), ERR_CORRUPT (a vector is not what its check says). */
MUST_CHECK int vector_search_top(const struct vector_part *parts, size_t n_parts, size_t dim,
                                 const float *query, size_t k, size_t n_threads,
                                 struct vector_found *found, size_t *n_found,
                                 struct vector_search_counts *counts, struct error *err);
