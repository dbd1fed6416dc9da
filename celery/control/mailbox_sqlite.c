/* Letters in a file beside the broker's.
 *
 *     letters    every letter, once; listeners remember the last number that they have seen
 *     listeners  who hears what; alive as long as its byte in the live file is locked
 *
 * A letter is worth little after a second, so commits are not synced, and what a minute old letters
 * occupy is given back by whoever writes next.  Wake-ups and locks are the live file's
 * (celery/broker/sqlite_live.h).
 *
 * Rejected: tables in the broker's own file (each letter would wake every consumer of tasks, and
 * wait for their transactions), and a socket per node (answers are larger than a datagram may be,
 * and paths longer than sun_path). */

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/database.h"
#include "base/database_migration.h"
#include "celery/broker/sqlite_live.h"
#include "celery/control/mailbox.h"

#define OPEN_WAIT_US      US_PER_S
#define BLOCK_US          (5 * US_PER_MS)
#define CLOSE_WAIT_MS     200
#define BUSY_RETRY_US     (5 * US_PER_MS)
#define TROUBLE_RETRY_US  (500 * US_PER_MS)
#define SCAN_US           US_PER_S         /* a wake-up may have been missed */
#define BLIND_SCAN_US     (50 * US_PER_MS) /* there is no inotify instance left */
#define WAL_LIMIT_BYTES   (INT64_C(1) << 20)
#define CHECKPOINT_MS     20
#define MAX_PENDING_BYTES ((size_t)64 << 20)
#define READ_LIMIT        INT64_C(256) /* letters per round */

extern const struct migration control_migrations[];

static const struct database_schema control_schema = {
    .migrations = control_migrations,
    .migrate_command = "trawl worker",
};

/* One that has not left yet; the texts lie behind it. */
struct letter {
    struct letter *next;
    struct str exchange;
    struct str routing_key; /* absent: a broadcast */
    struct str bytes;
    int64_t due_us; /* monotonic: not worth sending any more */
    size_t n_heard;
};

struct sqlite_mailbox {
    struct mailbox base;
    struct mailbox_options options; /* with the defaults filled in */
    struct database *database;
    struct live_file live;
    struct letter *first; /* to leave */
    struct letter *last;
    size_t n_bytes;
    int64_t listener_id; /* 0 = hears nothing */
    int64_t seen_id;     /* the last letter */
    bool must_look;
    int64_t scan_at_us; /* monotonic */
    int64_t retry_at_us;
    char exchange[MAILBOX_MAX_NAME_BYTES]; /* what it hears */
    size_t n_exchange;
    char routing_key[MAILBOX_MAX_NAME_BYTES];
    size_t n_routing_key; /* 0 = all broadcasts */
};

static struct sqlite_mailbox *
from(struct mailbox *mailbox)
{
    return (struct sqlite_mailbox *)mailbox;
}

static struct str
own_exchange(const struct sqlite_mailbox *self)
{
    return (struct str){self->exchange, self->n_exchange};
}

static struct str
own_routing_key(const struct sqlite_mailbox *self)
{
    return self->n_routing_key ? (struct str){self->routing_key, self->n_routing_key} : STR_NULL;
}

static int64_t
now_mono_us(void)
{
    return clock_mono_us(&clock_system);
}

/* The file beside what a symbolic link points to, as the broker's own side files are. */
static int
format_path(struct str broker_url, struct buf *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf given = BUF_INIT(PATH_MAX);
    struct str rest = broker_url;
    char real[PATH_MAX];

    if (str_starts_with(rest, STR("sqlite:///")))
        rest = str_slice(rest, 10, rest.len);
    buf_append(&given, rest);
    if (buf_status(&given, NULL) < 0)
        return error_set(err, ERR_CONFIG, "broker URL '%.*s...' is too long",
                         STR_ARG(str_slice(broker_url, 0, 80)));
    if (rest.len && !memchr(rest.ptr, '\0', rest.len) && realpath(buf_cstr(&given), real))
        buf_printf(out, "%s-control", real);
    else /* not there yet, or wrong: opening says so */
        buf_printf(out, "%.*s-control", STR_ARG(broker_url));
    return buf_status(out, err);
}

