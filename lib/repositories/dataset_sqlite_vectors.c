/* Embeddings: which rows wait for one, storing it. */

#include <math.h>

#include "lib/repositories/dataset_sqlite.h"

#define DIM_MAX     ((size_t)65536)
#define MODEL_BYTES ((size_t)200)

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "vectors are stored as they lie in memory, little endian"
#endif

static const char find_model_sql[] = "SELECT model_id FROM embedding_models WHERE name = $1";
static const char add_model_sql[] =
    "INSERT INTO embedding_models (name) VALUES ($1) ON CONFLICT DO NOTHING";

/* embed_state is the model of the present text's vector, 0 without one, NULL for rows that are not
 * to be embedded; two ranges around the wanted model are all that waits. */
static const char find_unembedded_sql[] =
    "SELECT row_id FROM (SELECT row_id FROM datasets"
    " WHERE embed_state < $1 AND coalesce(lease_until, 0) <= $2"
    " UNION ALL SELECT row_id FROM datasets"
    " WHERE embed_state > $1 AND coalesce(lease_until, 0) <= $2) LIMIT $3";

static const char count_unembedded_sql[] =
    "SELECT (SELECT count(*) FROM datasets WHERE embed_state < $1)"
    " + (SELECT count(*) FROM datasets WHERE embed_state > $1)";

static const char lease_sql[] =
    "UPDATE datasets SET lease_owner = $1, lease_until = $2 WHERE row_id = $3"
    " RETURNING source_name, title, description";

static const char settle_sql[] =
    "UPDATE datasets SET embedded_hash = $1, embedded_model_id = $2, lease_owner = NULL,"
    " lease_until = NULL WHERE row_id = $3 AND lease_owner = $4"
    " AND enrichment_status <> 'enriching'";

static const char save_vector_sql[] =
    "INSERT INTO dataset_vectors (row_id, model_id, text_hash, vector) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (row_id) DO UPDATE SET model_id = excluded.model_id,"
    " text_hash = excluded.text_hash, vector = excluded.vector";

/* Another model's vector that is still searched is put aside before ours takes its place. */
static const char keep_vector_sql[] =
    "INSERT INTO dataset_vectors_before (row_id, model_id, text_hash, vector)"
    " SELECT v.row_id, v.model_id, v.text_hash, v.vector"
    " FROM dataset_vectors v WHERE v.row_id = $1 AND v.model_id <> $2"
    " AND v.model_id = (SELECT active_model_id FROM embedding_state WHERE state_id = 1)"
    " ON CONFLICT (row_id) DO UPDATE SET model_id = excluded.model_id,"
    " text_hash = excluded.text_hash, vector = excluded.vector";

int
embedding_model_find(struct sqlite_repo *repo, struct str model, int64_t *out, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(repo->database, find_model_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, model);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    *out = rc == 1 ? statement_i64(statement, 0) : MODEL_NONE;
    statement_reset(statement);
    return 0;
}

int
embedding_model_add(struct sqlite_repo *repo, struct str model, int64_t *out, struct error *err)
{
    struct statement *statement;
    int rc = embedding_model_find(repo, model, out, err);

    if (rc < 0 || *out != MODEL_NONE)
        return rc;
    rc = database_prepare(repo->database, add_model_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, model);
    rc = statement_run(statement, NULL, err);
    return rc < 0 ? rc : embedding_model_find(repo, model, out, err);
}

static int
find_unembedded(struct sqlite_repo *repo, struct str model, int64_t limit, int64_t now_us,
                struct dataset_ids *ids, struct error *err)
{
    struct statement *statement;
    int64_t model_id;
    int rc = embedding_model_find(repo, model, &model_id, err);

    if (rc == 0)
        rc = database_prepare(repo->database, find_unembedded_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, model_id);
    statement_bind_i64(statement, 2, now_us);
    statement_bind_i64(statement, 3, limit);
    return dataset_ids_collect(ids, statement, err);
}

static int
lease_one(struct sqlite_repo *repo, int64_t row_id, const struct lease *lease, struct arena *arena,
          struct dataset *out, struct error *err)
{
    struct statement *statement;
    bool ok = true;
    int rc = database_prepare(repo->database, lease_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, lease->owner);
    statement_bind_i64(statement, 2, lease->until_us);
    statement_bind_i64(statement, 3, row_id);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    dataset_init(out);
    out->row_id = row_id;
    out->status = DATASET_ENRICHED;
    out->source_name = arena_dup(arena, statement_str(statement, 0), &ok);
    out->title = arena_dup(arena, statement_str(statement, 1), &ok);
    out->description = arena_dup(arena, statement_str(statement, 2), &ok);
    statement_reset(statement);
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for dataset %lld", (long long)row_id);
}

