/* A round: one write transaction for all that waits, then the callbacks.
 *
 *     look      wake-ups, the second's scan, what is due: reads only, most rounds end here
 *     write     keep our lease, recover the dead, promote due etas, outbox, claim; one commit
 *     tell      completions, lost leases, deliveries
 *
 * A transaction that carries operations is synced when it commits.  One that only claims or renews
 * is not: a machine that goes down takes the claimers with it, and the messages are then ready
 * again. */

#include <poll.h>

#include "celery/broker/sqlite_limits.h"

#define APPLY_LIMIT       ((size_t)8192) /* operations in one transaction */
#define APPLY_LIMIT_BYTES ((size_t)8 << 20)
#define APPLY_MOST        (2 * APPLY_LIMIT) /* for messages and the verdict bound to them */
#define APPLY_MOST_BYTES  ((size_t)32 << 20)
#define BUSY_RETRY_US     US_PER_MS
#define RETRY_MIN_US      (10 * US_PER_MS) /* after a failure, doubled up to the maximum */
#define RETRY_MAX_US      US_PER_S
#define KEEP_ROUND_BYTES  ((size_t)4 << 20)

static bool
has_due_eta(const struct sqlite_broker *self)
{
    return self->n_queues > 0 && self->next_eta_us != TIME_UNKNOWN &&
           self->next_eta_us <= clock_now_us(self->options.clock);
}

static bool
wants_messages(const struct sqlite_broker *self)
{
    return self->n_queues > 0 && self->credit > 0 && self->may_be_ready;
}

static bool
holds_leases(const struct sqlite_broker *self)
{
    return self->consumer_id && self->window.n_held > 0;
}

/* What can be found out without the write lock. */
static int
look(struct sqlite_broker *self, struct error *err)
{
    int64_t mono_us = clock_mono_us(self->options.clock);
    bool is_woken = live_file_drain(&self->live);
    int rc = 0;

    self->stats.n_wakeups += is_woken;
    if (self->n_queues == 0)
        return 0;
    if (mono_us >= self->scan_at_us) {
        rc = sqlite_consumer_scan(self, err);
        if (rc == 0)
            rc = sqlite_admit_look(self, err);
        self->pause_at_us = 0;
        is_woken = true; /* a wake-up may have been missed */
    }
    if (rc == 0 && is_woken)
        rc = sqlite_pause_look(self, err);
    if (rc == 0 && (is_woken || self->must_look)) {
        rc = sqlite_schedule_read_next(self, err);
        self->may_be_ready = true;
        self->must_look = rc < 0;
    }
    if (rc == 0 && wants_messages(self))
        rc = sqlite_claim_look(self, &self->may_be_ready, err);
    return rc;
}

static bool
must_write(const struct sqlite_broker *self)
{
    int64_t mono_us = clock_mono_us(self->options.clock);

    if (mono_us < self->retry_at_us)
        return false;
    return !outbox_is_empty(&self->outbox) || self->has_dead || has_due_eta(self) ||
           wants_messages(self) || (holds_leases(self) && mono_us >= self->renew_at_us);
}

