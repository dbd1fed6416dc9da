#pragma once

/* Exact nearest neighbours by inner product over one contiguous matrix. */

#include <stddef.h>
#include <stdint.h>

/* What is searched; all borrowed, read only. */
struct vector_scan {
    const float *rows;     /* [n_rows, dim] row-major */
    const uint64_t *valid; /* bit i of word i / 64: row i takes part; NULL = all do */
    size_t n_rows;
    size_t dim;
};

struct vector_hit {
    size_t row;
    float score; /* inner product; cosine for unit vectors */
};

/* The k best rows for each of several queries, in one pass over the rows.
 *
 * queries  [n_queries, dim]
 * hits     [n_queries, k]  best first, of equal scores the lower row first
 * n_hits   [n_queries]     how many there are: less than k only where less rows take part
 *
 * A score's bits do not depend on how many queries are asked together.  A row whose score is NaN is
 * never a hit.  Allocates nothing; any thread.  Memory-bound: four queries cost little more than
 * one. */
void vector_scan_top(const struct vector_scan *scan, const float *queries, size_t n_queries,
                     size_t k, struct vector_hit *hits, size_t *n_hits);
