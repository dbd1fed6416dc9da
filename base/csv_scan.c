/* Finding the ends of CSV fields with bit masks.
 *
 * A block is 64 bytes; bit i of a mask speaks of byte i.
 *
 *   bytes     1 , " a , " " b " , 2 \n
 *   quotes    . . 1 . . 1 1 . 1 . . .
 *   inside    . . 1 1 1 . 1 1 . . . .    prefix-xor of quotes: the opening quote is inside, the
 *   opening   . . 1 . . . 1 . . . . .    closing one is outside
 *   closing   . . . . . 1 . . 1 . . .
 *   separator . 1 . . . . . . . 1 . 1    (commas | newlines) & ~inside
 *
 * A doubled quote closes and opens again, which leaves the state right.  Text is well formed
 * exactly where every opening quote follows a separator or a closing quote, and every closing quote
 * is followed by a quote, a separator or a CR (that the CR precedes an LF is checked by the
 * reader). Up to the first byte that breaks this, the masks are right; there the scanner stops.
 *
 * Source: Langdale & Lemire 2019, "Parsing Gigabytes of JSON per Second", section 3.1 (masks,
 * prefix-xor by carry-less multiplication). */

#include "base/csv_scan.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))

struct masks {
    uint64_t quotes;
    uint64_t commas;
    uint64_t newlines;
    uint64_t returns;
};

/* The separators of a block that has quotes or begins inside them, and the state after it.
 * quoted is the prefix-xor of the quotes.  Returns the bits that are out of place. */
static ALWAYS_INLINE uint64_t
settle_quotes(struct csv_scan *scan, const struct masks *masks, uint64_t quoted,
              uint64_t *separators)
{
    uint64_t inside = quoted ^ scan->inside;
    uint64_t ends = (masks->commas | masks->newlines) & ~inside;
    uint64_t closing = masks->quotes & ~inside;
    uint64_t opening = masks->quotes & inside;
    uint64_t misplaced = opening & ~((ends | closing) << 1 | scan->may_open);
    uint64_t after = (closing << 1 | scan->closed) &
                     ~(masks->quotes | masks->commas | masks->newlines | masks->returns);

    *separators = ends;
    if (__builtin_expect((misplaced | after) != 0, 0))
        return misplaced | after;
    scan->inside = (uint64_t)((int64_t)inside >> 63);
    scan->may_open = (ends | closing) >> 63;
    scan->closed = closing >> 63;
    return 0;
}

static ALWAYS_INLINE void
suspect(struct csv_scan *scan)
{
    if (scan->suspect_from > scan->at)
        scan->suspect_from = scan->at;
    scan->suspect_to = scan->at + CSV_BLOCK_BYTES;
}

/* Only the bits below the lowest one of bad. */
static ALWAYS_INLINE uint64_t
before_first(uint64_t separators, uint64_t bad)
{
    return separators & ((bad & (0 - bad)) - 1);
}

/* Write the offsets of the set bits, eight at a time: up to seven entries past the last are
 * scribbled over. */
static ALWAYS_INLINE void
append_bits(struct csv_scan *scan, uint64_t bits)
{
    uint32_t *out = scan->index + scan->n_index;
    uint32_t base = (uint32_t)scan->at;

    scan->n_index += (size_t)__builtin_popcountll(bits);
    while (bits) {
        for (int i = 0; i < 8; i++) {
            /* once bits are used up, ctz(1 << 63) keeps it defined */
            out[i] = base + (uint32_t)__builtin_ctzll(bits | UINT64_C(1) << 63);
            bits &= bits - 1;
        }
        out += 8;
    }
}

static uint64_t
prefix_xor(uint64_t bits)
{
    for (int shift = 1; shift < 64; shift *= 2)
        bits ^= bits << shift;
    return bits;
}

#if defined(__SSE2__)

