/* Sums of products of 8-bit codes with a query, a group of rows at a time.
 *
 *   rows [n_rows, code_bytes]  s8, padded with zeros
 *   g    [code_bytes]          14 bits, as 128 * high + low
 *
 * Where the CPU multiplies bytes with 32-bit sums (VNNI), its first operand is unsigned: c + 128 is
 * taken, and 128 times the sum of g is taken off again.  Elsewhere bytes are widened to 16 bits,
 * whose products are added in pairs; the plain loop is the oracle of both.  All are exact. */

#include "encoder/vector_float.h"
#include "encoder/vector_ops.h"

#define PREFETCH_BYTES 4096 /* ahead: the hardware's prefetcher stops at each page's end */

uint64_t VECTOR_FN(score_codes)(const struct code_group *group, const struct vector_query *query,
                                float slack, float threshold, float *scores, float *reaches);

#if defined(__AVX512VNNI__)
VECTOR_INLINE int32_t
sum_products(const int8_t *row, const struct vector_query *query, size_t n)
{
    const __m512i bias = _mm512_set1_epi8((char)0x80);
    __m512i high = _mm512_setzero_si512();
    __m512i low = _mm512_setzero_si512();
    uint32_t sum;

    for (size_t i = 0; i < n; i += 64) {
        __m512i codes = _mm512_xor_si512(_mm512_loadu_si512(row + i), bias);

        high = _mm512_dpbusd_epi32(high, codes, _mm512_load_si512(query->high + i));
        low = _mm512_dpbusd_epi32(low, codes, _mm512_load_si512(query->low + i));
    }
    sum = (uint32_t)_mm512_reduce_add_epi32(
        _mm512_add_epi32(_mm512_slli_epi32(high, 7), low)); /* modulo 2^32: the end result fits */
    return (int32_t)(sum - 128u * (uint32_t)query->sum);
}
#elif defined(__AVX512BW__)
VECTOR_INLINE int32_t
sum_products(const int8_t *row, const struct vector_query *query, size_t n)
{
    __m512i sum = _mm512_setzero_si512();

    for (size_t i = 0; i < n; i += 32) {
        __m512i codes =
            _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(row + i)));

        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(codes, _mm512_load_si512(query->whole + i)));
    }
    return _mm512_reduce_add_epi32(sum);
}
#elif defined(__AVX2__)
VECTOR_INLINE int32_t
sum_products(const int8_t *row, const struct vector_query *query, size_t n)
{
    __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    __m128i half;

    for (size_t i = 0; i < n; i += 32) {
        for (size_t k = 0; k < 2; k++) {
            __m256i codes = _mm256_cvtepi8_epi16(
                _mm_loadu_si128((const __m128i *)(const void *)(row + i + 16 * k)));
            __m256i whole =
                _mm256_load_si256((const __m256i *)(const void *)(query->whole + i + 16 * k));

            sums[k] = _mm256_add_epi32(sums[k], _mm256_madd_epi16(codes, whole));
        }
    }
    sums[0] = _mm256_add_epi32(sums[0], sums[1]);
    half = _mm_add_epi32(_mm256_castsi256_si128(sums[0]), _mm256_extracti128_si256(sums[0], 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1));
    return _mm_cvtsi128_si32(half);
}
#else
VECTOR_INLINE int32_t
sum_products(const int8_t *row, const struct vector_query *query, size_t n)
{
    int32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += row[i] * query->whole[i];
    return sum;
}
#endif

uint64_t
VECTOR_FN(score_codes)(const struct code_group *group, const struct vector_query *query,
                       float slack, float threshold, float *scores, float *reaches)
{
    size_t n_codes = vector_code_bytes(query->dim);
    int32_t sums[VECTOR_GROUP] = {0};
    uint64_t reached = 0;

    for (uint64_t rest = group->rows; rest; rest &= rest - 1) {
        size_t row = (size_t)__builtin_ctzll(rest);
        const int8_t *codes = group->codes + row * n_codes; /* [n_codes] */

        for (size_t i = 0; i < n_codes; i += VECTOR_CODE_ALIGN)
            __builtin_prefetch(codes + i + PREFETCH_BYTES);
        sums[row] = sum_products(codes, query, n_codes);
    }
    for (size_t row = 0; row < group->n_rows; row++) {
        scores[row] = (float)sums[row] * (group->scales[row] * query->step);
        reaches[row] = group->errors[row] * query->norm + slack;
    }
    for (size_t row = 0; row < group->n_rows; row++)
        reached |= (uint64_t)(scores[row] + reaches[row] >= threshold) << row;
    return reached & group->rows;
}
