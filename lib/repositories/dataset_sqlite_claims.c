/* Leases for enrichment: claim, finish, give back.
 *
 * A claim is one write transaction, so two workers never see the same row as free.  Who comes back
 * too late is told by the owner's name: it is another's by then. */

#include "lib/repositories/dataset_sqlite.h"

/* enrich_at is when a row is due: see the migration. */
static const char find_due_sql[] =
    "SELECT row_id FROM datasets WHERE source_name = $1 AND enrich_at <= $2"
    " ORDER BY enrich_at, row_id LIMIT $3";

static const char lease_sql[] =
    "UPDATE datasets SET enrichment_status = 'enriching', lease_owner = $1, lease_until = $2"
    " WHERE row_id = $3";

static const char find_leased_sql[] =
    "SELECT " DATASET_COLUMNS " FROM datasets"
    " WHERE row_id = $1 AND lease_owner = $2 AND enrichment_status = 'enriching'";

static const char succeed_sql[] =
    "UPDATE datasets SET enrichment_status = 'enriched', lease_owner = NULL, lease_until = NULL,"
    " next_attempt_at = NULL, last_enrichment_error = NULL, last_enriched_at = $1, updated_at = $1"
    " WHERE row_id = $2";

static const char fail_sql[] =
    "UPDATE datasets SET enrichment_status = $1, lease_owner = NULL, lease_until = NULL,"
    " next_attempt_at = $2, last_enrichment_error = $3,"
    " enrichment_attempts = enrichment_attempts + 1, updated_at = $4 WHERE row_id = $5";

/* A claim for an embedding has left the status alone. */
static const char release_sql[] =
    "UPDATE datasets SET lease_owner = NULL, lease_until = NULL, enrichment_status ="
    " CASE WHEN enrichment_status <> 'enriching' THEN enrichment_status"
    " WHEN enrichment_attempts > 0 THEN 'pending' ELSE 'minimal' END"
    " WHERE lease_owner = $1";

static int
find_due(struct sqlite_repo *repo, struct str source_name, int64_t limit, int64_t now_us,
         struct dataset_ids *ids, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(repo->database, find_due_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, source_name);
    statement_bind_i64(statement, 2, now_us);
    statement_bind_i64(statement, 3, limit);
    return dataset_ids_collect(ids, statement, err);
}

static int
lease_rows(struct sqlite_repo *repo, const struct dataset_ids *ids, const struct lease *lease,
           struct error *err)
{
    struct statement *statement;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ids->n_items; i++) {
        rc = database_prepare(repo->database, lease_sql, &statement, err);
        if (rc < 0)
            return rc;
        statement_bind_str(statement, 1, lease->owner);
        statement_bind_i64(statement, 2, lease->until_us);
        statement_bind_i64(statement, 3, ids->items[i]);
        rc = statement_run(statement, NULL, err);
    }
    return rc;
}

int
sqlite_claim_unenriched(struct dataset_repo *self, struct str source_name, int64_t limit,
                        const struct lease *lease, int64_t now_us, struct arena *arena,
                        struct dataset_list *out, struct error *err)
{
    CLEANUP(dataset_ids_fini) struct dataset_ids ids = {0};
    struct sqlite_repo *repo = sqlite_repo_of(self);
    struct dataset_list rows = {0};
    struct scope scope;
    int rc;

    if (limit < 0 || lease->owner.len == 0)
        return error_set(err, ERR_INVALID, "a claim needs an owner and a limit of 0 or more");
    rc = scope_begin(&scope, repo->database, err);
    if (rc < 0)
        return rc;
    rc = find_due(repo, source_name, limit, now_us, &ids, err);
    if (rc == 0)
        rc = lease_rows(repo, &ids, lease, err);
    if (rc == 0)
        rc = sqlite_find_rows(self, ids.items, ids.n_items, arena, &rows, err);
    rc = scope_end(&scope, rc, err);
    if (rc == 0)
        *out = rows;
    return rc;
}

