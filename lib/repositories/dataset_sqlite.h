#pragma once

/* What the files of the SQLite implementation share; nobody else includes it. */

#include "base/arena.h"
#include "base/buf.h"
#include "base/database.h"
#include "base/uuid.h"
#include "lib/repositories/dataset_repository_ops.h"

struct sqlite_repo {
    struct dataset_repo base;
    struct database *database; /* borrowed */
    struct arena scratch;      /* one upsert's */
};

static inline struct sqlite_repo *
sqlite_repo_of(struct dataset_repo *self)
{
    return (struct sqlite_repo *)self;
}

/* A row as it is stored: the lists also as their JSON texts. */
struct dataset_record {
    struct dataset dataset;  /* its lists are filled only by dataset_record_read_lists */
    struct str file_formats; /* JSON array, or absent */
    struct str tags;
    struct str column_names;
};

/* The columns in the order that dataset_record_read expects them. */
#define DATASET_COLUMNS                                                                            \
    "row_id, id, source_name, external_id, source_key, title, url, description, license, tags,"    \
    " file_formats, column_names, total_size_bytes, row_count, download_count, view_count,"        \
    " like_count, source_created_at, source_updated_at, source_meta, enrichment_status,"           \
    " is_active, is_embedded, enrichment_attempts, last_enrichment_error, last_enriched_at,"       \
    " next_attempt_at, link_state, last_checked_at, created_at, updated_at"

/* The statement's row, copied into the arena.  Errors: ERR_NOMEM, ERR_INVALID (unknown status). */
MUST_CHECK int dataset_record_read(const struct statement *statement, struct arena *arena,
                                   struct dataset_record *out, struct error *err);
/* Fill the lists of record->dataset from their JSON texts. */
MUST_CHECK int dataset_record_read_lists(struct dataset_record *record, struct arena *arena,
                                         struct error *err);
/* Both at once, for rows that go out. */
MUST_CHECK int dataset_row_read(const struct statement *statement, struct arena *arena,
                                struct dataset *out, struct error *err);

#define DATASET_ID_BYTES 16
/* The bytes of a UUID's text, which must be valid. */
void dataset_id_decode(struct str text, unsigned char out[DATASET_ID_BYTES]);

/* What a merge changed. */
enum change {
    CHANGE_NUMBERS = 1,  /* counts, times, source_meta */
    CHANGE_WIDE = 2,     /* a column that indexes or the text depend on */
    CHANGE_KEYWORDS = 4, /* keyword or filter index */
    CHANGE_TEXT = 8,     /* the text that is embedded */
    CHANGE_NAME = 16,    /* external_id: another row may hold the new one */
};

/* Take what row sends into *record (everything else stays); *changes says what became different.
 * Texts are borrowed from row and arena. */
MUST_CHECK int dataset_merge(struct dataset_record *record, const struct dataset *row,
                             struct arena *arena, unsigned *changes, struct error *err);
/* ERR_TOO_LARGE or ERR_INVALID for what must not be stored, naming the field. */
MUST_CHECK int dataset_check_row(const struct dataset *row, struct error *err);

/* Write a merged record; changes must not be 0.  In a transaction. */
MUST_CHECK int dataset_record_update(struct sqlite_repo *repo, const struct dataset_record *record,
                                     unsigned changes, int64_t now_us, struct error *err);

/* The keyword index follows at the commit: FTS5 writes a segment at each savepoint, so writing it
 * row by row within savepoints would cost more than all else. */
MUST_CHECK int keyword_index_init(struct database *database, struct error *err);
/* Before the row changes (its old words must be known) ... */
MUST_CHECK int keyword_index_note_change(struct database *database, int64_t row_id,
                                         struct error *err);
/* ... or after it has come. */
MUST_CHECK int keyword_index_note_insert(struct database *database, int64_t row_id,
                                         struct error *err);
/* Bring it in step now; for the commit, and for a search within a transaction. */
MUST_CHECK int keyword_index_flush(void *database, struct error *err);

/* FTS5 expressions, appended to *out.  keyword_query_format: a person's words, never a syntax
 * error; returns how many there are.  dataset_filter_format: the filter's exact facets; nothing
 * where it has none. */
enum keyword_match { MATCH_ALL_WORDS, MATCH_ANY_WORD };
size_t keyword_query_format(struct str text, enum keyword_match match, struct buf *out);
void dataset_filter_format(const struct dataset_filter *filter, struct buf *out);

/* Bind $1 to $4 of DATASET_PASSES_SQL. */
void dataset_filter_bind(const struct dataset_filter *filter, struct statement *statement);

/* The filter's part without facets, over the alias d. */
#define DATASET_PASSES_SQL                                                                         \
    "(d.is_active OR $1) AND ($2 IS NULL OR d.total_size_bytes >= $2)"                             \
    " AND ($3 IS NULL OR d.total_size_bytes <= $3)"                                                \
    " AND ($4 IS NULL OR d.source_updated_at >= $4)"

