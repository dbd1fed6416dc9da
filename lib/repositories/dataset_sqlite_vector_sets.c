/* The two sets of vectors: the one that is searched and the one that is being made.
 *
 * A row has its newest vector in dataset_vectors.  While another model's set is being made, the
 * vector that it takes the place of goes to dataset_vectors_before; the searched set is what the
 * two tables have of its model, as far as the text is still the same.  The switch moves nothing: it
 * changes one row. */

#include <stdlib.h>

#include "lib/repositories/dataset_sqlite.h"

#define DIM_MAX ((size_t)65536)

/* Both branches ascend, so that they are merged and never sorted. */
static const char each_vector_sql[] =
    "SELECT d.row_id, v.vector FROM datasets d CROSS JOIN dataset_vectors v"
    " ON v.row_id = d.row_id WHERE d.embed_state = $1 AND v.model_id = $1"
    " UNION ALL SELECT p.row_id, p.vector FROM dataset_vectors_before p CROSS JOIN datasets d"
    " ON d.row_id = p.row_id WHERE p.model_id = $1 AND d.embed_state <> $1"
    " AND p.text_hash = d.text_hash ORDER BY 1";

/* The rows first, sorted without their vectors; the limit keeps SQLite from making one query of the
 * two, and a LEFT JOIN keeps the order of its left side. */
static const char each_change_sql[] =
    "SELECT c.seq, c.nonce, c.row_id, CASE WHEN d.embed_state = $1 THEN v.vector"
    " WHEN d.embed_state <> $1 AND p.text_hash = d.text_hash THEN p.vector END"
    " FROM (SELECT seq, nonce, row_id FROM vector_changes NOT INDEXED WHERE seq >= $2 ORDER BY "
    "row_id LIMIT -1) c"
    " LEFT JOIN datasets d ON d.row_id = c.row_id"
    " LEFT JOIN dataset_vectors v ON v.row_id = c.row_id AND v.model_id = $1"
    " LEFT JOIN dataset_vectors_before p ON p.row_id = c.row_id AND p.model_id = $1";

static const char state_sql[] =
    "SELECT s.database_id, a.name, a.location, b.name, coalesce(c.seq, 0), coalesce(c.nonce, 0)"
    " FROM embedding_state s LEFT JOIN embedding_models a ON a.model_id = s.active_model_id"
    " LEFT JOIN embedding_models b ON b.model_id = s.building_model_id"
    " LEFT JOIN vector_changes c ON c.seq = (SELECT max(seq) FROM vector_changes)"
    " WHERE s.state_id = 1";

static const char locate_model_sql[] =
    "UPDATE embedding_models SET location = $1 WHERE model_id = $2 AND location IS NOT $1";

static const char begin_sql[] =
    "UPDATE embedding_state SET active_model_id = coalesce(active_model_id, $1),"
    " building_model_id = nullif($1, coalesce(active_model_id, $1)) WHERE state_id = 1";

/* Complete is what no row would be lost by: every row that has a vector has one of the new model.
 */
static const char switch_sql[] =
    "UPDATE embedding_state SET active_model_id = $1, building_model_id = NULL"
    " WHERE state_id = 1 AND building_model_id = $1"
    " AND NOT EXISTS (SELECT 1 FROM datasets WHERE embed_state > 0 AND embed_state < $1)"
    " AND NOT EXISTS (SELECT 1 FROM datasets WHERE embed_state > $1)";

/* What the three statements below mean by the first rows put aside. */
#define FIRST_BEFORE                                                                               \
    "(SELECT row_id FROM dataset_vectors_before"                                                   \
    " WHERE (SELECT building_model_id FROM embedding_state WHERE state_id = 1) IS NULL ORDER BY "  \
    "row_id LIMIT $1)"
#define IS_SEARCHED                                                                                \
    " AND p.model_id = (SELECT active_model_id FROM embedding_state WHERE state_id = 1)"           \
    " AND d.embed_state <> p.model_id AND p.text_hash = d.text_hash"

