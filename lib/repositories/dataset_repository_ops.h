#pragma once

/* The inside of struct dataset_repo, for its implementations and for the fakes of unit tests.
 *
 * An implementation puts struct dataset_repo first in its own struct.  A fake fills the functions
 * that its test may call and leaves the others NULL: calling one of those is a crash at the right
 * place. */

#include "lib/repositories/dataset_repository.h"

struct dataset_repo_ops {
    void (*free)(struct dataset_repo *self);
    int (*upsert)(struct dataset_repo *self, const struct dataset *row, int64_t now_us,
                  enum upsert_outcome *out, struct error *err);
    int (*find)(struct dataset_repo *self, struct str ref, struct arena *arena, struct dataset *out,
                struct error *err);
    int (*find_rows)(struct dataset_repo *self, const int64_t *row_ids, size_t n_row_ids,
                     struct arena *arena, struct dataset_list *out, struct error *err);
    int (*claim_unenriched)(struct dataset_repo *self, struct str source_name, int64_t limit,
                            const struct lease *lease, int64_t now_us, struct arena *arena,
                            struct dataset_list *out, struct error *err);
    int (*finish_enrichment)(struct dataset_repo *self, int64_t row_id, struct str owner,
                             enum enrichment_result result, const struct dataset *row,
                             int64_t next_attempt_at_us, struct str message, int64_t now_us,
                             struct error *err);
    int (*release)(struct dataset_repo *self, struct str owner, int64_t now_us, int64_t *n_released,
                   struct error *err);
    int (*claim_unembedded)(struct dataset_repo *self, struct str model, int64_t limit,
                            const struct lease *lease, int64_t now_us, struct arena *arena,
                            struct dataset_list *out, struct error *err);
    int (*save_embedding)(struct dataset_repo *self, int64_t row_id, struct str owner,
                          struct str model, const unsigned char text_hash[DATASET_HASH_BYTES],
                          const float *vector, size_t dim, int64_t now_us, struct error *err);
    int (*count_unembedded)(struct dataset_repo *self, struct str model, int64_t *out,
                            struct error *err);
    int (*each_vector)(struct dataset_repo *self, struct str model, dataset_vector_fn fn,
                       void *context, struct error *err);
    int (*each_vector_change)(struct dataset_repo *self, struct str model, int64_t seq,
                              dataset_vector_change_fn fn, void *context, struct error *err);
    int (*vector_state)(struct dataset_repo *self, struct arena *arena,
                        struct dataset_vector_state *out, struct error *err);
    int (*begin_vectors)(struct dataset_repo *self, struct str model, struct str location,
                         struct error *err);
    int (*switch_vectors)(struct dataset_repo *self, struct str model, bool *did_switch,
                          struct error *err);
    int (*clear_vectors)(struct dataset_repo *self, int64_t limit, int64_t *n_cleared,
                         struct error *err);
    int (*search)(struct dataset_repo *self, struct str query, const struct dataset_filter *filter,
                  size_t limit, struct arena *arena, struct dataset_hit_list *out,
                  struct error *err);
    int (*find_scores)(struct dataset_repo *self, const int64_t *row_ids, size_t n_row_ids,
                       double *out, struct error *err);
    int (*filter)(struct dataset_repo *self, const struct dataset_filter *filter,
                  struct arena *arena, const int64_t **out_row_ids, size_t *out_n,
                  struct error *err);
    int (*find_top)(struct dataset_repo *self, const struct dataset_filter *filter, size_t limit,
                    struct arena *arena, struct dataset_list *out, struct error *err);
    int (*each)(struct dataset_repo *self, const struct dataset_filter *filter, dataset_row_fn fn,
                void *context, struct error *err);
    int (*count)(struct dataset_repo *self, struct arena *arena, struct dataset_counts *out,
                 struct error *err);
};

struct dataset_repo {
    const struct dataset_repo_ops *ops;
};
