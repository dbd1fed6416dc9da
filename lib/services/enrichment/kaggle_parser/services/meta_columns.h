#pragma once

/* The columns of the six files, by name, as every year has called them.  Private to the parser. */

#include <stdbool.h>

#include <trawl/error.h>

#include "base/csv.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_source.h"

enum meta_column {
    DATASETS_ID = 0,
    DATASETS_VERSION,
    DATASETS_OWNER_USER,
    DATASETS_OWNER_ORGANIZATION,
    DATASETS_CREATED,
    DATASETS_ACTIVE,
    DATASETS_VIEWS,
    DATASETS_DOWNLOADS,
    DATASETS_VOTES,
    DATASETS_KERNELS,

    VERSIONS_ID = 0,
    VERSIONS_DATASET,
    VERSIONS_NUMBER,
    VERSIONS_TITLE,
    VERSIONS_SLUG,
    VERSIONS_SUBTITLE,
    VERSIONS_DESCRIPTION,
    VERSIONS_LICENSE,
    VERSIONS_CREATED,
    VERSIONS_BYTES,
    VERSIONS_STORED_BYTES,

    NAMED_ID = 0, /* Users, Organizations, Tags */
    NAMED_NAME,

    DATASET_TAGS_DATASET = 0,
    DATASET_TAGS_TAG,

    META_MAX_COLUMNS = VERSIONS_STORED_BYTES + 1,
};

struct meta_binding {
    size_t columns[META_MAX_COLUMNS];    /* by enum meta_column; SIZE_MAX where the file has none */
    const char *names[META_MAX_COLUMNS]; /* as the file calls it, for messages; static */
    bool is_2017_form;
};

/* Find the columns of file in its header.  Unknown columns are nobody's business.
 * Errors: ERR_INVALID: a required column is missing (names it and lists what was found), or one
 * occurs twice. */
MUST_CHECK int meta_columns_bind(enum meta_file file, const struct csv_record *header,
                                 struct meta_binding *out, struct error *err);

static inline struct str
meta_columns_get(const struct meta_binding *binding, const struct csv_record *record,
                 enum meta_column column)
{
    return csv_field(record, binding->columns[column]);
}
