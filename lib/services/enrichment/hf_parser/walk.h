#pragma once

/* A walk through the listing that outlives the process: what `source_state` keeps of it.
 *
 * Stream "sweep" goes through everything by creation time; stream "listing" goes back from the
 * newest change to a bound.  Both end where the next page is missing.  The coverage belongs to the
 * stream "listing", whichever walk adds to it. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/database.h"
#include "lib/models/ledger.h"
#include "lib/services/enrichment/hf_parser/coverage.h"
#include "lib/services/enrichment/hf_parser/listing.h"

struct hf_walk {
    enum hf_order order;

    /* the walk under way */
    struct buf cursor;     /* reference of the page to fetch next; empty = there is none */
    int64_t started_at_us; /* may lie many runs back */
    int64_t top_us;        /* newest key of its first page; TIME_UNKNOWN before that page */
    int64_t bound_us;      /* it ends where keys are older */
    int64_t n_pages;
    struct ledger ledger; /* over all its runs */

    /* what walks before it have left */
    struct hf_coverage coverage; /* stream "listing" only */
    int64_t finished_at_us;      /* when the last one came to its end, or TIME_UNKNOWN */
    int64_t n_finished_rows;     /* rows that it fetched */
};

/* Read a stream; one that was never stored is a walk that has not begun.
 * out: to be given to hf_walk_fini, also after a failure.  Errors: those of the database,
 * ERR_CORRUPT (a stored walk that is none). */
MUST_CHECK int hf_walk_load(struct database *database, enum hf_order order, struct hf_walk *out,
                            struct error *err);
void hf_walk_fini(struct hf_walk *walk);

/* Write it, within the caller's transaction. */
MUST_CHECK int hf_walk_save(struct database *database, const struct hf_walk *walk, int64_t now_us,
                            struct error *err);

static inline bool
hf_walk_is_open(const struct hf_walk *walk)
{
    return walk->cursor.len > 0;
}

/* Begin at the first page, going down to bound_us (0 = to the end).  Errors: ERR_NOMEM. */
MUST_CHECK int hf_walk_begin(struct hf_walk *walk, int64_t now_us, int64_t bound_us,
                             struct error *err);

/* Note a page that has been taken up: go on at next, and count.  top_us is the page's newest key.
 * Errors: ERR_NOMEM; the walk is then to be loaded again. */
MUST_CHECK int hf_walk_advance(struct hf_walk *walk, struct str next, int64_t top_us,
                               const struct ledger *page, struct error *err);

/* Close the walk at its end, and note what it covers, within the caller's transaction: a sweep adds
 * to the coverage of the other stream.  Saves both. */
MUST_CHECK int hf_walk_finish(struct database *database, struct hf_walk *walk, int64_t now_us,
                              struct error *err);
