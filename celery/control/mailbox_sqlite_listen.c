/* The table of listeners, and old rows: who hears what, and lives. */

#include <string.h>

#include "celery/control/mailbox_sqlite_internal.h"

#define CLOSE_WAIT_MS 200

int
sqlite_mailbox_clean(struct sqlite_mailbox *self, struct error *err)
{
    static const char letters_sql[] = "DELETE FROM letters WHERE sent_at < $1";
    static const char surplus_sql[] =
        "DELETE FROM letters WHERE letter_id <= (SELECT max(letter_id) FROM letters) - $1";
    static const char listeners_sql[] = "SELECT listener_id FROM listeners ORDER BY listener_id";
    static const char gone_sql[] = "DELETE FROM listeners WHERE listener_id = $1";
    int64_t gone[64];
    size_t n_gone = 0;
    struct statement *statement;
    int rc = database_prepare(self->database, letters_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, clock_now_us(&clock_system) - self->options.kept_us);
    rc = statement_run(statement, NULL, err);
    if (rc == 0 && self->options.max_letters > 0) {
        rc = database_prepare(self->database, surplus_sql, &statement, err);
        if (rc < 0)
            return rc;
        statement_bind_i64(statement, 1, self->options.max_letters);
        rc = statement_run(statement, NULL, err);
    }
    if (rc == 0)
        rc = database_prepare(self->database, listeners_sql, &statement, err);
    if (rc < 0)
        return rc;
    while (n_gone < COUNT_OF(gone) && (rc = statement_step(statement, err)) == 1) {
        int64_t listener_id = statement_i64(statement, 0);

        if (listener_id != self->listener_id && !live_file_is_held(&self->live, listener_id))
            gone[n_gone++] = listener_id;
    }
    statement_reset(statement);
    for (size_t i = 0; rc >= 0 && i < n_gone; i++) {
        rc = database_prepare(self->database, gone_sql, &statement, err);
        if (rc < 0)
            return rc;
        statement_bind_i64(statement, 1, gone[i]);
        rc = statement_run(statement, NULL, err);
    }
    return rc < 0 ? rc : 0;
}

static int
add_listener(struct sqlite_mailbox *self, struct str queue, struct error *err)
{
    static const char insert_sql[] =
        "INSERT INTO listeners (exchange, routing_key, queue) VALUES ($1, $2, $3)";
    static const char id_sql[] = "SELECT last_insert_rowid()";
    static const char seen_sql[] = "SELECT coalesce(max(letter_id), 0) FROM letters";
    struct statement *statement;
    int rc = sqlite_mailbox_clean(self, err);

    if (rc == 0)
        rc = database_prepare(self->database, insert_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, sqlite_mailbox_exchange(self));
    statement_bind_str(statement, 2, sqlite_mailbox_routing_key(self));
    statement_bind_str(statement, 3, queue);
    rc = statement_run(statement, NULL, err);
    if (rc == 0)
        rc = database_query_i64(self->database, id_sql, &self->listener_id, err);
    if (rc == 0)
        rc = database_query_i64(self->database, seen_sql, &self->seen_id, err);
    return rc < 0 ? rc : live_file_hold(&self->live, self->listener_id, err);
}

static int
start_to_hear(struct sqlite_mailbox *self, struct str exchange, struct str routing_key,
              struct str queue, struct error *err)
{
    int rc = mailbox_check_name(exchange, "the exchange", err);

    if (rc == 0)
        rc = mailbox_check_name(queue, "the queue", err);
    if (rc < 0)
        return rc;
    (void)memcpy(self->exchange, exchange.ptr, exchange.len);
    self->n_exchange = exchange.len;
    if (routing_key.len)
        (void)memcpy(self->routing_key, routing_key.ptr, routing_key.len);
    self->n_routing_key = routing_key.len;
    rc = database_begin(self->database, err);
    if (rc < 0)
        return rc;
    rc = add_listener(self, queue, err);
    if (rc == 0)
        rc = database_commit(self->database, err);
    if (rc < 0) {
        database_rollback(self->database);
        live_file_release(&self->live);
        self->listener_id = 0;
        return rc;
    }
    (void)live_file_watch(&self->live); /* without it the timer is shorter */
    self->must_look = true;
    return 0;
}

int
sqlite_mailbox_listen(struct mailbox *mailbox, struct str exchange, struct str queue,
                      struct error *err)
{
    return start_to_hear(sqlite_mailbox_from(mailbox), exchange, STR_NULL, queue, err);
}

int
sqlite_mailbox_receive(struct mailbox *mailbox, const struct mailbox_address *address,
                       struct str queue, struct error *err)
{
    int rc = mailbox_check_name(address->routing_key, "the routing key", err);

    return rc < 0 ? rc
                  : start_to_hear(sqlite_mailbox_from(mailbox), address->exchange,
                                  address->routing_key, queue, err);
}

static int
leave(struct sqlite_mailbox *self, struct error *err)
{
    static const char listener_sql[] = "DELETE FROM listeners WHERE listener_id = $1";
    static const char letters_sql[] =
        "DELETE FROM letters WHERE exchange = $1 AND routing_key = $2";
    struct statement *statement;
    int rc = database_prepare(self->database, listener_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, self->listener_id);
    rc = statement_run(statement, NULL, err);
    if (rc < 0 || !self->n_routing_key)
        return rc;
    rc = database_prepare(self->database, letters_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, sqlite_mailbox_exchange(self));
    statement_bind_str(statement, 2, sqlite_mailbox_routing_key(self));
    return statement_run(statement, NULL, err);
}

void
sqlite_mailbox_leave(struct sqlite_mailbox *self)
{
    database_set_busy_timeout(self->database, CLOSE_WAIT_MS);
    if (database_begin(self->database, NULL) == 0 &&
        (leave(self, NULL) < 0 || database_commit(self->database, NULL) < 0))
        database_rollback(self->database);
}
