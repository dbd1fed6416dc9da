#pragma once

/* Vectors in 8 bits, with a proven bound on what that costs an inner product.
 *
 * A vector x becomes scale * c + r: c whole numbers in [-127, 127], scale = max |x| / 127, and r
 * what rounding left over, of which only the length is kept.  A query q becomes step * g + p, with
 * g in about 14 bits.  Then
 *
 *     x.q = scale step (c.g)  +  scale (c.p)  +  r.q
 *
 * and by Cauchy and Schwarz the last two are at most (|x| + |r|) |p| and |r| |q|.  c.g is summed in
 * whole numbers, so it is the same on every CPU. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/attributes.h>
#include <trawl/error.h>

#define VECTOR_CODE_ALIGN ((size_t)64) /* bytes: a row of codes is padded with zeros to these */
#define VECTOR_DIM_MAX    ((size_t)65536)

/* Rows that one call of score_codes looks at: a word of a bitmap. */
#define VECTOR_GROUP ((size_t)64)

/* Bytes of one row of codes. */
static inline size_t
vector_code_bytes(size_t dim)
{
    return (dim + VECTOR_CODE_ALIGN - 1) / VECTOR_CODE_ALIGN * VECTOR_CODE_ALIGN;
}

/* What is kept of a vector beside its codes. */
struct vector_code {
    float scale;
    float error; /* the length of what rounding left over, rounded up */
    float norm;  /* the length of the vector, rounded up */
};

/* x [dim] to codes [vector_code_bytes(dim)].
 *
 * Pure; any thread.  Errors: ERR_INVALID (a number that is not finite, or a length beyond 1e18,
 * whose products are not). */
MUST_CHECK int vector_quantize(const float *x, size_t dim, int8_t *codes, struct vector_code *out,
                               struct error *err);

/* A query as the scan reads it.  Lives in memory of vector_query_create. */
struct vector_query {
    size_t dim;
    const float *exact;   /* [dim], borrowed */
    const int16_t *whole; /* [vector_code_bytes(dim)] g; 128 * high + low */
    const int8_t *high;   /* [vector_code_bytes(dim)] */
    const int8_t *low;
    int32_t sum;     /* of g */
    float step;      /* g's unit */
    float norm;      /* of q, rounded up */
    float left_over; /* the length of p, rounded up */
};

/* exact [dim] is borrowed for the query's life.  Errors: ERR_NOMEM, and vector_quantize's. */
MUST_CHECK int vector_query_create(const float *exact, size_t dim, struct vector_query **out,
                                   struct error *err);
void vector_query_free(struct vector_query *query);
void vector_query_freep(struct vector_query **query);

/* How far the score of any row can be from its 8-bit score, beside error * query->norm: what the
 * query lost, and the rounding of the f32 sums on both sides. max_norm  of the rows */
float vector_query_slack(const struct vector_query *query, float max_norm);

/* A checksum for files: one changed word is always found, other damage but for one in 2^32.  Sums
 * in lanes, so that it runs at the speed of memory on any CPU. */
uint64_t vector_checksum(const void *bytes, size_t n_bytes);
