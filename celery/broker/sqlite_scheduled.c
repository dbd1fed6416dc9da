/* What waits for its eta, to be looked at. */

#include "celery/broker/sqlite_internal.h"

static void
read_row(const struct statement *row, struct arena *arena, struct broker_scheduled *out,
         bool *is_copied)
{
    *out = (struct broker_scheduled){
        .eta_us = statement_i64(row, 0),
        .id = arena_dup(arena, statement_str(row, 1), is_copied),
        .priority = (int)statement_i64(row, 2),
        .bytes = arena_dup(arena, statement_blob(row, 3), is_copied),
    };
}

int
sqlite_list_scheduled(struct broker *broker, struct str queue, size_t limit, struct arena *arena,
                      struct broker_scheduled_list *out, struct error *err)
{
    static const char sql[] =
        "SELECT ready_at, task_id, priority, body FROM scheduled JOIN messages USING (message_id)"
        " WHERE queue_id = (SELECT queue_id FROM queues WHERE name = $1)"
        " ORDER BY ready_at, message_id LIMIT $2";
    struct sqlite_broker *self = sqlite_broker_from(broker);
    struct statement *statement;
    struct broker_scheduled *items;
    bool is_copied = true;
    size_t n_bytes = 0;
    size_t n = 0;
    int rc;

    if (limit > BROKER_MAX_LISTED)
        limit = BROKER_MAX_LISTED;
    items = arena_calloc(arena, limit, sizeof(*items));
    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for %zu messages", limit);
    rc = database_prepare(self->database, sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, queue);
    statement_bind_i64(statement, 2, (int64_t)limit);
    while (n < limit && (rc = statement_step(statement, err)) == 1) {
        n_bytes += statement_blob(statement, 3).len;
        if (n_bytes > BROKER_MAX_LISTED_BYTES && n > 0)
            break;
        read_row(statement, arena, &items[n++], &is_copied);
    }
    statement_reset(statement);
    if (rc < 0)
        return rc;
    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for %zu messages", n);
    *out = (struct broker_scheduled_list){items, n};
    return 0;
}