static const char restore_vector_sql[] =
    "INSERT INTO dataset_vectors (row_id, model_id, text_hash, vector)"
    " SELECT p.row_id, p.model_id, p.text_hash, p.vector"
    " FROM dataset_vectors_before p CROSS JOIN datasets d ON d.row_id = p.row_id"
    " WHERE p.row_id IN " FIRST_BEFORE IS_SEARCHED
    " ON CONFLICT (row_id) DO UPDATE SET model_id = excluded.model_id,"
    " text_hash = excluded.text_hash, vector = excluded.vector";

static const char restore_row_sql[] =
    "UPDATE datasets SET embedded_hash = text_hash,"
    " embedded_model_id = (SELECT active_model_id FROM embedding_state WHERE state_id = 1) WHERE "
    "row_id IN"
    " (SELECT p.row_id FROM dataset_vectors_before p CROSS JOIN datasets d ON d.row_id = p.row_id"
    " WHERE p.row_id IN " FIRST_BEFORE IS_SEARCHED ")";

static const char clear_sql[] = "DELETE FROM dataset_vectors_before WHERE row_id IN " FIRST_BEFORE;

/* A column's vector through an aligned buffer: a blob may lie anywhere.  An absent one has dim 0.
 */
static int
read_vector(const struct statement *statement, int column_idx, int64_t row_id, float *buffer,
            size_t *dim, struct error *err)
{
    struct str bytes = statement_blob(statement, column_idx);

    *dim = 0;
    if (!bytes.ptr)
        return 0;
    if (bytes.len == 0 || bytes.len % sizeof(float) != 0 || bytes.len > DIM_MAX * sizeof(float))
        return error_set(err, ERR_CORRUPT, "dataset %lld has a vector of %zu bytes",
                         (long long)row_id, bytes.len);
    (void)memcpy(buffer, bytes.ptr, bytes.len);
    *dim = bytes.len / sizeof(float);
    return 0;
}

/* The statement with the model's number as $1, and a buffer for its vectors. */
static int
prepare_each(struct sqlite_repo *repo, const char *sql, struct str model, float **buffer,
             struct statement **out, struct error *err)
{
    int64_t model_id;
    int rc = embedding_model_find(repo, model, &model_id, err);

    if (rc == 0)
        rc = database_prepare(repo->database, sql, out, err);
    if (rc < 0)
        return rc;
    *buffer = malloc(DIM_MAX * sizeof(float));
    if (!*buffer)
        return error_set(err, ERR_NOMEM, "no memory for a vector");
    statement_bind_i64(*out, 1, model_id);
    return 0;
}

int
sqlite_each_vector(struct dataset_repo *self, struct str model, dataset_vector_fn fn, void *context,
                   struct error *err)
{
    struct statement *statement;
    float *buffer;
    int rc = prepare_each(sqlite_repo_of(self), each_vector_sql, model, &buffer, &statement, err);

    if (rc < 0)
        return rc;
    while ((rc = statement_step(statement, err)) == 1) {
        struct dataset_vector vector = {.row_id = statement_i64(statement, 0), .vector = buffer};

        rc = read_vector(statement, 1, vector.row_id, buffer, &vector.dim, err);
        if (rc == 0)
            rc = fn(context, &vector, err);
        if (rc < 0)
            break;
    }
    statement_reset(statement);
    free(buffer);
    return rc;
}

int
sqlite_each_vector_change(struct dataset_repo *self, struct str model, int64_t seq,
                          dataset_vector_change_fn fn, void *context, struct error *err)
{
    struct statement *statement;
    float *buffer;
    int rc = prepare_each(sqlite_repo_of(self), each_change_sql, model, &buffer, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 2, seq);
    while ((rc = statement_step(statement, err)) == 1) {
        struct dataset_vector_change change = {
            .seq = statement_i64(statement, 0),
            .nonce = statement_i64(statement, 1),
            .row_id = statement_i64(statement, 2),
        };

        rc = read_vector(statement, 3, change.row_id, buffer, &change.dim, err);
        change.vector = change.dim ? buffer : NULL;
        if (rc == 0)
            rc = fn(context, &change, err);
        if (rc < 0)
            break;
    }
    statement_reset(statement);
    free(buffer);
    return rc;
}

