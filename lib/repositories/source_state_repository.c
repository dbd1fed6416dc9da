/* Table source_state. */

#include "lib/repositories/source_state_repository.h"

#include "lib/repositories/row_list.h"

#define STREAMS_MAX ((size_t)1000)

#define COLUMNS "source_name, stream, cursor, watermark, walk_started_at, etag, detail, updated_at"

static const char find_sql[] =
    "SELECT " COLUMNS " FROM source_state WHERE source_name = $1 AND stream = $2";

static const char save_sql[] = "INSERT OR REPLACE INTO source_state (" COLUMNS ")"
                               " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

static const char list_sql[] =
    "SELECT " COLUMNS " FROM source_state ORDER BY source_name, stream LIMIT $1";

static int
read_state(const struct statement *statement, struct arena *arena, void *item, struct error *err)
{
    struct source_state *out = item;
    bool ok = true;
    struct source_state state = {
        .source_name = arena_dup(arena, statement_str(statement, 0), &ok),
        .stream = arena_dup(arena, statement_str(statement, 1), &ok),
        .cursor = arena_dup(arena, statement_str(statement, 2), &ok),
        .watermark_us = statement_i64(statement, 3),
        .walk_started_at_us = statement_i64(statement, 4),
        .etag = arena_dup(arena, statement_str(statement, 5), &ok),
        .detail = arena_dup(arena, statement_str(statement, 6), &ok),
        .updated_at_us = statement_i64(statement, 7),
    };

    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for a source's state");
    *out = state;
    return 0;
}

int
source_state_repo_find(struct database *database, struct str source_name, struct str stream,
                       struct arena *arena, struct source_state *out, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, find_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, source_name);
    statement_bind_str(statement, 2, stream);
    rc = statement_step(statement, err);
    if (rc == 1)
        rc = read_state(statement, arena, out, err);
    else if (rc == 0)
        rc = error_set(err, ERR_NOT_FOUND, "source '%.*s' has no state of stream '%.*s'",
                       STR_ARG(str_slice(source_name, 0, 40)), STR_ARG(str_slice(stream, 0, 40)));
    statement_reset(statement);
    return rc;
}

int
source_state_repo_save(struct database *database, const struct source_state *state,
                       struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, save_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, state->source_name);
    statement_bind_str(statement, 2, state->stream);
    statement_bind_str(statement, 3, state->cursor);
    statement_bind_i64(statement, 4, state->watermark_us);
    statement_bind_i64(statement, 5, state->walk_started_at_us);
    statement_bind_str(statement, 6, state->etag);
    statement_bind_str(statement, 7, state->detail);
    statement_bind_i64(statement, 8, state->updated_at_us);
    return statement_run(statement, NULL, err);
}

int
source_state_repo_list(struct database *database, struct arena *arena,
                       const struct source_state **out, size_t *out_n, struct error *err)
{
    const struct row_list_spec spec = {read_state, sizeof(struct source_state), STREAMS_MAX,
                                       "states of sources"};
    struct statement *statement;
    void *items;
    int rc = database_prepare(database, list_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, (int64_t)STREAMS_MAX);
    rc = row_list_collect(statement, &spec, arena, &items, out_n, err);
    if (rc == 0)
        *out = items;
    return rc;
}
