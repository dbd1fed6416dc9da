#pragma once

/* What a row of the listing says beyond the catalogue's columns, as one JSON object.
 *
 * Keys come in a fixed order and only with a value, so that an unchanged row gives the same bytes.
 * docs/huggingface.md lists them. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "lib/services/enrichment/hf_parser/dataset_info.h"
#include "lib/services/enrichment/hf_parser/facets.h"

/* The plain fields of a row.  Texts are absent and numbers DATASET_UNKNOWN where it has none. */
struct hf_row {
    struct str key; /* "_id" */
    struct str id;
    struct str author;
    struct str sha;
    struct str description;
    struct str citation;
    struct str paperswithcode_id;
    struct str gated; /* "auto" or "manual"; absent when it is open */
    int64_t created_at_us;
    int64_t updated_at_us;
    int64_t n_downloads; /* of the last 30 days */
    int64_t n_downloads_ever;
    int64_t n_likes;
    int64_t main_bytes;    /* of the branch main */
    int64_t used_bytes;    /* of the whole repository */
    double trending_score; /* NaN when not sent */
    bool is_private;
    bool is_disabled;
};

struct hf_meta_parts {
    const struct hf_row *row;
    const struct json *card; /* an object, or NULL */
    const struct hf_facets *facets;
    const struct hf_info *info;
};

/* Write the object; where it would exceed DATASET_META_BYTES, without lists and citation.
 * Errors: ERR_NOMEM. */
MUST_CHECK int hf_meta_write(const struct hf_meta_parts *parts, struct arena *arena,
                             struct str *out, struct error *err);
