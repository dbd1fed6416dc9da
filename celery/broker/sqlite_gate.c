/* A gate and its line.
 *
 * A rate is the generic cell rate algorithm: one instant per gate, the theoretical arrival time of
 * the next message; n - 1 intervals before it, one may pass.  Who may not, goes to the gate's line,
 * and the line is served when its time comes, by whichever consumer is awake: so a message is moved
 * once into the line and once out of it, whatever the backlog is.
 * Source: ITU-T I.371, annex A (GCRA). */

#include "celery/broker/sqlite_limits.h"

#define POP_LIMIT  ((size_t)256)     /* from one line in one transaction */
#define GATE_LIMIT ((size_t)64)      /* lines in one transaction */
#define LATE_US    (250 * US_PER_MS) /* so late a line may be served without losing its rate */
#define LAPSE_US   (60 * US_PER_S)   /* a place is kept for a message that nobody takes */
#define IDLE_LIMIT 4                 /* old gates forgotten for each new one */

int
sqlite_gate_read(struct sqlite_broker *self, const struct broker_gate *gate, struct gate_state *out,
                 struct error *err)
{
    static const char sql[] = "SELECT arrival_at, next_at FROM limit_gates WHERE gate_key = $1";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    *out = (struct gate_state){
        .gate = *gate, .arrival_us = 0, .next_us = TIME_UNKNOWN, .is_known = false};
    statement_bind_str(statement, 1, gate->key);
    rc = statement_step(statement, err);
    if (rc == 1) {
        out->is_known = true;
        out->arrival_us = statement_i64(statement, 0);
        out->next_us = statement_i64(statement, 1);
    }
    statement_reset(statement);
    return rc < 0 ? rc : 0;
}

static int
forget_idle(struct sqlite_broker *self, int64_t now_us, struct error *err)
{
    static const char sql[] =
        "DELETE FROM limit_gates WHERE gate_key IN (SELECT gate_key FROM limit_gates"
        " WHERE next_at IS NULL AND arrival_at < $1 ORDER BY arrival_at LIMIT $2)";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, now_us);
    statement_bind_i64(statement, 2, IDLE_LIMIT);
    return statement_run(statement, NULL, err);
}

static int
write_gate(struct sqlite_broker *self, const struct gate_state *state, struct error *err)
{
    static const char sql[] =
        "INSERT INTO limit_gates (gate_key, interval_us, n, arrival_at, next_at)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (gate_key) DO UPDATE SET"
        " interval_us = excluded.interval_us, n = excluded.n, arrival_at = excluded.arrival_at,"
        " next_at = excluded.next_at";
    struct statement *statement;
    int rc = 0;

    if (!state->is_known)
        rc = forget_idle(self, clock_now_us(self->options.clock), err);
    if (rc == 0)
        rc = database_prepare(self->database, sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, state->gate.key);
    statement_bind_i64(statement, 2, state->gate.interval_us);
    statement_bind_i64(statement, 3, state->gate.n);
    statement_bind_i64(statement, 4, state->arrival_us);
    statement_bind_i64(statement, 5, state->next_us); /* TIME_UNKNOWN is NULL */
    return statement_run(statement, NULL, err);
}

/* When a rate lets the next one pass. */
static int64_t
opens_at(const struct gate_state *state)
{
    int64_t span_us;
    int64_t at_us;

    if (__builtin_mul_overflow(state->gate.interval_us, state->gate.n - 1, &span_us) ||
        __builtin_sub_overflow(state->arrival_us, span_us, &at_us))
        return INT64_MIN;
    return at_us;
}

static int
count_places(struct sqlite_broker *self, struct str key, int64_t *out, struct error *err)
{
    static const char sql[] = "SELECT count(*) FROM limit_grants WHERE gate_key = $1 AND is_place"
                              " AND (lapses_at IS NULL OR lapses_at > $2)";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, key);
    statement_bind_i64(statement, 2, clock_now_us(self->options.clock));
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    *out = statement_i64(statement, 0);
    statement_reset(statement);
    return 0;
}

