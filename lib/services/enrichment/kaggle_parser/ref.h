#pragma once

/* References: how Kaggle names a dataset, "owner/slug".  Pure, any thread.
 *
 * The catalogue needs an external_id for every row, but Meta Kaggle has rows whose owner is
 * unknown. Those get a placeholder, "id:12345": a colon never stands in a reference, so the two are
 * never mistaken for each other.  See docs/kaggle.md, "Rows without a reference". */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"

#define KAGGLE_REF_BYTES ((size_t)300) /* longest reference; real ones stay below 90 */

struct kaggle_ref {
    struct str text; /* "owner/slug", without a version's tail */
    struct str owner;
    struct str slug;
};

/* Read "owner/slug", "owner/slug/3" or "owner/slug/versions/3"; the parts borrow from text.
 *
 * Case is kept as given.  Letters, digits, '-', '_', '.' and anything beyond ASCII may stand in a
 * part (of 27,059 real references 8 hold one of the last three).
 * Errors: ERR_INVALID, naming the text and what is wrong with it. */
MUST_CHECK int kaggle_ref_parse(struct str text, struct kaggle_ref *out, struct error *err);

/* "https://www.kaggle.com/datasets/owner/slug"; *ok turns false on lack of memory. */
struct str kaggle_ref_url(const struct kaggle_ref *ref, struct arena *arena, bool *ok);

/* "id:12345" */
struct str kaggle_ref_placeholder(int64_t id, struct arena *arena, bool *ok);
bool kaggle_ref_is_placeholder(struct str external_id);
