/* One matrix and its row ids, grown while the database hands the vectors over. */

#include "lib/services/search/vector_index.h"

#include <inttypes.h>
#include <stdlib.h>

#include "encoder/vector_scan.h"

#define ROWS_MIN ((size_t)1024)

struct vector_index {
    float *vectors;   /* [n_rows, dim] */
    int64_t *row_ids; /* [n_rows], ascending */
    size_t n_rows;
    size_t cap_rows;
    size_t dim;
};

static int
no_memory(size_t n_rows, struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for %zu vectors", n_rows);
}

static int
grow(struct vector_index *self, struct error *err)
{
    size_t cap = self->cap_rows ? self->cap_rows * 2 : ROWS_MIN;
    size_t row_bytes = self->dim * sizeof(float);
    float *vectors = reallocarray(self->vectors, cap, row_bytes);
    int64_t *row_ids;

    if (!vectors)
        return no_memory(cap, err);
    self->vectors = vectors;
    row_ids = reallocarray(self->row_ids, cap, sizeof(*row_ids));
    if (!row_ids)
        return no_memory(cap, err);
    self->row_ids = row_ids;
    self->cap_rows = cap;
    return 0;
}

static int
add_vector(void *context, const struct dataset_vector *vector, struct error *err)
{
    struct vector_index *self = context;
    int rc;

    if (vector->dim != self->dim)
        return error_set(err, ERR_CORRUPT,
                         "the vector of row %" PRId64 " has %zu numbers, the model gives %zu",
                         vector->row_id, vector->dim, self->dim);
    if (self->n_rows == self->cap_rows) {
        rc = grow(self, err);
        if (rc < 0)
            return rc;
    }
    (void)memcpy(self->vectors + self->n_rows * self->dim, vector->vector,
                 self->dim * sizeof(float));
    self->row_ids[self->n_rows++] = vector->row_id;
    return 0;
}

int
vector_index_load(struct dataset_repo *datasets, struct str model, size_t dim,
                  struct vector_index **out, struct error *err)
{
    struct vector_index *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return no_memory(0, err);
    self->dim = dim;
    rc = dataset_repo_each_vector(datasets, model, add_vector, self, err);
    if (rc < 0) {
        vector_index_free(self);
        return rc;
    }
    *out = self;
    return 0;
}

void
vector_index_free(struct vector_index *index)
{
    if (!index)
        return;
    free(index->vectors);
    free(index->row_ids);
    free(index);
}

size_t
vector_index_size(const struct vector_index *index)
{
    return index->n_rows;
}

/* A bit for every row whose id is allowed: both lists ascend. */
static void
mark_allowed(const struct vector_index *self, const int64_t *allowed, size_t n_allowed,
             uint64_t *valid)
{
    size_t at = 0;

    for (size_t row = 0; row < self->n_rows; row++) {
        while (at < n_allowed && allowed[at] < self->row_ids[row])
            at++;
        if (at < n_allowed && allowed[at] == self->row_ids[row])
            valid[row / 64] |= UINT64_C(1) << (row % 64);
    }
}

int
vector_index_search(const struct vector_index *index, const float *query, const int64_t *allowed,
                    size_t n_allowed, size_t k, struct arena *arena, struct fusion_list *out,
                    struct error *err)
{
    struct vector_scan scan = {.rows = index->vectors, .n_rows = index->n_rows, .dim = index->dim};
    struct vector_hit *hits = arena_calloc(arena, k, sizeof(*hits));
    struct fusion_entry *entries = arena_calloc(arena, k, sizeof(*entries));
    size_t n_hits = 0;

    if (!hits || !entries)
        return no_memory(k, err);
    if (allowed) {
        uint64_t *valid = arena_calloc(arena, index->n_rows / 64 + 1, sizeof(*valid));

        if (!valid)
            return no_memory(index->n_rows, err);
        mark_allowed(index, allowed, n_allowed, valid);
        scan.valid = valid;
    }
    vector_scan_top(&scan, query, 1, k, hits, &n_hits);
    for (size_t i = 0; i < n_hits; i++)
        entries[i] = (struct fusion_entry){index->row_ids[hits[i].row], (double)hits[i].score};
    *out = (struct fusion_list){entries, n_hits};
    return 0;
}
