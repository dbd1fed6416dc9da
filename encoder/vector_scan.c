/* A heap of the k best, its root the worst: most rows fail one comparison with the root's score.
 * Rows come in ascending order, so an equal score never displaces an earlier row. */

#include "encoder/vector_scan.h"

#include <stdbool.h>

#include "encoder/vector_ops.h"

/* a belongs behind b in the answer. */
static bool
is_worse(struct vector_hit a, struct vector_hit b)
{
    return a.score < b.score || (!(b.score < a.score) && a.row > b.row);
}

/* Put hit at the root of a heap of n and let it sink. */
static void
sink(struct vector_hit *heap, size_t n, struct vector_hit hit)
{
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= n)
            break;
        if (child + 1 < n && is_worse(heap[child + 1], heap[child]))
            child++;
        if (!is_worse(heap[child], hit))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = hit;
}

static void
rise(struct vector_hit *heap, size_t at, struct vector_hit hit)
{
    while (at > 0 && is_worse(hit, heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = hit;
}

static void
offer(struct vector_hit *heap, size_t *n, size_t k, struct vector_hit hit)
{
    if (*n < k) {
        if (hit.score >= hit.score) /* not NaN */
            rise(heap, (*n)++, hit);
        return;
    }
    if (hit.score > heap[0].score)
        sink(heap, k, hit);
}

/* The heap to a list, best first: the worst moves behind the shrinking heap. */
static void
sort_hits(struct vector_hit *heap, size_t n)
{
    while (n > 1) {
        struct vector_hit worst = heap[0];
        struct vector_hit last = heap[--n];

        sink(heap, n, last);
        heap[n] = worst;
    }
}

static void
scan_some(const struct vector_ops *ops, const struct vector_scan *scan, const float *queries,
          size_t n_queries, size_t k, struct vector_hit *hits, size_t *n_hits)
{
    float scores[VECTOR_QUERIES_MAX];

    for (size_t row = 0; row < scan->n_rows; row++) {
        if (scan->valid) {
            uint64_t word = scan->valid[row / 64] >> (row % 64);

            if (word == 0) { /* nothing left in this group */
                row |= 63;
                continue;
            }
            if ((word & 1) == 0)
                continue;
        }
        ops->dot(scan->rows + row * scan->dim, queries, n_queries, scan->dim, scores);
        for (size_t q = 0; q < n_queries; q++)
            offer(hits + q * k, &n_hits[q], k, (struct vector_hit){row, scores[q]});
    }
}

void
vector_scan_top(const struct vector_scan *scan, const float *queries, size_t n_queries, size_t k,
                struct vector_hit *hits, size_t *n_hits)
{
    const struct vector_ops *ops = vector_ops_get();

    for (size_t q = 0; q < n_queries; q++)
        n_hits[q] = 0;
    for (size_t q = 0; k > 0 && q < n_queries; q += VECTOR_QUERIES_MAX) {
        size_t n = n_queries - q < VECTOR_QUERIES_MAX ? n_queries - q : VECTOR_QUERIES_MAX;

        scan_some(ops, scan, queries + q * scan->dim, n, k, hits + q * k, n_hits + q);
    }
    for (size_t q = 0; q < n_queries; q++)
        sort_hits(hits + q * k, n_hits[q]);
}
