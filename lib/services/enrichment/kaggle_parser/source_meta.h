#pragma once

/* The JSON object `source_meta` of a Kaggle row: what has no column of its own.
 *
 *   from both        subtitle, version_number, kernel_count
 *   from the API     owner_name, creator_name, usability_rating (0 to 1), topic_count, is_featured,
 *                    file_count, update_frequency
 *   from the dump    is_organization; owner and slug where the reference is unknown
 *
 * Members that are not known are left out: the catalogue merges the object key by key.  Pure, any
 * thread. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "lib/services/enrichment/kaggle_parser/services/api_parser.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_parser.h"

enum kaggle_ref_state { KAGGLE_REF_KNOWN, KAGGLE_REF_UNKNOWN };

/* subtitle is plain already.  Results live in the arena.  Errors: ERR_NOMEM, ERR_TOO_LARGE. */
MUST_CHECK int kaggle_source_meta_from_api(const struct kaggle_api_dataset *dataset,
                                           struct str subtitle, struct arena *arena,
                                           struct str *out, struct error *err);
MUST_CHECK int kaggle_source_meta_from_dump(const struct meta_dataset *row, struct str subtitle,
                                            enum kaggle_ref_state ref_state, struct arena *arena,
                                            struct str *out, struct error *err);

/* A text member, STR_NULL when there is none; lives as long as the arena and meta. */
struct str kaggle_source_meta_text(struct str meta, struct str name, struct arena *arena);
