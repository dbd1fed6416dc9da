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
#include "base/database_migration.h"
#include "celery/control/mailbox_sqlite_internal.h"

#define OPEN_WAIT_US    US_PER_S
#define BLOCK_US        (5 * US_PER_MS)
#define SCAN_US         US_PER_S         /* a wake-up may have been missed */
#define BLIND_SCAN_US   (50 * US_PER_MS) /* there is no inotify instance left */
#define WAL_LIMIT_BYTES (INT64_C(1) << 20)
#define CHECKPOINT_MS   20
#define READ_LIMIT      INT64_C(256) /* letters per round */

extern const struct migration control_migrations[];

static const struct database_schema control_schema = {
    .migrations = control_migrations,
    .migrate_command = "trawl worker",
};

/* The file beside what a symbolic link points to, as the broker's own side files are. */
static int
format_path(struct str broker_url, const char *suffix, struct buf *out, struct error *err)
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
        buf_printf(out, "%s%s", real, suffix);
    else /* not there yet, or wrong: opening says so */
        buf_printf(out, "%.*s%s", STR_ARG(broker_url), suffix);
    return buf_status(out, err);
}

static void
free_mailbox(struct sqlite_mailbox *self)
{
    database_close(self->database);
    live_file_close(&self->live);
    sqlite_mailbox_free_letters(self);
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
    if (!self->options.kept_us)
        self->options.kept_us = MAILBOX_KEPT_US;
    if (!self->options.max_pending_bytes)
        self->options.max_pending_bytes = MAILBOX_PENDING_BYTES;
    self->live = (struct live_file)LIVE_FILE_INIT;
    rc = format_path(broker_url, options->suffix ? options->suffix : "-control", &url, err);
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

/* The letters that came, in their order.  The callback touches no database. */
static int
read_letters(struct sqlite_mailbox *self, struct error *err)
{
    static const char sql[] =
        "SELECT letter_id, body FROM letters WHERE letter_id > $1 AND (exchange = $2"
        " OR exchange GLOB replace($2, '#', '*')) AND routing_key IS $3"
        " ORDER BY letter_id LIMIT $4";
    struct statement *statement;
    int64_t n_read = 0;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, self->seen_id);
    statement_bind_str(statement, 2, sqlite_mailbox_exchange(self));
    statement_bind_str(statement, 3, sqlite_mailbox_routing_key(self));
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
    int64_t mono_us = clock_mono_us(&clock_system);

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
    struct sqlite_mailbox *self = sqlite_mailbox_from(mailbox);
    struct error trouble;
    int rc = 0;

    if (self->listener_id)
        rc = hear(self, &trouble);
    if (rc == 0 && self->first && clock_mono_us(&clock_system) >= self->retry_at_us)
        rc = sqlite_mailbox_send_letters(self, &trouble);
    if (rc == -ERR_BUSY) { /* a reader meets a lock only while the file is recovered */
        self->scan_at_us = clock_mono_us(&clock_system) + BLIND_SCAN_US;
        self->must_look = false; /* by then, not at once again */
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
sqlite_is_listening(const struct mailbox *mailbox)
{
    return ((const struct sqlite_mailbox *)mailbox)->listener_id != 0;
}

static bool
sqlite_is_idle(const struct mailbox *mailbox)
{
    return ((const struct sqlite_mailbox *)mailbox)->first == NULL;
}

static void
sqlite_close(struct mailbox *mailbox)
{
    struct sqlite_mailbox *self = sqlite_mailbox_from(mailbox);

    if (self->listener_id && !database_is_failed(self->database))
        sqlite_mailbox_leave(self);
    free_mailbox(self);
}

static void
sqlite_forget(struct mailbox *mailbox)
{
    struct sqlite_mailbox *self = sqlite_mailbox_from(mailbox);

    live_file_close(&self->live);
    database_forget(self->database);
}

const struct mailbox_ops mailbox_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .forget = sqlite_forget,
    .listen = sqlite_mailbox_listen,
    .receive = sqlite_mailbox_receive,
    .broadcast = sqlite_mailbox_broadcast,
    .send = sqlite_mailbox_send,
    .run = sqlite_run,
    .get_wait = sqlite_get_wait,
    .is_idle = sqlite_is_idle,
    .is_listening = sqlite_is_listening,
};
