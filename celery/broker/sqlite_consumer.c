/* Who has claims, and whether he lives.
 *
 * A consumer is a row and a locked byte of the live file.  The lock decides: the kernel drops it
 * when the process dies, so the dead are known within one scan (a second), and a process that is
 * slow, stopped, or kept out by a foreign lock on the database is never taken for dead.  Rows of
 * another boot are dead.  Only where the lock tells nothing - the row was written under a live file
 * that has been replaced since - the lease decides, on the monotonic clock: it stands still while
 * the machine is suspended, and no step of the wall clock moves it. */

#include <unistd.h>

#include "celery/broker/sqlite_limits.h"

#define SCAN_US       US_PER_S
#define SCAN_POLL_US  (50 * US_PER_MS) /* without inotify */
#define RECOVER_LIMIT ((size_t)64)     /* consumers in one transaction */

int
sqlite_consumer_join(struct sqlite_broker *self, struct error *err)
{
    static const char sql[] = "INSERT INTO consumers (name, pid, boot_id, live_inode, lease_until,"
                              " started_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING consumer_id";
    int64_t mono_us = clock_mono_us(self->options.clock);
    struct statement *statement;
    int64_t consumer_id;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, self->options.name);
    statement_bind_i64(statement, 2, getpid());
    statement_bind_str(statement, 3, str_from_cstr(self->boot_id));
    statement_bind_i64(statement, 4, (int64_t)self->live.inode);
    statement_bind_i64(statement, 5, mono_us + self->options.lease_us);
    statement_bind_i64(statement, 6, clock_now_us(self->options.clock));
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    consumer_id = statement_i64(statement, 0);
    statement_reset(statement);
    rc = live_file_hold(&self->live, consumer_id, err); /* before anybody can see the row */
    if (rc < 0)
        return rc;
    self->consumer_id = consumer_id;
    self->is_joining = true;
    self->renew_at_us = mono_us + self->options.lease_us * 3 / 10;
    return 0;
}

/* Somebody took us for dead and has our messages. */
static void
note_lost(struct sqlite_broker *self)
{
    tell_note_lost(sqlite_teller(self));
    live_file_release(&self->live);
    self->consumer_id = 0;
}

static int
renew(struct sqlite_broker *self, bool *is_there, struct error *err)
{
    static const char sql[] =
        "UPDATE consumers SET lease_until = $1, live_inode = $2 WHERE consumer_id = $3";
    int64_t mono_us = clock_mono_us(self->options.clock);
    struct statement *statement;
    int64_t n_changed = 0;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, mono_us + self->options.lease_us);
    statement_bind_i64(statement, 2, (int64_t)self->live.inode);
    statement_bind_i64(statement, 3, self->consumer_id);
    rc = statement_run(statement, &n_changed, err);
    if (rc < 0)
        return rc;
    self->renew_at_us = mono_us + self->options.lease_us * 3 / 10;
    *is_there = n_changed > 0;
    return 0;
}

static int
find_row(struct sqlite_broker *self, bool *is_there, struct error *err)
{
    static const char sql[] = "SELECT 1 FROM consumers WHERE consumer_id = $1";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, self->consumer_id);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    statement_reset(statement);
    *is_there = rc == 1;
    return 0;
}

/* At the start of every write transaction: are we still who we were?  The lease is renewed on the
 * way when a third of it is used up, whatever the transaction is for. */
int
sqlite_consumer_keep(struct sqlite_broker *self, struct error *err)
{
    bool is_there = false;
    int rc;

    if (!self->consumer_id)
        return 0;
    if (clock_mono_us(self->options.clock) >= self->renew_at_us)
        rc = renew(self, &is_there, err);
    else
        rc = find_row(self, &is_there, err);
    if (rc == 0 && !is_there)
        note_lost(self);
    return rc;
}

/* The row of another consumer, at columns 0 to 3. */
static bool
is_dead(const struct sqlite_broker *self, const struct statement *row)
{
    static const struct str unknown = STR_INIT("unknown");
    struct str boot_id = statement_str(row, 1);
    struct str our_boot_id = str_from_cstr(self->boot_id);

    if (!str_equal(boot_id, our_boot_id) && !str_equal(boot_id, unknown) &&
        !str_equal(our_boot_id, unknown))
        return true;
    if (live_file_is_held(&self->live, statement_i64(row, 0)))
        return false;
    if (statement_i64(row, 2) == (int64_t)self->live.inode)
        return true;
    return statement_i64(row, 3) < clock_mono_us(self->options.clock);
}

