/* The SQLite implementation: making it, its operations, and what its files share. */

#include "lib/repositories/dataset_sqlite.h"

#include <stdlib.h>

/* One row's merge: two texts and lists, JSON values included. */
#define SCRATCH_BYTES ((size_t)32 << 20)
#define IDS_MIN       ((size_t)256)
#define IDS_MAX       ((size_t)64 << 20)

static void
sqlite_free(struct dataset_repo *self)
{
    struct sqlite_repo *repo = sqlite_repo_of(self);

    arena_fini(&repo->scratch);
    free(repo);
}

static const struct dataset_repo_ops sqlite_ops = {
    .free = sqlite_free,
    .upsert = sqlite_upsert,
    .find = sqlite_find,
    .find_rows = sqlite_find_rows,
    .claim_unenriched = sqlite_claim_unenriched,
    .finish_enrichment = sqlite_finish_enrichment,
    .release = sqlite_release,
    .claim_unembedded = sqlite_claim_unembedded,
    .save_embedding = sqlite_save_embedding,
    .count_unembedded = sqlite_count_unembedded,
    .each_vector = sqlite_each_vector,
    .each_vector_change = sqlite_each_vector_change,
    .vector_state = sqlite_vector_state,
    .begin_vectors = sqlite_begin_vectors,
    .switch_vectors = sqlite_switch_vectors,
    .clear_vectors = sqlite_clear_vectors,
    .search = sqlite_search,
    .find_scores = sqlite_find_scores,
    .filter = sqlite_filter,
    .find_top = sqlite_find_top,
    .each = sqlite_each,
    .count = sqlite_count,
};

int
dataset_repo_create(struct database *database, struct dataset_repo **out, struct error *err)
{
    struct sqlite_repo *repo;
    int rc = keyword_index_init(database, err);

    if (rc < 0)
        return rc;
    repo = calloc(1, sizeof(*repo));
    if (!repo)
        return error_set(err, ERR_NOMEM, "no memory for a repository");
    repo->base.ops = &sqlite_ops;
    repo->database = database;
    repo->scratch = (struct arena)ARENA_INIT(SCRATCH_BYTES);
    *out = &repo->base;
    return 0;
}

int
scope_begin(struct scope *scope, struct database *database, struct error *err)
{
    *scope = (struct scope){database, !database_in_transaction(database)};
    return scope->is_own ? database_begin(database, err) : 0;
}

int
scope_end(struct scope *scope, int rc, struct error *err)
{
    if (!scope->is_own)
        return rc;
    if (rc == 0)
        return database_commit(scope->database, err);
    database_rollback(scope->database);
    return rc;
}

void
dataset_ids_fini(struct dataset_ids *ids)
{
    free(ids->items);
    *ids = (struct dataset_ids){0};
}

static int
add_id(struct dataset_ids *ids, int64_t row_id, struct error *err)
{
    if (ids->n_items == ids->n_room) {
        size_t n_room = ids->n_room ? ids->n_room * 2 : IDS_MIN;
        int64_t *items = n_room > IDS_MAX ? NULL : realloc(ids->items, n_room * sizeof(*items));

        if (!items)
            return error_set(err, ERR_NOMEM, "no memory for %zu row ids", n_room);
        ids->items = items;
        ids->n_room = n_room;
    }
    ids->items[ids->n_items++] = row_id;
    return 0;
}

int
dataset_ids_collect(struct dataset_ids *ids, struct statement *statement, struct error *err)
{
    int rc;

    while ((rc = statement_step(statement, err)) == 1) {
        rc = add_id(ids, statement_i64(statement, 0), err);
        if (rc < 0)
            break;
    }
    statement_reset(statement);
    return rc;
}
