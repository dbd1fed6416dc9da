#pragma once

/* One page of the listing into the catalogue, row by row, within the caller's transaction. */

#include <stdint.h>

#include <trawl/error.h>

#include "base/database.h"
#include "lib/models/ledger.h"
#include "lib/models/run_context.h"
#include "lib/repositories/dataset_repository.h"
#include "lib/services/enrichment/hf_parser/client_hf.h"

struct hf_page_store {
    struct database *database;
    struct dataset_repo *datasets;
    const struct run_context *run;
    int64_t now_us;
    int64_t page_number; /* of the walk, from 1 */
};

/* Take up the first n_rows rows of a page.
 *
 * counts  what they came to; balanced, written on success only
 *
 * A row that is unusable, or that the catalogue refuses, is logged and counted and costs the others
 * nothing.  Errors: those that concern the whole database (disk full, lock, corruption), ERR_NOMEM.
 */
MUST_CHECK int hf_page_store_rows(const struct hf_page_store *self, const struct hf_page *page,
                                  size_t n_rows, struct ledger *counts, struct error *err);
