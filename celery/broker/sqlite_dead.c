/* The dead set: messages that nobody can run, with the reason and their raw bytes, until somebody
 * looks at them.  A dead message keeps its queue's name, not its number. */

#include "base/utf8.h"
#include "celery/broker/check.h"
#include "celery/broker/sqlite_internal.h"

#define MAX_LIST ((size_t)10000)

/* From messages; the caller deletes it there. */
int
sqlite_dead_insert(struct sqlite_broker *self, const struct message_place *place, struct str reason,
                   struct error *err)
{
    static const char sql[] =
        "INSERT INTO dead (queue, task_id, priority, attempt, n_crashes, died_at, reason, body)"
        " SELECT q.name, m.task_id, $1, $2, $3, $4, $5, m.body FROM messages AS m, queues AS q"
        " WHERE m.message_id = $6 AND q.queue_id = $7";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    reason = utf8_cut(reason, BROKER_MAX_REASON_BYTES);
    statement_bind_i64(statement, 1, place->priority);
    statement_bind_i64(statement, 2, place->attempt);
    statement_bind_i64(statement, 3, place->n_crashes);
    statement_bind_i64(statement, 4, clock_now_us(self->options.clock));
    statement_bind_str(statement, 5, reason.ptr ? reason : STR(""));
    statement_bind_i64(statement, 6, place->message_id);
    statement_bind_i64(statement, 7, place->queue_id);
    return statement_run(statement, NULL, err);
}

struct burial {
    const struct broker_message *message;
    struct str reason;
};

static int
insert_foreign(struct sqlite_broker *self, void *context, struct error *err)
{
    static const char sql[] = "INSERT INTO dead (queue, task_id, priority, attempt, n_crashes,"
                              " died_at, reason, body) VALUES ($1, $2, $3, 0, 0, $4, $5, $6)";
    const struct burial *burial = context;
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, burial->message->queue);
    statement_bind_str(statement, 2, burial->message->id.ptr ? burial->message->id : STR(""));
    statement_bind_i64(statement, 3, burial->message->priority);
    statement_bind_i64(statement, 4, clock_now_us(self->options.clock));
    statement_bind_str(statement, 5, burial->reason.ptr ? burial->reason : STR(""));
    statement_bind_blob(statement, 6,
                        burial->message->bytes.ptr ? burial->message->bytes : STR(""));
    return statement_run(statement, NULL, err);
}

int
sqlite_dead_bury(struct broker *broker, const struct broker_message *message, struct str reason,
                 struct error *err)
{
    struct sqlite_broker *self = sqlite_broker_from(broker);
    struct burial burial = {message, utf8_cut(reason, BROKER_MAX_REASON_BYTES)};
    int rc = check_queue(message->queue, err);

    if (rc == 0)
        rc = sqlite_command(self, insert_foreign, &burial, err);
    if (rc == 0)
        self->stats.n_buried++;
    return rc;
}

/* Columns as both queries below select them. */
static void
read_row(const struct statement *row, struct arena *arena, struct broker_dead *out, bool *is_copied)
{
    *out = (struct broker_dead){
        .dead_id = statement_i64(row, 0),
        .queue = arena_dup(arena, statement_str(row, 1), is_copied),
        .id = arena_dup(arena, statement_str(row, 2), is_copied),
        .priority = (int)statement_i64(row, 3),
        .attempt = (uint32_t)statement_i64(row, 4),
        .n_crashes = (uint32_t)statement_i64(row, 5),
        .died_us = statement_i64(row, 6),
        .reason = arena_dup(arena, statement_str(row, 7), is_copied),
        .n_bytes = (size_t)statement_i64(row, 8),
    };
}

int
sqlite_dead_list(struct broker *broker, struct str queue, int64_t after_id, size_t limit,
                 struct arena *arena, struct broker_dead_list *out, struct error *err)
{
    static const char sql[] = "SELECT dead_id, queue, task_id, priority, attempt, n_crashes,"
                              " died_at, reason, length(body) FROM dead"
                              " WHERE dead_id > $1 AND ($2 IS NULL OR queue = $2)"
                              " ORDER BY dead_id LIMIT $3";
    struct sqlite_broker *self = sqlite_broker_from(broker);
    struct statement *statement;
    struct broker_dead *items;
    bool is_copied = true;
    size_t n = 0;
    int rc;

