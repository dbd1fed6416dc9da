/* Messages that wait for their eta stay in the file: whoever consumes moves the due ones to their
 * queues, for all queues, and knows the earliest of the others for its timer.  The lines of limits
 * have their times, too, and are served on the same occasion. */

#include "celery/broker/sqlite_limits.h"

#define PROMOTE_LIMIT ((size_t)512)

int
sqlite_schedule_read_next(struct sqlite_broker *self, struct error *err)
{
    static const char sql[] =
        "SELECT min(ready_at), (SELECT min(next_at) FROM limit_gates WHERE next_at IS NOT NULL)"
        " FROM scheduled";
    struct statement *statement;
    int64_t line_us;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc == 0)
        rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    self->next_eta_us = statement_i64(statement, 0); /* NULL is TIME_UNKNOWN */
    line_us = statement_i64(statement, 1);
    if (line_us != TIME_UNKNOWN &&
        (self->next_eta_us == TIME_UNKNOWN || line_us < self->next_eta_us))
        self->next_eta_us = line_us;
    statement_reset(statement);
    return 0;
}

_Static_assert(DATABASE_NULL == TIME_UNKNOWN, "no row is no time");

int
sqlite_schedule_insert(struct sqlite_broker *self, int64_t ready_at_us,
                       const struct message_place *place, struct error *err)
{
    static const char sql[] = "INSERT INTO scheduled (ready_at, message_id, queue_id, priority,"
                              " attempt, n_crashes) VALUES ($1, $2, $3, $4, $5, $6)";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, ready_at_us);
    statement_bind_i64(statement, 2, place->message_id);
    statement_bind_i64(statement, 3, place->queue_id);
    statement_bind_i64(statement, 4, place->priority);
    statement_bind_i64(statement, 5, place->attempt);
    statement_bind_i64(statement, 6, place->n_crashes);
    self->has_news = true;
    return statement_run(statement, NULL, err);
}

struct due {
    int64_t ready_at_us;
    struct message_place place;
};

static int
read_due(struct sqlite_broker *self, struct due *due, size_t *n_due, struct error *err)
{
    static const char sql[] =
        "SELECT ready_at, message_id, queue_id, priority, attempt, n_crashes FROM scheduled"
        " WHERE ready_at <= $1 ORDER BY ready_at, message_id LIMIT $2";
    struct statement *statement;
    size_t n = 0;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, clock_now_us(self->options.clock));
    statement_bind_i64(statement, 2, (int64_t)PROMOTE_LIMIT);
    while (n < PROMOTE_LIMIT && (rc = statement_step(statement, err)) == 1) {
        due[n].ready_at_us = statement_i64(statement, 0);
        due[n].place = (struct message_place){
            .message_id = statement_i64(statement, 1),
            .queue_id = statement_i64(statement, 2),
            .priority = (int)statement_i64(statement, 3),
            .attempt = statement_i64(statement, 4),
            .n_crashes = statement_i64(statement, 5),
        };
        n++;
    }
    statement_reset(statement);
    *n_due = n;
    return rc < 0 ? rc : 0;
}

static int
promote_one(struct sqlite_broker *self, const struct due *due, struct error *err)
{
    static const char sql[] = "DELETE FROM scheduled WHERE ready_at = $1 AND message_id = $2";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, due->ready_at_us);
    statement_bind_i64(statement, 2, due->place.message_id);
    rc = statement_run(statement, NULL, err);
    return rc < 0 ? rc : sqlite_message_insert_ready(self, &due->place, err);
}

/* At most PROMOTE_LIMIT in one transaction; the rest comes with the next, at once. */
int
sqlite_schedule_promote(struct sqlite_broker *self, struct error *err)
{
    struct due *due;
    size_t n_due = 0;
    int rc;

    if (self->next_eta_us == TIME_UNKNOWN || self->next_eta_us > clock_now_us(self->options.clock))
        return 0;
    due = arena_calloc(&self->round, PROMOTE_LIMIT, sizeof(*due));
    if (!due)
        return error_set(err, ERR_NOMEM, "no memory for due messages");
    rc = read_due(self, due, &n_due, err);
    for (size_t i = 0; rc == 0 && i < n_due; i++)
        rc = promote_one(self, &due[i], err);
    return rc < 0 ? rc : sqlite_gate_serve_due(self, err);
}
