#pragma once

/* Kaggle's answers as structs: both doors (REST v1 and RPC), every year's shape.
 *
 *   list      a bare array, or {"datasets":[...],"nextPageToken":"..."}
 *   one       the dataset object itself, or {"dataset":{...}}
 *   metadata  {"info":{...},"errorMessage":""}, or the info object itself
 *   errors    {"error":{"code","message","status"}}, {"code","message"}, {"errorMessage":"..."}; a
 *             code of 400 or more is an error whatever the HTTP status says
 *
 * Unknown fields are ignored, a field of the wrong type counts as absent, numbers may come as text.
 * Old answers double fields as titleNullable: the twin is used where the plain field is missing.
 * Pure; results live as long as the arena and the body, which they borrow from. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/json.h"

#define KAGGLE_NO_NUMBER INT64_MIN /* a number or time that was not sent */

/* A file of a dataset. */
struct kaggle_api_file {
    struct str name;
    struct str file_type; /* ".csv"; absent in metadata */
    int64_t total_bytes;
    struct str_list columns; /* names, in order */
};

/* A dataset.  Absent texts and lists have no pointer; numbers may be KAGGLE_NO_NUMBER, the rating
 * NaN. */
struct kaggle_api_dataset {
    int64_t id;
    struct str ref; /* as given, unchecked */
    struct str title;
    struct str subtitle;
    struct str description;
    struct str license_name;
    struct str owner_name;
    struct str creator_name;
    struct str update_frequency; /* metadata only */
    int64_t total_bytes;         /* compressed */
    int64_t last_updated_us;
    int64_t n_downloads;
    int64_t n_views;
    int64_t n_votes;
    int64_t n_kernels;
    int64_t n_topics;
    int64_t version_number;
    double usability_rating; /* 0 to 1 */
    bool is_private;
    bool is_featured;
    struct str_list tags; /* names */
    const struct kaggle_api_file *files;
    size_t n_files;
};

/* One place of a list: a dataset, or why there is none. */
struct kaggle_api_row {
    struct kaggle_api_dataset dataset;
    const char *reject; /* NULL, or "id is missing" ...; lives as long as the arena */
};

struct kaggle_api_page {
    const struct kaggle_api_row *rows;
    size_t n_rows;
    struct str next_page_token; /* empty or absent: none was given */
};

struct kaggle_api_error {
    int64_t code;       /* 0: the answer is no error */
    struct str message; /* may be empty */
    struct str status;  /* "PERMISSION_DENIED"; absent in the old shape */
};

/* Whether a parsed body says that it is an error.  An errorMessage without a code counts as 500. */
struct kaggle_api_error kaggle_api_find_error(const struct json *body);

/* Errors of the parsers: ERR_INVALID (another shape; what is wrong with the one object), ERR_NOMEM.
 * A list with bad rows is no error. */
MUST_CHECK int kaggle_api_parse_page(const struct json *body, struct arena *arena,
                                     struct kaggle_api_page *out, struct error *err);
MUST_CHECK int kaggle_api_parse_dataset(const struct json *body, struct arena *arena,
                                        struct kaggle_api_dataset *out, struct error *err);

/* What metadata knows, in the same struct; ref is absent, id too where the answer has none. */
MUST_CHECK int kaggle_api_parse_metadata(const struct json *body, struct arena *arena,
                                         struct kaggle_api_dataset *out, struct error *err);
