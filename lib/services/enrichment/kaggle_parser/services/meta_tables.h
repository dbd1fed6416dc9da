#pragma once

/* What the join remembers: one row of 80 bytes a dataset, the names of owners and tags, and the
 * best version so far of the datasets that do not name theirs.  Private to the parser. */

#include "base/arena.h"
#include "base/buf.h"
#include "base/id_map.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_parser.h"

#define META_NO_INDEX     UINT32_MAX
#define META_MAX_TAGS     256
#define META_MAX_NAME     255 /* bytes of an owner's name */
#define META_SPARES_BYTES ((size_t)32 << 20)

struct meta_row {
    int64_t id;
    int64_t version_id; /* 0: the version with the largest number */
    int64_t created_at_us;
    int64_t active_at_us;
    int64_t n_views;
    int64_t n_downloads;
    int64_t n_votes;
    int64_t n_kernels;
    uint32_t owner;     /* index, or META_NO_INDEX */
    uint32_t first_tag; /* link, or META_NO_INDEX */
    uint32_t last_tag;
    uint16_t n_tags;
    uint8_t owner_kind; /* enum meta_owner */
    bool is_sent : 1;
    bool is_late : 1; /* its own version is not in the file: the best one there is looked for */
};

/* The texts of a version. */
enum meta_text {
    META_TEXT_SLUG,
    META_TEXT_TITLE,
    META_TEXT_SUBTITLE,
    META_TEXT_DESCRIPTION,
    META_TEXT_LICENSE,
    META_N_TEXTS,
};

struct meta_version {
    int64_t id;
    int64_t number;
    int64_t created_at_us;
    int64_t n_bytes;
    struct str texts[META_N_TEXTS];
};

struct meta_spare; /* a version kept aside */
struct meta_link;  /* a tag of a dataset */

struct meta_tables {
    size_t max_bytes;
    struct meta_row *rows;
    size_t n_rows;
    size_t n_rows_cap;
    struct id_map datasets;  /* Datasets.Id -> row */
    struct id_map owners[2]; /* Users.Id, Organizations.Id -> owner */
    uint32_t *owner_names;   /* offset into names, 0 while unknown */
    size_t n_owners;
    size_t n_owners_cap;
    struct buf names;   /* a length byte and the name, each */
    struct id_map tags; /* Tags.Id -> tag_names */
    struct arena tag_arena;
    struct str *tag_names;
    size_t n_tag_names_cap;
    struct meta_link *links;
    size_t n_links;
    size_t n_links_cap;
    struct id_map spare_of; /* row -> spares */
    struct meta_spare *spares;
    size_t n_spares;
    size_t n_spares_cap;
    size_t n_spare_bytes;
};

void meta_tables_init(struct meta_tables *tables, size_t max_bytes);
void meta_tables_fini(struct meta_tables *tables); /* also for CLEANUP */

/* A zeroed row for a new id: 1 and *row (valid until the next one is added), or 0 where the id is
 * known already.  The row has no owner and no tags. */
MUST_CHECK int meta_tables_add_row(struct meta_tables *tables, int64_t id, struct meta_row **row,
                                   struct error *err);
struct meta_row *meta_tables_find_row(struct meta_tables *tables, int64_t id);

/* Say that row belongs to this user or organisation. */
MUST_CHECK int meta_tables_set_owner(struct meta_tables *tables, struct meta_row *row,
                                     enum meta_owner kind, int64_t id, struct error *err);

enum meta_named {
    META_NAMED,        /* somebody needs it */
    META_NAMED_UNUSED, /* nobody does */
    META_NAMED_BEFORE,
};

/* Name an owner: 0 and *result.  Names are at most META_MAX_NAME bytes. */
MUST_CHECK int meta_tables_name_owner(struct meta_tables *tables, enum meta_owner kind, int64_t id,
                                      struct str name, enum meta_named *result, struct error *err);

/* The name of a row's owner, or absent. */
struct str meta_tables_owner_name(const struct meta_tables *tables, const struct meta_row *row);

/* 1, or 0 for a tag known already. */
MUST_CHECK int meta_tables_add_tag(struct meta_tables *tables, int64_t id, struct str name,
                                   struct error *err);

enum meta_tagged {
    META_TAGGED,
    META_TAGGED_BEFORE,
    META_TAG_UNKNOWN,
    META_TAGS_FULL,
};

MUST_CHECK int meta_tables_tag_row(struct meta_tables *tables, struct meta_row *row, int64_t tag_id,
                                   enum meta_tagged *result, struct error *err);

/* out [META_MAX_TAGS]; returns how many. */
size_t meta_tables_get_tags(const struct meta_tables *tables, const struct meta_row *row,
                            struct str *out);

enum meta_kept {
    META_KEPT_FIRST,   /* it is the best so far, and none was kept before */
    META_KEPT_INSTEAD, /* of one that is now an old version */
    META_KEPT_NOT,     /* it is the old one */
    META_KEPT_NO_ROOM, /* it is the best so far but does not fit; none is kept for this row */
    META_KEPT_NO_ROOM_INSTEAD, /* the same, and the one kept before is now an old version */
};

/* Keep a copy of version for row if it is the best so far: the largest number, then id. */
MUST_CHECK int meta_tables_keep_version(struct meta_tables *tables, const struct meta_row *row,
                                        const struct meta_version *version, enum meta_kept *result,
                                        struct error *err);

/* The version kept for row, its texts borrowed from the tables; false where there is none. */
bool meta_tables_kept_version(const struct meta_tables *tables, const struct meta_row *row,
                              struct meta_version *out);
