/* Two ranked lists of candidates, fused; the best rows are loaded, exact names moved to the front.
 */

#include "lib/services/search/search_service.h"

#include <stdlib.h>

#include "lib/services/search/vector_index.h"

/* Candidates of each list; past a few hundred a rank adds less than a tie-break. */
#define CANDIDATES ((size_t)200)

/* Rows among which an exact title or name is looked for, beyond those that are shown. */
#define EXACT_WINDOW ((size_t)50)

struct search {
    struct search_service *service;
    const struct search_query *query;
    struct arena *arena;
    struct search_answer *answer;
    struct fusion_list keyword;
    struct fusion_list dense;
};

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for a search");
}

static int
find_keywords(struct search *self, struct error *err)
{
    int64_t begin_us = clock_mono_us(self->service->clock);
    struct dataset_hit_list hits;
    struct fusion_entry *entries;
    int rc = dataset_repo_search(self->service->datasets, self->query->text, &self->query->filter,
                                 CANDIDATES, self->arena, &hits, err);

    if (rc < 0)
        return rc;
    entries = arena_calloc(self->arena, hits.n_items, sizeof(*entries));
    if (!entries)
        return no_memory(err);
    for (size_t i = 0; i < hits.n_items; i++)
        entries[i] = (struct fusion_entry){hits.items[i].row_id, hits.items[i].score};
    self->keyword = (struct fusion_list){entries, hits.n_items};
    self->answer->keyword_us = clock_mono_us(self->service->clock) - begin_us;
    return 0;
}

static bool
has_filter(const struct dataset_filter *filter)
{
    return filter->source_name.ptr || filter->license.ptr || filter->file_format.ptr ||
           filter->tag.ptr || filter->min_size_bytes != DATASET_UNKNOWN ||
           filter->max_size_bytes != DATASET_UNKNOWN || filter->updated_since_us != DATASET_UNKNOWN;
}

/* The set that is searched, brought to its present state; a note where it cannot be asked. */
static int
open_vectors(struct search *self, struct error *err)
{
    struct search_service *service = self->service;
    struct dataset_vector_state state;
    char *note;
    int rc = dataset_repo_vector_state(service->datasets, self->arena, &state, err);

    if (rc < 0)
        return rc;
    if (state.active.ptr && !str_equal(state.active, service->embedder->model)) {
        note = arena_printf(
            self->arena,
            "the vectors are of model '%.*s' (%.*s), and the model there is '%.*s': put the "
            "old model back, or run 'trawl run enrich.generate_embeddings --drain'",
            STR_ARG(state.active), STR_ARG(state.active_location),
            STR_ARG(service->embedder->model));
        self->answer->note = str_from_cstr(note);
        return note ? 0 : no_memory(err);
    }
    rc = vector_index_refresh(service->index, service->embedder->model, service->embedder->dim,
                              VECTOR_UPKEEP_LAZY, err);
    if (rc == 0 && vector_index_size(service->index) == 0)
        self->answer->note = STR("no vectors of this model yet: run 'trawl run "
                                 "enrich.generate_embeddings --drain'");
    return rc;
}

static int
scan(struct search *self, const float *vector, struct error *err)
{
    struct search_service *service = self->service;
    int64_t begin_us = clock_mono_us(service->clock);
    const int64_t *allowed = NULL;
    size_t n_allowed = 0;
    int rc = 0;

    if (has_filter(&self->query->filter))
        rc = dataset_repo_filter(service->datasets, &self->query->filter, self->arena, &allowed,
                                 &n_allowed, err);
    if (rc == 0)
        rc = vector_index_search(service->index, vector, allowed, n_allowed, CANDIDATES,
                                 self->arena, &self->dense, err);
    self->answer->dense_us = clock_mono_us(service->clock) - begin_us;
    return rc;
}

static int
find_by_meaning(struct search *self, struct error *err)
{
    struct search_service *service = self->service;
    int64_t begin_us;
    float *vector;
    int rc;

    if (!service->embedder) {
        self->answer->note = service->why_no_embedder;
        return 0;
    }
    rc = open_vectors(self, err);
    if (rc < 0 || self->answer->note.ptr)
        return rc;
    vector = arena_calloc(self->arena, service->embedder->dim, sizeof(*vector));
    if (!vector)
        return no_memory(err);
    begin_us = clock_mono_us(service->clock);
    rc = embedder_embed_query(service->embedder, self->query->text, vector, err);
    self->answer->encode_us = clock_mono_us(service->clock) - begin_us;
    return rc < 0 ? rc : scan(self, vector, err);
}

/* The name behind the owner: "zecon" of "zillow/zecon". */
static struct str
name_of(const struct dataset *dataset)
{
    size_t slash = str_find_char(dataset->external_id, '/');

    return slash < dataset->external_id.len
               ? str_slice(dataset->external_id, slash + 1, dataset->external_id.len)
               : dataset->external_id;
}

