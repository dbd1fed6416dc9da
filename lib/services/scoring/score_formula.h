#pragma once

/* The static score of one dataset.  Pure; docs/ranking.md explains it.
 *
 *     P    = 0.5 E(downloads) + 0.3 E(likes) + 0.2 E(views, else uses); unknown counters are left
 * out and the other weights grow to 1 Q    = completeness, the sum of the points of score_formula.c
 *     F    = 0.25 + 0.75 * 2^(-days since the last update / 730)
 *     gate = by the state of its link
 *     score = gate * (0.50 P + 0.35 Q + 0.15 F) */

#include "lib/services/scoring/score_table.h"

/* Counted up when a score would come out otherwise: all rows are then scored again. */
#define SCORE_FORMULA INT64_C(1)

#define SCORE_POPULARITY_WEIGHT 0.50
#define SCORE_QUALITY_WEIGHT    0.35
#define SCORE_FRESHNESS_WEIGHT  0.15

/* A row's freshness has moved by 0.021 at most after so long, its score by 0.0032. */
#define SCORE_REFRESH_DAYS INT64_C(30)

/* tables  [SCORE_N_COUNTERS] of the row's source and age class
 *
 * Errors: ERR_INVALID (a state of the link that is none). */
MUST_CHECK int score_compute(const struct score_inputs *inputs, const struct score_table *tables,
                             int64_t now_us, struct static_score *out, struct error *err);

/* Completeness, 0 to 1. */
double score_quality(const struct score_inputs *inputs);

enum score_age score_age_of(int64_t created_at_us, int64_t now_us);

/* When the row is to be scored again though nothing about it changed: it comes into the next age
 * class, or SCORE_REFRESH_DAYS are over. */
int64_t score_next_at(int64_t created_at_us, int64_t now_us);
