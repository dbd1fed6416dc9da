#pragma once

/* A dataset as the catalogue knows it: a plain record.
 *
 * Every text and list is borrowed (usually from an arena).  In a row that a mapper makes, a text or
 * list whose pointer is NULL and a number that is DATASET_UNKNOWN mean "the source did not send
 * it": an upsert then keeps what the catalogue has.  A present but empty text clears the field. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/buf.h"

#define DATASET_UNKNOWN INT64_MIN

/* Ceilings for what is stored, in bytes; mappers cut at a code point. */
#define DATASET_TITLE_BYTES       ((size_t)1000)
#define DATASET_DESCRIPTION_BYTES ((size_t)65536)
#define DATASET_META_BYTES        ((size_t)65536)
#define DATASET_LIST_ITEMS        ((size_t)1000)

#define DATASET_HASH_BYTES 16

/* clang-format off */
#define DATASET_STATUSES(X) \
    /* status     text          meaning */ \
    X(MINIMAL,    "minimal")    /* known, but its text is still to be fetched */     \
    X(ENRICHING,  "enriching")  /* leased by a worker that fetches it */             \
    X(ENRICHED,   "enriched")   /* the source has told all it has */                 \
    X(PENDING,    "pending")    /* failed so far; again at next_attempt_at */        \
    X(FAILED,     "failed")     /* given up after three attempts, or gone */         \
    X(SKIPPED,    "skipped")    /* nothing to fetch */
/* clang-format on */

enum dataset_status {
#define DATASET_STATUS_ENUM(name, text) DATASET_##name,
    DATASET_STATUSES(DATASET_STATUS_ENUM)
#undef DATASET_STATUS_ENUM
};

struct dataset {
    /* identity */
    int64_t row_id; /* the catalogue's own number; 0 in a mapper's row */
    struct str id;  /* UUID text: version 5 of "source_name:source_key"; absent in a mapper's row */
    struct str source_name; /* "huggingface", "kaggle" */
    struct str external_id; /* "owner/name" as the source writes it today */
    struct str source_key;  /* the source's stable id: HF _id, Kaggle's number */

    /* what the source says */
    struct str title;
    struct str url;
    struct str description; /* plain text */
    struct str license;     /* the source's id or display name, lower-case ids where it has them */
    struct str_list tags;
    struct str_list file_formats;
    struct str_list column_names;
    int64_t total_size_bytes;
    int64_t row_count;
    int64_t download_count;
    int64_t view_count;
    int64_t like_count;
    int64_t source_created_at_us;
    int64_t source_updated_at_us;
    struct str source_meta; /* one JSON object: what has no column of its own */

    /* ours; a mapper sets only status (MINIMAL or ENRICHED) */
    enum dataset_status status;
    bool is_active;
    bool is_embedded; /* its vector belongs to its present text */
    int64_t enrichment_attempts;
    struct str last_enrichment_error;
    int64_t last_enriched_at_us;
    int64_t next_attempt_at_us;
    struct str link_state;
    int64_t last_checked_at_us;
    int64_t created_at_us;
    int64_t updated_at_us;
};

struct dataset_list {
    const struct dataset *items;
    size_t n_items;
};

/* All texts absent, all numbers unknown, status MINIMAL, active. */
void dataset_init(struct dataset *dataset);

const char *dataset_status_name(enum dataset_status status);
MUST_CHECK int dataset_parse_status(struct str text, enum dataset_status *out, struct error *err);

/* "nvidia" of "nvidia/OpenMathInstruct-2"; STR("") for a bare name. */
struct str dataset_owner(const struct dataset *dataset);

/* Append the text that is embedded: "title title description" (the title twice, as the ranking's
 * measurements ask; the description alone where there is no title). */
void dataset_append_text(const struct dataset *dataset, struct buf *out);

/* The first 16 bytes of the SHA-256 of that text. */
MUST_CHECK int dataset_text_hash(const struct dataset *dataset,
                                 unsigned char out[DATASET_HASH_BYTES], struct error *err);