static int
find_dead(struct sqlite_broker *self, int64_t *ids, size_t limit, size_t *n_dead, struct error *err)
{
    static const char sql[] = "SELECT consumer_id, boot_id, live_inode, lease_until FROM consumers"
                              " WHERE consumer_id <> $1 ORDER BY consumer_id";
    struct statement *statement;
    size_t n = 0;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, self->consumer_id);
    while (n < limit && (rc = statement_step(statement, err)) == 1)
        if (is_dead(self, statement))
            ids[n++] = statement_i64(statement, 0);
    statement_reset(statement);
    *n_dead = n;
    return rc < 0 ? rc : 0;
}

/* A new live file: take our byte in it, and say so with the next renewal, at once. */
static int
replace_live_file(struct sqlite_broker *self, struct error *err)
{
    struct live_file fresh = LIVE_FILE_INIT;
    bool is_watched = self->live.watch_fd >= 0;
    int rc = live_file_open(database_path(self->database), &fresh, err);

    if (rc == 0 && self->consumer_id)
        rc = live_file_hold(&fresh, self->consumer_id, err);
    if (rc < 0) {
        live_file_close(&fresh);
        return rc;
    }
    if (is_watched)
        (void)live_file_watch(&fresh);
    live_file_close(&self->live);
    self->live = fresh;
    self->renew_at_us = clock_mono_us(self->options.clock);
    return 0;
}

/* Once a second, reading only. */
int
sqlite_consumer_scan(struct sqlite_broker *self, struct error *err)
{
    int64_t span_us = self->live.watch_fd >= 0 ? SCAN_US : SCAN_POLL_US;
    int64_t id;
    size_t n_dead = 0;
    int rc = 0;

    self->scan_at_us = clock_mono_us(self->options.clock) + span_us;
    if (live_file_is_replaced(&self->live, database_path(self->database)))
        rc = replace_live_file(self, err);
    if (rc == 0)
        rc = find_dead(self, &id, 1, &n_dead, err);
    if (rc == 0)
        self->has_dead = n_dead > 0;
    return rc;
}

static int
run_for(struct sqlite_broker *self, const char *sql, int64_t consumer_id, int64_t *n_changed,
        struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, consumer_id);
    return statement_run(statement, n_changed, err);
}

/* sql moves the claims of one consumer back to their places. */
static int
give_back(struct sqlite_broker *self, int64_t consumer_id, const char *sql, int64_t *n_moved,
          struct error *err)
{
    static const char claims_sql[] = "DELETE FROM claims WHERE consumer_id = $1";
    static const char row_sql[] = "DELETE FROM consumers WHERE consumer_id = $1";
    int rc = sqlite_admit_release_all(self, consumer_id, err);

    if (rc == 0)
        rc = run_for(self, sql, consumer_id, n_moved, err);
    if (rc == 0)
        rc = run_for(self, claims_sql, consumer_id, NULL, err);
    if (rc == 0)
        rc = run_for(self, row_sql, consumer_id, NULL, err);
    if (rc == 0 && *n_moved > 0)
        self->has_news = true;
    return rc;
}

int
sqlite_consumer_recover(struct sqlite_broker *self, struct error *err)
{
    static const char sql[] =
        "INSERT INTO ready (queue_id, priority, message_id, attempt, n_crashes)"
        " SELECT queue_id, priority, message_id, attempt, n_crashes FROM claims"
        " WHERE consumer_id = $1";
    int64_t ids[RECOVER_LIMIT];
    size_t n_dead = 0;
    int rc;

    if (!self->has_dead)
        return 0;
    rc = find_dead(self, ids, RECOVER_LIMIT, &n_dead, err); /* again, under the lock */
    for (size_t i = 0; rc == 0 && i < n_dead; i++) {
        int64_t n_moved = 0;

        rc = give_back(self, ids[i], sql, &n_moved, err);
        self->n_recovering += (uint64_t)n_moved;
    }
    if (rc == 0)
        self->has_dead = n_dead == RECOVER_LIMIT;
    return rc;
}

/* Closing: all that is not settled goes back as if it had never been handed out. */
int
sqlite_consumer_leave(struct sqlite_broker *self, struct error *err)
{
    static const char sql[] =
        "INSERT INTO ready (queue_id, priority, message_id, attempt, n_crashes)"
        " SELECT queue_id, priority, message_id, attempt - 1, n_crashes FROM claims"
        " WHERE consumer_id = $1";
    int64_t n_moved = 0;
    int rc;

    if (!self->consumer_id)
        return 0;
    rc = give_back(self, self->consumer_id, sql, &n_moved, err);
    if (rc == 0)
        self->stats.n_released += (uint64_t)n_moved;
    return rc;
}
