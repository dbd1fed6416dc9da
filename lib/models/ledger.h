#pragma once

/* What a harvesting task counts: fetched = inserted + updated + unchanged + rejected + failed,
 * always.
 *
 * rejected  the source's record is unusable (no id, wrong type): the same bytes fail again
 * failed    a good record that could not be stored */

#include <stdbool.h>
#include <stdint.h>

struct ledger {
    int64_t n_fetched;
    int64_t n_inserted;
    int64_t n_updated;
    int64_t n_unchanged;
    int64_t n_rejected;
    int64_t n_failed;
};

static inline bool
ledger_is_balanced(const struct ledger *ledger)
{
    return ledger->n_fetched == ledger->n_inserted + ledger->n_updated + ledger->n_unchanged +
                                    ledger->n_rejected + ledger->n_failed;
}

static inline void
ledger_add(struct ledger *sum, const struct ledger *part)
{
    sum->n_fetched += part->n_fetched;
    sum->n_inserted += part->n_inserted;
    sum->n_updated += part->n_updated;
    sum->n_unchanged += part->n_unchanged;
    sum->n_rejected += part->n_rejected;
    sum->n_failed += part->n_failed;
}
