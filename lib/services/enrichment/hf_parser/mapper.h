#pragma once

/* From one row of the Hub's listing to a row of the catalogue.  Pure, any thread. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/json.h"
#include "lib/models/dataset.h"

/* What a row's name in the catalogue begins with. */
#define HF_SOURCE_NAME STR("huggingface")

/* Map a row.
 *
 * row         as `GET /api/datasets?expand=...` lists it
 * out         status ENRICHED: the listing is all there is.  Texts and lists live as long as the
 * arena and the JSON.  What the row lacks stays absent; disabled and private sets are inactive.
 * n_mistyped  fields of a type that the Hub does not document: they count as absent; may be NULL
 *
 * docs/huggingface.md has the table of fields.  Author's texts are cleaned and cut; no field but
 * the two names of the dataset can make a row unusable. Errors: ERR_INVALID (not an object, "_id"
 * or "id" missing or not a name), ERR_NOMEM. */
MUST_CHECK int hf_mapper_map(const struct json *row, struct arena *arena, struct dataset *out,
                             size_t *n_mistyped, struct error *err);

/* When the row was last changed, TIME_UNKNOWN where it does not say; needs no valid row. */
int64_t hf_mapper_updated_at_us(const struct json *row);
int64_t hf_mapper_created_at_us(const struct json *row);
