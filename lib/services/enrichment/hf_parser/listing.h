#pragma once

/* Addresses of the pages of `GET /api/datasets`.
 *
 * A page is kept as a reference, "/api/datasets?sort=...&cursor=...", without an origin: where it
 * is fetched from is the configured endpoint's business, whatever host a Link header names (behind
 * a mirror it still names the Hub).  Pure. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"

/* Rows of a page: the most that the Hub's own clients ask for together with `expand`. */
#define HF_PAGE_ROWS ((int64_t)500)

/* A reference is not longer. */
#define HF_REFERENCE_BYTES ((size_t)8192)

/* The orders to walk in, both descending. */
enum hf_order {
    HF_BY_CREATED,  /* the key never changes: for the whole listing */
    HF_BY_MODIFIED, /* changes stand at the top: for what is new */
};

/* The first page, with every field that the mapper reads; a static text. */
struct str hf_listing_first(enum hf_order order);

/* Make a reference of the URI that a Link header names, absolute or not.
 * Errors: ERR_INVALID (not the listing, too long, bytes that no URI holds), ERR_NOMEM. */
MUST_CHECK int hf_listing_parse_link(struct str uri, struct arena *arena, struct str *out,
                                     struct error *err);

/* The URL of a page of at most n_rows rows at an endpoint ("https://host", without a final "/").
 * The cursor holds the condition that a page begins at, not its size, so that any page may be asked
 * for in another size than the one before.
 * Errors: ERR_INVALID (as above), ERR_NOMEM. */
MUST_CHECK int hf_listing_url(struct str endpoint, struct str reference, int64_t n_rows,
                              struct arena *arena, struct str *out, struct error *err);