/* What an expression may take: a query's words, or a filter's values in hex. */
#define EXPRESSION_BYTES ((size_t)65536)

/* A growing array of row ids; items live in the heap until dataset_ids_fini. */
struct dataset_ids {
    int64_t *items;
    size_t n_items;
    size_t n_room;
};
void dataset_ids_fini(struct dataset_ids *ids);
/* Run a statement to its end, its first column being a row id. */
MUST_CHECK int dataset_ids_collect(struct dataset_ids *ids, struct statement *statement,
                                   struct error *err);

/* A transaction of our own, unless the caller has one. */
struct scope {
    struct database *database;
    bool is_own;
};
MUST_CHECK int scope_begin(struct scope *scope, struct database *database, struct error *err);
/* Commits (rc 0) or rolls back what it began; returns the status of the whole. */
MUST_CHECK int scope_end(struct scope *scope, int rc, struct error *err);

#define MODEL_NONE INT64_C(-1) /* no model has this id: every vector is another one's */

/* A model's number, MODEL_NONE where it has none yet; add gives it one. */
MUST_CHECK int embedding_model_find(struct sqlite_repo *repo, struct str model, int64_t *out,
                                    struct error *err);
MUST_CHECK int embedding_model_add(struct sqlite_repo *repo, struct str model, int64_t *out,
                                   struct error *err);

/* The operations, by file. */
int sqlite_upsert(struct dataset_repo *self, const struct dataset *row, int64_t now_us,
                  enum upsert_outcome *out, struct error *err);
int sqlite_find(struct dataset_repo *self, struct str ref, struct arena *arena, struct dataset *out,
                struct error *err);
int sqlite_find_rows(struct dataset_repo *self, const int64_t *row_ids, size_t n_row_ids,
                     struct arena *arena, struct dataset_list *out, struct error *err);
int sqlite_claim_unenriched(struct dataset_repo *self, struct str source_name, int64_t limit,
                            const struct lease *lease, int64_t now_us, struct arena *arena,
                            struct dataset_list *out, struct error *err);
int sqlite_finish_enrichment(struct dataset_repo *self, int64_t row_id, struct str owner,
                             enum enrichment_result result, const struct dataset *row,
                             int64_t next_attempt_at_us, struct str message, int64_t now_us,
                             struct error *err);
int sqlite_release(struct dataset_repo *self, struct str owner, int64_t now_us, int64_t *n_released,
                   struct error *err);
int sqlite_claim_unembedded(struct dataset_repo *self, struct str model, int64_t limit,
                            const struct lease *lease, int64_t now_us, struct arena *arena,
                            struct dataset_list *out, struct error *err);
int sqlite_save_embedding(struct dataset_repo *self, int64_t row_id, struct str owner,
                          struct str model, const unsigned char text_hash[DATASET_HASH_BYTES],
                          const float *vector, size_t dim, int64_t now_us, struct error *err);
int sqlite_count_unembedded(struct dataset_repo *self, struct str model, int64_t *out,
                            struct error *err);
int sqlite_each_vector(struct dataset_repo *self, struct str model, dataset_vector_fn fn,
                       void *context, struct error *err);
int sqlite_each_vector_change(struct dataset_repo *self, struct str model, int64_t seq,
                              dataset_vector_change_fn fn, void *context, struct error *err);
int sqlite_vector_state(struct dataset_repo *self, struct arena *arena,
                        struct dataset_vector_state *out, struct error *err);
int sqlite_begin_vectors(struct dataset_repo *self, struct str model, struct str location,
                         struct error *err);
int sqlite_switch_vectors(struct dataset_repo *self, struct str model, bool *did_switch,
                          struct error *err);
int sqlite_clear_vectors(struct dataset_repo *self, int64_t limit, int64_t *n_cleared,
                         struct error *err);
int sqlite_search(struct dataset_repo *self, struct str query, const struct dataset_filter *filter,
                  size_t limit, struct arena *arena, struct dataset_hit_list *out,
                  struct error *err);
int sqlite_find_scores(struct dataset_repo *self, const int64_t *row_ids, size_t n_row_ids,
                       double *out, struct error *err);
int sqlite_filter(struct dataset_repo *self, const struct dataset_filter *filter,
                  struct arena *arena, const int64_t **out_row_ids, size_t *out_n,
                  struct error *err);
int sqlite_find_top(struct dataset_repo *self, const struct dataset_filter *filter, size_t limit,
                    struct arena *arena, struct dataset_list *out, struct error *err);
int sqlite_each(struct dataset_repo *self, const struct dataset_filter *filter, dataset_row_fn fn,
                void *context, struct error *err);
int sqlite_count(struct dataset_repo *self, struct arena *arena, struct dataset_counts *out,
                 struct error *err);