static bool
is_exact(const struct dataset *dataset, struct str text)
{
    return str_equal_ignore_case(dataset->external_id, text) ||
           str_equal_ignore_case(dataset->title, text) ||
           str_equal_ignore_case(name_of(dataset), text);
}

/* Load the best rows; those that the text names exactly come first, each group in its order. */
static int
load_hits(struct search *self, const struct fused_hit *fused, size_t n_fused, struct error *err)
{
    size_t window = self->query->limit > EXACT_WINDOW ? self->query->limit : EXACT_WINDOW;
    size_t n_wanted = n_fused < window ? n_fused : window;
    int64_t *row_ids = arena_calloc(self->arena, n_wanted, sizeof(*row_ids));
    struct search_hit *hits = arena_calloc(self->arena, n_wanted, sizeof(*hits));
    struct str text = str_trim(self->query->text);
    struct dataset_list rows;
    size_t n = 0;
    int rc;

    if (!row_ids || !hits)
        return no_memory(err);
    for (size_t i = 0; i < n_wanted; i++)
        row_ids[i] = fused[i].row_id;
    rc =
        dataset_repo_find_rows(self->service->datasets, row_ids, n_wanted, self->arena, &rows, err);
    if (rc < 0)
        return rc;
    for (int pass = 0; pass < 2; pass++) { /* exact ones, then the others */
        size_t at = 0;

        for (size_t i = 0; i < rows.n_items; i++) {
            bool exact = is_exact(&rows.items[i], text);

            while (fused[at].row_id != rows.items[i].row_id) /* rows that are gone were left out */
                at++;
            if (exact == (pass == 0))
                hits[n++] = (struct search_hit){&rows.items[i], fused[at], exact};
        }
    }
    self->answer->items = hits;
    self->answer->n_items = n < self->query->limit ? n : self->query->limit;
    return 0;
}

/* The candidates' static scores into their order. */
static int
apply_prior(struct search *self, struct fused_hit *fused, size_t n_fused, struct error *err)
{
    int64_t *row_ids = arena_calloc(self->arena, n_fused, sizeof(*row_ids));
    double *scores = arena_calloc(self->arena, n_fused, sizeof(*scores));
    int rc;

    if (!row_ids || !scores)
        return no_memory(err);
    for (size_t i = 0; i < n_fused; i++)
        row_ids[i] = fused[i].row_id;
    rc = dataset_repo_find_scores(self->service->datasets, row_ids, n_fused, scores, err);
    if (rc == 0)
        fusion_apply_prior(fused, n_fused, scores, self->service->weights.prior);
    return rc;
}

/* The index knows thousandths; rows that are alike in them keep its order. */
static int
compare_static_scores(const void *a, const void *b)
{
    const struct search_hit *left = a;
    const struct search_hit *right = b;

    if (left->why.static_score < right->why.static_score ||
        left->why.static_score > right->why.static_score)
        return left->why.static_score < right->why.static_score ? 1 : -1;
    return (left->dataset > right->dataset) - (left->dataset < right->dataset);
}

static int
list_top(struct search *self, struct error *err)
{
    struct dataset_list rows;
    struct search_hit *hits;
    int rc = dataset_repo_find_top(self->service->datasets, &self->query->filter,
                                   self->query->limit, self->arena, &rows, err);

    if (rc < 0)
        return rc;
    hits = arena_calloc(self->arena, rows.n_items, sizeof(*hits));
    if (!hits)
        return no_memory(err);
    for (size_t i = 0; rc == 0 && i < rows.n_items; i++) {
        hits[i].dataset = &rows.items[i];
        rc = dataset_repo_find_scores(self->service->datasets, &rows.items[i].row_id, 1,
                                      &hits[i].why.static_score, err);
    }
    if (rc == 0)
        qsort(hits, rows.n_items, sizeof(*hits), compare_static_scores);
    self->answer->items = hits;
    self->answer->n_items = rows.n_items;
    return rc;
}

int
search_service_run(struct search_service *self, const struct search_query *query,
                   struct arena *arena, struct search_answer *out, struct error *err)
{
    struct search search = {.service = self, .query = query, .arena = arena, .answer = out};
    const struct fusion_weights *weights = &self->weights;
    struct fused_hit *fused;
    size_t n_fused;
    int rc = 0;

    *out = (struct search_answer){0};
    if (query->text.len > SEARCH_QUERY_BYTES)
        return error_set(err, ERR_INVALID, "a query of %zu bytes is too long: at most %zu",
                         query->text.len, SEARCH_QUERY_BYTES);
    if (str_trim(query->text).len == 0)
        return list_top(&search, err);
    if (weights->keyword > 0)
        rc = find_keywords(&search, err);
    if (rc == 0 && weights->dense > 0)
        rc = find_by_meaning(&search, err);
    if (rc == 0)
        rc = fusion_merge(search.keyword, search.dense, weights, arena, &fused, &n_fused, err);
    if (rc == 0)
        rc = apply_prior(&search, fused, n_fused, err);
    if (rc == 0)
        rc = load_hits(&search, fused, n_fused, err);
    return rc;
}
