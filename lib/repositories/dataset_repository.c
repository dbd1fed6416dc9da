/* The documented functions: each asks the implementation behind the interface. */

#include "lib/repositories/dataset_repository_ops.h"

void
dataset_repo_free(struct dataset_repo *repo)
{
    if (repo)
        repo->ops->free(repo);
}

int
dataset_repo_upsert(struct dataset_repo *repo, const struct dataset *row, int64_t now_us,
                    enum upsert_outcome *out, struct error *err)
{
    return repo->ops->upsert(repo, row, now_us, out, err);
}

int
dataset_repo_find(struct dataset_repo *repo, struct str ref, struct arena *arena,
                  struct dataset *out, struct error *err)
{
    return repo->ops->find(repo, ref, arena, out, err);
}

int
dataset_repo_find_rows(struct dataset_repo *repo, const int64_t *row_ids, size_t n_row_ids,
                       struct arena *arena, struct dataset_list *out, struct error *err)
{
    return repo->ops->find_rows(repo, row_ids, n_row_ids, arena, out, err);
}

int
dataset_repo_claim_unenriched(struct dataset_repo *repo, struct str source_name, int64_t limit,
                              const struct lease *lease, int64_t now_us, struct arena *arena,
                              struct dataset_list *out, struct error *err)
{
    return repo->ops->claim_unenriched(repo, source_name, limit, lease, now_us, arena, out, err);
}

int
dataset_repo_finish_enrichment(struct dataset_repo *repo, int64_t row_id, struct str owner,
                               enum enrichment_result result, const struct dataset *row,
                               int64_t next_attempt_at_us, struct str message, int64_t now_us,
                               struct error *err)
{
    return repo->ops->finish_enrichment(repo, row_id, owner, result, row, next_attempt_at_us,
                                        message, now_us, err);
}

int
dataset_repo_release(struct dataset_repo *repo, struct str owner, int64_t now_us,
                     int64_t *n_released, struct error *err)
{
    return repo->ops->release(repo, owner, now_us, n_released, err);
}

int
dataset_repo_claim_unembedded(struct dataset_repo *repo, struct str model, int64_t limit,
                              const struct lease *lease, int64_t now_us, struct arena *arena,
                              struct dataset_list *out, struct error *err)
{
    return repo->ops->claim_unembedded(repo, model, limit, lease, now_us, arena, out, err);
}

int
dataset_repo_save_embedding(struct dataset_repo *repo, int64_t row_id, struct str owner,
                            struct str model, const unsigned char text_hash[DATASET_HASH_BYTES],
                            const float *vector, size_t dim, int64_t now_us, struct error *err)
{
    return repo->ops->save_embedding(repo, row_id, owner, model, text_hash, vector, dim, now_us,
                                     err);
}

int
dataset_repo_count_unembedded(struct dataset_repo *repo, struct str model, int64_t *out,
                              struct error *err)
{
    return repo->ops->count_unembedded(repo, model, out, err);
}

int
dataset_repo_each_vector(struct dataset_repo *repo, struct str model, dataset_vector_fn fn,
                         void *context, struct error *err)
{
    return repo->ops->each_vector(repo, model, fn, context, err);
}

int
dataset_repo_each_vector_change(struct dataset_repo *repo, struct str model, int64_t seq,
                                dataset_vector_change_fn fn, void *context, struct error *err)
{
    return repo->ops->each_vector_change(repo, model, seq, fn, context, err);
}

int
dataset_repo_vector_state(struct dataset_repo *repo, struct arena *arena,
                          struct dataset_vector_state *out, struct error *err)
{
    return repo->ops->vector_state(repo, arena, out, err);
}

int
dataset_repo_begin_vectors(struct dataset_repo *repo, struct str model, struct str location,
                           struct error *err)
{
    return repo->ops->begin_vectors(repo, model, location, err);
}

int
dataset_repo_switch_vectors(struct dataset_repo *repo, struct str model, bool *did_switch,
                            struct error *err)
{
    return repo->ops->switch_vectors(repo, model, did_switch, err);
}

int
dataset_repo_clear_vectors(struct dataset_repo *repo, int64_t limit, int64_t *n_cleared,
                           struct error *err)
{
    return repo->ops->clear_vectors(repo, limit, n_cleared, err);
}

int
dataset_repo_search(struct dataset_repo *repo, struct str query,
                    const struct dataset_filter *filter, size_t limit, struct arena *arena,
                    struct dataset_hit_list *out, struct error *err)
{
    return repo->ops->search(repo, query, filter, limit, arena, out, err);
}

int
dataset_repo_find_scores(struct dataset_repo *repo, const int64_t *row_ids, size_t n_row_ids,
                         double *out, struct error *err)
{
    return repo->ops->find_scores(repo, row_ids, n_row_ids, out, err);
}

int
dataset_repo_filter(struct dataset_repo *repo, const struct dataset_filter *filter,
                    struct arena *arena, const int64_t **out_row_ids, size_t *out_n,
                    struct error *err)
{
    return repo->ops->filter(repo, filter, arena, out_row_ids, out_n, err);
}

int
dataset_repo_find_top(struct dataset_repo *repo, const struct dataset_filter *filter, size_t limit,
                      struct arena *arena, struct dataset_list *out, struct error *err)
{
    return repo->ops->find_top(repo, filter, limit, arena, out, err);
}

int
dataset_repo_each(struct dataset_repo *repo, const struct dataset_filter *filter, dataset_row_fn fn,
                  void *context, struct error *err)
{
    return repo->ops->each(repo, filter, fn, context, err);
}

int
dataset_repo_count(struct dataset_repo *repo, struct arena *arena, struct dataset_counts *out,
                   struct error *err)
{
    return repo->ops->count(repo, arena, out, err);
}
