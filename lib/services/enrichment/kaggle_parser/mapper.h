#pragma once

/* Kaggle's datasets as rows of the catalogue.  Pure, any thread.
 *
 * Identity: external_id is the reference as given ("owner/slug"), source_key the numeric id, which
 * outlives renames.  What the source did not send stays absent or unknown, so that an upsert keeps
 * it.
 *
 * The description is the subtitle, a blank line, and the description, both made plain (markup.h).
 * The subtitle is left out where it repeats the title or stands in the description anyway; it is
 * the whole text where there is no description.  It is also kept in source_meta, under "subtitle".
 */

#include <trawl/error.h>

#include "base/arena.h"
#include "lib/models/dataset.h"
#include "lib/services/enrichment/kaggle_parser/services/api_parser.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_parser.h"

#define KAGGLE_SOURCE_NAME STR("kaggle")

/* How much of a dataset an answer shows. */
enum kaggle_answer_kind {
    KAGGLE_LIST_ROW, /* no description, no files: MINIMAL; description is not sent at all */
    KAGGLE_VIEW,     /* everything: ENRICHED */
};

/* Fill what dataset lacks from the answer of metadata: texts, licence, tags, counts, and the
 * columns of files.  Nothing that dataset has is changed. */
void kaggle_mapper_merge_metadata(const struct kaggle_api_dataset *metadata,
                                  struct kaggle_api_dataset *dataset);

/* out lives as long as the arena and what dataset borrows from.
 * Errors: ERR_INVALID (a reference that is none, a private dataset), ERR_NOMEM. */
MUST_CHECK int kaggle_mapper_from_api(const struct kaggle_api_dataset *dataset,
                                      enum kaggle_answer_kind kind, struct arena *arena,
                                      struct dataset *out, struct error *err);

/* A row of Meta Kaggle: ENRICHED with reference and title, else MINIMAL.  Without a (valid)
 * reference external_id is a placeholder (ref.h) and there is no url; the slug stands in
 * source_meta. Errors: ERR_INVALID (an id that is none), ERR_NOMEM. */
MUST_CHECK int kaggle_mapper_from_meta(const struct meta_dataset *row, struct arena *arena,
                                       struct dataset *out, struct error *err);

/* What a dataset without description has to show: its title's companion.  For rows that are new. */
struct str kaggle_mapper_subtitle(const struct kaggle_api_dataset *dataset, struct arena *arena,
                                  bool *ok);
