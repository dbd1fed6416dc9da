/* Taking messages: the first of each queue, merged by priority and, among equals, in turn.
 *
 * Each step is a range of a primary key, so a claim costs the same whatever the backlog is. */

#include <stdio.h>

#include "celery/broker/sqlite_internal.h"

#define CLAIM_LIMIT       ((size_t)512)     /* messages in one round */
#define CLAIM_LIMIT_BYTES ((size_t)1 << 20) /* after which no further one is taken */

struct candidates {
    struct message_place *items; /* [n_items] in the order of delivery */
    size_t n_items;
    size_t n_taken;
};

/* Queues are made by whoever publishes first, so some may still be unknown. */
static int
find_queues(struct sqlite_broker *self, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < self->n_queues; i++)
        if (self->queues[i].queue_id == 0)
            rc = sqlite_queue_find(self, self->queues[i].name, QUEUE_LEAVE,
                                   &self->queues[i].queue_id, err);
    return rc;
}

/* May any queue of ours deliver?  Reads only. */
int
sqlite_claim_look(struct sqlite_broker *self, bool *out, struct error *err)
{
    static const char sql[] = "SELECT 1 FROM ready WHERE queue_id = $1 LIMIT 1";
    bool is_ready = false;
    int rc = find_queues(self, err);

    for (size_t i = 0; rc == 0 && !is_ready && i < self->n_queues; i++) {
        struct statement *statement;

        if (self->queues[i].queue_id == 0 || self->queues[i].is_paused)
            continue;
        rc = database_prepare(self->database, sql, &statement, err);
        if (rc < 0)
            return rc;
        statement_bind_i64(statement, 1, self->queues[i].queue_id);
        rc = statement_step(statement, err);
        if (rc < 0)
            return rc;
        statement_reset(statement);
        is_ready = rc == 1;
        rc = 0;
    }
    if (rc == 0)
        *out = is_ready;
    return rc;
}

static int
read_candidates(struct sqlite_broker *self, int64_t queue_id, size_t limit, struct candidates *out,
                struct error *err)
{
    static const char sql[] = "SELECT priority, message_id, attempt, n_crashes FROM ready"
                              " WHERE queue_id = $1 ORDER BY priority, message_id LIMIT $2";
    struct statement *statement;
    int rc;

    out->items = arena_calloc(&self->round, limit, sizeof(*out->items));
    if (!out->items)
        return error_set(err, ERR_NOMEM, "no memory for %zu messages", limit);
    rc = database_prepare(self->database, sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, queue_id);
    statement_bind_i64(statement, 2, (int64_t)limit);
    while (out->n_items < limit && (rc = statement_step(statement, err)) == 1)
        out->items[out->n_items++] = (struct message_place){
            .queue_id = queue_id,
            .priority = (int)statement_i64(statement, 0),
            .message_id = statement_i64(statement, 1),
            .attempt = statement_i64(statement, 2),
            .n_crashes = statement_i64(statement, 3),
        };
    statement_reset(statement);
    return rc < 0 ? rc : 0;
}

/* The queue whose first message is next; n_queues when all are used up.  Beginning with the one
 * whose turn it is, so that equals alternate. */
static size_t
choose_queue(const struct sqlite_broker *self, const struct candidates *queues)
{
    size_t chosen = self->n_queues;
    int best = BROKER_MAX_PRIORITY + 1;

    for (size_t i = 0; i < self->n_queues; i++) {
        size_t idx = (self->turn_idx + i) % self->n_queues;
        const struct candidates *queue = &queues[idx];

        if (queue->n_taken == queue->n_items || queue->items[queue->n_taken].priority >= best)
            continue;
        best = queue->items[queue->n_taken].priority;
        chosen = idx;
    }
    return chosen;
}

static int
delete_ready(struct sqlite_broker *self, const struct message_place *place, struct error *err)
{
    static const char sql[] =
        "DELETE FROM ready WHERE queue_id = $1 AND priority = $2 AND message_id = $3";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, place->queue_id);
    statement_bind_i64(statement, 2, place->priority);
    statement_bind_i64(statement, 3, place->message_id);
    return statement_run(statement, NULL, err);
}

static int
move_to_claims(struct sqlite_broker *self, const struct message_place *place, struct error *err)
{
    static const char sql[] = "INSERT INTO claims (consumer_id, message_id, queue_id,"
                              " priority, attempt, n_crashes)"
                              " VALUES ($1, $2, $3, $4, $5, $6)";
    struct statement *statement;
    int rc = delete_ready(self, place, err);

    if (rc == 0)
        rc = database_prepare(self->database, sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, self->consumer_id);
    statement_bind_i64(statement, 2, place->message_id);
    statement_bind_i64(statement, 3, place->queue_id);
    statement_bind_i64(statement, 4, place->priority);
    statement_bind_i64(statement, 5, place->attempt + 1);
    statement_bind_i64(statement, 6, place->n_crashes);
    return statement_run(statement, NULL, err);
}

/* Written by somebody with another limit: it would stand in front of the queue for ever. */
static int
bury_too_large(struct sqlite_broker *self, const struct message_place *place,
               const struct error *why, struct error *err)
{
    char reason[128];
    int rc = delete_ready(self, place, err);

    (void)snprintf(reason, sizeof(reason), "too-large: %.100s", why->message);
    if (rc == 0)
        rc = sqlite_dead_insert(self, place, str_from_cstr(reason), err);
    return rc < 0 ? rc : sqlite_message_delete(self, place->message_id, err);
}

