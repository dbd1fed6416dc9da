#pragma once

/* Empirical percentiles of one counter among the rows of one source and age class.  Pure.
 *
 * E(x) = share of the non-zero values that are at most x; E(0) = 0.  Between two knots it is
 * interpolated in log1p(x), as counters spread over orders of magnitude; at a knot it is exact.
 * Tables of up to SCORE_KNOTS_MAX distinct values have a knot for each of them. */

#include <stdbool.h>
#include <stddef.h>

#include <trawl/error.h>

#include "lib/models/score.h"

#define SCORE_KNOTS_MAX ((size_t)256)

struct score_table {
    struct score_knot knots[SCORE_KNOTS_MAX]; /* ascending; the last has share 1 */
    size_t n_knots;                           /* 0 = no row has any */
};

/* Values above 0, in any order; they are sorted in place. */
void score_table_build(struct score_table *self, int64_t *values, size_t n_values);

/* 0 to 1; 0 for values up to 0 and for an empty table. */
double score_table_percentile(const struct score_table *self, int64_t value);

/* How far two tables are apart at most, at the knots of both; 1 if just one is empty. */
double score_table_distance(const struct score_table *a, const struct score_table *b);
