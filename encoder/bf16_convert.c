/* f32 to bf16 by the CPU's own instruction: to nearest, ties to even, denormals to zero. */

#include <immintrin.h>

#include "encoder/vector_ops.h"

void VECTOR_FN(convert_bf16)(const float *from, size_t n, uint16_t *to);

void
VECTOR_FN(convert_bf16)(const float *from, size_t n, uint16_t *to)
{
    size_t i = 0;

    for (; i + 32 <= n; i += 32) {
        __m512 low = _mm512_loadu_ps(from + i);
        __m512 high = _mm512_loadu_ps(from + i + 16);

        _mm512_storeu_si512(to + i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
    for (; i < n; i += 16) {
        unsigned lanes = n - i < 16 ? (1u << (n - i)) - 1 : 0xFFFFu;
        __mmask16 mask = (__mmask16)lanes;

        _mm256_mask_storeu_epi16(
            to + i, mask, (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from + i)));
    }
}
