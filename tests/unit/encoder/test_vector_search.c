/* encoder/vector_search.h: its answer is that of a scan of all rows in f32, on every CPU level,
 * with any number of threads, whatever the rows are. */

#include "tests/unit/check.h"

#include <float.h>
#include <math.h>

#include "encoder/cpu_level.h"
#include "encoder/vector_ops.h"
#include "encoder/vector_scan.h"
#include "encoder/vector_search.h"

#define ROWS_MAX ((size_t)5000)
#define DIM_MAX  ((size_t)400)
#define K_MAX    ((size_t)300)

static const char *const levels[] = {"baseline", "avx2", "avx512", "vnni", "bf16"};

/* Rows in two parts, as a file and what has come since. */
struct rows {
    size_t n_rows;
    size_t dim;
    float *vectors;
    int8_t *codes;
    float scales[ROWS_MAX];
    float errors[ROWS_MAX];
    int64_t ids[ROWS_MAX];
    uint64_t checks[ROWS_MAX];
    uint64_t allowed[2][ROWS_MAX / 64 + 1];
    struct vector_part parts[2];
};

static uint32_t random_state = 11;

static float
random_unit(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / (float)(1 << 23) - 1.0f;
}

enum shape {
    SHAPE_RANDOM,
    SHAPE_WHOLE,
    SHAPE_TWINS,
    SHAPE_NEAR,
    SHAPE_ZERO,
    SHAPE_SPIKE,
    SHAPE_TINY
};

/* Number i of row `row`. */
static float
make_value(enum shape shape, size_t row, size_t i)
{
    switch (shape) {
    case SHAPE_RANDOM:
        return random_unit();
    case SHAPE_WHOLE: /* many scores are equal */
        return (float)(int)(random_unit() * 2);
    case SHAPE_TWINS: /* all rows are one of three */
        return sinf((float)(i * (row % 3 + 1)));
    case SHAPE_NEAR: /* they differ in the last bits */
        return sinf((float)i) * (1 + (float)(row % 7) * FLT_EPSILON);
    case SHAPE_ZERO: /* every second row is nothing at all */
        return row % 2 ? 0 : random_unit();
    case SHAPE_SPIKE: /* the codes of nearly all numbers are 0 */
        return i == row % 5 ? 1e4f * random_unit() : random_unit();
    case SHAPE_TINY: /* below what f32 holds exactly, and far above */
        return random_unit() * (row % 3 ? 1e-38f : 1e15f);
    }
    return 0;
}

static void
fill(struct rows *rows, enum shape shape, size_t n_rows, size_t dim)
{
    size_t cut = n_rows / 3; /* in the middle of a group */
    size_t code_bytes = vector_code_bytes(dim);

    rows->n_rows = n_rows;
    rows->dim = dim;
    rows->parts[0].max_norm = 0;
    for (size_t row = 0; row < n_rows; row++) {
        float *x = rows->vectors + row * dim; /* [dim] */
        struct vector_code code;
        struct error err;

        for (size_t i = 0; i < dim; i++)
            x[i] = make_value(shape, row, i);
        assert_ok(vector_quantize(x, dim, rows->codes + row * code_bytes, &code, &err), err);
        rows->scales[row] = code.scale;
        rows->errors[row] = code.error;
        rows->checks[row] = vector_checksum(x, dim * sizeof(*x));
        rows->ids[row] = (int64_t)row;
        if (code.norm > rows->parts[0].max_norm)
            rows->parts[0].max_norm = code.norm;
    }
    for (size_t part = 0; part < 2; part++) {
        size_t first = part ? cut : 0;

        rows->parts[part] = (struct vector_part){
            .codes = rows->codes + first * code_bytes,
            .scales = rows->scales + first,
            .errors = rows->errors + first,
            .vectors = rows->vectors + first * dim,
            .checks = rows->checks + first,
            .ids = rows->ids + first,
            .n_rows = part ? n_rows - cut : cut,
            .max_norm = rows->parts[0].max_norm,
        };
    }
}