    if (limit > MAX_LIST)
        limit = MAX_LIST;
    items = arena_calloc(arena, limit, sizeof(*items));
    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for %zu dead messages", limit);
    rc = database_prepare(self->database, sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, after_id);
    statement_bind_str(statement, 2, queue);
    statement_bind_i64(statement, 3, (int64_t)limit);
    while (n < limit && (rc = statement_step(statement, err)) == 1)
        read_row(statement, arena, &items[n++], &is_copied);
    statement_reset(statement);
    if (rc < 0)
        return rc;
    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for %zu dead messages", n);
    *out = (struct broker_dead_list){items, n};
    return 0;
}

static int
not_found(int64_t dead_id, struct error *err)
{
    return error_set(err, ERR_NOT_FOUND, "there is no dead message %lld", (long long)dead_id);
}

int
sqlite_dead_get(struct broker *broker, int64_t dead_id, struct arena *arena,
                struct broker_dead *out, struct error *err)
{
    static const char sql[] = "SELECT dead_id, queue, task_id, priority, attempt, n_crashes,"
                              " died_at, reason, length(body), body FROM dead WHERE dead_id = $1";
    struct sqlite_broker *self = sqlite_broker_from(broker);
    struct broker_dead dead;
    struct statement *statement;
    bool is_copied = true;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, dead_id);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return not_found(dead_id, err);
    read_row(statement, arena, &dead, &is_copied);
    dead.bytes = arena_dup(arena, statement_blob(statement, 9), &is_copied);
    statement_reset(statement);
    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for dead message %lld", (long long)dead_id);
    *out = dead;
    return 0;
}

static int
delete_row(struct sqlite_broker *self, void *context, struct error *err)
{
    static const char sql[] = "DELETE FROM dead WHERE dead_id = $1";
    const int64_t *dead_id = context;
    struct statement *statement;
    int64_t n_changed = 0;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, *dead_id);
    rc = statement_run(statement, &n_changed, err);
    if (rc < 0)
        return rc;
    return n_changed > 0 ? 0 : not_found(*dead_id, err);
}

/* The body's copy, and the queue and priority that it belongs to. */
static int
revive_body(struct sqlite_broker *self, int64_t dead_id, struct message_place *place,
            struct error *err)
{
    static const char sql[] = "INSERT INTO messages (task_id, body) SELECT task_id, body FROM dead"
                              " WHERE dead_id = $1 RETURNING message_id";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, dead_id);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return not_found(dead_id, err);
    place->message_id = statement_i64(statement, 0);
    statement_reset(statement);
    return 0;
}

static int
revive_place(struct sqlite_broker *self, int64_t dead_id, struct message_place *place,
             struct error *err)
{
    static const char sql[] = "SELECT queue, priority FROM dead WHERE dead_id = $1";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, dead_id);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return not_found(dead_id, err);
    place->priority = (int)statement_i64(statement, 1);
    rc = sqlite_queue_find(self, statement_str(statement, 0), QUEUE_MAKE, &place->queue_id, err);
    statement_reset(statement);
    return rc < 0 ? rc : sqlite_message_insert_ready(self, place, err);
}

static int
revive(struct sqlite_broker *self, void *context, struct error *err)
{
    const int64_t *dead_id = context;
    struct message_place place = {0};
    int rc = revive_body(self, *dead_id, &place, err);

    if (rc == 0)
        rc = revive_place(self, *dead_id, &place, err);
    return rc < 0 ? rc : delete_row(self, context, err);
}

int
sqlite_dead_requeue(struct broker *broker, int64_t dead_id, struct error *err)
{
    return sqlite_command(sqlite_broker_from(broker), revive, &dead_id, err);
}

int
sqlite_dead_drop(struct broker *broker, int64_t dead_id, struct error *err)
{
    return sqlite_command(sqlite_broker_from(broker), delete_row, &dead_id, err);
}
