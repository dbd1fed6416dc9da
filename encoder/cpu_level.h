#pragma once

/* What this CPU's vector unit offers, as a ladder: every level includes those below it. */

#include <trawl/attributes.h>
#include <trawl/error.h>

/* The environment variable that sets a ceiling, for tests and comparisons; oneDNN has its own,
 * ONEDNN_MAX_CPU_ISA, and the lower of the two counts where both take part. */
#define CPU_LEVEL_ENV "TRAWL_CPU_LEVEL"

enum cpu_level {
    CPU_LEVEL_BASELINE, /* what the compiler may always use */
    CPU_LEVEL_AVX2,     /* and FMA */
    CPU_LEVEL_AVX512,   /* F, VL, BW, DQ */
    CPU_LEVEL_VNNI,     /* 8-bit products with 32-bit sums */
    CPU_LEVEL_BF16,     /* bf16 products with f32 sums */
    CPU_N_LEVELS
};

/* The level of this CPU, or the ceiling's. */
enum cpu_level cpu_level(void);

/* "avx2" */
const char *cpu_level_name(enum cpu_level level);

/* Errors: ERR_CONFIG, a ceiling that is no level's name. */
MUST_CHECK int cpu_level_check(struct error *err);
