/* Letters that leave: gathered until the next round, then written in one transaction. */

#include <stdlib.h>
#include <string.h>

#include "celery/control/mailbox_sqlite_internal.h"

#define BUSY_RETRY_US    (5 * US_PER_MS)
#define TROUBLE_RETRY_US (500 * US_PER_MS)

void
sqlite_mailbox_free_letters(struct sqlite_mailbox *self)
{
    while (self->first) {
        struct letter *next = self->first->next;

        free(self->first);
        self->first = next;
    }
    self->last = NULL;
    self->n_bytes = 0;
}

static struct str
put_text(char **at, struct str text)
{
    struct str copy = {text.ptr ? *at : NULL, text.len};

    if (text.len)
        (void)memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

static int
add_letter(struct sqlite_mailbox *self, struct str exchange, struct str routing_key,
           struct str bytes, struct error *err)
{
    size_t n_bytes = sizeof(struct letter) + exchange.len + routing_key.len + bytes.len;
    struct letter *letter;
    char *at;
    int rc = mailbox_check_name(exchange, "the exchange", err);

    if (rc < 0)
        return rc;
    if (bytes.len > MAILBOX_MAX_BYTES)
        return error_set(err, ERR_TOO_LARGE, "a letter has %zu bytes, allowed are %zu", bytes.len,
                         MAILBOX_MAX_BYTES);
    if (self->n_bytes + n_bytes > self->options.max_pending_bytes)
        return error_set(err, ERR_BUSY, "%zu bytes of letters wait to leave", self->n_bytes);
    letter = calloc(1, n_bytes);
    if (!letter)
        return error_set(err, ERR_NOMEM, "no memory for a letter of %zu bytes", bytes.len);
    at = (char *)(letter + 1);
    letter->exchange = put_text(&at, exchange);
    letter->routing_key = put_text(&at, routing_key);
    letter->bytes = put_text(&at, bytes);
    letter->due_us = clock_mono_us(&clock_system) + self->options.kept_us;
    self->n_bytes += n_bytes;
    if (self->last)
        self->last->next = letter;
    else
        self->first = letter;
    self->last = letter;
    return 0;
}

int
sqlite_mailbox_broadcast(struct mailbox *mailbox, struct str exchange, struct str bytes,
                         struct error *err)
{
    return add_letter(sqlite_mailbox_from(mailbox), exchange, STR_NULL, bytes, err);
}

int
sqlite_mailbox_send(struct mailbox *mailbox, const struct mailbox_address *address,
                    struct str bytes, struct error *err)
{
    int rc = mailbox_check_name(address->routing_key, "the routing key", err);

    return rc < 0 ? rc
                  : add_letter(sqlite_mailbox_from(mailbox), address->exchange,
                               address->routing_key, bytes, err);
}

/* How many hear broadcasts of the exchange, but for the listener of that number; after a clean the
 * dead are gone from the table. */
static int
count_listeners(struct sqlite_mailbox *self, struct str exchange, int64_t but_id, size_t *out,
                struct error *err)
{
    static const char sql[] =
        "SELECT count(*) FROM listeners WHERE routing_key IS NULL"
        " AND (exchange = $1 OR $1 GLOB replace(exchange, '#', '*')) AND listener_id <> $2";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, exchange);
    statement_bind_i64(statement, 2, but_id);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    *out = (size_t)statement_i64(statement, 0);
    statement_reset(statement);
    return 0;
}

static int
insert_letters(struct sqlite_mailbox *self, struct error *err)
{
    static const char sql[] =
        "INSERT INTO letters (exchange, routing_key, sent_at, body) VALUES ($1, $2, $3, $4)";
    int64_t now_us = clock_now_us(&clock_system);
    int rc = sqlite_mailbox_clean(self, err);

    for (struct letter *letter = self->first; rc == 0 && letter; letter = letter->next) {
        struct statement *statement;

        if (!letter->routing_key.ptr)
            rc = count_listeners(self, letter->exchange, 0, &letter->n_heard, err);
        if (rc == 0 && !letter->routing_key.ptr && letter->n_heard == 0)
            continue;
        if (rc == 0)
            rc = database_prepare(self->database, sql, &statement, err);
        if (rc < 0)
            return rc;
        statement_bind_str(statement, 1, letter->exchange);
        statement_bind_str(statement, 2, letter->routing_key);
        statement_bind_i64(statement, 3, now_us);
        statement_bind_blob(statement, 4, letter->bytes);
        rc = statement_run(statement, NULL, err);
    }
    return rc < 0 ? rc : database_commit(self->database, err);
}

/* Whether somebody else hears one of them: else there is no transaction to be had. */
static int
find_listeners(struct sqlite_mailbox *self, bool *is_found, struct error *err)
{
    int rc = 0;

    *is_found = false;
    for (struct letter *letter = self->first; rc == 0 && letter && !*is_found;
         letter = letter->next) {
        if (letter->routing_key.ptr) {
            *is_found = true;
            break;
        }
        rc = count_listeners(self, letter->exchange, self->listener_id, &letter->n_heard, err);
        *is_found = letter->n_heard > 0;
    }
    return rc;
}

static int
write_letters(struct sqlite_mailbox *self, struct error *err)
{
    int rc = database_begin(self->database, err);

    if (rc < 0)
        return rc;
    rc = insert_letters(self, err);
    if (rc < 0)
        database_rollback(self->database);
    return rc;
}

static void
drop_old_letters(struct sqlite_mailbox *self)
{
    int64_t mono_us = clock_mono_us(&clock_system);

    while (self->first && self->first->due_us < mono_us) {
        struct letter *letter = self->first;

        self->first = letter->next;
        if (!self->first)
            self->last = NULL;
        self->n_bytes -=
            sizeof(*letter) + letter->exchange.len + letter->routing_key.len + letter->bytes.len;
        free(letter);
    }
}

int
sqlite_mailbox_send_letters(struct sqlite_mailbox *self, struct error *err)
{
    struct letter *sent;
    bool is_found;
    int rc;

    database_set_busy_timeout(self->database,
                              (self->options.max_block_us + US_PER_MS - 1) / US_PER_MS);
    rc = find_listeners(self, &is_found, err);
    if (rc == 0 && is_found)
        rc = write_letters(self, err);
    if (rc < 0 && error_is_retryable(rc)) {
        self->retry_at_us =
            clock_mono_us(&clock_system) + (rc == -ERR_BUSY ? BUSY_RETRY_US : TROUBLE_RETRY_US);
        drop_old_letters(self);
        return 0;
    }
    if (rc < 0)
        return rc;
    if (is_found)
        live_file_wake(&self->live);
    sent = self->first;
    self->first = NULL;
    self->last = NULL;
    self->n_bytes = 0;
    while (sent) {
        struct letter *next = sent->next;

        if (!sent->routing_key.ptr && self->options.listener.sent)
            self->options.listener.sent(self->options.listener.context, sent->n_heard);
        free(sent);
        sent = next;
    }
    return 0;
}
