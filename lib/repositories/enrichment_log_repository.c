/* Table dataset_enrichment_logs. */

#include "lib/repositories/enrichment_log_repository.h"

#include "lib/repositories/row_list.h"

#define LIST_MAX ((size_t)10000)

static const char *const stage_names[] = {
    [STAGE_API_METADATA] = "api_metadata",
    [STAGE_EMBEDDING] = "embedding",
    [STAGE_STATIC_SCORE] = "static_score",
    [STAGE_LINK] = "link_validation",
};

static const char *const outcome_names[] = {
    [OUTCOME_SUCCESS] = "success",
    [OUTCOME_FAILED] = "failed",
    [OUTCOME_RATE_LIMITED] = "rate_limited",
    [OUTCOME_SKIPPED] = "skipped",
};

static const char append_sql[] =
    "INSERT INTO dataset_enrichment_logs (dataset_row_id, at, stage, result, attempt, duration_ms,"
    " error_type, error_message, worker_id, task_id)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

static const char find_sql[] =
    "SELECT dataset_row_id, at, stage, result, attempt, duration_ms, error_type, error_message,"
    " worker_id, task_id FROM dataset_enrichment_logs WHERE dataset_row_id = $1"
    " ORDER BY log_id DESC LIMIT $2";

static const char prune_sql[] =
    "DELETE FROM dataset_enrichment_logs WHERE log_id IN"
    " (SELECT log_id FROM dataset_enrichment_logs WHERE at < $1 ORDER BY at LIMIT $2)";

const char *
enrichment_stage_name(enum enrichment_stage stage)
{
    return (size_t)stage < COUNT_OF(stage_names) ? stage_names[stage] : "unknown";
}

const char *
enrichment_outcome_name(enum enrichment_outcome outcome)
{
    return (size_t)outcome < COUNT_OF(outcome_names) ? outcome_names[outcome] : "unknown";
}

int
enrichment_log_repo_append(struct database *database, const struct enrichment_log *entry,
                           struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, append_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, entry->row_id);
    statement_bind_i64(statement, 2, entry->at_us);
    statement_bind_str(statement, 3, str_from_cstr(enrichment_stage_name(entry->stage)));
    statement_bind_str(statement, 4, str_from_cstr(enrichment_outcome_name(entry->outcome)));
    statement_bind_i64(statement, 5, entry->attempt);
    statement_bind_i64(statement, 6, entry->duration_ms);
    statement_bind_str(statement, 7, entry->error_type);
    statement_bind_str(statement, 8, entry->error_message);
    statement_bind_str(statement, 9, entry->worker_id);
    statement_bind_str(statement, 10, entry->task_id);
    return statement_run(statement, NULL, err);
}

/* The position of text in names. */
static int
find_name(const char *const *names, size_t n_names, struct str text, size_t *out, struct error *err)
{
    for (size_t i = 0; i < n_names; i++) {
        if (str_equal(text, str_from_cstr(names[i]))) {
            *out = i;
            return 0;
        }
    }
    return error_set(err, ERR_INVALID, "an enrichment log holds the unknown word '%.*s'",
                     STR_ARG(str_slice(text, 0, 40)));
}

static int
read_entry(const struct statement *statement, struct arena *arena, void *item, struct error *err)
{
    struct enrichment_log *out = item;
    bool ok = true;
    size_t stage = 0;
    size_t outcome = 0;
    int rc =
        find_name(stage_names, COUNT_OF(stage_names), statement_str(statement, 2), &stage, err);

    if (rc == 0)
        rc = find_name(outcome_names, COUNT_OF(outcome_names), statement_str(statement, 3),
                       &outcome, err);
    if (rc < 0)
        return rc;
    *out = (struct enrichment_log){
        .row_id = statement_i64(statement, 0),
        .at_us = statement_i64(statement, 1),
        .stage = (enum enrichment_stage)stage,
        .outcome = (enum enrichment_outcome)outcome,
        .attempt = statement_i64(statement, 4),
        .duration_ms = statement_i64(statement, 5),
        .error_type = arena_dup(arena, statement_str(statement, 6), &ok),
        .error_message = arena_dup(arena, statement_str(statement, 7), &ok),
        .worker_id = arena_dup(arena, statement_str(statement, 8), &ok),
        .task_id = arena_dup(arena, statement_str(statement, 9), &ok),
    };
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for an enrichment log");
}

int
enrichment_log_repo_find(struct database *database, int64_t row_id, size_t limit,
                         struct arena *arena, const struct enrichment_log **out, size_t *out_n,
                         struct error *err)
{
    const struct row_list_spec spec = {read_entry, sizeof(struct enrichment_log),
                                       limit < LIST_MAX ? limit : LIST_MAX, "log entries"};
    struct statement *statement;
    void *items;
    int rc = database_prepare(database, find_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    statement_bind_i64(statement, 2, (int64_t)spec.n_room);
    rc = row_list_collect(statement, &spec, arena, &items, out_n, err);
    if (rc == 0)
        *out = items;
    return rc;
}

int
enrichment_log_repo_prune(struct database *database, int64_t before_us, int64_t limit,
                          int64_t *n_removed, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, prune_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, before_us);
    statement_bind_i64(statement, 2, limit > 0 ? limit : 0);
    return statement_run(statement, n_removed, err);
}
