#pragma once

/* The card's dataset_info: columns, rows and bytes, where the author's tools have written them.
 *
 * It is one object (one configuration) or a list of them; its splits are a list, and features a
 * list of {"name": ...} or, in older cards, an object by column name.  Configurations may overlap,
 * so nothing is summed over them: the largest speaks for the dataset. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/json.h"

/* Configurations that are kept one by one; all of them count for the columns and the largest. */
#define HF_INFO_CONFIGS ((size_t)100)

struct hf_config {
    struct str name;
    int64_t n_rows;  /* over its splits; DATASET_UNKNOWN, as below */
    int64_t n_bytes; /* dataset_size, else download_size, else its splits' num_bytes */
};

struct hf_info {
    struct str_list
        column_names; /* top level, of all configurations; items NULL when none is known */
    const struct hf_config *configs;
    size_t n_configs;
    int64_t n_rows;  /* of the configuration with most rows */
    int64_t n_bytes; /* of the configuration with most bytes */
};

/* card may be anything, also NULL.  Errors: ERR_NOMEM. */
MUST_CHECK int hf_info_read(const struct json *card, struct arena *arena, struct hf_info *out,
                            struct error *err);