/* Id, expiry, bytes: into *out, the texts into the round's arena.  Errors: ERR_TOO_LARGE. */
static int
read_body(struct sqlite_broker *self, int64_t message_id, struct broker_delivery *out,
          struct error *err)
{
    static const char sql[] = "SELECT task_id, expires_at, body, EXISTS (SELECT 1 FROM revoked AS r"
                              "  WHERE r.task_id = m.task_id AND r.revoked_until > $1)"
                              " FROM messages AS m WHERE message_id = $2";
    int64_t now_us = clock_now_us(self->options.clock);
    struct statement *statement;
    struct str body;
    bool is_copied = true;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, now_us);
    statement_bind_i64(statement, 2, message_id);
    rc = statement_step(statement, err);
    if (rc == 0)
        return error_set(err, ERR_CORRUPT, "message %lld of the broker has no body",
                         (long long)message_id);
    if (rc < 0)
        return rc;
    body = statement_blob(statement, 2);
    if (body.len > self->options.max_message_bytes) {
        rc = error_set(err, ERR_TOO_LARGE, "the message has %zu bytes, allowed are %zu", body.len,
                       self->options.max_message_bytes);
        statement_reset(statement);
        return rc;
    }
    out->id = arena_dup(&self->round, statement_str(statement, 0), &is_copied);
    out->expires_us = statement_i64(statement, 1);
    out->bytes = arena_dup(&self->round, body, &is_copied);
    out->is_revoked = statement_i64(statement, 3) != 0;
    out->is_expired = out->expires_us != TIME_UNKNOWN && out->expires_us <= now_us;
    statement_reset(statement);
    return is_copied ? 0 : error_set(err, ERR_NOMEM, "no memory for a message");
}

/* Take it, and add its size; or bury it, where it is larger than may be delivered. */
static int
claim_one(struct sqlite_broker *self, const struct message_place *place,
          const struct queue_name *queue, size_t *n_bytes, struct error *err)
{
    struct claimed *claimed = &self->claimed[self->n_claimed];
    struct error own = {0};
    struct held *held;
    int rc;

    *claimed = (struct claimed){
        .delivery =
            {
                .queue = queue->name,
                .priority = place->priority,
                .attempt = (uint32_t)(place->attempt + 1),
                .n_crashes = (uint32_t)place->n_crashes,
                .is_redelivered = place->attempt > 0,
            },
    };
    rc = read_body(self, place->message_id, &claimed->delivery, &own);
    if (rc == -ERR_TOO_LARGE)
        return bury_too_large(self, place, &own, err);
    if (rc < 0 && err)
        *err = own;
    if (rc == 0)
        rc = move_to_claims(self, place, err);
    if (rc < 0)
        return rc;
    held = window_take(&self->window);
    if (!held)
        return error_set(err, ERR_NOMEM, "no memory for another unsettled message");
    held->key = place->message_id;
    claimed->delivery.tag = held->tag;
    *n_bytes += claimed->delivery.bytes.len;
    self->n_claimed++;
    return 0;
}

static int
claim_in_turn(struct sqlite_broker *self, struct candidates *queues, size_t limit,
              struct error *err)
{
    size_t n_bytes = 0;
    int rc = 0;

    while (rc == 0 && self->n_claimed < limit && n_bytes < CLAIM_LIMIT_BYTES) {
        size_t idx = choose_queue(self, queues);

        if (idx == self->n_queues)
            break;
        rc = claim_one(self, &queues[idx].items[queues[idx].n_taken], &self->queues[idx], &n_bytes,
                       err);
        if (rc < 0)
            break;
        queues[idx].n_taken++;
        self->turn_idx = (idx + 1) % self->n_queues;
    }
    return rc;
}

/* Whether a queue may have more than was taken from it. */
static bool
has_more(const struct sqlite_broker *self, const struct candidates *queues, size_t limit)
{
    for (size_t i = 0; i < self->n_queues; i++)
        if (queues[i].n_taken < queues[i].n_items || queues[i].n_items == limit)
            return true;
    return false;
}

int
sqlite_claim_batch(struct sqlite_broker *self, struct error *err)
{
    size_t limit = self->credit < CLAIM_LIMIT ? self->credit : CLAIM_LIMIT;
    struct candidates *queues;
    bool is_ready = false;
    int rc = 0;

    if (limit == 0 || self->n_queues == 0)
        return 0;
    rc = sqlite_claim_look(self, &is_ready, err); /* again, under the lock; finds new queues */
    if (rc < 0 || !is_ready) {
        self->may_be_ready = false;
        return rc;
    }
    rc = self->consumer_id ? 0 : sqlite_consumer_join(self, err);
    queues = arena_calloc(&self->round, self->n_queues, sizeof(*queues));
    self->claimed = arena_calloc(&self->round, limit, sizeof(*self->claimed));
    if (rc == 0 && (!queues || !self->claimed))
        rc = error_set(err, ERR_NOMEM, "no memory for %zu messages", limit);
    for (size_t i = 0; rc == 0 && i < self->n_queues; i++)
        if (self->queues[i].queue_id && !self->queues[i].is_paused)
            rc = read_candidates(self, self->queues[i].queue_id, limit, &queues[i], err);
    if (rc == 0)
        rc = claim_in_turn(self, queues, limit, err);
    if (rc == 0)
        self->may_be_ready = has_more(self, queues, limit);
    return rc;
}

/* The transaction came to nothing: nobody saw these tags. */
void
sqlite_claim_undo(struct sqlite_broker *self)
{
    for (size_t i = 0; i < self->n_claimed; i++)
        window_give_back(&self->window, window_find(&self->window, self->claimed[i].delivery.tag));
    self->n_claimed = 0;
}
