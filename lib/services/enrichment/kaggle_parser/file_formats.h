#pragma once

/* What the files of a dataset say about it.  Pure, any thread. */

#include <trawl/error.h>

#include "base/arena.h"
#include "lib/services/enrichment/kaggle_parser/services/api_parser.h"

/* Lower-case extensions without the dot, in order of appearance, each once: "csv", "json".
 * The file type counts, else the name; "train.csv.gz" is csv.  Errors: ERR_NOMEM. */
MUST_CHECK int kaggle_files_find_formats(const struct kaggle_api_file *files, size_t n_files,
                                         struct arena *arena, struct str_list *out,
                                         struct error *err);

/* Column names of all files, in order of appearance, each once, at most DATASET_LIST_ITEMS; absent
 * when no file tells its columns.  Errors: ERR_NOMEM. */
MUST_CHECK int kaggle_files_find_columns(const struct kaggle_api_file *files, size_t n_files,
                                         struct arena *arena, struct str_list *out,
                                         struct error *err);