int
sqlite_gate_pass(struct sqlite_broker *self, struct gate_state *state, bool *may_pass,
                 struct error *err)
{
    int64_t now_us = clock_now_us(self->options.clock);
    int64_t n_taken = 0;
    int rc;

    *may_pass = false;
    if (state->next_us != TIME_UNKNOWN)
        return 0; /* behind those in line */
    if (state->gate.interval_us == 0) {
        rc = count_places(self, state->gate.key, &n_taken, err);
        *may_pass = rc == 0 && n_taken < state->gate.n;
        return rc;
    }
    if (opens_at(state) > now_us)
        return 0;
    *may_pass = true;
    if (state->arrival_us < now_us)
        state->arrival_us = now_us;
    state->arrival_us += state->gate.interval_us;
    return write_gate(self, state, err);
}

int
sqlite_gate_grant(struct sqlite_broker *self, const struct broker_gate *gate, int64_t message_id,
                  enum grant_use use, struct error *err)
{
    static const char sql[] = "INSERT INTO limit_grants (message_id, gate_key, is_place, lapses_at)"
                              " VALUES ($1, $2, $3, $4) ON CONFLICT (message_id, gate_key)"
                              " DO UPDATE SET lapses_at = excluded.lapses_at";
    bool is_place = gate->interval_us == 0;
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, message_id);
    statement_bind_str(statement, 2, gate->key);
    statement_bind_i64(statement, 3, is_place);
    statement_bind_i64(statement, 4,
                       is_place && use == GRANT_WAITS ? clock_now_us(self->options.clock) + LAPSE_US
                                                      : TIME_UNKNOWN);
    return statement_run(statement, NULL, err);
}

int
sqlite_gate_queue(struct sqlite_broker *self, struct gate_state *state,
                  const struct message_place *place, struct error *err)
{
    static const char sql[] = "INSERT INTO limit_line (gate_key, priority, message_id, queue_id,"
                              " attempt, n_crashes) VALUES ($1, $2, $3, $4, $5, $6)";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, state->gate.key);
    statement_bind_i64(statement, 2, place->priority);
    statement_bind_i64(statement, 3, place->message_id);
    statement_bind_i64(statement, 4, place->queue_id);
    statement_bind_i64(statement, 5, place->attempt);
    statement_bind_i64(statement, 6, place->n_crashes);
    rc = statement_run(statement, NULL, err);
    if (rc < 0)
        return rc;
    if (state->gate.interval_us > 0)
        state->next_us = opens_at(state);
    else if (state->next_us == TIME_UNKNOWN)
        state->next_us = clock_now_us(self->options.clock) + LAPSE_US;
    self->has_news = true; /* others learn when to look */
    return write_gate(self, state, err);
}

/* The first ones of a line, at most limit. */
static int
read_line(struct sqlite_broker *self, struct str key, size_t limit, struct message_place *out,
          size_t *n_out, struct error *err)
{
    static const char sql[] =
        "SELECT priority, message_id, queue_id, attempt, n_crashes FROM limit_line"
        " WHERE gate_key = $1 ORDER BY priority, message_id LIMIT $2";
    struct statement *statement;
    size_t n = 0;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, key);
    statement_bind_i64(statement, 2, (int64_t)limit);
    while (n < limit && (rc = statement_step(statement, err)) == 1)
        out[n++] = (struct message_place){
            .priority = (int)statement_i64(statement, 0),
            .message_id = statement_i64(statement, 1),
            .queue_id = statement_i64(statement, 2),
            .attempt = statement_i64(statement, 3),
            .n_crashes = statement_i64(statement, 4),
        };
    statement_reset(statement);
    *n_out = n;
    return rc < 0 ? rc : 0;
}

