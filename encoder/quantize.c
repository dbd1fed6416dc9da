/* Rows of f32 to 8 bits and sums of 8-bit products back to f32.
 *
 * A row's range is cut into 255 steps, from its lowest value, so that lopsided rows (behind GELU
 * everything is above -0.17) use all of them.  With x = low + scale u and w = s w8:
 *
 *     sum of x w = scale s (sum of u w8) + low s (sum of w8)
 *
 * where the second sum is known when the weights are packed. */

#include <immintrin.h>

#include "encoder/vector_activation.h"
#include "encoder/vector_ops.h"

#define STEPS 255.0f

void VECTOR_FN(quantize)(const float *x, size_t n, uint8_t *to, struct row_scale *scale);
void VECTOR_FN(dequantize)(const int32_t *sums, size_t n_out, const struct row_scale *row,
                           const struct weight_scales *weights, enum activation_fn activation,
                           float *y);

/* Lanes below n; all from 16 on. */
VECTOR_INLINE __mmask16
mask_of(size_t n)
{
    unsigned mask = n < LANES ? (1u << n) - 1 : 0xFFFFu;

    return (__mmask16)mask;
}

void
VECTOR_FN(quantize)(const float *x, size_t n, uint8_t *to, struct row_scale *scale)
{
    vfloat lowest = _mm512_maskz_loadu_ps(mask_of(n), x);
    vfloat highest;
    float low;
    float range;
    float inverse;

    lowest = _mm512_mask_blend_ps(mask_of(n), vfloat_all(lowest[0]), lowest);
    highest = lowest;
    for (size_t i = LANES; i < n; i += LANES) {
        __mmask16 mask = mask_of(n - i);
        vfloat value = _mm512_maskz_loadu_ps(mask, x + i);

        lowest = _mm512_mask_min_ps(lowest, mask, lowest, value);
        highest = _mm512_mask_max_ps(highest, mask, highest, value);
    }
    low = _mm512_reduce_min_ps(lowest);
    range = _mm512_reduce_max_ps(highest) - low;
    inverse = range > 0 ? STEPS / range : 0;
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = mask_of(n - i);
        vfloat value = (_mm512_maskz_loadu_ps(mask, x + i) - low) * inverse;

        _mm512_mask_cvtusepi32_storeu_epi8(to + i, mask, _mm512_cvtps_epi32(value));
    }
    *scale = (struct row_scale){.scale = range / STEPS, .low = low};
}

VECTOR_INLINE void
dequantize_row(const int32_t *sums, size_t n_out, const struct row_scale *row,
               const struct weight_scales *weights, enum activation_fn activation, float *y)
{
    for (size_t i = 0; i < n_out; i += LANES) {
        __mmask16 mask = mask_of(n_out - i);
        vfloat sum = _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(mask, sums + i));
        vfloat offset = _mm512_maskz_loadu_ps(mask, weights->bias + i) +
                        row->low * _mm512_maskz_loadu_ps(mask, weights->sum + i);
        vfloat scale = row->scale * _mm512_maskz_loadu_ps(mask, weights->scale + i);

        _mm512_mask_storeu_ps(y + i, mask, vfloat_activate(activation, scale * sum + offset));
    }
}

/* Each function's loop by itself, without a choice in it. */
void
VECTOR_FN(dequantize)(const int32_t *sums, size_t n_out, const struct row_scale *row,
                      const struct weight_scales *weights, enum activation_fn activation, float *y)
{
    switch (activation) {
    case ACTIVATION_NONE:
        dequantize_row(sums, n_out, row, weights, ACTIVATION_NONE, y);
        break;
    case ACTIVATION_GELU_ERF:
        dequantize_row(sums, n_out, row, weights, ACTIVATION_GELU_ERF, y);
        break;
    case ACTIVATION_GELU_TANH:
    case ACTIVATION_RELU:
    case ACTIVATION_TANH:
        dequantize_row(sums, n_out, row, weights, activation, y);
        break;
    }
}
