/* The choice among the compiled levels. */

#include "encoder/vector_ops.h"
#include "encoder/cpu_level.h"

extern const struct vector_ops vector_ops_baseline;

#if defined(__x86_64__)
extern const struct vector_ops vector_ops_avx2;
extern const struct vector_ops vector_ops_avx512;
extern const struct vector_ops vector_ops_vnni;
extern const struct vector_ops vector_ops_bf16;
#endif

size_t
vector_ops_list(const struct vector_ops *out[VECTOR_LEVELS_MAX])
{
    size_t n = 0;

    out[n++] = &vector_ops_baseline;
#if defined(__x86_64__)
    if (cpu_level() >= CPU_LEVEL_AVX2)
        out[n++] = &vector_ops_avx2;
    if (cpu_level() >= CPU_LEVEL_AVX512)
        out[n++] = &vector_ops_avx512;
    if (cpu_level() >= CPU_LEVEL_VNNI)
        out[n++] = &vector_ops_vnni;
    if (cpu_level() >= CPU_LEVEL_BF16)
        out[n++] = &vector_ops_bf16;
#endif
    return n;
}

const struct vector_ops *
vector_ops_get(void)
{
    const struct vector_ops *levels[VECTOR_LEVELS_MAX];

    return levels[vector_ops_list(levels) - 1];
}