static int
leave_line(struct sqlite_broker *self, const struct broker_gate *gate,
           const struct message_place *place, struct error *err)
{
    static const char sql[] =
        "DELETE FROM limit_line WHERE gate_key = $1 AND priority = $2 AND message_id = $3";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, gate->key);
    statement_bind_i64(statement, 2, place->priority);
    statement_bind_i64(statement, 3, place->message_id);
    rc = statement_run(statement, NULL, err);
    if (rc == 0)
        rc = sqlite_gate_grant(self, gate, place->message_id, GRANT_WAITS, err);
    return rc < 0 ? rc : sqlite_message_insert_ready(self, place, err);
}

/* How many of a line may pass now; a rate's state is moved on for them. */
static size_t
take_turns(struct gate_state *state, int64_t now_us, size_t n_most)
{
    size_t n = 0;

    if (state->arrival_us < now_us - LATE_US)
        state->arrival_us = now_us - LATE_US;
    while (n < n_most && opens_at(state) <= now_us) {
        state->arrival_us += state->gate.interval_us;
        n++;
    }
    return n;
}

static int
serve_line(struct sqlite_broker *self, struct gate_state *state, struct error *err)
{
    struct message_place places[POP_LIMIT];
    int64_t now_us = clock_now_us(self->options.clock);
    int64_t n_taken = 0;
    size_t n_there = 0;
    size_t n;
    int rc = read_line(self, state->gate.key, POP_LIMIT, places, &n_there, err);

    if (rc == 0 && state->gate.interval_us == 0)
        rc = count_places(self, state->gate.key, &n_taken, err);
    if (rc < 0)
        return rc;
    if (state->gate.interval_us > 0) {
        n = take_turns(state, now_us, n_there);
    } else {
        n = n_taken < state->gate.n ? (size_t)(state->gate.n - n_taken) : 0;
        n = n < n_there ? n : n_there;
    }
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = leave_line(self, &state->gate, &places[i], err);
    if (n == n_there && n_there < POP_LIMIT)
        state->next_us = TIME_UNKNOWN;
    else if (state->gate.interval_us > 0)
        state->next_us = opens_at(state);
    else
        state->next_us = n == POP_LIMIT ? now_us : now_us + LAPSE_US;
    return rc < 0 ? rc : write_gate(self, state, err);
}

/* The gates that a statement finds: key, interval, n, arrival, next. */
static int
serve_found(struct sqlite_broker *self, struct statement *statement, struct error *err)
{
    struct gate_state *states = arena_calloc(&self->round, GATE_LIMIT, sizeof(*states));
    bool is_copied = states != NULL;
    size_t n = 0;
    int rc = 0;

    while (is_copied && n < GATE_LIMIT && (rc = statement_step(statement, err)) == 1)
        states[n++] = (struct gate_state){
            .gate = {.key = arena_dup(&self->round, statement_str(statement, 0), &is_copied),
                     .interval_us = statement_i64(statement, 1),
                     .n = statement_i64(statement, 2)},
            .arrival_us = statement_i64(statement, 3),
            .next_us = statement_i64(statement, 4),
            .is_known = true,
        };
    statement_reset(statement);
    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for the lines of limits");
    for (size_t i = 0; rc >= 0 && i < n; i++)
        rc = serve_line(self, &states[i], err);
    self->has_limits |= n > 0;
    return rc < 0 ? rc : 0;
}

int
sqlite_gate_serve_due(struct sqlite_broker *self, struct error *err)
{
    static const char sql[] = "SELECT gate_key, interval_us, n, arrival_at, next_at"
                              " FROM limit_gates WHERE next_at <= $1 ORDER BY next_at LIMIT $2";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, clock_now_us(self->options.clock));
    statement_bind_i64(statement, 2, (int64_t)GATE_LIMIT);
    return serve_found(self, statement, err);
}

int
sqlite_gate_serve(struct sqlite_broker *self, struct str key, struct error *err)
{
    static const char sql[] = "SELECT gate_key, interval_us, n, arrival_at, next_at"
                              " FROM limit_gates WHERE gate_key = $1 AND next_at IS NOT NULL";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, key);
    return serve_found(self, statement, err);
}