static int
find_leased(struct sqlite_repo *repo, int64_t row_id, struct str owner, struct dataset_record *out,
            struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(repo->database, find_leased_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    statement_bind_str(statement, 2, owner);
    rc = statement_step(statement, err);
    if (rc == 1)
        rc = dataset_record_read(statement, &repo->scratch, out, err);
    else if (rc == 0)
        rc = error_set(err, ERR_NOT_FOUND, "dataset %lld is not leased to '%.*s'",
                       (long long)row_id, STR_ARG(str_slice(owner, 0, 80)));
    statement_reset(statement);
    return rc;
}

/* What was fetched must be this row's dataset: a name may have passed to another one. */
static int
merge_fetched(struct sqlite_repo *repo, struct dataset_record *record, const struct dataset *row,
              int64_t now_us, struct error *err)
{
    const struct dataset *stored = &record->dataset;
    unsigned changes;
    int rc = dataset_check_row(row, err);

    if (rc < 0)
        return rc;
    if (row->source_key.len && !str_equal(row->source_key, stored->source_key))
        return error_set(err, ERR_INVALID,
                         "dataset %lld has the source's key '%.*s', what was fetched '%.*s'",
                         (long long)stored->row_id, STR_ARG(str_slice(stored->source_key, 0, 80)),
                         STR_ARG(str_slice(row->source_key, 0, 80)));
    rc = dataset_merge(record, row, &repo->scratch, &changes, err);
    if (rc == 0 && stored->external_id.len == 0)
        rc = error_set(err, ERR_INVALID, "dataset %lld cannot lose its external_id",
                       (long long)stored->row_id);
    return rc == 0 && changes ? dataset_record_update(repo, record, changes, now_us, err) : rc;
}

static int
succeed(struct sqlite_repo *repo, int64_t row_id, int64_t now_us, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(repo->database, succeed_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, now_us);
    statement_bind_i64(statement, 2, row_id);
    return statement_run(statement, NULL, err);
}

static int
fail(struct sqlite_repo *repo, int64_t row_id, enum dataset_status status,
     int64_t next_attempt_at_us, struct str message, int64_t now_us, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(repo->database, fail_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, str_from_cstr(dataset_status_name(status)));
    statement_bind_i64(statement, 2, next_attempt_at_us);
    statement_bind_str(statement, 3, message);
    statement_bind_i64(statement, 4, now_us);
    statement_bind_i64(statement, 5, row_id);
    return statement_run(statement, NULL, err);
}

int
sqlite_finish_enrichment(struct dataset_repo *self, int64_t row_id, struct str owner,
                         enum enrichment_result result, const struct dataset *row,
                         int64_t next_attempt_at_us, struct str message, int64_t now_us,
                         struct error *err)
{
    struct sqlite_repo *repo = sqlite_repo_of(self);
    struct dataset_record record;
    struct scope scope;
    int rc = scope_begin(&scope, repo->database, err);

    if (rc < 0)
        return rc;
    arena_reset(&repo->scratch);
    rc = find_leased(repo, row_id, owner, &record, err);
    if (rc == 0 && result == ENRICHMENT_SUCCESS && row)
        rc = merge_fetched(repo, &record, row, now_us, err);
    if (rc == 0) {
        switch (result) {
        case ENRICHMENT_SUCCESS:
            rc = succeed(repo, row_id, now_us, err);
            break;
        case ENRICHMENT_RETRY:
            rc = fail(repo, row_id, DATASET_PENDING, next_attempt_at_us, message, now_us, err);
            break;
        case ENRICHMENT_GIVE_UP:
            rc = fail(repo, row_id, DATASET_FAILED, DATASET_UNKNOWN, message, now_us, err);
            break;
        }
    }
    return scope_end(&scope, rc, err);
}

int
sqlite_release(struct dataset_repo *self, struct str owner, int64_t now_us, int64_t *n_released,
               struct error *err)
{
    struct sqlite_repo *repo = sqlite_repo_of(self);
    struct statement *statement;
    struct scope scope;
    int64_t n = 0;
    int rc = scope_begin(&scope, repo->database, err);

    (void)now_us; /* the row is as it was: no time of it changes */
    if (rc < 0)
        return rc;
    rc = database_prepare(repo->database, release_sql, &statement, err);
    if (rc == 0) {
        statement_bind_str(statement, 1, owner);
        rc = statement_run(statement, &n, err);
    }
    rc = scope_end(&scope, rc, err);
    if (rc == 0 && n_released)
        *n_released = n;
    return rc;
}