static void
check_search(struct rows *rows, const float *query, const uint64_t *valid, size_t k,
             size_t n_threads)
{
    const struct vector_scan scan = {rows->vectors, valid, rows->n_rows, rows->dim};
    struct vector_hit expected[K_MAX];
    struct vector_found found[K_MAX];
    struct vector_search_counts counts;
    size_t n_expected;
    size_t n_found;
    struct error err;

    for (size_t part = 0; part < 2; part++) {
        rows->parts[part].allowed = valid ? rows->allowed[part] : NULL;
        (void)memset(rows->allowed[part], 0, sizeof(rows->allowed[part]));
        for (size_t row = 0; valid && row < rows->parts[part].n_rows; row++) {
            size_t at = (size_t)rows->parts[part].ids[row];

            if (valid[at / 64] >> (at % 64) & 1)
                rows->allowed[part][row / 64] |= UINT64_C(1) << (row % 64);
        }
    }
    vector_scan_top(&scan, query, 1, k, expected, &n_expected);
    assert_ok(vector_search_top(rows->parts, 2, rows->dim, query, k, n_threads, found, &n_found,
                                &counts, &err),
              err);
    assert_int_equal(n_found, n_expected);
    for (size_t i = 0; i < n_found; i++) {
        assert_int_equal(found[i].id, expected[i].row);
        assert_memory_equal(&found[i].score, &expected[i].score, sizeof(float));
    }
    assert_true(counts.n_scanned <= rows->n_rows && counts.n_rescored >= n_found);
}

static struct rows *
rows_create(void)
{
    struct rows *rows = calloc(1, sizeof(*rows));

    assert_non_null(rows);
    rows->vectors = calloc(ROWS_MAX * DIM_MAX, sizeof(float));
    rows->codes = aligned_alloc(64, ROWS_MAX * vector_code_bytes(DIM_MAX));
    assert_non_null(rows->vectors);
    assert_non_null(rows->codes);
    return rows;
}

static void
rows_free(struct rows *rows)
{
    free(rows->vectors);
    free(rows->codes);
    free(rows);
}

static void
test_equals_full_scan(void **state)
{
    static const struct {
        enum shape shape;
        size_t n_rows;
        size_t dim;
        size_t k;
        uint64_t valid; /* each word of the filter; 0: none */
    } cases[] = {
        {SHAPE_RANDOM, 5000, 384, 200, 0},
        {SHAPE_RANDOM, 3000, 17, 10, UINT64_C(0x8000000000000001)},
        {SHAPE_RANDOM, 700, 400, 300, UINT64_C(0xAAAAAAAAAAAAAAAA)},
        {SHAPE_WHOLE, 5000, 32, 200, 0},
        {SHAPE_TWINS, 4000, 384, 100, 0},
        {SHAPE_NEAR, 3000, 384, 100, 0},
        {SHAPE_ZERO, 2000, 65, 300, 0},
        {SHAPE_SPIKE, 3000, 384, 50, 0},
        {SHAPE_TINY, 2000, 64, 100, 0},
        {SHAPE_RANDOM, 20, 3, 50, 0},
        {SHAPE_RANDOM, 1, 1, 1, 0},
        {SHAPE_RANDOM, 0, 8, 5, 0},
        {SHAPE_RANDOM, 100, 8, 0, 0},
    };
    struct rows *rows = rows_create();
    const char *ceiling = getenv(CPU_LEVEL_ENV);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        static uint64_t valid[ROWS_MAX / 64 + 1];
        float query[DIM_MAX];

        fill(rows, cases[i].shape, cases[i].n_rows, cases[i].dim);
        for (size_t word = 0; word < COUNT_OF(valid); word++)
            valid[word] = word == 2 ? 0 : cases[i].valid; /* one group is empty */
        for (size_t n = 0; n < 3; n++) {
            for (size_t k = 0; k < cases[i].dim; k++)
                query[k] = n == 2 ? 0 : make_value(cases[i].shape, n, k);
            for (size_t level = 0; level < COUNT_OF(levels); level++) {
                (void)setenv(CPU_LEVEL_ENV, levels[level], 1);
                check_search(rows, query, cases[i].valid ? valid : NULL, cases[i].k, 1 + level % 3);
            }
        }
    }
    if (ceiling)
        (void)setenv(CPU_LEVEL_ENV, ceiling, 1);
    else
        (void)unsetenv(CPU_LEVEL_ENV);
    rows_free(rows);
}

