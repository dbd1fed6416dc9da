/* Softmax attention on bf16 with f32 sums: the plan of attention.c, on instructions that multiply
 * pairs of bf16 and add both products to an f32.
 *
 * S tokens, d head size (even); Sp is S rounded up to 32, dp is d rounded up to 16.  Per head, K
 * becomes pairs of neighbouring dimensions, [d/2, Sp] words, and V pairs of neighbouring tokens,
 * [Sp/2, dp] words.  Then ROWS query rows at a time: scores [ROWS, Sp] in f32, weights [ROWS, Sp]
 * in bf16, sums in registers.  Highest score, exponential, total and division are f32. */

#include <immintrin.h>
#include <string.h>

#include "encoder/vector_ops.h"

#define ROWS          8 /* 16 accumulators of 32 registers */
#define LANES         ((size_t)16)
#define STEP          ((size_t)32) /* columns per pass */
#define MASKED_SCORE  (-1e30f)
#define LOG2_E        1.44269504088896341f
#define ALIGNMENT     ((size_t)64)
#define KERNEL_INLINE static inline __attribute__((always_inline))

void VECTOR_FN(attend_bf16)(const struct attention_args *args, size_t max_text, void *scratch,
                            float *out_f32);
size_t VECTOR_FN(attend_bf16_scratch_bytes)(size_t max_text, size_t head_size);

