#pragma once

/* Vector loops that are compiled once per instruction set and chosen at run time.
 *
 * attention.c, layer_norm.c, dot.c and code_scan.c are built for each level that the build
 * machine's compiler knows; their functions carry the level in their name (VECTOR_FN), and
 * vector_table.c collects them. Sums run in an order that depends on sizes only, never on addresses
 * or on neighbours. */

#include <stddef.h>
#include <stdint.h>

#include "encoder/kernels.h"
#include "encoder/vector_codes.h"

#define VECTOR_QUERIES_MAX 4
#define VECTOR_LEVELS_MAX  5
#define VECTOR_PANEL       16 /* outputs that are packed together */

struct multiply_args {
    const float *x; /* [n_rows, n_in] */
    size_t n_rows;  /* at least 12 */
    size_t n_in;
    size_t n_out;
    const float *panels; /* [ceil(n_out / VECTOR_PANEL), n_in, VECTOR_PANEL], zero-padded */
    const float *bias;   /* [n_out], zero-padded to whole panels */
    enum activation_fn activation;
};

/* Up to VECTOR_GROUP rows of 8-bit codes; all borrowed. */
struct code_group {
    const int8_t *codes; /* [n_rows, vector_code_bytes(dim)] */
    const float *scales; /* [n_rows] */
    const float *errors; /* [n_rows] */
    size_t n_rows;
    uint64_t rows; /* bit i: row i takes part; none at n_rows or beyond */
};

struct vector_ops {
    const char *name; /* "avx512" */

    /* Self-attention; qkv and out are f32.
     * scratch  64-byte aligned, attend_scratch_floats */
    void (*attend)(const struct attention_args *args, size_t max_text, float *scratch);
    size_t (*attend_scratch_floats)(size_t max_text, size_t head_size);

    /* x = LayerNorm(x + delta), rows [n_rows, H]; args->out is not looked at. */
    void (*norm)(const struct norm_args *args);

    /* y [n_rows, n_out] = activation(x W^T + b). */
    void (*multiply)(const struct multiply_args *args, float *y);

    /* Inner products of one row with 1 to VECTOR_QUERIES_MAX queries [n_queries, dim].  A score's
     * bits do not depend on n_queries. */
    void (*dot)(const float *row, const float *queries, size_t n_queries, size_t dim,
                float *scores);

    /* 8-bit scores of a group, and how far the f32 score can be from each; returns the rows whose
     * f32 score may reach the threshold.
     * slack            vector_query_slack, for these rows
     * scores, reaches  [n_rows]; those of rows that take no part mean nothing */
    uint64_t (*score_codes)(const struct code_group *group, const struct vector_query *query,
                            float slack, float threshold, float *scores, float *reaches);

    /* NULL below CPU_LEVEL_AVX512. */
    const struct vector_u8_ops *u8;

    /* NULL below CPU_LEVEL_BF16. */
    const struct vector_bf16_ops *bf16;
};

/* A row of values in 8 bits: value i is low + scale * u[i]. */
struct row_scale {
    float scale;
    float low;
};

/* A linear layer's s8 weights w[o, i] stand for scale[o] * w[o, i]. */
struct weight_scales {
    const float *scale; /* [n_out] */
    const float *sum;   /* [n_out]: scale[o] times the sum of w[o, i] */
    const float *bias;  /* [n_out] */
};

struct vector_u8_ops {
    /* Lowest value to 0, highest to 255, nearest between. */
    void (*quantize)(const float *x, size_t n, uint8_t *to, struct row_scale *scale);

    /* y = activation(x W^T + b) from the sums of u x w; y may be where the sums are. */
    void (*dequantize)(const int32_t *sums, size_t n_out, const struct row_scale *row,
                       const struct weight_scales *weights, enum activation_fn activation,
                       float *y);
};

/* bf16 is the upper half of an f32; values are rounded to nearest, ties to even. */
struct vector_bf16_ops {
    void (*convert)(const float *from, size_t n, uint16_t *to);

    /* Self-attention; qkv is bf16 [S, 3H], products in bf16 with f32 sums, softmax in f32.
     * out  bf16 [T, H] in args->out, from args->first_row; or, when out_f32 is given, there:
     *      [S, H], from row 0
     * scratch  64-byte aligned, attend_scratch_bytes */
    void (*attend)(const struct attention_args *args, size_t max_text, void *scratch,
                   float *out_f32);
    size_t (*attend_scratch_bytes)(size_t max_text, size_t head_size);
};

/* The best level that this CPU runs. */
const struct vector_ops *vector_ops_get(void);

/* All that it runs, the best last; returns how many.  Tests compare them. */
size_t vector_ops_list(const struct vector_ops *out[VECTOR_LEVELS_MAX]);

/* For the implementation files. */
#define VECTOR_PASTE_(name, level) name##_##level
#define VECTOR_PASTE(name, level)  VECTOR_PASTE_(name, level)
#define VECTOR_FN(name)            VECTOR_PASTE(name, VECTOR_LEVEL)
