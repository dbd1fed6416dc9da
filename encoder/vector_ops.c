/* The choice among the compiled levels. */

#include "encoder/vector_ops.h"

extern const struct vector_ops vector_ops_baseline;

#if defined(__x86_64__)
extern const struct vector_ops vector_ops_avx2;
extern const struct vector_ops vector_ops_avx512;
#endif

const struct vector_ops *
vector_ops_get(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
        return &vector_ops_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &vector_ops_avx2;
#endif
    return &vector_ops_baseline;
}
