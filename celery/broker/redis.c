/* The Redis broker: Kombu's keys, so that Python workers and clients share the queues, and atomic
 * scripts where Kombu has several steps.  docs/brokers.md has the picture.
 *
 * This file opens and closes handles and takes operations in; redis_round.c carries them out. */

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/number.h"
#include "base/utf8.h"
#include "celery/broker/check.h"
#include "celery/broker/redis_internal.h"
#include "celery/broker/redis_scripts.h"

#define OPEN_WAIT_US  (US_PER_S * 3 / 2)
#define AUDIT_MIN_US  (100 * US_PER_MS)
#define CLOSE_WAIT_US US_PER_S
#define ROUND_BYTES   ((size_t)256 << 20) /* words of a round, borrowed texts not counted */
#define ADDRESS_BYTES ((size_t)256 << 10)

static void
fill_defaults(struct broker_options *options)
{
    check_fill_defaults(options);
    if (!options->name.ptr)
        options->name = STR("trawl");
    if (!options->max_open_us)
        options->max_open_us = OPEN_WAIT_US;
}

static struct redis_broker *
create_broker(const struct broker_options *options)
{
    struct redis_broker *self = calloc(1, sizeof(*self));

    if (!self)
        return NULL;
    self->base.ops = &broker_redis;
    self->options = *options;
    fill_defaults(&self->options);
    self->arena = (struct arena)ARENA_INIT(ADDRESS_BYTES);
    self->round = (struct arena)ARENA_INIT(ROUND_BYTES);
    self->epoll_fd = -1;
    self->main.watched_fd = -1;
    self->wake.watched_fd = -1;
    self->claim_most = REDIS_CLAIM_LIMIT;
    self->eta_at_us = INT64_MAX;
    self->look_at_us = INT64_MIN;
    self->claim_at_us = INT64_MIN;
    self->settle_at_us = INT64_MIN;
    self->tend_at_us = INT64_MIN;
    self->restore_at_us = INT64_MIN;
    uuid_random(self->handle);
    outbox_init(&self->outbox, self->options.max_pending_bytes);
    window_init(&self->window);
    redis_call_rename(self, self->consumer);
    return self;
}

static void
free_broker(struct redis_broker *self)
{
    redis_link_close(self);
    outbox_fini(&self->outbox);
    window_fini(&self->window);
    arena_fini(&self->round);
    arena_fini(&self->arena);
    free(self->queues);
    free(self);
}

static void
free_brokerp(struct redis_broker **self)
{
    if (*self)
        free_broker(*self);
}

static int
read_url(struct redis_broker *self, struct str url, struct error *err)
{
    static const char *const texts[N_SCRIPTS] = {
        [SCRIPT_PUBLISH] = redis_text_publish,
        [SCRIPT_SETTLE] = redis_text_settle,
        [SCRIPT_LEAVE] = redis_text_leave,
        [SCRIPT_TEND] = redis_text_tend,
        [SCRIPT_CLAIM] = redis_text_claim,
    };
    int rc = redis_address_parse(url, &self->arena, &self->address, err);

    if (rc == 0)
        rc = redis_layout_read(&self->address, &self->arena, &self->layout, err);
    for (size_t i = 0; rc == 0 && i < N_SCRIPTS; i++)
        rc = redis_script_init(&self->scripts[i], texts[i], err);
    return rc;
}

/* The line "name:value" of INFO. */
static struct str
read_info(struct str info, struct str name)
{
    struct str line;

    while (str_split(&info, '\n', &line))
        if (str_starts_with(line, name) && line.len > name.len && line.ptr[name.len] == ':')
            return str_trim(str_slice(line, name.len + 1, line.len));
    return STR_NULL;
}

/* Whether this server can do it, and whether it will throw messages away. */
static int
audit(struct redis_broker *self, int64_t wait_us, struct error *err)
{
    static const struct str words[] = {STR_INIT("INFO")};
    char text[REDIS_TEXT_BYTES];
    const struct redis_value *reply;
    struct str version;
    struct str policy;
    struct str major;
    struct str minor;
    int64_t numbers[2] = {0, 0};
    int rc = redis_call(self->main.redis, words, COUNT_OF(words), wait_us, &reply, err);

    if (rc < 0 || reply->kind != REDIS_BULK) /* INFO may be forbidden */
        return rc;
    version = read_info(reply->text, STR("redis_version"));
    policy = read_info(reply->text, STR("maxmemory_policy"));
    major = version;
    if (str_split(&version, '.', &major) && str_split(&version, '.', &minor) &&
        number_parse_i64(major, &numbers[0], NULL) == 0 &&
        number_parse_i64(minor, &numbers[1], NULL) == 0 &&
        (numbers[0] < 6 || (numbers[0] == 6 && numbers[1] < 2)))
        return error_set(err, ERR_CONFIG, "%s is Redis %lld.%lld: 6.2 or newer is needed",
                         redis_address_format(&self->address, text), (long long)numbers[0],
                         (long long)numbers[1]);
    if (policy.len > 0 && !str_equal(policy, STR("noeviction")))
        log_warning("broker may throw messages away when its memory is full: server=%s"
                    " maxmemory_policy=%.*s wanted=noeviction",
                    redis_address_format(&self->address, text), STR_ARG(policy));
    return 0;
}