static ALWAYS_INLINE uint64_t
load_portable(const char *bytes, struct masks *masks)
{
    uint64_t odd = 0;

    *masks = (struct masks){0};
    for (int i = 0; i < 4; i++) {
        __m128i part = _mm_loadu_si128((const __m128i *)(const void *)(bytes + 16 * i));
        __m128i zero = _mm_cmpeq_epi8(part, _mm_setzero_si128());
        int shift = 16 * i;

#define PORTABLE_MASK(vector) ((uint64_t)(unsigned)_mm_movemask_epi8(vector) << shift)
        masks->quotes |= PORTABLE_MASK(_mm_cmpeq_epi8(part, _mm_set1_epi8('"')));
        masks->commas |= PORTABLE_MASK(_mm_cmpeq_epi8(part, _mm_set1_epi8(',')));
        masks->newlines |= PORTABLE_MASK(_mm_cmpeq_epi8(part, _mm_set1_epi8('\n')));
        masks->returns |= PORTABLE_MASK(_mm_cmpeq_epi8(part, _mm_set1_epi8('\r')));
        odd |= PORTABLE_MASK(_mm_or_si128(part, zero));
#undef PORTABLE_MASK
    }
    return odd;
}

#else

static uint64_t
load_portable(const char *bytes, struct masks *masks)
{
    uint64_t odd = 0;

    *masks = (struct masks){0};
    for (int i = 0; i < CSV_BLOCK_BYTES; i++) {
        unsigned char c = (unsigned char)bytes[i];
        uint64_t bit = UINT64_C(1) << i;

        masks->quotes |= c == '"' ? bit : 0;
        masks->commas |= c == ',' ? bit : 0;
        masks->newlines |= c == '\n' ? bit : 0;
        masks->returns |= c == '\r' ? bit : 0;
        odd |= c == 0 || c >= 0x80 ? bit : 0;
    }
    return odd;
}

#endif

static void
scan_portable(struct csv_scan *state, const char *bytes, size_t n_blocks)
{
    struct csv_scan local = *state; /* registers, where stores through index cannot alias it */
    struct csv_scan *scan = &local;

    for (; n_blocks > 0; n_blocks--, scan->at += CSV_BLOCK_BYTES) {
        struct masks masks;
        uint64_t separators;
        uint64_t bad;

        if (load_portable(bytes + scan->at, &masks))
            suspect(scan);
        bad = settle_quotes(scan, &masks, prefix_xor(masks.quotes), &separators);
        if (bad) {
            append_bits(scan, before_first(separators, bad));
            scan->is_stuck = true;
            break;
        }
        append_bits(scan, separators);
        scan->n_newlines += (uint64_t)__builtin_popcountll(masks.newlines);
    }
    *state = local;
}

#if defined(__x86_64__)

#define TARGET_AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt,lzcnt,pclmul")))
#define TARGET_AVX512                                                                              \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi,bmi2,popcnt,lzcnt,"      \
                          "pclmul")))

/* Multiplying by all ones without carries adds every lower bit into each: a prefix-xor. */
static inline TARGET_AVX2 uint64_t
prefix_xor_clmul(uint64_t bits)
{
    __m128i product = _mm_clmulepi64_si128(_mm_set_epi64x(0, (int64_t)bits), _mm_set1_epi8(-1), 0);

    return (uint64_t)_mm_cvtsi128_si64(product);
}

static inline TARGET_AVX2 uint64_t
mask_avx2(__m256i low, __m256i high, char wanted)
{
    __m256i pattern = _mm256_set1_epi8(wanted);
    uint32_t low_bits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, pattern));
    uint32_t high_bits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, pattern));

    return (uint64_t)high_bits << 32 | low_bits;
}

