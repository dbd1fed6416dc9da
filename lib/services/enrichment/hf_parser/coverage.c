/* An interval and its union. */

#include "lib/services/enrichment/hf_parser/coverage.h"

#define DAYS_MAX INT64_C(36500)

static int64_t
min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t
hf_coverage_bound(const struct hf_coverage *coverage, int64_t now_us, int64_t days_back)
{
    int64_t window_us = now_us - min_i64(days_back, DAYS_MAX) * US_PER_DAY;
    int64_t bound_us;

    window_us = window_us < 0 ? 0 : window_us; /* no earlier than `since` can be */
    bound_us = window_us;
    if (coverage->until_us != TIME_UNKNOWN) {
        bound_us = coverage->until_us - HF_OVERLAP_US;
        if (window_us < coverage->since_us)
            bound_us = min_i64(bound_us, window_us);
    }
    return bound_us < 0 ? 0 : bound_us;
}

bool
hf_coverage_has(const struct hf_coverage *coverage, int64_t since_us, int64_t until_us)
{
    return coverage->until_us != TIME_UNKNOWN && coverage->since_us <= since_us &&
           until_us <= coverage->until_us;
}

void
hf_coverage_add(struct hf_coverage *coverage, int64_t since_us, int64_t until_us)
{
    if (since_us > until_us)
        return;
    if (coverage->until_us == TIME_UNKNOWN) {
        *coverage = (struct hf_coverage){since_us, until_us};
    } else if (since_us <= coverage->until_us && coverage->since_us <= until_us) {
        coverage->since_us = min_i64(coverage->since_us, since_us);
        coverage->until_us = until_us > coverage->until_us ? until_us : coverage->until_us;
    } else if (since_us < coverage->since_us) {
        *coverage = (struct hf_coverage){since_us, until_us};
    }
}