int
sqlite_vector_state(struct dataset_repo *self, struct arena *arena,
                    struct dataset_vector_state *out, struct error *err)
{
    struct dataset_vector_state state = {0};
    struct statement *statement;
    struct str id;
    bool ok = true;
    int rc = database_prepare(sqlite_repo_of(self)->database, state_sql, &statement, err);

    if (rc == 0)
        rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return error_set(err, ERR_CORRUPT, "the table embedding_state is empty");
    id = statement_blob(statement, 0);
    (void)memcpy(state.database_id, id.ptr, sizeof(state.database_id)); /* its length is checked */
    state.active = arena_dup(arena, statement_str(statement, 1), &ok);
    state.active_location = arena_dup(arena, statement_str(statement, 2), &ok);
    state.building = arena_dup(arena, statement_str(statement, 3), &ok);
    state.seq = statement_i64(statement, 4);
    state.nonce = statement_i64(statement, 5);
    statement_reset(statement);
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for the names of models");
    *out = state;
    return 0;
}

/* A statement about one model. */
static int
run_for_model(struct sqlite_repo *repo, const char *sql, int64_t model_id, int64_t *n_changed,
              struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(repo->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, model_id);
    return statement_run(statement, n_changed, err);
}

int
sqlite_begin_vectors(struct dataset_repo *self, struct str model, struct str location,
                     struct error *err)
{
    struct sqlite_repo *repo = sqlite_repo_of(self);
    struct statement *statement;
    struct scope scope;
    int64_t model_id;
    int rc = scope_begin(&scope, repo->database, err);

    if (rc < 0)
        return rc;
    rc = embedding_model_add(repo, model, &model_id, err);
    if (rc == 0)
        rc = database_prepare(repo->database, locate_model_sql, &statement, err);
    if (rc == 0) {
        statement_bind_str(statement, 1, location);
        statement_bind_i64(statement, 2, model_id);
        rc = statement_run(statement, NULL, err);
    }
    if (rc == 0)
        rc = run_for_model(repo, begin_sql, model_id, NULL, err);
    return scope_end(&scope, rc, err);
}

int
sqlite_switch_vectors(struct dataset_repo *self, struct str model, bool *did_switch,
                      struct error *err)
{
    struct sqlite_repo *repo = sqlite_repo_of(self);
    struct scope scope;
    int64_t n_changed = 0;
    int64_t model_id;
    int rc = scope_begin(&scope, repo->database, err);

    if (rc < 0)
        return rc;
    rc = embedding_model_find(repo, model, &model_id, err);
    if (rc == 0)
        rc = run_for_model(repo, switch_sql, model_id, &n_changed, err);
    rc = scope_end(&scope, rc, err);
    if (rc == 0 && did_switch)
        *did_switch = n_changed > 0;
    return rc;
}

int
sqlite_clear_vectors(struct dataset_repo *self, int64_t limit, int64_t *n_cleared,
                     struct error *err)
{
    static const char *const steps[] = {restore_vector_sql, restore_row_sql, clear_sql};
    struct sqlite_repo *repo = sqlite_repo_of(self);
    struct scope scope;
    int64_t n_changed = 0;
    int rc = scope_begin(&scope, repo->database, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < COUNT_OF(steps); i++) {
        struct statement *statement;

        rc = database_prepare(repo->database, steps[i], &statement, err);
        if (rc < 0)
            break;
        statement_bind_i64(statement, 1, limit);
        rc = statement_run(statement, &n_changed, err);
    }
    rc = scope_end(&scope, rc, err);
    if (rc == 0)
        *n_cleared = n_changed; /* of the last step */
    return rc;
}
