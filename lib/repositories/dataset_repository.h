#pragma once

/* Everything that is asked of the table `datasets`: an interface with one implementation per
 * database.
 *
 * A repository makes no decisions and logs nothing; transactions belong to the caller.  Rows that
 * it returns live in the caller's arena.  Not thread-safe. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/database.h"
#include "lib/models/dataset.h"

struct dataset_repo;

enum upsert_outcome { UPSERT_INSERTED, UPSERT_UPDATED, UPSERT_UNCHANGED };

/* Search filters; absent or unknown fields do not filter. */
struct dataset_filter {
    struct str source_name;
    struct str license;     /* equal, ignoring ASCII case */
    struct str file_format; /* member of file_formats */
    struct str tag;         /* member of tags */
    int64_t min_size_bytes; /* DATASET_UNKNOWN = no filter, as below */
    int64_t max_size_bytes;
    int64_t updated_since_us; /* source_updated_at at or after */
    bool with_inactive;
};

struct dataset_hit {
    int64_t row_id;
    double score; /* BM25, greater is better */
};

struct dataset_hit_list {
    const struct dataset_hit *items;
    size_t n_items;
};

/* Who holds a claimed row, and until when. */
struct lease {
    struct str owner; /* unique per worker process: "host:pid:start" */
    int64_t until_us; /* UTC */
};

/* Result of one enrichment attempt. */
enum enrichment_result { ENRICHMENT_SUCCESS, ENRICHMENT_RETRY, ENRICHMENT_GIVE_UP };

/* One vector; for loading the whole index. */
struct dataset_vector {
    int64_t row_id;
    const float *vector; /* [dim], valid during the callback */
    size_t dim;          /* as stored; a caller that expects another refuses it */
};
typedef int (*dataset_vector_fn)(void *context, const struct dataset_vector *vector,
                                 struct error *err);

/* What became of a row's vector, see dataset_repo_each_vector_change. */
struct dataset_vector_change {
    int64_t seq;
    int64_t nonce;
    int64_t row_id;
    const float *vector; /* [dim], valid during the callback; NULL = the row has left the set */
    size_t dim;
};
typedef int (*dataset_vector_change_fn)(void *context, const struct dataset_vector_change *change,
                                        struct error *err);

#define DATASET_DATABASE_ID_BYTES 16

/* Which vectors there are.  A model is the identity of its vectors (embedder.h). */
struct dataset_vector_state {
    unsigned char database_id[DATASET_DATABASE_ID_BYTES]; /* of this catalogue, for ever */
    struct str active;          /* what search uses; absent before the first embedding run */
    struct str active_location; /* that model as the settings named it then; may be absent */
    struct str building;        /* what takes its place when it is complete; absent = none */
    int64_t seq;                /* of the last change, 0 before the first */
    int64_t nonce;
};
typedef int (*dataset_row_fn)(void *context, const struct dataset *row, struct error *err);

struct dataset_source_counts {
    struct str source_name;
    int64_t n_rows;
    int64_t n_active;
    int64_t n_minimal;
    int64_t n_enriched;
    int64_t n_pending;
    int64_t n_failed;
    int64_t n_embedded; /* vector belongs to the present text, any model */
    int64_t n_ready;    /* active, enriched and embedded: all of search sees them */
};

struct dataset_counts {
    const struct dataset_source_counts *items;
    size_t n_items;
};

MUST_CHECK int dataset_repo_create(struct database *database, struct dataset_repo **out,
                                   struct error *err);
void dataset_repo_free(struct dataset_repo *repo);

/* Insert, or merge into the row with the same (source_name, source_key).
 *
 * Merging takes what row sends and keeps the rest; status rises from MINIMAL, PENDING or FAILED to
 * ENRICHED when row says so and never falls; derived columns stay.  A changed external_id re-keys
 * the row; another row that still holds that external_id is retired (inactive, link_state "gone").
 * row->is_active counts as it is: false where the source knows the row and does not show it
 * (disabled, private), true revives a row that was gone.  Keeps text_hash and the keyword index in
 * step. UNCHANGED touches nothing. */
MUST_CHECK int dataset_repo_upsert(struct dataset_repo *repo, const struct dataset *row,
                                   int64_t now_us, enum upsert_outcome *out, struct error *err);

/* By UUID, by "source:external_id", by "external_id" (any source, ASCII case ignored) or by URL.
 * -ERR_NOT_FOUND is not logged by anyone. */
MUST_CHECK int dataset_repo_find(struct dataset_repo *repo, struct str ref, struct arena *arena,
                                 struct dataset *out, struct error *err);

/* Rows by row_id, in the order of row_ids; missing ones are left out. */
MUST_CHECK int dataset_repo_find_rows(struct dataset_repo *repo, const int64_t *row_ids,
                                      size_t n_row_ids, struct arena *arena,
                                      struct dataset_list *out, struct error *err);

/* Lease up to limit active rows of a source that wait for enrichment: MINIMAL, PENDING that are
 * due, ENRICHING whose lease has run out.  Oldest attempt first.  They become ENRICHING. */
MUST_CHECK int dataset_repo_claim_unenriched(struct dataset_repo *repo, struct str source_name,
                                             int64_t limit, const struct lease *lease,
                                             int64_t now_us, struct arena *arena,
                                             struct dataset_list *out, struct error *err);

