/* The SQLite broker: one file, several processes on one host.  docs/brokers.md has the picture.
 *
 * This file opens and closes handles and takes operations in; sqlite_round.c carries them out. */

#include <stdlib.h>
#include <string.h>

#include "base/database_migration.h"
#include "celery/broker/check.h"
#include "celery/broker/sqlite_internal.h"

#define MAX_BLOCK_US    (5 * US_PER_MS)
#define OPEN_WAIT_MS    10000
#define CLOSE_WAIT_US   US_PER_S
#define WAL_LIMIT_BYTES (INT64_C(4) << 20) /* a checkpoint happens in an event loop */
#define CHECKPOINT_MS   20
#define ROUND_BYTES     ((size_t)16 << 20) /* beside one message of the greatest size */

extern const struct migration broker_migrations[];

static const struct database_schema broker_schema = {
    .migrations = broker_migrations,
    .migrate_command = "trawl worker",
};

static void
fill_defaults(struct broker_options *options)
{
    check_fill_defaults(options);
    if (!options->name.ptr)
        options->name = STR("");
    if (!options->max_block_us)
        options->max_block_us = MAX_BLOCK_US;
}

static struct sqlite_broker *
create_broker(const struct broker_options *options)
{
    struct sqlite_broker *self = calloc(1, sizeof(*self));

    if (!self)
        return NULL;
    self->base.ops = &broker_sqlite;
    self->options = *options;
    fill_defaults(&self->options);
    self->live = (struct live_file)LIVE_FILE_INIT;
    self->round = (struct arena)ARENA_INIT(ROUND_BYTES + self->options.max_message_bytes);
    self->next_eta_us = TIME_UNKNOWN;
    outbox_init(&self->outbox, self->options.max_pending_bytes);
    window_init(&self->window);
    self->random = self->window.first_sequence;
    boot_id_read(self->boot_id);
    return self;
}

static void
free_broker(struct sqlite_broker *self)
{
    database_close(self->database);
    live_file_close(&self->live);
    outbox_fini(&self->outbox);
    window_fini(&self->window);
    arena_fini(&self->round);
    free(self->queues);
    free(self);
}

static void
free_brokerp(struct sqlite_broker **self)
{
    if (*self)
        free_broker(*self);
}

static int
sqlite_open(struct str url, const struct broker_options *options, struct broker **out,
            struct error *err)
{
    CLEANUP(free_brokerp) struct sqlite_broker *self = create_broker(options);
    struct database_options database_options = {
        .schema = &broker_schema,
        .busy_timeout_ms = options->max_open_us > 0
                               ? (options->max_open_us + US_PER_MS - 1) / US_PER_MS
                               : OPEN_WAIT_MS,
        .wal_limit_bytes = WAL_LIMIT_BYTES,
        .checkpoint_ms = CHECKPOINT_MS,
        .cache = DATABASE_CACHE_SMALL,
        .may_create = !options->must_exist,
        .must_be_current = options->must_exist,
    };
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for a broker");
    rc = database_open(url, &database_options, &self->database, err);
    if (rc == 0 && !options->must_exist)
        rc = database_migrate(self->database, NULL, err);
    if (rc == 0)
        rc = live_file_open(database_path(self->database), &self->live, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot open the broker");
    database_set_busy_timeout(self->database, 0); /* sqlite_lock.c waits */
    *out = &TAKE(self)->base;
    return 0;
}

static int
leave(struct sqlite_broker *self, void *context, struct error *err)
{
    (void)context;
    return sqlite_consumer_leave(self, err);
}

/* What fails here is left to the kernel, which drops our lock, and to whoever finds that. */
static void
sqlite_close(struct broker *broker)
{
    struct sqlite_broker *self = sqlite_broker_from(broker);

    self->credit = 0;
    if (self->broken.code == ERR_NONE) {
        if (!outbox_is_empty(&self->outbox))
            error_ignore(broker_flush(broker, CLOSE_WAIT_US, NULL));
        if (self->consumer_id)
            error_ignore(sqlite_transact(self, CLOSE_WAIT_US, leave, NULL, NULL));
    }
    free_broker(self);
}

static void
sqlite_forget(struct broker *broker)
{
    struct sqlite_broker *self = sqlite_broker_from(broker);

    live_file_close(&self->live);
    database_forget(self->database);
}

static int
sqlite_publish(struct broker *broker, const struct broker_message *message, uint64_t *ticket,
               struct error *err)
{
    struct sqlite_broker *self = sqlite_broker_from(broker);
    int rc = check_message(message, self->options.max_message_bytes, err);

