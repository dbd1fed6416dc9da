/* Rows that were in doubt before do not count for the share: they fail by their nature, and a pass
 * may hold nothing else. */

#include "lib/services/validation/link_brakes.h"

#define HOUR_US        (INT64_C(3600) * INT64_C(1000000))
#define OUTAGE_PROBES  10 /* fewer say nothing */
#define OUTAGE_PERCENT 20
#define CANARY_US      (HOUR_US / 2)
#define ANSWERING_US   (72 * HOUR_US)
#define SILENT_US      (30 * 24 * HOUR_US)

bool
link_host_is_canary_due(const struct link_host *host, int64_t now_us)
{
    return host->canary_at_us == LINK_NEVER || host->canary_at_us <= now_us;
}

/* The share of failures is high, and higher than the host's last good one. */
static bool
is_bad_pass(const struct link_host *host, const struct link_tally *tally)
{
    return tally->n_first >= OUTAGE_PROBES &&
           tally->n_first_failed * 100 >= tally->n_first * OUTAGE_PERCENT &&
           (host->n_good_probes == 0 ||
            tally->n_first_failed * host->n_good_probes > host->n_good_failures * tally->n_first);
}

static void
end_outage(struct link_host *host, const struct link_tally *tally)
{
    host->outage_since_us = host->canary_at_us = host->canary_good_at_us = LINK_NEVER;
    if (tally->n_first >= OUTAGE_PROBES) {
        host->n_good_probes = tally->n_first;
        host->n_good_failures = tally->n_first_failed;
    }
}

/* It has been like this for so long that it is no outage. */
static bool
is_worn_out(const struct link_host *host, int64_t now_us)
{
    int64_t age_us = now_us - host->outage_since_us;

    return age_us >= (host->canary_good_at_us != LINK_NEVER ? ANSWERING_US : SILENT_US);
}

enum link_host_verdict
link_host_judge(struct link_host *host, const struct link_tally *tally, int64_t now_us,
                bool *is_new)
{
    bool was_out = host->outage_since_us != LINK_NEVER;
    bool is_bad = is_bad_pass(host, tally);

    *is_new = false;
    if (tally->n_probes == 0)
        return was_out ? LINK_HOST_OUTAGE : LINK_HOST_WELL;
    if (was_out && tally->has_success)
        host->canary_good_at_us = now_us;
    if (!is_bad && (!was_out || tally->has_success)) {
        end_outage(host, tally);
        return LINK_HOST_WELL;
    }
    if (was_out && is_worn_out(host, now_us)) {
        end_outage(host, tally);
        host->n_good_probes = host->n_good_failures = 1; /* whatever share fails is its usual one */
        return LINK_HOST_WELL;
    }
    *is_new = !was_out;
    if (!was_out)
        host->outage_since_us = now_us;
    host->canary_at_us = now_us + CANARY_US;
    return LINK_HOST_OUTAGE;
}

bool
link_network_is_down(const struct link_tally *tallies, size_t n_tallies)
{
    size_t n_hosts = 0;
    size_t n_silent = 0;

    for (size_t i = 0; i < n_tallies; i++) {
        n_hosts += tallies[i].n_probes > 0;
        n_silent += tallies[i].n_probes > 0 && tallies[i].n_answers == 0;
    }
    return n_silent * 2 > n_hosts;
}

int64_t
link_gone_allowance(int64_t n_active_rows)
{
    return n_active_rows < 100 ? 1 : n_active_rows / 100;
}
