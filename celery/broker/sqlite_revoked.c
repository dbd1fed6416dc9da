/* Which ids are revoked. */

#include "celery/broker/sqlite_internal.h"

int
sqlite_admin_list_revoked(struct broker *broker, struct str prefix, size_t limit,
                          struct arena *arena, struct str_list *out, struct error *err)
{
    static const char sql[] =
        "SELECT task_id FROM revoked WHERE task_id >= $1 AND task_id < $1 || char(1114111)"
        " AND revoked_until > $2 ORDER BY task_id LIMIT $3";
    struct sqlite_broker *self = sqlite_broker_from(broker);
    struct str *items = arena_calloc(arena, limit ? limit : 1, sizeof(*items));
    struct statement *statement;
    bool is_copied = true;
    size_t n = 0;
    int rc;

    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for %zu ids", limit);
    rc = database_prepare(self->database, sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, prefix);
    statement_bind_i64(statement, 2, clock_now_us(self->options.clock));
    statement_bind_i64(statement, 3, (int64_t)limit);
    while (n < limit && (rc = statement_step(statement, err)) == 1)
        items[n++] = arena_dup(arena, statement_str(statement, 0), &is_copied);
    statement_reset(statement);
    if (rc < 0)
        return rc;
    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for revoked ids");
    *out = (struct str_list){items, n};
    return 0;
}
