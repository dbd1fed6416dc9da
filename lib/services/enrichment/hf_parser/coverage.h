#pragma once

/* Which part of the past has been harvested, and where a walk back from the present may stop. Pure.
 *
 *          since                     until
 *     -------[=========================]-------------------> time
 *
 * A change of a dataset moves it to the top of the listing by lastModified.  So once a walk that
 * began at `top` has come down to `bound` without a hole, everything that was changed in [bound,
 * top] and not again since is in the catalogue; what changed later stands above `top`, where the
 * next walk begins. What is covered is one interval.  A walk that ended early covers nothing. */

#include <stdint.h>

#include "base/clock.h"

/* How far a walk goes past what is covered: the Hub's index may lag behind its clock.  The time
 * that walks take needs no allowance, for `until` is the moment at which the walk began. */
#define HF_OVERLAP_US (INT64_C(30) * 60 * US_PER_S)

struct hf_coverage {
    int64_t since_us; /* 0 = since ever */
    int64_t until_us; /* the watermark; TIME_UNKNOWN = nothing is covered */
};

/* Where a walk from now on may stop, so that the last days_back days and all since the watermark
 * get covered:
 *
 *   nothing covered             now - days_back
 *   the window is covered       the watermark - overlap, however far back it lies: a machine that
 * slept for a week fetches that week, though it asks for one day it begins before `since`    now -
 * days_back */
int64_t hf_coverage_bound(const struct hf_coverage *coverage, int64_t now_us, int64_t days_back);

/* Add [since_us, until_us].  Where it does not touch what is covered, the one that reaches farther
 * back is kept: the next walk starts at the present and comes down to it, past the other one. */
void hf_coverage_add(struct hf_coverage *coverage, int64_t since_us, int64_t until_us);

/* True when [since_us, until_us] lies inside. */
bool hf_coverage_has(const struct hf_coverage *coverage, int64_t since_us, int64_t until_us);
