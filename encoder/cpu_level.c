/* The CPU is asked each time: it is a few loads, and a test may move the ceiling. */

#include "encoder/cpu_level.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[CPU_N_LEVELS] = {
    [CPU_LEVEL_BASELINE] = "baseline", [CPU_LEVEL_AVX2] = "avx2", [CPU_LEVEL_AVX512] = "avx512",
    [CPU_LEVEL_VNNI] = "vnni",         [CPU_LEVEL_BF16] = "bf16",
};

static enum cpu_level
find_level(void)
{
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return CPU_LEVEL_BASELINE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq"))
        return CPU_LEVEL_AVX2;
    if (!__builtin_cpu_supports("avx512vnni"))
        return CPU_LEVEL_AVX512;
    return __builtin_cpu_supports("avx512bf16") ? CPU_LEVEL_BF16 : CPU_LEVEL_VNNI;
#else
    return CPU_LEVEL_BASELINE;
#endif
}

/* CPU_N_LEVELS without a ceiling, -1 for one that is not known. */
static int
find_ceiling(const char **text)
{
    *text = getenv(CPU_LEVEL_ENV);
    if (!*text || **text == '\0')
        return CPU_N_LEVELS;
    for (int i = 0; i < CPU_N_LEVELS; i++) {
        if (strcmp(*text, names[i]) == 0)
            return i;
    }
    return -1;
}

enum cpu_level
cpu_level(void)
{
    const char *text;
    enum cpu_level level = find_level();
    int ceiling = find_ceiling(&text);

    return ceiling >= 0 && ceiling < (int)level ? (enum cpu_level)ceiling : level;
}

const char *
cpu_level_name(enum cpu_level level)
{
    return names[level];
}

int
cpu_level_check(struct error *err)
{
    const char *text;

    if (find_ceiling(&text) >= 0)
        return 0;
    return error_set(err, ERR_CONFIG,
                     CPU_LEVEL_ENV " is '%.32s'; known are baseline, avx2, avx512, vnni and bf16",
                     text);
}