/* Every level gives the bits of the plain loop, and the bound holds against the real product. */
static void
test_bound(void **state)
{
    const struct vector_ops *ops[VECTOR_LEVELS_MAX];
    size_t n_ops = vector_ops_list(ops);
    struct rows *rows = rows_create();

    (void)state;
    for (enum shape shape = SHAPE_RANDOM; shape <= SHAPE_TINY; shape++) {
        struct vector_query *query;
        struct error err;
        float exact[DIM_MAX];
        float slack;
        float scores[VECTOR_LEVELS_MAX][VECTOR_GROUP];
        float reaches[VECTOR_LEVELS_MAX][VECTOR_GROUP];

        fill(rows, shape, VECTOR_GROUP, 390);
        for (size_t i = 0; i < rows->dim; i++)
            exact[i] = make_value(shape, 1, i);
        assert_ok(vector_query_create(exact, rows->dim, &query, &err), err);
        slack = vector_query_slack(query, rows->parts[0].max_norm);
        for (size_t level = 0; level < n_ops; level++) {
            const struct code_group group = {rows->codes, rows->scales, rows->errors, VECTOR_GROUP,
                                             UINT64_MAX};

            (void)ops[level]->score_codes(&group, query, slack, 0, scores[level], reaches[level]);
            assert_memory_equal(scores[level], scores[0], sizeof(scores[0]));
        }
        for (size_t row = 0; row < VECTOR_GROUP; row++) {
            double product = 0;
            float single;

            for (size_t i = 0; i < rows->dim; i++)
                product += (double)rows->vectors[row * rows->dim + i] * (double)exact[i];
            ops[n_ops - 1]->dot(rows->vectors + row * rows->dim, exact, 1, rows->dim, &single);
            assert_true(fabs(product - (double)scores[0][row]) <= (double)reaches[0][row]);
            assert_true(fabsf(single - scores[0][row]) <= reaches[0][row]);
        }
        vector_query_free(query);
    }
    rows_free(rows);
}

/* The greatest numbers there are, in as many dimensions as there may be: no sum may leave 32 bits.
 */
static void
test_extremes(void **state)
{
    const struct vector_ops *ops[VECTOR_LEVELS_MAX];
    size_t n_ops = vector_ops_list(ops);
    size_t dim = VECTOR_DIM_MAX;
    float *x = calloc(dim, sizeof(*x));
    int8_t *codes = aligned_alloc(64, vector_code_bytes(dim));
    struct vector_query *query;
    struct vector_code code;
    struct error err;

    (void)state;
    assert_non_null(x);
    assert_non_null(codes);
    for (size_t i = 0; i < dim; i++)
        x[i] = -1;
    assert_ok(vector_quantize(x, dim, codes, &code, &err), err);
    assert_ok(vector_query_create(x, dim, &query, &err), err);
    for (size_t level = 0; level < n_ops; level++) {
        const struct code_group group = {codes, &code.scale, &code.error, 1, 1};
        float score;
        float reach;

        (void)ops[level]->score_codes(&group, query, 0, 0, &score, &reach);
        assert_true(fabsf(score - (float)dim) < 1);
    }
    vector_query_free(query);
    free(codes);
    free(x);
}

static void
test_refusals(void **state)
{
    const float values[] = {NAN, INFINITY, -INFINITY, 2e18f};
    int8_t codes[VECTOR_CODE_ALIGN];
    struct vector_code code = {.scale = 7};
    struct vector_found found[1];
    size_t n_found = 9;
    struct error err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        assert_int_equal(vector_quantize(&values[i], 1, codes, &code, &err), -ERR_INVALID);
        assert_true(code.scale > 6); /* out survives a failure */
        assert_int_equal(
            vector_search_top(NULL, 0, 1, &values[i], 1, 1, found, &n_found, NULL, &err),
            -ERR_INVALID);
        assert_int_equal(n_found, 9);
    }
}

/* A bit that was turned over in a vector that matters. */
static void
test_damaged_vector(void **state)
{
    struct rows *rows = rows_create();
    struct vector_found found[10];
    size_t n_found;
    struct error err;

    (void)state;
    fill(rows, SHAPE_RANDOM, 500, 384);
    assert_ok(
        vector_search_top(rows->parts, 2, 384, rows->vectors, 10, 1, found, &n_found, NULL, &err),
        err);
    assert_int_equal(found[0].id, 0);
    ((unsigned char *)rows->vectors)[700] ^= 4;
    assert_int_equal(
        vector_search_top(rows->parts, 2, 384, rows->vectors, 10, 1, found, &n_found, NULL, &err),
        -ERR_CORRUPT);
    rows_free(rows);
}

static void
test_checksum(void **state)
{
    unsigned char bytes[1000];
    uint64_t whole;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 7);
    whole = vector_checksum(bytes, sizeof(bytes));
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit += 3) {
        bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        assert_true(vector_checksum(bytes, sizeof(bytes)) != whole);
        bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
    }
    assert_true(vector_checksum(bytes, sizeof(bytes)) == whole);
    assert_true(vector_checksum(bytes, 999) != whole);
    bytes[999] = 0;
    assert_true(vector_checksum(bytes, 999) != vector_checksum(bytes, 1000));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_full_scan), cmocka_unit_test(test_bound),
        cmocka_unit_test(test_extremes),         cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damaged_vector),   cmocka_unit_test(test_checksum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
