#pragma once

/* When many links fail together it is a host, a source or we who are ill, not the datasets: what
 * then holds verdicts back.  Pure. */

#include "lib/models/link.h"

/* One host in one pass. */
struct link_tally {
    int64_t n_probes;       /* URLs that were asked for, whatever came of it */
    int64_t n_answers;      /* of them, those with an answer, of any status */
    int64_t n_first;        /* of them, those that were not in doubt before the pass ... */
    int64_t n_first_failed; /* ... and now gave evidence of gone or lost */
    bool has_success;       /* one of them was alive or restricted */
};

enum link_host_verdict {
    LINK_HOST_WELL,   /* strikes count */
    LINK_HOST_OUTAGE, /* they do not */
};

/* May a host in outage be asked for one link now? */
bool link_host_is_canary_due(const struct link_host *host, int64_t now_us);

/* Judge a host after a pass and bring its record up to date.
 *
 * Outage: of at least 10 first probes 20 % or more failed, and more than in its last good pass.  A
 * host in outage is tried by one link every 30 minutes; it is well again once a pass has less
 * failures.  Where its links fail on although it answers others for 72 h, or it answers none for 30
 * days, the brake lets go: the rest is for the strikes of each row.
 *
 * *is_new  true when the outage began with this pass */
enum link_host_verdict link_host_judge(struct link_host *host, const struct link_tally *tally,
                                       int64_t now_us, bool *is_new);

/* More than half of the hosts that were asked gave no answer at all: the network is ours. */
bool link_network_is_down(const struct link_tally *tallies, size_t n_tallies);

/* How many rows of a source may become gone within a day: 1 %, and always one. */
int64_t link_gone_allowance(int64_t n_active_rows);
