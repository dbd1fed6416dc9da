/* Both lists go into one array, sorted by row so that twins meet, then by score. */

#include "lib/services/search/fusion.h"

#include <stdlib.h>

static int
compare_rows(const void *a, const void *b)
{
    const struct fused_hit *left = a;
    const struct fused_hit *right = b;

    return (left->row_id > right->row_id) - (left->row_id < right->row_id);
}

/* A list without the row ranks it behind all others. */
static size_t
rank_or_last(size_t rank)
{
    return rank ? rank : SIZE_MAX;
}

static int
compare_scores(const void *a, const void *b)
{
    const struct fused_hit *left = a;
    const struct fused_hit *right = b;
    size_t left_rank = rank_or_last(left->keyword_rank);
    size_t right_rank = rank_or_last(right->keyword_rank);

    if (left->score < right->score || left->score > right->score)
        return left->score < right->score ? 1 : -1;
    if (left_rank != right_rank)
        return left_rank < right_rank ? -1 : 1;
    return compare_rows(a, b);
}

static double
reciprocal(double weight, size_t rank)
{
    return rank ? weight / (FUSION_K + (double)rank) : 0;
}

int
fusion_merge(struct fusion_list keyword, struct fusion_list dense,
             const struct fusion_weights *weights, struct arena *arena, struct fused_hit **out,
             size_t *out_n, struct error *err)
{
    size_t n_all = keyword.n_items + dense.n_items;
    struct fused_hit *hits = arena_calloc(arena, n_all, sizeof(*hits));
    size_t n = 0;

    if (!hits)
        return error_set(err, ERR_NOMEM, "no memory for %zu hits", n_all);
    for (size_t i = 0; i < keyword.n_items; i++)
        hits[i] = (struct fused_hit){.row_id = keyword.items[i].row_id,
                                     .keyword_rank = i + 1,
                                     .keyword_score = keyword.items[i].score};
    for (size_t i = 0; i < dense.n_items; i++)
        hits[keyword.n_items + i] = (struct fused_hit){
            .row_id = dense.items[i].row_id, .dense_rank = i + 1, .cosine = dense.items[i].score};
    qsort(hits, n_all, sizeof(*hits), compare_rows);
    for (size_t i = 0; i < n_all; i++) {
        struct fused_hit *hit = &hits[i];

        if (n > 0 && hits[n - 1].row_id == hit->row_id) {
            struct fused_hit *twin = &hits[n - 1];

            twin->keyword_rank += hit->keyword_rank;
            twin->dense_rank += hit->dense_rank;
            twin->keyword_score += hit->keyword_score;
            twin->cosine += hit->cosine;
            continue;
        }
        hits[n++] = *hit;
    }
    for (size_t i = 0; i < n; i++)
        hits[i].score = hits[i].fused = reciprocal(weights->keyword, hits[i].keyword_rank) +
                                        reciprocal(weights->dense, hits[i].dense_rank);
    qsort(hits, n, sizeof(*hits), compare_scores);
    *out = hits;
    *out_n = n;
    return 0;
}

void
fusion_apply_prior(struct fused_hit *hits, size_t n_hits, const double *static_scores, double beta)
{
    for (size_t i = 0; i < n_hits; i++) {
        hits[i].static_score = static_scores[i];
        hits[i].score = hits[i].fused * (1 + beta * static_scores[i]);
    }
    qsort(hits, n_hits, sizeof(*hits), compare_scores);
}