static int
apply_outbox(struct sqlite_broker *self, struct error *err)
{
    struct pending *pending = NULL;
    size_t n_bytes = 0;

    for (size_t n = 0; (n < APPLY_LIMIT && n_bytes < APPLY_LIMIT_BYTES) ||
                       (n < APPLY_MOST && n_bytes < APPLY_MOST_BYTES &&
                        outbox_must_go_on(&self->outbox, pending));
         n++) {
        int rc;

        pending = outbox_start(&self->outbox);
        if (!pending)
            break;
        pending->outcome = BROKER_DONE;
        n_bytes += pending->bytes.len;
        if (pending->is_question)
            rc = sqlite_admit_apply(self, pending, err);
        else if (pending->tag)
            rc = sqlite_settle_apply(self, pending, err);
        else
            rc = sqlite_message_insert(self, pending, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
work(struct sqlite_broker *self, struct error *err)
{
    int rc = sqlite_consumer_keep(self, err);

    if (rc == 0)
        rc = sqlite_consumer_recover(self, err);
    if (rc == 0 && self->n_queues > 0)
        rc = sqlite_schedule_promote(self, err);
    if (rc == 0)
        rc = apply_outbox(self, err);
    if (rc == 0)
        rc = sqlite_claim_batch(self, err);
    if (rc == 0 && self->n_queues > 0)
        rc = sqlite_schedule_read_next(self, err);
    return rc < 0 ? rc : database_commit(self->database, err);
}

static void
tell_deliveries(struct sqlite_broker *self)
{
    for (size_t i = 0; i < self->n_claimed; i++)
        tell_delivery(sqlite_teller(self), &self->credit, &self->claimed[i].delivery);
    self->n_claimed = 0;
}

static void
finish(struct sqlite_broker *self)
{
    struct pending_list done;

    self->is_joining = false;
    self->retry_span_us = 0;
    self->stats.n_commits++;
    self->committed_at_us = clock_mono_us(&clock_system);
    self->stats.n_recovered += self->n_recovering;
    if (self->has_news) {
        live_file_wake(&self->live);
        self->may_be_ready = true;
    }
    outbox_finish(&self->outbox, &done);
    tell_done(sqlite_teller(self), &done, NULL);
    tell_lost(sqlite_teller(self));
    tell_deliveries(self);
}

/* The database has rolled back: forget what the transaction made of us. */
static void
undo(struct sqlite_broker *self)
{
    sqlite_claim_undo(self);
    sqlite_queue_forget_ids(self);
    if (self->is_joining) {
        live_file_release(&self->live);
        self->consumer_id = 0;
        self->is_joining = false;
    }
    self->must_look = true;
}

/* For good: nothing is acknowledged any more, since nobody knows what the disk holds. */
static int
break_down(struct sqlite_broker *self, int rc, const struct error *err)
{
    struct pending_list failed;

    self->broken = *err;
    outbox_abandon(&self->outbox, &failed);
    tell_failed(sqlite_teller(self), &failed, err);
    return rc;
}

static int
handle_failure(struct sqlite_broker *self, int rc, struct error *err)
{
    int64_t mono_us = clock_mono_us(self->options.clock);
    struct pending_list failed;

    if (rc == -ERR_CORRUPT || database_is_failed(self->database))
        return break_down(self, rc, err);
    if (rc == -ERR_BUSY) {
        self->stats.n_busy++;
        outbox_retry(&self->outbox);
        self->retry_at_us = mono_us + BUSY_RETRY_US;
        return 0;
    }
    self->retry_span_us = self->retry_span_us ? self->retry_span_us * 2 : RETRY_MIN_US;
    if (self->retry_span_us > RETRY_MAX_US)
        self->retry_span_us = RETRY_MAX_US;
    self->retry_at_us = mono_us + self->retry_span_us;
    outbox_undo(&self->outbox, &failed);
    tell_failed(sqlite_teller(self), &failed, err);
    return 0;
}

static int
write_round(struct sqlite_broker *self, struct error *err)
{
    enum database_sync sync =
        outbox_is_empty(&self->outbox) ? DATABASE_SYNC_NORMAL : DATABASE_SYNC_FULL;
    int rc = database_set_sync(self->database, sync, err);

    self->has_news = false;
    self->n_recovering = 0;
    self->n_claimed = 0;
    if (rc == 0)
        rc = sqlite_lock_begin(self, self->options.max_block_us, err);
    if (rc < 0)
        return rc;
    rc = work(self, err);
    if (rc < 0) {
        database_rollback(self->database);
        undo(self);
    }
    return rc;
}

/* Most rounds are small; one big message must not stay in memory for ever. */
static void
reset_arena(struct sqlite_broker *self)
{
    if (self->round.used > KEEP_ROUND_BYTES)
        arena_fini(&self->round);
    else
        arena_reset(&self->round);
}

int
sqlite_round_run(struct broker *broker, struct error *err)
{
    struct sqlite_broker *self = sqlite_broker_from(broker);
    struct error trouble;
    int rc;

    if (self->broken.code != ERR_NONE) {
        if (err)
            *err = self->broken;
        return -(int)self->broken.code;
    }
    rc = look(self, &trouble);
    if (rc == 0 && must_write(self)) {
        rc = write_round(self, &trouble);
        if (rc == 0)
            finish(self);
        reset_arena(self);
    }
    if (rc < 0)
        rc = handle_failure(self, rc, &trouble);
    if (rc < 0 && err)
        *err = self->broken;
    return rc;
}

static int64_t
earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void
sqlite_round_get_wait(const struct broker *broker, struct broker_wait *out)
{
    const struct sqlite_broker *self = (const struct sqlite_broker *)broker;
    int64_t mono_us = clock_mono_us(self->options.clock);
    int64_t work_at_us = INT64_MAX; /* what needs the write lock waits for retry_at_us */

    *out = (struct broker_wait){.fd = -1, .events = POLLIN, .deadline_us = INT64_MAX};
    if (self->broken.code != ERR_NONE)
        return;
    if (!outbox_is_empty(&self->outbox) || self->has_dead || wants_messages(self))
        work_at_us = mono_us;
    if (holds_leases(self))
        work_at_us = earlier(work_at_us, self->renew_at_us);
    if (self->n_queues > 0 && self->next_eta_us != TIME_UNKNOWN)
        work_at_us =
            earlier(work_at_us, mono_us + (self->next_eta_us - clock_now_us(self->options.clock)));
    out->deadline_us = work_at_us < self->retry_at_us ? self->retry_at_us : work_at_us;
    if (self->n_queues == 0)
        return;
    out->deadline_us = earlier(out->deadline_us, self->must_look ? mono_us : self->scan_at_us);
    if (self->credit > 0)
        out->fd = self->live.watch_fd;
}
