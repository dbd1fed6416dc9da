/* Tables runs and run_rejects. */

#include "lib/repositories/run_repository.h"

#include "lib/repositories/row_list.h"

#define LIST_MAX ((size_t)10000)

#define COLUMNS                                                                                    \
    "run_id, task_id, task_name, arguments, state, result, error_type, error_message, worker_id,"  \
    " started_at, ended_at"

static const char start_sql[] =
    "INSERT INTO runs (task_id, task_name, arguments, state, worker_id, started_at)"
    " VALUES ($1, $2, $3, $4, $5, $6) RETURNING run_id";

static const char finish_sql[] =
    "UPDATE runs SET state = $1, result = $2, error_type = $3, error_message = $4, ended_at = $5"
    " WHERE run_id = $6";

static const char add_reject_sql[] =
    "INSERT INTO run_rejects (run_id, source, record, byte_offset, reason)"
    " VALUES ($1, $2, $3, $4, $5)";

static const char list_sql[] =
    "SELECT " COLUMNS " FROM runs WHERE $1 IS NULL ORDER BY run_id DESC LIMIT $2";

static const char list_task_sql[] =
    "SELECT " COLUMNS " FROM runs WHERE task_name = $1 ORDER BY run_id DESC LIMIT $2";

static const char list_rejects_sql[] =
    "SELECT source, record, byte_offset, reason FROM run_rejects WHERE run_id = $1"
    " ORDER BY reject_id LIMIT $2";

int
run_repo_start(struct database *database, const struct run *run, int64_t *out_run_id,
               struct error *err)
{
    struct statement *statement;
    int64_t run_id = 0;
    int rc = database_prepare(database, start_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, run->task_id);
    statement_bind_str(statement, 2, run->task_name);
    statement_bind_str(statement, 3, run->arguments);
    statement_bind_str(statement, 4, run->state);
    statement_bind_str(statement, 5, run->worker_id);
    statement_bind_i64(statement, 6, run->started_at_us);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    run_id = statement_i64(statement, 0);
    statement_reset(statement);
    *out_run_id = run_id;
    return 0;
}

int
run_repo_finish(struct database *database, const struct run *run, struct error *err)
{
    struct statement *statement;
    int64_t n_changed = 0;
    int rc = database_prepare(database, finish_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, run->state);
    statement_bind_str(statement, 2, run->result);
    statement_bind_str(statement, 3, run->error_type);
    statement_bind_str(statement, 4, run->error_message);
    statement_bind_i64(statement, 5, run->ended_at_us);
    statement_bind_i64(statement, 6, run->run_id);
    rc = statement_run(statement, &n_changed, err);
    if (rc == 0 && n_changed == 0)
        rc = error_set(err, ERR_NOT_FOUND, "there is no run %lld", (long long)run->run_id);
    return rc;
}

int
run_repo_add_reject(struct database *database, int64_t run_id, const struct run_reject *reject,
                    struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, add_reject_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, run_id);
    statement_bind_str(statement, 2, reject->source);
    statement_bind_i64(statement, 3, reject->record);
    statement_bind_i64(statement, 4, reject->byte_offset);
    statement_bind_str(statement, 5, reject->reason);
    return statement_run(statement, NULL, err);
}

static int
read_run(const struct statement *statement, struct arena *arena, void *item, struct error *err)
{
    struct run *out = item;
    bool ok = true;
    struct run run = {
        .run_id = statement_i64(statement, 0),
        .task_id = arena_dup(arena, statement_str(statement, 1), &ok),
        .task_name = arena_dup(arena, statement_str(statement, 2), &ok),
        .arguments = arena_dup(arena, statement_str(statement, 3), &ok),
        .state = arena_dup(arena, statement_str(statement, 4), &ok),
        .result = arena_dup(arena, statement_str(statement, 5), &ok),
        .error_type = arena_dup(arena, statement_str(statement, 6), &ok),
        .error_message = arena_dup(arena, statement_str(statement, 7), &ok),
        .worker_id = arena_dup(arena, statement_str(statement, 8), &ok),
        .started_at_us = statement_i64(statement, 9),
        .ended_at_us = statement_i64(statement, 10),
    };

    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for a run");
    *out = run;
    return 0;
}

int
run_repo_list(struct database *database, struct str task_name, size_t limit, struct arena *arena,
              const struct run **out, size_t *out_n, struct error *err)
{
    const struct row_list_spec spec = {read_run, sizeof(struct run),
                                       limit < LIST_MAX ? limit : LIST_MAX, "runs"};
    struct statement *statement;
    void *items;
    int rc = database_prepare(database, task_name.ptr ? list_task_sql : list_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, task_name);
    statement_bind_i64(statement, 2, (int64_t)spec.n_room);
    rc = row_list_collect(statement, &spec, arena, &items, out_n, err);
    if (rc == 0)
        *out = items;
    return rc;
}

static int
read_reject(const struct statement *statement, struct arena *arena, void *item, struct error *err)
{
    struct run_reject *out = item;
    bool ok = true;
    struct run_reject reject = {
        .source = arena_dup(arena, statement_str(statement, 0), &ok),
        .record = statement_i64(statement, 1),
        .byte_offset = statement_i64(statement, 2),
        .reason = arena_dup(arena, statement_str(statement, 3), &ok),
    };

    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for a rejected record");
    *out = reject;
    return 0;
}

int
run_repo_list_rejects(struct database *database, int64_t run_id, size_t limit, struct arena *arena,
                      const struct run_reject **out, size_t *out_n, struct error *err)
{
    const struct row_list_spec spec = {read_reject, sizeof(struct run_reject),
                                       limit < LIST_MAX ? limit : LIST_MAX, "rejected records"};
    struct statement *statement;
    void *items;
    int rc = database_prepare(database, list_rejects_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, run_id);
    statement_bind_i64(statement, 2, (int64_t)spec.n_room);
    rc = row_list_collect(statement, &spec, arena, &items, out_n, err);
    if (rc == 0)
        *out = items;
    return rc;
}
