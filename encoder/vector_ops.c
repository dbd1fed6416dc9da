/* The choice among the compiled levels. */

#include "encoder/vector_ops.h"

extern const struct vector_ops vector_ops_baseline;

#if defined(__x86_64__)
extern const struct vector_ops vector_ops_avx2;
extern const struct vector_ops vector_ops_avx512;
#endif

size_t
vector_ops_list(const struct vector_ops *out[VECTOR_LEVELS_MAX])
{
    size_t n = 0;

    out[n++] = &vector_ops_baseline;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        out[n++] = &vector_ops_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
        out[n++] = &vector_ops_avx512;
#endif
    return n;
}

const struct vector_ops *
vector_ops_get(void)
{
    const struct vector_ops *levels[VECTOR_LEVELS_MAX];

    return levels[vector_ops_list(levels) - 1];
}