static void
free_letters(struct sqlite_mailbox *self)
{
    while (self->first) {
        struct letter *next = self->first->next;

        free(self->first);
        self->first = next;
    }
    self->last = NULL;
    self->n_bytes = 0;
}

static void
free_mailbox(struct sqlite_mailbox *self)
{
    database_close(self->database);
    live_file_close(&self->live);
    free_letters(self);
    free(self);
}

static void
free_mailboxp(struct sqlite_mailbox **self)
{
    if (*self)
        free_mailbox(*self);
}

static int
sqlite_open(struct str broker_url, const struct mailbox_options *options, struct mailbox **out,
            struct error *err)
{
    CLEANUP(free_mailboxp) struct sqlite_mailbox *self = calloc(1, sizeof(*self));
    CLEANUP(buf_fini) struct buf url = BUF_INIT(2 * PATH_MAX);
    int64_t open_us = options->max_open_us > 0 ? options->max_open_us : OPEN_WAIT_US;
    struct database_options database_options = {
        .schema = &control_schema,
        .busy_timeout_ms = (open_us + US_PER_MS - 1) / US_PER_MS,
        .wal_limit_bytes = WAL_LIMIT_BYTES,
        .checkpoint_ms = CHECKPOINT_MS,
        .cache = DATABASE_CACHE_SMALL,
        .may_create = !options->must_exist,
        .must_be_current = options->must_exist,
    };
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for a mailbox");
    self->base.ops = &mailbox_sqlite;
    self->options = *options;
    if (!self->options.max_block_us)
        self->options.max_block_us = BLOCK_US;
    self->live = (struct live_file)LIVE_FILE_INIT;
    rc = format_path(broker_url, &url, err);
    if (rc == 0)
        rc = database_open(buf_str(&url), &database_options, &self->database, err);
    if (rc == 0 && !options->must_exist)
        rc = database_migrate(self->database, NULL, err);
    if (rc == 0)
        rc = database_set_sync(self->database, DATABASE_SYNC_NORMAL, err);
    if (rc == 0)
        rc = live_file_open(database_path(self->database), &self->live, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot open the mailbox");
    *out = &TAKE(self)->base;
    return 0;
}

/* Rows of listeners whose process is gone, and letters that are old. */
static int
clean(struct sqlite_mailbox *self, struct error *err)
{
    static const char letters_sql[] = "DELETE FROM letters WHERE sent_at < $1";
    static const char listeners_sql[] = "SELECT listener_id FROM listeners ORDER BY listener_id";
    static const char gone_sql[] = "DELETE FROM listeners WHERE listener_id = $1";
    int64_t gone[64];
    size_t n_gone = 0;
    struct statement *statement;
    int rc = database_prepare(self->database, letters_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, clock_now_us(&clock_system) - MAILBOX_KEPT_US);
    rc = statement_run(statement, NULL, err);
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

/* One number, from a statement without parameters. */
static int
query_i64(struct sqlite_mailbox *self, const char *sql, int64_t *out, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc == 0)
        rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    *out = statement_i64(statement, 0);
    statement_reset(statement);
    return 0;
}

static int
add_listener(struct sqlite_mailbox *self, struct str queue, struct error *err)
{
    static const char insert_sql[] =
        "INSERT INTO listeners (exchange, routing_key, queue) VALUES ($1, $2, $3)";
    static const char id_sql[] = "SELECT last_insert_rowid()";
    static const char seen_sql[] = "SELECT coalesce(max(letter_id), 0) FROM letters";
    struct statement *statement;
    int rc = clean(self, err);

    if (rc == 0)
        rc = database_prepare(self->database, insert_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, own_exchange(self));
    statement_bind_str(statement, 2, own_routing_key(self));
    statement_bind_str(statement, 3, queue);
    rc = statement_run(statement, NULL, err);
    if (rc == 0)
        rc = query_i64(self, id_sql, &self->listener_id, err);
    if (rc == 0)
        rc = query_i64(self, seen_sql, &self->seen_id, err);
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

static int
sqlite_listen(struct mailbox *mailbox, struct str exchange, struct str queue, struct error *err)
{
    return start_to_hear(from(mailbox), exchange, STR_NULL, queue, err);
}

static int
sqlite_receive(struct mailbox *mailbox, const struct mailbox_address *address, struct str queue,
               struct error *err)
{
    int rc = mailbox_check_name(address->routing_key, "the routing key", err);

    return rc < 0
               ? rc
               : start_to_hear(from(mailbox), address->exchange, address->routing_key, queue, err);
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
    if (self->n_bytes + n_bytes > MAX_PENDING_BYTES)
        return error_set(err, ERR_BUSY, "%zu bytes of letters wait to leave", self->n_bytes);
    letter = calloc(1, n_bytes);
    if (!letter)
        return error_set(err, ERR_NOMEM, "no memory for a letter of %zu bytes", bytes.len);
    at = (char *)(letter + 1);
    letter->exchange = put_text(&at, exchange);
    letter->routing_key = put_text(&at, routing_key);
    letter->bytes = put_text(&at, bytes);
    letter->due_us = now_mono_us() + MAILBOX_KEPT_US;
    self->n_bytes += n_bytes;
    if (self->last)
        self->last->next = letter;
    else
        self->first = letter;
    self->last = letter;
    return 0;
}

static int
sqlite_broadcast(struct mailbox *mailbox, struct str exchange, struct str bytes, struct error *err)
{
    return add_letter(from(mailbox), exchange, STR_NULL, bytes, err);
}

static int
sqlite_send(struct mailbox *mailbox, const struct mailbox_address *address, struct str bytes,
            struct error *err)
{
    int rc = mailbox_check_name(address->routing_key, "the routing key", err);

    return rc < 0 ? rc
                  : add_letter(from(mailbox), address->exchange, address->routing_key, bytes, err);
}

/* How many hear broadcasts of the exchange now; the dead are gone from the table. */
static int
count_listeners(struct sqlite_mailbox *self, struct str exchange, size_t *out, struct error *err)
{
    static const char sql[] =
        "SELECT count(*) FROM listeners WHERE exchange = $1 AND routing_key IS NULL";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, exchange);
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
    int rc = clean(self, err);

    for (struct letter *letter = self->first; rc == 0 && letter; letter = letter->next) {
        struct statement *statement;

        if (!letter->routing_key.ptr)
            rc = count_listeners(self, letter->exchange, &letter->n_heard, err);
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

static void
drop_old_letters(struct sqlite_mailbox *self)
{
    int64_t mono_us = now_mono_us();

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

/* All that waits, in one transaction; then the callbacks, which may add more. */
static int
send_letters(struct sqlite_mailbox *self, struct error *err)
{
    struct letter *sent;
    int rc;

    database_set_busy_timeout(self->database,
                              (self->options.max_block_us + US_PER_MS - 1) / US_PER_MS);
    rc = database_begin(self->database, err);
    if (rc == 0) {
        rc = insert_letters(self, err);
        if (rc < 0)
            database_rollback(self->database);
    }
    if (rc < 0 && error_is_retryable(rc)) {
        self->retry_at_us = now_mono_us() + (rc == -ERR_BUSY ? BUSY_RETRY_US : TROUBLE_RETRY_US);
        drop_old_letters(self);
        return 0;
    }
    if (rc < 0)
        return rc;
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

/* The letters that came, in their order.  The callback touches no database. */
static int
read_letters(struct sqlite_mailbox *self, struct error *err)
{
    static const char sql[] =
        "SELECT letter_id, body FROM letters WHERE letter_id > $1"
        " AND exchange = $2 AND routing_key IS $3 ORDER BY letter_id LIMIT $4";
    struct statement *statement;
    int64_t n_read = 0;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, self->seen_id);
    statement_bind_str(statement, 2, own_exchange(self));
    statement_bind_str(statement, 3, own_routing_key(self));
    statement_bind_i64(statement, 4, READ_LIMIT);
    while ((rc = statement_step(statement, err)) == 1) {
        self->seen_id = statement_i64(statement, 0);
        n_read++;
        if (self->options.listener.received)
            self->options.listener.received(self->options.listener.context,
                                            statement_blob(statement, 1));
    }
    statement_reset(statement);
    self->must_look = n_read == READ_LIMIT;
    return rc;
}

static int
hear(struct sqlite_mailbox *self, struct error *err)
{
    int64_t mono_us = now_mono_us();

    if (live_file_drain(&self->live))
        self->must_look = true;
    if (mono_us >= self->scan_at_us) {
        self->scan_at_us = mono_us + (self->live.watch_fd >= 0 ? SCAN_US : BLIND_SCAN_US);
        self->must_look = true;
        if (live_file_is_replaced(&self->live, database_path(self->database)))
            return error_set(err, ERR_IO, "the mailbox's file was removed or replaced");
    }
    return self->must_look ? read_letters(self, err) : 0;
}

static int
sqlite_run(struct mailbox *mailbox, struct error *err)
{
    struct sqlite_mailbox *self = from(mailbox);
    struct error trouble;
    int rc = 0;

    if (self->listener_id)
        rc = hear(self, &trouble);
    if (rc == 0 && self->first && now_mono_us() >= self->retry_at_us)
        rc = send_letters(self, &trouble);
    if (rc == -ERR_BUSY) { /* a reader meets a lock only while the file is recovered */
        self->scan_at_us = now_mono_us() + BLIND_SCAN_US;
        return 0;
    }
    if (rc < 0 && err)
        *err = trouble;
    return rc;
}

static void
sqlite_get_wait(const struct mailbox *mailbox, struct mailbox_wait *out)
{
    const struct sqlite_mailbox *self = (const struct sqlite_mailbox *)mailbox;

    *out = (struct mailbox_wait){.fd = -1, .events = POLLIN, .deadline_us = INT64_MAX};
    if (self->first)
        out->deadline_us = self->retry_at_us;
    if (!self->listener_id)
        return;
    out->fd = self->live.watch_fd;
    if (self->must_look)
        out->deadline_us = 0;
    else if (self->scan_at_us < out->deadline_us)
        out->deadline_us = self->scan_at_us;
}

static bool
sqlite_is_idle(const struct mailbox *mailbox)
{
    return ((const struct sqlite_mailbox *)mailbox)->first == NULL;
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
    statement_bind_str(statement, 1, own_exchange(self));
    statement_bind_str(statement, 2, own_routing_key(self));
    return statement_run(statement, NULL, err);
}

/* What fails here is left to the kernel, which drops our lock, and to whoever writes next. */
static void
sqlite_close(struct mailbox *mailbox)
{
    struct sqlite_mailbox *self = from(mailbox);

    database_set_busy_timeout(self->database, CLOSE_WAIT_MS);
    if (self->listener_id && !database_is_failed(self->database) &&
        database_begin(self->database, NULL) == 0 &&
        (leave(self, NULL) < 0 || database_commit(self->database, NULL) < 0))
        database_rollback(self->database);
    free_mailbox(self);
}

static void
sqlite_forget(struct mailbox *mailbox)
{
    struct sqlite_mailbox *self = from(mailbox);

    live_file_close(&self->live);
    database_forget(self->database);
}

const struct mailbox_ops mailbox_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .forget = sqlite_forget,
    .listen = sqlite_listen,
    .receive = sqlite_receive,
    .broadcast = sqlite_broadcast,
    .send = sqlite_send,
    .run = sqlite_run,
    .get_wait = sqlite_get_wait,
    .is_idle = sqlite_is_idle,
};
