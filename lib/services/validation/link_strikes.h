#pragma once

/* How findings become verdicts over days.  Pure: the time comes in as a number.
 *
 *   evidence of gone   suspect at the first; again after 6 h, then every 24 h; gone at 3 strikes
 * that span 72 h, or at 2 strong ones that span 24 h evidence of lost   suspect; again after 6, 24,
 * then every 48 h; unreachable at 3 strikes that span 72 h; gone at 8 strikes that span 30 days
 *   gone               tried again 7, 30 and 90 days after the verdict
 *   one success        alive at once, nothing is held against it */

#include "lib/models/link.h"
#include "lib/services/validation/link_classify.h"

/* Brakes on a verdict. */
enum link_brake {
    LINK_BRAKE_NONE,
    LINK_BRAKE_GONE, /* what would become gone stays suspect */
};

/* The status after a finding that is a verdict: any class but PARKED and OURS.
 *
 * now_us  UTC; before the last strike (a clock set back) counts as that moment */
struct link_status link_strikes_apply(const struct link_status *before,
                                      const struct link_finding *finding, int64_t now_us,
                                      enum link_brake brake);