static TARGET_AVX2 void
scan_avx2(struct csv_scan *state, const char *bytes, size_t n_blocks)
{
    struct csv_scan local = *state; /* registers, where stores through index cannot alias it */
    struct csv_scan *scan = &local;

    for (; n_blocks > 0; n_blocks--, scan->at += CSV_BLOCK_BYTES) {
        const char *block = bytes + scan->at;
        __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)block);
        __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(block + 32));
        __m256i zero = _mm256_cmpeq_epi8(_mm256_min_epu8(low, high), _mm256_setzero_si256());
        struct masks masks = {
            .quotes = mask_avx2(low, high, '"'),
            .commas = mask_avx2(low, high, ','),
            .newlines = mask_avx2(low, high, '\n'),
        };
        uint64_t separators = masks.commas | masks.newlines;

        if (_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(low, high), zero)))
            suspect(scan);
        if (masks.quotes | scan->inside | scan->closed) {
            uint64_t bad;

            masks.returns = mask_avx2(low, high, '\r');
            bad = settle_quotes(scan, &masks, prefix_xor_clmul(masks.quotes), &separators);
            if (bad) {
                append_bits(scan, before_first(separators, bad));
                scan->is_stuck = true;
                break;
            }
        } else {
            scan->may_open = separators >> 63;
        }
        append_bits(scan, separators);
        scan->n_newlines += (uint64_t)__builtin_popcountll(masks.newlines);
    }
    *state = local;
}

/* The offsets of the set bits: compress the numbers 0 to 63, widen, add the base.  Scribbles over
 * up to 15 entries past the last. */
static inline TARGET_AVX512 void
append_avx512(struct csv_scan *scan, uint64_t bits)
{
    static const uint8_t numbers[64] __attribute__((aligned(64))) = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    __m512i packed = _mm512_maskz_compress_epi8(bits, _mm512_load_si512(numbers));
    __m512i base = _mm512_set1_epi32((int)scan->at);
    uint32_t *out = scan->index + scan->n_index;
    size_t n = (size_t)__builtin_popcountll(bits);

#define STORE_QUARTER(number)                                                                      \
    _mm512_storeu_si512(                                                                           \
        out + 16 * (number),                                                                       \
        _mm512_add_epi32(base, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(packed, number))))
    STORE_QUARTER(0);
    if (n > 16)
        STORE_QUARTER(1);
    if (__builtin_expect(n > 32, 0)) {
        STORE_QUARTER(2);
        STORE_QUARTER(3);
    }
#undef STORE_QUARTER
    scan->n_index += n;
}

static TARGET_AVX512 void
scan_avx512(struct csv_scan *state, const char *bytes, size_t n_blocks)
{
    struct csv_scan local = *state; /* registers, where stores through index cannot alias it */
    struct csv_scan *scan = &local;

    for (; n_blocks > 0; n_blocks--, scan->at += CSV_BLOCK_BYTES) {
        __m512i block = _mm512_loadu_si512(bytes + scan->at);
        struct masks masks = {
            .quotes = _mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8('"')),
            .commas = _mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8(',')),
            .newlines = _mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8('\n')),
        };
        uint64_t separators = masks.commas | masks.newlines;

        if (_mm512_movepi8_mask(block) | _mm512_testn_epi8_mask(block, block))
            suspect(scan);
        if (masks.quotes | scan->inside | scan->closed) {
            uint64_t bad;

            masks.returns = _mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8('\r'));
            bad = settle_quotes(scan, &masks, prefix_xor_clmul(masks.quotes), &separators);
            if (bad) {
                append_avx512(scan, before_first(separators, bad));
                scan->is_stuck = true;
                break;
            }
        } else {
            scan->may_open = separators >> 63;
        }
        append_avx512(scan, separators);
        scan->n_newlines += (uint64_t)__builtin_popcountll(masks.newlines);
    }
    *state = local;
}

static bool
has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("pclmul");
}

static bool
has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi2");
}

csv_scan_fn
csv_scan_kernel(enum csv_kernel kernel)
{
    switch (kernel) {
    case CSV_KERNEL_BEST:
        return has_avx512() ? scan_avx512 : has_avx2() ? scan_avx2 : scan_portable;
    case CSV_KERNEL_AVX2:
        return has_avx2() ? scan_avx2 : NULL;
    case CSV_KERNEL_AVX512:
        return has_avx512() ? scan_avx512 : NULL;
    case CSV_KERNEL_PORTABLE:
    case CSV_KERNEL_STRICT:
        break;
    }
    return scan_portable;
}

#else

csv_scan_fn
csv_scan_kernel(enum csv_kernel kernel)
{
    return kernel == CSV_KERNEL_AVX2 || kernel == CSV_KERNEL_AVX512 ? NULL : scan_portable;
}

#endif
