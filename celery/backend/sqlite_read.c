/* Reading records by their ids. */

#include "celery/backend/sqlite_internal.h"

const char sqlite_get_sql[] = "SELECT " RECORD_COLUMNS " FROM results WHERE task_id = $1";

int
sqlite_read_record(const struct statement *row, struct arena *arena, struct backend_record *out,
                   struct error *err)
{
    bool ok = true;
    int64_t expires_us = statement_i64(row, 4);
    struct backend_record record = {
        .task_id = arena_dup(arena, statement_str(row, 1), &ok),
        .status = arena_dup(arena, statement_str(row, 2), &ok),
        .run = statement_i64(row, 3),
        .document = arena_dup(arena, statement_str(row, 5), &ok),
        .expires_us = expires_us == DATABASE_NULL ? TIME_UNKNOWN : expires_us,
    };

    if (!ok)
        return error_set(err, ERR_NOMEM, "no room for the result of task '%.*s', of %zu bytes",
                         STR_ARG(statement_str(row, 1)), statement_str(row, 5).len);
    *out = record;
    return 0;
}

bool
sqlite_read_is_expired(const struct sqlite_backend *self, const struct statement *row)
{
    int64_t expires_us = statement_i64(row, 4);

    return expires_us != DATABASE_NULL && expires_us <= clock_now_us(self->options.clock);
}

int
sqlite_read_find(struct sqlite_backend *self, struct str id, struct statement **row,
                 struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(self->database, sqlite_get_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, id);
    rc = statement_step(statement, err);
    if (rc == 1 && sqlite_read_is_expired(self, statement)) {
        statement_reset(statement);
        rc = 0;
    }
    if (rc == 1)
        *row = statement;
    return rc;
}

int
sqlite_read_get(struct backend *backend, const struct str *ids, size_t n_ids, struct arena *arena,
                struct backend_record_list *out, struct error *err)
{
    struct sqlite_backend *self = sqlite_backend_from(backend);
    struct backend_record *items = arena_calloc(arena, n_ids, sizeof(*items));
    size_t n_items = 0;

    if (!items)
        return error_set(err, ERR_NOMEM, "no room for the results of %zu tasks", n_ids);
    for (size_t i = 0; i < n_ids; i++) {
        struct statement *row = NULL;
        int rc = sqlite_read_find(self, ids[i], &row, err);

        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        rc = sqlite_read_record(row, arena, &items[n_items], err);
        statement_reset(row);
        if (rc < 0)
            return rc;
        n_items++;
    }
    *out = (struct backend_record_list){items, n_items};
    return 0;
}