static size_t
round_up(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* One head's operands; a word is a pair of bf16, the first one in its lower half. */
struct head {
    const uint16_t *q; /* rows of [S, 3H] */
    const uint16_t *k; /* as q */
    const uint16_t *v; /* as q */
    size_t stride;     /* 3H */
    uint32_t *k_words; /* [d/2, Sp] */
    uint32_t *v_words; /* [Sp/2, dp] */
    float *scores;     /* [ROWS, Sp] */
    uint16_t *weights; /* [ROWS, Sp] */
    const float *bias; /* by j - i, at its middle; or NULL */
    size_t n_tokens;   /* S */
    size_t n_columns;  /* Sp */
    size_t head_size;  /* d */
    size_t padded;     /* dp */
    uint16_t *out;     /* rows of [S, H], or NULL */
    float *out_f32;    /* rows of [S, H] where out is NULL */
    size_t out_stride;
};

/* Lanes below n; all from 16 on. */
KERNEL_INLINE __mmask16
mask_of(size_t n)
{
    unsigned mask = n < LANES ? (1u << n) - 1 : 0xFFFFu;

    return (__mmask16)mask;
}

/* -- Operands ------------------------------------------------------------------------------ */

/* rows[i] lane j -> rows[j] lane i */
KERNEL_INLINE void
transpose_words(__m512i rows[16])
{
    __m512i t[16];

    for (size_t i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for (size_t i = 0; i < 16; i += 4) {
        rows[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        rows[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        rows[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        rows[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (size_t i = 0; i < 4; i++) {
        __m512i a = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
        __m512i b = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xDD);
        __m512i c = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
        __m512i d = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xDD);

        t[i] = _mm512_shuffle_i32x4(a, c, 0x88);
        t[i + 8] = _mm512_shuffle_i32x4(a, c, 0xDD);
        t[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(b, d, 0xDD);
    }
    for (size_t i = 0; i < 16; i++)
        rows[i] = t[i];
}

static void
pair_keys(const struct head *head)
{
    size_t n_words = head->head_size / 2;

    for (size_t w0 = 0; w0 < n_words; w0 += LANES) {
        size_t n = n_words - w0 < LANES ? n_words - w0 : LANES;
        __mmask16 mask = mask_of(n);

        for (size_t j0 = 0; j0 < head->n_columns; j0 += LANES) {
            __m512i rows[16];

            for (size_t j = 0; j < LANES; j++)
                rows[j] =
                    j0 + j < head->n_tokens
                        ? _mm512_maskz_loadu_epi32(mask, head->k + (j0 + j) * head->stride + 2 * w0)
                        : _mm512_setzero_si512();
            transpose_words(rows);
            for (size_t w = 0; w < n; w++)
                _mm512_storeu_si512(head->k_words + (w0 + w) * head->n_columns + j0, rows[w]);
        }
    }
}

static void
pair_values(const struct head *head)
{
    for (size_t c0 = 0; c0 < head->padded; c0 += LANES) {
        __mmask16 mask = mask_of(head->head_size - c0);

        for (size_t j = 0; j < head->n_tokens; j += 2) {
            const uint16_t *row = head->v + j * head->stride + c0;
            __m512i even = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, row));
            __m512i odd = _mm512_setzero_si512();

            if (j + 1 < head->n_tokens)
                odd = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, row + head->stride));
            _mm512_storeu_si512(head->v_words + j / 2 * head->padded + c0,
                                _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
        }
    }
}

/* -- Rows ---------------------------------------------------------------------------------- */

KERNEL_INLINE __m512
add_products(__m512 sum, __m512i pairs, const uint16_t *pair)
{
    int word;

    (void)memcpy(&word, pair, sizeof(word));
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(word), (__m512bh)pairs);
}

/* scores[r, j] = q[r] . k[j] (+ bias), columns past the end masked; highest[r] by lanes */
KERNEL_INLINE void
score_rows(const struct head *head, size_t row, size_t n_rows, __m512 highest[ROWS])
{
    const uint16_t *q = head->q + row * head->stride;

    for (size_t r = 0; r < n_rows; r++)
        highest[r] = _mm512_set1_ps(MASKED_SCORE);
    for (size_t j = 0; j < head->n_columns; j += STEP) {
        __m512 sums[ROWS][2];

        for (size_t r = 0; r < n_rows; r++)
            sums[r][0] = sums[r][1] = _mm512_setzero_ps();
        for (size_t w = 0; w < head->head_size / 2; w++) {
            const uint32_t *words = head->k_words + w * head->n_columns + j;
            __m512i k0 = _mm512_loadu_si512(words);
            __m512i k1 = _mm512_loadu_si512(words + LANES);

            for (size_t r = 0; r < n_rows; r++) {
                const uint16_t *pair = q + r * head->stride + 2 * w;

                sums[r][0] = add_products(sums[r][0], k0, pair);
                sums[r][1] = add_products(sums[r][1], k1, pair);
            }
        }
        for (size_t r = 0; r < n_rows; r++) {
            for (size_t half = 0; half < 2; half++) {
                size_t column = j + half * LANES;
                size_t n_left = column < head->n_tokens ? head->n_tokens - column : 0;
                __mmask16 mask = mask_of(n_left);
                __m512 score = sums[r][half];

                if (head->bias)
                    score = _mm512_add_ps(
                        score, _mm512_maskz_loadu_ps(mask, head->bias - (row + r) + column));
                score = _mm512_mask_blend_ps(mask, _mm512_set1_ps(MASKED_SCORE), score);
                highest[r] = _mm512_max_ps(highest[r], score);
                _mm512_storeu_ps(head->scores + r * head->n_columns + column, score);
            }
        }
    }
}

/* 2^x for x <= 0 (and a rounding error above), within 2.6e-6: a polynomial on the fraction, the
 * floor goes to the exponent.  Its coefficients minimize the largest relative error on [0, 1). */
KERNEL_INLINE __m512
exp2_of(__m512 x)
{
    __m512 fraction = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512 y = _mm512_set1_ps(0.0135341661f);

    y = _mm512_fmadd_ps(y, fraction, _mm512_set1_ps(0.0520114642f));
    y = _mm512_fmadd_ps(y, fraction, _mm512_set1_ps(0.241442755f));
    y = _mm512_fmadd_ps(y, fraction, _mm512_set1_ps(0.693003835f));
    y = _mm512_fmadd_ps(y, fraction, _mm512_set1_ps(1.00000259f));
    return _mm512_scalef_ps(y, x);
}

/* weights = e^(score - highest) in bf16; returns their sum in f32. */
KERNEL_INLINE float
weigh_row(const struct head *head, size_t r, float highest)
{
    const float *scores = head->scores + r * head->n_columns;
    uint16_t *weights = head->weights + r * head->n_columns;
    __m512 scale = _mm512_set1_ps(LOG2_E);
    __m512 shift = _mm512_set1_ps(highest * LOG2_E);
    __m512 total = _mm512_setzero_ps();

    for (size_t j = 0; j < head->n_columns; j += STEP) {
        __m512 low = exp2_of(_mm512_fmsub_ps(_mm512_loadu_ps(scores + j), scale, shift));
        __m512 high = exp2_of(_mm512_fmsub_ps(_mm512_loadu_ps(scores + j + LANES), scale, shift));

        total = _mm512_add_ps(total, _mm512_add_ps(low, high));
        _mm512_storeu_si512(weights + j, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
    return _mm512_reduce_add_ps(total);
}

KERNEL_INLINE void
store_sums(const struct head *head, size_t row, size_t c0, __m512 sums)
{
    __mmask16 mask = mask_of(head->head_size - c0);

    if (head->out)
        _mm256_mask_storeu_epi16(head->out + row * head->out_stride + c0, mask,
                                 (__m256i)_mm512_cvtneps_pbh(sums));
    else
        _mm512_mask_storeu_ps(head->out_f32 + row * head->out_stride + c0, mask, sums);
}

/* out[r, c0 .. c0 + STEP) = sum over j of weights[r, j] v[j] / total[r] */
KERNEL_INLINE void
sum_values(const struct head *head, size_t row, size_t n_rows, size_t c0, const float *totals)
{
    bool is_wide = head->padded - c0 > LANES;
    __m512 sums[ROWS][2];

    for (size_t r = 0; r < n_rows; r++)
        sums[r][0] = sums[r][1] = _mm512_setzero_ps();
    for (size_t j = 0; j < head->n_tokens; j += 2) {
        const uint32_t *words = head->v_words + j / 2 * head->padded + c0;
        __m512i v0 = _mm512_loadu_si512(words);
        __m512i v1 = is_wide ? _mm512_loadu_si512(words + LANES) : v0;

        for (size_t r = 0; r < n_rows; r++) {
            const uint16_t *pair = head->weights + r * head->n_columns + j;

            sums[r][0] = add_products(sums[r][0], v0, pair);
            sums[r][1] = add_products(sums[r][1], v1, pair);
        }
    }
    for (size_t r = 0; r < n_rows; r++) {
        __m512 scale = _mm512_set1_ps(1.0f / totals[r]);

        store_sums(head, row + r, c0, _mm512_mul_ps(sums[r][0], scale));
        if (is_wide)
            store_sums(head, row + r, c0 + LANES, _mm512_mul_ps(sums[r][1], scale));
    }
}

KERNEL_INLINE void
attend_rows(const struct head *head, size_t row, size_t n_rows)
{
    __m512 highest[ROWS];
    float totals[ROWS];

    score_rows(head, row, n_rows, highest);
    for (size_t r = 0; r < n_rows; r++)
        totals[r] = weigh_row(head, r, _mm512_reduce_max_ps(highest[r]));
    for (size_t c0 = 0; c0 < head->padded; c0 += STEP)
        sum_values(head, row, n_rows, c0, totals);
}

/* Rows in blocks; the last block reaches back, so that nearly no row is done alone. */
static void
attend_head(const struct head *head)
{
    size_t n_tokens = head->n_tokens;

    if (n_tokens < ROWS) {
        for (size_t row = 0; row < n_tokens; row++)
            attend_rows(head, row, 1);
        return;
    }
    for (size_t row = 0; row < n_tokens; row += ROWS)
        attend_rows(head, row + ROWS > n_tokens ? n_tokens - ROWS : row, ROWS);
}

size_t
VECTOR_FN(attend_bf16_scratch_bytes)(size_t max_text, size_t head_size)
{
    size_t n_columns = round_up(max_text, STEP);
    size_t n_words = n_columns * (head_size / 2 + round_up(head_size, LANES) / 2);

    return n_words * sizeof(uint32_t) + ROWS * n_columns * (sizeof(float) + sizeof(uint16_t));
}

void
VECTOR_FN(attend_bf16)(const struct attention_args *args, size_t max_text, void *scratch,
                       float *out_f32)
{
    const uint16_t *qkv = args->qkv;
    size_t d = args->head_size;
    size_t hidden = args->n_heads * d;
    struct head head = {
        .stride = 3 * hidden,
        .n_tokens = args->n_tokens,
        .n_columns = round_up(args->n_tokens, STEP),
        .head_size = d,
        .padded = round_up(d, LANES),
        .out_stride = hidden,
    };

    head.scores = scratch;
    head.k_words = (uint32_t *)(head.scores + ROWS * head.n_columns);
    head.v_words = head.k_words + d / 2 * head.n_columns;
    head.weights = (uint16_t *)(head.v_words + head.n_columns / 2 * head.padded);
    for (size_t a = 0; a < args->n_heads; a++) {
        head.q = qkv + a * d;
        head.k = head.q + hidden;
        head.v = head.k + hidden;
        if (args->position_bias)
            head.bias = args->position_bias + a * (2 * max_text - 1) + max_text - 1;
        if (out_f32)
            head.out_f32 = out_f32 + a * d;
        else
            head.out = (uint16_t *)args->out + args->first_row * hidden + a * d;
        pair_keys(&head);
        pair_values(&head);
        attend_head(&head);
    }
}
