/* Inner products of one stored row with several queries: the row is read from memory once. */

#include "encoder/vector_float.h"
#include "encoder/vector_ops.h"

#define CHAINS 4 /* independent sums, to hide the latency of one multiply-add */

void VECTOR_FN(dot)(const float *row, const float *queries, size_t n_queries, size_t dim,
                    float *scores);

VECTOR_INLINE void
dot_n(const float *row, const float *queries, size_t n_queries, size_t dim, float *scores)
{
    vfloat sums[VECTOR_QUERIES_MAX][CHAINS] = {0};
    size_t i = 0;

    for (; i + CHAINS * LANES <= dim; i += CHAINS * LANES) {
        for (size_t c = 0; c < CHAINS; c++) {
            vfloat value = vfloat_load(row + i + c * LANES);

            for (size_t q = 0; q < n_queries; q++)
                sums[q][c] += value * vfloat_load(queries + q * dim + i + c * LANES);
        }
    }
    for (size_t q = 0; q < n_queries; q++) {
        float tail = 0;

        for (size_t k = i; k < dim; k++)
            tail += row[k] * queries[q * dim + k];
        scores[q] = vfloat_sum((sums[q][0] + sums[q][1]) + (sums[q][2] + sums[q][3])) + tail;
    }
}

void
VECTOR_FN(dot)(const float *row, const float *queries, size_t n_queries, size_t dim, float *scores)
{
    if (n_queries == VECTOR_QUERIES_MAX) {
        dot_n(row, queries, VECTOR_QUERIES_MAX, dim, scores);
        return;
    }
    for (size_t q = 0; q < n_queries; q++)
        dot_n(row, queries + q * dim, 1, dim, scores + q);
}