    return rc < 0 ? rc : outbox_add_publish(&self->outbox, message, ticket, err);
}

static int
sqlite_settle(struct broker *broker, uint64_t tag, const struct broker_verdict *verdict,
              uint64_t *ticket, struct error *err)
{
    struct sqlite_broker *self = sqlite_broker_from(broker);

    return check_settle(&self->outbox, &self->window, &self->stats, tag, verdict, ticket, err);
}

static int
sqlite_admit(struct broker *broker, uint64_t tag, const struct broker_admission *admission,
             uint64_t *ticket, struct error *err)
{
    struct sqlite_broker *self = sqlite_broker_from(broker);

    return check_admit(&self->outbox, &self->window, &self->stats, tag, admission, ticket, err);
}

static bool
is_among(const struct queue_name *queues, size_t n_queues, struct str name)
{
    for (size_t i = 0; i < n_queues; i++)
        if (str_equal(queues[i].name, name))
            return true;
    return false;
}

static int
sqlite_consume(struct broker *broker, const struct str *queues, size_t n_queues, struct error *err)
{
    struct sqlite_broker *self = sqlite_broker_from(broker);
    struct queue_name *copies;
    size_t n_copies = 0;
    int rc = check_queues(queues, n_queues, err);

    if (rc < 0)
        return rc;
    copies = calloc(n_queues ? n_queues : 1, sizeof(*copies));
    if (!copies)
        return error_set(err, ERR_NOMEM, "no memory for %zu queues", n_queues);
    for (size_t i = 0; i < n_queues; i++) {
        struct queue_name *copy = &copies[n_copies];

        if (is_among(copies, n_copies, queues[i]))
            continue;
        (void)memcpy(copy->bytes, queues[i].ptr, queues[i].len);
        copy->name = (struct str){copy->bytes, queues[i].len};
        n_copies++;
    }
    free(self->queues);
    self->queues = copies;
    self->n_queues = n_copies;
    self->turn_idx = 0;
    self->must_look = true;
    self->scan_at_us = 0;
    self->pause_at_us = 0;
    if (n_copies > 0)
        (void)live_file_watch(&self->live); /* without it the timer is shorter */
    return 0;
}

static void
sqlite_set_credit(struct broker *broker, size_t n_messages)
{
    struct sqlite_broker *self = sqlite_broker_from(broker);

    if (self->credit == 0 && n_messages > 0)
        self->must_look = true; /* nobody woke us meanwhile */
    self->credit = n_messages < BROKER_MAX_CREDIT ? n_messages : BROKER_MAX_CREDIT;
}

static void
sqlite_get_stats(const struct broker *broker, struct broker_stats *out)
{
    const struct sqlite_broker *self = (const struct sqlite_broker *)broker;

    *out = self->stats;
    out->n_unsettled = self->window.n_held;
    out->n_pending = self->outbox.waiting.n_items + self->outbox.running.n_items;
}

const struct broker_ops broker_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .forget = sqlite_forget,
    .publish = sqlite_publish,
    .settle = sqlite_settle,
    .admit = sqlite_admit,
    .consume = sqlite_consume,
    .set_credit = sqlite_set_credit,
    .run = sqlite_round_run,
    .get_wait = sqlite_round_get_wait,
    .get_stats = sqlite_get_stats,
    .list_queues = sqlite_admin_list_queues,
    .count = sqlite_admin_count,
    .list_scheduled = sqlite_list_scheduled,
    .purge = sqlite_admin_purge,
    .revoke = sqlite_admin_revoke,
    .list_revoked = sqlite_admin_list_revoked,
    .bury = sqlite_dead_bury,
    .list_dead = sqlite_dead_list,
    .get_dead = sqlite_dead_get,
    .requeue_dead = sqlite_dead_requeue,
    .drop_dead = sqlite_dead_drop,
    .pause = sqlite_pause,
    .resume = sqlite_resume,
    .list_paused = sqlite_list_paused,
};
