#pragma once

/* A register of floats, as wide as the level has it: gcc's and clang's vector extension.
 *
 * Values never cross a function that is not inlined, so the levels' ABIs never meet. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float vfloat __attribute__((vector_size(LANES * 4)));
typedef int32_t vint __attribute__((vector_size(LANES * 4)));

#define VECTOR_INLINE static inline __attribute__((always_inline))

VECTOR_INLINE vfloat
vfloat_load(const float *from)
{
    vfloat value;

    (void)memcpy(&value, from, sizeof(value));
    return value;
}

VECTOR_INLINE void
vfloat_store(float *to, vfloat value)
{
    (void)memcpy(to, &value, sizeof(value));
}

VECTOR_INLINE vfloat
vfloat_all(float value)
{
    return value - (vfloat){0};
}

/* Intrinsics where there are some: comparing and blending takes four instructions. */
VECTOR_INLINE vfloat
vfloat_max(vfloat a, vfloat b)
{
#if defined(__AVX512F__)
    return _mm512_max_ps(a, b);
#elif defined(__AVX__)
    return _mm256_max_ps(a, b);
#elif defined(__SSE__)
    return _mm_max_ps(a, b);
#else
    for (size_t i = 0; i < LANES; i++)
        a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
#endif
}

/* Pairwise, halves first: always the same tree. */
VECTOR_INLINE float
vfloat_sum(vfloat value)
{
    float lanes[LANES];

    vfloat_store(lanes, value);
    for (size_t width = LANES / 2; width > 0; width /= 2) {
        for (size_t i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    }
    return lanes[0];
}

VECTOR_INLINE float
vfloat_max_lane(vfloat value)
{
    float lanes[LANES];

    vfloat_store(lanes, value);
    for (size_t i = 1; i < LANES; i++)
        lanes[0] = lanes[i] > lanes[0] ? lanes[i] : lanes[0];
    return lanes[0];
}

/* e^x for x <= 0, within 2 ulp; below -87 it stays at e^-87, about 1.6e-38.
 *
 * x = n ln 2 + r, |r| <= ln 2 / 2; e^r by a polynomial, 2^n through the exponent's bits.  Adding
 * 1.5 * 2^23 rounds to a whole number that then stands in the low bits.
 * Source: Cody & Waite 1980; polynomial of the Cephes library's expf. */
VECTOR_INLINE vfloat
vfloat_exp(vfloat x)
{
    const vfloat magic = vfloat_all(12582912.0f);
    vfloat shifted;
    vfloat n;
    vfloat r;
    vfloat y;
    vint bits;

    x = vfloat_max(x, vfloat_all(-87.0f));
    shifted = x * 1.44269504088896341f + magic;
    n = shifted - magic;
    r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    y = r * 1.9875691500e-4f + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1.0f;
    (void)memcpy(&bits, &shifted, sizeof(bits));
    bits = (bits << 23) + 0x3F800000;
    (void)memcpy(&n, &bits, sizeof(n));
    return y * n;
}