/* End a claim.  SUCCESS: merge row (may be NULL) and become ENRICHED.  RETRY: PENDING until
 * next_attempt_at_us with attempts + 1.  GIVE_UP: FAILED with attempts + 1.  message is the reason
 * of the last two.  -ERR_NOT_FOUND when owner no longer holds the lease: nothing is changed. */
MUST_CHECK int dataset_repo_finish_enrichment(struct dataset_repo *repo, int64_t row_id,
                                              struct str owner, enum enrichment_result result,
                                              const struct dataset *row, int64_t next_attempt_at_us,
                                              struct str message, int64_t now_us,
                                              struct error *err);

/* Give claimed rows back as they were, without counting an attempt (rate limits, shutdown). */
MUST_CHECK int dataset_repo_release(struct dataset_repo *repo, struct str owner, int64_t now_us,
                                    int64_t *n_released, struct error *err);

/* Lease up to limit active, enriched rows whose vector is missing, older than their text, or of
 * another model.  Only row_id, title, description and source_name are filled. */
MUST_CHECK int dataset_repo_claim_unembedded(struct dataset_repo *repo, struct str model,
                                             int64_t limit, const struct lease *lease,
                                             int64_t now_us, struct arena *arena,
                                             struct dataset_list *out, struct error *err);

/* Store a vector for the text with that hash and end the lease.  If the text has changed since, the
 * vector is stored and the row counts as unembedded.  -ERR_NOT_FOUND when the lease is lost. */
MUST_CHECK int dataset_repo_save_embedding(struct dataset_repo *repo, int64_t row_id,
                                           struct str owner, struct str model,
                                           const unsigned char text_hash[DATASET_HASH_BYTES],
                                           const float *vector, size_t dim, int64_t now_us,
                                           struct error *err);

/* Rows that claim_unembedded would still find, leased ones included. */
MUST_CHECK int dataset_repo_count_unembedded(struct dataset_repo *repo, struct str model,
                                             int64_t *out, struct error *err);

/* Every current vector of a model, active rows, ascending row_id; of the model that is searched
 * also those that have one of another model by now. */
MUST_CHECK int dataset_repo_each_vector(struct dataset_repo *repo, struct str model,
                                        dataset_vector_fn fn, void *context, struct error *err);

/* Rows whose vector of a model may have changed at or after seq, ascending row_id, each with what
 * it has now.  The change seq itself is among them unless its row has changed again. */
MUST_CHECK int dataset_repo_each_vector_change(struct dataset_repo *repo, struct str model,
                                               int64_t seq, dataset_vector_change_fn fn,
                                               void *context, struct error *err);

/* Texts live as long as the arena. */
MUST_CHECK int dataset_repo_vector_state(struct dataset_repo *repo, struct arena *arena,
                                         struct dataset_vector_state *out, struct error *err);

/* An embedding run with this model begins.  The first model of a catalogue is searched at once;
 * another one is built beside the set that is searched, which stays whole; the searched one again
 * ends such a building.
 * location  the model as the settings name it */
MUST_CHECK int dataset_repo_begin_vectors(struct dataset_repo *repo, struct str model,
                                          struct str location, struct error *err);

/* Search the set of this model from now on, if it is the one being built and no row would be lost
 * to search by that: one small transaction.  *did_switch may be NULL. */
MUST_CHECK int dataset_repo_switch_vectors(struct dataset_repo *repo, struct str model,
                                           bool *did_switch, struct error *err);

/* Without a set being built: clear up to limit of the vectors that were put aside for search; those
 * of the model that is searched go back to their rows, unless their text has changed. *n_cleared is
 * 0 when none is left. */
MUST_CHECK int dataset_repo_clear_vectors(struct dataset_repo *repo, int64_t limit,
                                          int64_t *n_cleared, struct error *err);

/* Keyword search: BM25 over title 1.0, description 0.9, owner 0.9, tags 0.6, columns 0.3.
 * query is free text from a person: never a syntax error.  Rows that match all words come
 * first; where these are fewer than 20, rows that match any follow.  Words such as "the" and "of"
 * do not count unless there are no others.  Best first. */
MUST_CHECK int dataset_repo_search(struct dataset_repo *repo, struct str query,
                                   const struct dataset_filter *filter, size_t limit,
                                   struct arena *arena, struct dataset_hit_list *out,
                                   struct error *err);

/* The static scores of rows, 0 where there is none: out [n_row_ids]. */
MUST_CHECK int dataset_repo_find_scores(struct dataset_repo *repo, const int64_t *row_ids,
                                        size_t n_row_ids, double *out, struct error *err);

/* The row_ids that pass a filter, ascending, in the arena. */
MUST_CHECK int dataset_repo_filter(struct dataset_repo *repo, const struct dataset_filter *filter,
                                   struct arena *arena, const int64_t **out_row_ids, size_t *out_n,
                                   struct error *err);

/* For a search without words: the best static scores, by thousandths; of those that are alike the
 * newest rows first, and rows without a score last. */
MUST_CHECK int dataset_repo_find_top(struct dataset_repo *repo, const struct dataset_filter *filter,
                                     size_t limit, struct arena *arena, struct dataset_list *out,
                                     struct error *err);

/* Every row that passes, ascending row_id, one at a time. */
MUST_CHECK int dataset_repo_each(struct dataset_repo *repo, const struct dataset_filter *filter,
                                 dataset_row_fn fn, void *context, struct error *err);

MUST_CHECK int dataset_repo_count(struct dataset_repo *repo, struct arena *arena,
                                  struct dataset_counts *out, struct error *err);
