/* Three sums over one ranking. */

#include "lib/services/search/ranking_metrics.h"

#include <math.h>
#include <stdlib.h>

#define NDCG_DEPTH   ((size_t)10)
#define MRR_DEPTH    ((size_t)10)
#define RECALL_DEPTH ((size_t)100)

static int
compare_descending(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left < right) - (left > right);
}

static double
sum_gains(const double *grades, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n && i < NDCG_DEPTH; i++)
        sum += fmax(grades[i], 0) / log2((double)i + 2);
    return sum;
}

struct ranking_metrics
ranking_metrics_compute(const double *grades, size_t n_hits, double *relevant, size_t n_relevant)
{
    struct ranking_metrics metrics = {0};
    size_t n_found = 0;

    if (n_relevant == 0)
        return metrics;
    qsort(relevant, n_relevant, sizeof(*relevant), compare_descending);
    metrics.ndcg_10 = sum_gains(grades, n_hits) / sum_gains(relevant, n_relevant);
    for (size_t i = 0; i < n_hits && i < RECALL_DEPTH; i++) {
        if (grades[i] <= 0)
            continue;
        n_found++;
        if (n_found == 1 && i < MRR_DEPTH)
            metrics.mrr_10 = 1 / ((double)i + 1);
    }
    metrics.recall_100 = (double)n_found / (double)n_relevant;
    return metrics;
}
