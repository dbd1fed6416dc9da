/* encoder/vector_scan.h against sorting everything. */

#include "tests/unit/check.h"

#include <math.h>
#include <stdlib.h>

#include "encoder/vector_scan.h"

#define ROWS_MAX 700
#define DIM_MAX  400
#define K_MAX    800

static uint32_t random_state = 7;

/* Small whole numbers: inner products are exact, and many are equal. */
static float
random_small(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 30) - 1.0f;
}

static int
compare_hits(const void *a, const void *b)
{
    const struct vector_hit *x = a;
    const struct vector_hit *y = b;

    if (x->score < y->score || x->score > y->score)
        return x->score > y->score ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static size_t
sort_all(const struct vector_scan *scan, const float *query, struct vector_hit *out)
{
    size_t n = 0;

    for (size_t row = 0; row < scan->n_rows; row++) {
        double score = 0;

        if (scan->valid && (scan->valid[row / 64] >> (row % 64) & 1) == 0)
            continue;
        for (size_t i = 0; i < scan->dim; i++)
            score += (double)scan->rows[row * scan->dim + i] * (double)query[i];
        out[n++] = (struct vector_hit){row, (float)score};
    }
    qsort(out, n, sizeof(*out), compare_hits);
    return n;
}

static void
test_against_sorting(void **state)
{
    static const struct {
        size_t n_rows;
        size_t dim;
        size_t n_queries;
        size_t k;
        uint64_t valid; /* each word of the filter; 0: no filter */
    } cases[] = {
        {700, 384, 1, 10, 0},
        {700, 384, 5, 10, 0},
        {700, 5, 4, 100, UINT64_C(0x8000000000000001)},
        {333, 17, 9, 50, UINT64_C(0xAAAAAAAAAAAAAAAA)},
        {64, 16, 2, 64, 0},
        {10, 3, 3, 20, 0},
        {1, 1, 1, 1, 0},
        {0, 8, 2, 5, 0},
        {100, 8, 1, 0, 0},
        {130, 400, 7, 800, UINT64_C(0xFFFF)},
    };
    static float rows[ROWS_MAX * DIM_MAX];
    static float queries[16 * DIM_MAX];
    static struct vector_hit expected[ROWS_MAX];
    static struct vector_hit hits[16 * K_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t valid[ROWS_MAX / 64 + 1];
        struct vector_scan scan = {rows, cases[i].valid ? valid : NULL, cases[i].n_rows,
                                   cases[i].dim};
        size_t n_hits[16];

        for (size_t k = 0; k < COUNT_OF(valid); k++)
            valid[k] = k == 2 ? 0 : cases[i].valid; /* one group is empty */
        for (size_t k = 0; k < scan.n_rows * scan.dim; k++)
            rows[k] = random_small();
        for (size_t k = 0; k < cases[i].n_queries * scan.dim; k++)
            queries[k] = random_small();
        vector_scan_top(&scan, queries, cases[i].n_queries, cases[i].k, hits, n_hits);
        for (size_t q = 0; q < cases[i].n_queries; q++) {
            size_t n = sort_all(&scan, queries + q * scan.dim, expected);

            n = n < cases[i].k ? n : cases[i].k;
            assert_int_equal(n_hits[q], n);
            for (size_t k = 0; k < n; k++) {
                assert_int_equal(hits[q * cases[i].k + k].row, expected[k].row);
                assert_true(fabsf(hits[q * cases[i].k + k].score - expected[k].score) == 0);
            }
        }
    }
}

static void
test_nan_is_no_hit(void **state)
{
    static const float rows[] = {1, NAN, -1, INFINITY, -INFINITY, 2}; /* [6, 1] */
    static const float query[] = {1};
    static const size_t order[] = {3, 5, 0, 2, 4};
    const struct vector_scan scan = {rows, NULL, 6, 1};
    struct vector_hit hits[6];
    size_t n_hits;

    (void)state;
    vector_scan_top(&scan, query, 1, 6, hits, &n_hits);
    assert_int_equal(n_hits, COUNT_OF(order));
    for (size_t i = 0; i < n_hits; i++)
        assert_int_equal(hits[i].row, order[i]);
}

/* A query's scores are the same bits alone and among others. */
static void
test_company_does_not_matter(void **state)
{
    enum { N_ROWS = 50, DIM = 390, N_QUERIES = 6 };
    static float rows[N_ROWS * DIM];
    static float queries[N_QUERIES * DIM];
    const struct vector_scan scan = {rows, NULL, N_ROWS, DIM};
    struct vector_hit together[N_QUERIES * N_ROWS];
    struct vector_hit alone[N_ROWS];
    size_t n_hits[N_QUERIES];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        rows[i] = sinf((float)i);
    for (size_t i = 0; i < COUNT_OF(queries); i++)
        queries[i] = cosf((float)i);
    vector_scan_top(&scan, queries, N_QUERIES, N_ROWS, together, n_hits);
    for (size_t q = 0; q < N_QUERIES; q++) {
        vector_scan_top(&scan, queries + q * DIM, 1, N_ROWS, alone, n_hits);
        for (size_t i = 0; i < N_ROWS; i++) {
            assert_int_equal(alone[i].row, together[q * N_ROWS + i].row);
            assert_memory_equal(&alone[i].score, &together[q * N_ROWS + i].score, sizeof(float));
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_sorting),
        cmocka_unit_test(test_nan_is_no_hit),
        cmocka_unit_test(test_company_does_not_matter),
    };

    return cmocka_run_group_tests_name("encoder/vector_scan", tests, NULL, NULL);
}