int
sqlite_claim_unembedded(struct dataset_repo *self, struct str model, int64_t limit,
                        const struct lease *lease, int64_t now_us, struct arena *arena,
                        struct dataset_list *out, struct error *err)
{
    CLEANUP(dataset_ids_fini) struct dataset_ids ids = {0};
    struct sqlite_repo *repo = sqlite_repo_of(self);
    struct dataset *items = NULL;
    struct scope scope;
    int rc;

    if (limit < 0 || lease->owner.len == 0)
        return error_set(err, ERR_INVALID, "a claim needs an owner and a limit of 0 or more");
    rc = scope_begin(&scope, repo->database, err);
    if (rc < 0)
        return rc;
    rc = find_unembedded(repo, model, limit, now_us, &ids, err);
    if (rc == 0) {
        items = arena_calloc(arena, ids.n_items, sizeof(*items));
        if (!items)
            rc = error_set(err, ERR_NOMEM, "no memory for %zu datasets", ids.n_items);
    }
    for (size_t i = 0; rc == 0 && i < ids.n_items; i++)
        rc = lease_one(repo, ids.items[i], lease, arena, &items[i], err);
    rc = scope_end(&scope, rc, err);
    if (rc == 0)
        *out = (struct dataset_list){items, ids.n_items};
    return rc;
}

/* Take the lease's end as the proof that it was ours. */
static int
settle(struct sqlite_repo *repo, int64_t row_id, struct str owner, int64_t model_id,
       struct str text_hash, struct error *err)
{
    struct statement *statement;
    int64_t n_changed = 0;
    int rc = database_prepare(repo->database, settle_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_blob(statement, 1, text_hash);
    statement_bind_i64(statement, 2, model_id);
    statement_bind_i64(statement, 3, row_id);
    statement_bind_str(statement, 4, owner);
    rc = statement_run(statement, &n_changed, err);
    if (rc == 0 && n_changed == 0)
        rc = error_set(err, ERR_NOT_FOUND, "dataset %lld is not leased to '%.*s'",
                       (long long)row_id, STR_ARG(str_slice(owner, 0, 80)));
    return rc;
}

static int
save_vector(struct sqlite_repo *repo, int64_t row_id, int64_t model_id, struct str text_hash,
            struct str vector, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(repo->database, keep_vector_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    statement_bind_i64(statement, 2, model_id);
    rc = statement_run(statement, NULL, err);
    if (rc == 0)
        rc = database_prepare(repo->database, save_vector_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    statement_bind_i64(statement, 2, model_id);
    statement_bind_blob(statement, 3, text_hash);
    statement_bind_blob(statement, 4, vector);
    return statement_run(statement, NULL, err);
}

static int
check_vector(struct str model, const float *vector, size_t dim, struct error *err)
{
    if (model.len == 0 || model.len > MODEL_BYTES)
        return error_set(err, ERR_INVALID, "a model's name has 1 to %zu bytes, not %zu",
                         MODEL_BYTES, model.len);
    if (dim == 0 || dim > DIM_MAX)
        return error_set(err, ERR_INVALID, "a vector has 1 to %zu numbers, not %zu", DIM_MAX, dim);
    for (size_t i = 0; i < dim; i++)
        if (!isfinite(vector[i]))
            return error_set(err, ERR_INVALID, "number %zu of the vector is not finite", i);
    return 0;
}

int
sqlite_save_embedding(struct dataset_repo *self, int64_t row_id, struct str owner, struct str model,
                      const unsigned char text_hash[DATASET_HASH_BYTES], const float *vector,
                      size_t dim, int64_t now_us, struct error *err)
{
    struct sqlite_repo *repo = sqlite_repo_of(self);
    struct str hash = {(const char *)text_hash, DATASET_HASH_BYTES};
    struct str bytes = {(const char *)vector, dim * sizeof(float)};
    struct scope scope;
    int64_t model_id;
    int rc = check_vector(model, vector, dim, err);

    (void)now_us; /* a vector is derived: the dataset has not changed */
    if (rc == 0)
        rc = scope_begin(&scope, repo->database, err);
    if (rc < 0)
        return rc;
    rc = embedding_model_add(repo, model, &model_id, err);
    if (rc == 0)
        rc = settle(repo, row_id, owner, model_id, hash, err);
    if (rc == 0)
        rc = save_vector(repo, row_id, model_id, hash, bytes, err);
    return scope_end(&scope, rc, err);
}

int
sqlite_count_unembedded(struct dataset_repo *self, struct str model, int64_t *out,
                        struct error *err)
{
    struct sqlite_repo *repo = sqlite_repo_of(self);
    struct statement *statement;
    int64_t model_id;
    int rc = embedding_model_find(repo, model, &model_id, err);

    if (rc == 0)
        rc = database_prepare(repo->database, count_unembedded_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, model_id);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    *out = statement_i64(statement, 0);
    statement_reset(statement);
    return 0;
}
