#pragma once

/* How good a ranking is, by judged documents.  Pure.
 *
 * nDCG@10 with linear gains, reciprocal rank within the first 10, share of the relevant documents
 * within the first 100.
 * Source: Jarvelin & Kekalainen 2002, "Cumulated gain-based evaluation of IR techniques"; gains and
 * discounts as trec_eval has them: rel / log2(rank + 1). */

#include <stddef.h>

struct ranking_metrics {
    double ndcg_10;
    double mrr_10;
    double recall_100;
};

/* grades    [n_hits]      of the ranking, best hit first; up to 0 = not relevant
 * relevant  [n_relevant]  the grades of all that are relevant, in any order; sorted in place */
struct ranking_metrics ranking_metrics_compute(const double *grades, size_t n_hits,
                                               double *relevant, size_t n_relevant);
