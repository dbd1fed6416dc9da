#pragma once

/* Harvest of the Hub's listing into the catalogue.
 *
 * days_back = 0   everything, once through by creation time ("sweep")
 * days_back >= 1  what was changed, from the newest back to where the catalogue is complete, or by
 *                 days_back where that lies farther back ("listing"); see coverage.h
 *
 * A page is one transaction: its rows, the place to go on and the counts.  Killed, cancelled or cut
 * by its limit, the next call with the same kind of days_back goes on behind the last page that was
 * committed, and what is covered moves only when a walk has come to its end.  A call first ends the
 * walk that was left, then starts one at the top, as far as its limit reaches.  docs/huggingface.md
 * draws it. */

#include <stdint.h>

#include <trawl/error.h>

#include "base/clock.h"
#include "base/database.h"
#include "lib/models/ledger.h"
#include "lib/models/run_context.h"
#include "lib/repositories/dataset_repository.h"
#include "lib/services/enrichment/hf_parser/client_hf.h"

/* All borrowed, of the calling process alone.  Not thread-safe. */
struct hf_fetch_service {
    struct database *database;
    struct dataset_repo *datasets; /* on that database */
    struct hf_client *client;
    const struct clock *clock;
};

/* Run one harvest.
 *
 * limit  rows to fetch, 0 = no limit.  The last page is asked for in the size that is left; what a
 *        server sends beyond that is taken and counted, since the walk goes on behind it.
 * out    what the committed pages came to: filled on failure, too, and always balanced
 *
 * A row that cannot be mapped is rejected: logged, listed under the run, passed over.  One that
 * cannot be stored is undone alone, logged and counted as failed.  Progress is reported, and a wish
 * to stop is heard, after each page. Errors: ERR_INVALID (limit or days_back is negative; the Hub
 * refuses the request, or its listing runs in a circle), ERR_CANCELLED, those of the client and of
 * the database. */
MUST_CHECK int hf_fetch_run(struct hf_fetch_service *self, int64_t limit, int64_t days_back,
                            const struct run_context *run, struct ledger *out, struct error *err);
