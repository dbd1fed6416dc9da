#pragma once

/* What a dataset is tagged with, sorted by kind.
 *
 * A row's flat tags say it best ("task_categories:summarization"; a tag without a known prefix is a
 * free keyword); for a kind that they do not mention, the card's header is asked, where the same
 * value may be a string or a list.  The prefix is compared exactly, up to the first colon. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/json.h"

#define HF_FACET_ITEM_BYTES ((size_t)200)

/* Values that are looked at in one list; further ones do not count. */
#define HF_FACET_SCAN_ITEMS ((size_t)10000)

/* clang-format off */
#define HF_FACETS(X) \
    /* kind              prefix of a tag          key of the card          its older key   in source_meta */ \
    X(KEYWORD,           "",                      "tags",                  "",             "") \
    X(TASK,              "task_categories",       "task_categories",       "",             "task_categories") \
    X(TASK_ID,           "task_ids",              "task_ids",              "",             "task_ids") \
    X(MODALITY,          "modality",              "",                      "",             "modality") \
    X(LANGUAGE,          "language",              "language",              "languages",    "language") \
    X(LICENSE,           "license",               "license",               "licenses",     "license") \
    X(FORMAT,            "format",                "",                      "",             "") \
    X(LIBRARY,           "library",               "",                      "",             "library") \
    X(SIZE_CATEGORY,     "size_categories",       "size_categories",       "",             "size_categories") \
    X(MULTILINGUALITY,   "multilinguality",       "multilinguality",       "",             "multilinguality") \
    X(ANNOTATOR,         "annotations_creators",  "annotations_creators",  "",             "annotations_creators") \
    X(LANGUAGE_CREATOR,  "language_creators",     "language_creators",     "",             "language_creators") \
    X(SOURCE_DATASET,    "source_datasets",       "source_datasets",       "",             "source_datasets") \
    X(ARXIV,             "arxiv",                 "",                      "",             "arxiv") \
    X(DOI,               "doi",                   "",                      "",             "doi") \
    X(BENCHMARK,         "benchmark",             "",                      "",             "benchmark") \
    X(REGION,            "region",                "",                      "",             "region") \
    X(PRETTY_NAME,       "pretty_name",           "",                      "",             "")
/* clang-format on */

enum hf_facet {
#define HF_FACET_ENUM(kind, prefix, card_key, older_key, meta_key) HF_##kind,
    HF_FACETS(HF_FACET_ENUM)
#undef HF_FACET_ENUM
        HF_N_FACETS
};

/* By kind; items are NULL where there is none. */
struct hf_facets {
    struct str_list lists[HF_N_FACETS];
};

/* Sort tags and card by kind.
 *
 * tags, card  anything, also NULL: what is no array (no object) says nothing
 *
 * Every item is one clean line of at most HF_FACET_ITEM_BYTES, each once (ASCII case ignored), at
 * most DATASET_LIST_ITEMS of a kind.  The language false is "no" (Norwegian), as YAML 1.1 reads it.
 * Errors: ERR_NOMEM. */
MUST_CHECK int hf_facets_read(const struct json *tags, const struct json *card, struct arena *arena,
                              struct hf_facets *out, struct error *err);

/* The key of a kind in source_meta; STR("") for the kinds that have a column. */
struct str hf_facet_meta_key(enum hf_facet facet);

/* The kinds' lists one after another, each item once. */
MUST_CHECK int hf_facets_join(const struct hf_facets *facets, const enum hf_facet *kinds,
                              size_t n_kinds, struct arena *arena, struct str_list *out,
                              struct error *err);