static int
redis_broker_open(struct str url, const struct broker_options *options, struct broker **out,
                  struct error *err)
{
    CLEANUP(free_brokerp) struct redis_broker *self = create_broker(options);
    int64_t until_us;
    int64_t left_us;
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for a broker");
    until_us = clock_mono_us(&clock_system) + self->options.max_open_us;
    rc = read_url(self, url, err);
    if (rc == 0)
        rc = redis_link_open(self, until_us, err);
    left_us = until_us - clock_mono_us(&clock_system);
    if (rc == 0)
        rc = audit(self, left_us > AUDIT_MIN_US ? left_us : AUDIT_MIN_US, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot open the broker");
    *out = &TAKE(self)->base;
    return 0;
}

static void
redis_broker_close(struct broker *broker)
{
    struct redis_broker *self = redis_broker_from(broker);

    self->credit = 0;
    if (!outbox_is_empty(&self->outbox))
        error_ignore(broker_flush(broker, CLOSE_WAIT_US, NULL)); /* the lease sees to the rest */
    if (self->main.redis && redis_is_ready(self->main.redis)) {
        redis_consumer_leave(self);
        redis_settle_forget(self);
    }
    free_broker(self);
}

static void
redis_broker_forget(struct broker *broker)
{
    redis_link_forget(redis_broker_from(broker));
}

static int
redis_broker_publish(struct broker *broker, const struct broker_message *message, uint64_t *ticket,
                     struct error *err)
{
    struct redis_broker *self = redis_broker_from(broker);
    int rc = check_message(message, self->options.max_message_bytes, err);

    return rc < 0 ? rc : outbox_add_publish(&self->outbox, message, ticket, err);
}

static int
redis_broker_settle(struct broker *broker, uint64_t tag, const struct broker_verdict *verdict,
                    uint64_t *ticket, struct error *err)
{
    struct redis_broker *self = redis_broker_from(broker);

    return check_settle(&self->outbox, &self->window, &self->stats, tag, verdict, ticket, err);
}

static int
redis_broker_admit(struct broker *broker, uint64_t tag, const struct broker_admission *admission,
                   uint64_t *ticket, struct error *err)
{
    struct redis_broker *self = redis_broker_from(broker);

    return check_admit(&self->outbox, &self->window, &self->stats, tag, admission, ticket, err);
}

static bool
is_among(const struct redis_queue *queues, size_t n_queues, struct str name)
{
    for (size_t i = 0; i < n_queues; i++)
        if (str_equal(queues[i].name, name))
            return true;
    return false;
}

static int
redis_broker_consume(struct broker *broker, const struct str *queues, size_t n_queues,
                     struct error *err)
{
    struct redis_broker *self = redis_broker_from(broker);
    struct redis_queue *copies;
    size_t n_copies = 0;
    int rc = check_queues(queues, n_queues, err);

    if (rc < 0)
        return rc;
    copies = calloc(n_queues ? n_queues : 1, sizeof(*copies));
    if (!copies)
        return error_set(err, ERR_NOMEM, "no memory for %zu queues", n_queues);
    for (size_t i = 0; i < n_queues; i++) {
        struct redis_queue *copy = &copies[n_copies];

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
    self->eta_at_us = INT64_MAX;
    self->may_be_ready = true;
    self->must_bind = n_copies > 0;
    return 0;
}

static void
redis_broker_set_credit(struct broker *broker, size_t n_messages)
{
    struct redis_broker *self = redis_broker_from(broker);

    if (self->credit == 0 && n_messages > 0)
        self->may_be_ready = true;
    self->credit = n_messages < BROKER_MAX_CREDIT ? n_messages : BROKER_MAX_CREDIT;
}

static void
redis_broker_get_stats(const struct broker *broker, struct broker_stats *out)
{
    const struct redis_broker *self = (const struct redis_broker *)broker;

    *out = self->stats;
    out->n_unsettled = self->window.n_held;
    out->n_pending = self->outbox.waiting.n_items + self->outbox.running.n_items;
    out->n_asked = self->n_asked + (self->main.redis && !self->is_greeted) +
                   (self->wake.redis && self->tracking == TRACKING_NONE);
}

const struct broker_ops broker_redis = {
    .name = "redis",
    .open = redis_broker_open,
    .close = redis_broker_close,
    .forget = redis_broker_forget,
    .publish = redis_broker_publish,
    .settle = redis_broker_settle,
    .admit = redis_broker_admit,
    .consume = redis_broker_consume,
    .set_credit = redis_broker_set_credit,
    .run = redis_round_run,
    .get_wait = redis_round_get_wait,
    .get_stats = redis_broker_get_stats,
    .list_queues = redis_admin_list_queues,
    .count = redis_admin_count,
    .list_scheduled = redis_list_scheduled,
    .purge = redis_admin_purge,
    .revoke = redis_admin_revoke,
    .list_revoked = redis_admin_list_revoked,
    .bury = redis_dead_bury,
    .list_dead = redis_dead_list,
    .get_dead = redis_dead_get,
    .requeue_dead = redis_dead_requeue,
    .drop_dead = redis_dead_drop,
    .pause = redis_pause,
    .resume = redis_resume,
    .list_paused = redis_list_paused,
};
