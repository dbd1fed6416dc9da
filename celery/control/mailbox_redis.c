/* Letters on Redis, as kombu's virtual transport lays them out:
 *
 *     broadcast   PUBLISH /<db>.<exchange>                    PSUBSCRIBE hears it
 *     send        LPUSH <queue>, the queue that              BRPOP hears it
 *                 _kombu.binding.<exchange> names for the routing key: a member
 *                 "<routing key> 06 16 <pattern> 06 16 <queue>"
 *
 * All names get the global_keyprefix.  Two connections, since who listens on one can say nothing
 * else there: the speaker and the hearer.  They share one epoll descriptor, so that an event loop
 * has a single one to watch.
 *
 * Source: kombu, transport/redis.py and transport/virtual/base.py. */

#include <stdlib.h>
#include <sys/epoll.h>

#include "base/file.h"
#include "celery/control/mailbox_redis_internal.h"

#define OPEN_US       US_PER_S
#define POP_REPLY_US  (5 * US_PER_S) /* BRPOP ends after a second */
#define FAREWELL_US   (200 * US_PER_MS)
#define ADDRESS_BYTES ((size_t)65536)

/* KEYS: the binding set, when kombu (from 5.7) sweeps which.  ARGV: the binding, the exchange.
 * Where others have set a deadline for the set, it is put off; none is set, since older members
 * know nothing of sweeps.  An old server does not know GT, and no kombu that sweeps. */
static const char bind_script[] =
    "redis.call('SADD', KEYS[1], ARGV[1])\n"
    "local now = redis.call('TIME')\n"
    "redis.pcall('ZADD', KEYS[2], 'XX', 'GT', tonumber(now[1]) * 1000 + 300000, ARGV[2])\n"
    "return 1\n";

static void
free_mailbox(struct redis_mailbox *self)
{
    redis_close(self->speaker);
    redis_close(self->hearer);
    file_close_fdp(&self->epoll_fd);
    buf_fini(&self->said);
    arena_fini(&self->arena);
    free(self);
}

static void
free_mailboxp(struct redis_mailbox **self)
{
    if (*self)
        free_mailbox(*self);
}

/* A text in the mailbox's arena. */
#define MAKE_TEXT(self, err, out, ...)                                                             \
    make_text(arena_printf(&(self)->arena, __VA_ARGS__), out, err)

static int
make_text(const char *text, struct str *out, struct error *err)
{
    if (!text)
        return error_set(err, ERR_NOMEM, "no memory for a name");
    *out = str_from_cstr(text);
    return 0;
}

/* kombu's options of the same names; fanout_prefix may hold {db}, and "false" is none. */
static int
read_options(struct redis_mailbox *self, struct error *err)
{
    struct str given;
    int rc =
        redis_address_option(&self->address, STR("global_keyprefix"), &self->arena, &given, err);

    if (rc < 0)
        return rc;
    self->key_prefix = given.ptr ? given : STR("");
    rc = redis_address_option(&self->address, STR("sep"), &self->arena, &given, err);
    if (rc < 0)
        return rc;
    self->separator = given.len ? given : STR("\x06\x16");
    rc = redis_address_option(&self->address, STR("fanout_patterns"), &self->arena, &given, err);
    if (rc < 0)
        return rc;
    self->has_topics = !str_equal_ignore_case(given, STR("false")) && !str_equal(given, STR("0"));
    rc = redis_address_option(&self->address, STR("fanout_prefix"), &self->arena, &given, err);
    if (rc < 0)
        return rc;
    if (!given.ptr)
        given = STR("/{db}.");
    else if (str_equal_ignore_case(given, STR("false")))
        given = STR("");
    if (str_find(given, STR("{db}")) < given.len)
        return MAKE_TEXT(self, err, &self->fanout_prefix, "%.*s%lld%.*s",
                         STR_ARG(str_slice(given, 0, str_find(given, STR("{db}")))),
                         (long long)self->address.database,
                         STR_ARG(str_slice(given, str_find(given, STR("{db}")) + 4, given.len)));
    self->fanout_prefix = given;
    return 0;
}

static int
connect_to(const struct redis_mailbox *self, int64_t reply_us, struct redis **out,
           struct error *err)
{
    struct redis_options options = {
        .client_name = self->options.name,
        .connect_us = self->options.max_open_us > 0 ? self->options.max_open_us : OPEN_US,
        .reply_us = reply_us,
        .max_pending_bytes = self->options.max_pending_bytes,
    };

    return redis_open(&self->address, &options, out, err);
}

static int
redis_mailbox_open(struct str broker_url, const struct mailbox_options *options,
                   struct mailbox **out, struct error *err)
{
    CLEANUP(free_mailboxp) struct redis_mailbox *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for a mailbox");
    self->base.ops = &mailbox_redis;
    self->options = *options;
    self->arena = (struct arena)ARENA_INIT(ADDRESS_BYTES);
    buf_init(&self->said, (size_t)1 << 20);
    self->must_run = true;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd < 0)
        return error_set_errno(err, "cannot make a mailbox");
    rc = redis_address_parse(broker_url, &self->arena, &self->address, err);
    if (rc == 0)
        rc = read_options(self, err);
    if (rc == 0)
        rc = connect_to(self, 0, &self->speaker, err);
    if (rc < 0)
        return rc;
    *out = &TAKE(self)->base;
    return 0;
}

/* Which exchange, by which key, is heard as which queue. */
static int
bind_queue(struct redis_mailbox *self, struct str exchange, struct str routing_key,
           struct str queue, struct error *err)
{
    struct str words[] = {
        STR("EVAL"), str_from_cstr(bind_script), STR("2"), STR_NULL, STR_NULL, STR_NULL, exchange};
    int rc = mailbox_check_name(exchange, "the exchange", err);

    if (rc == 0)
        rc = mailbox_check_name(queue, "the queue", err);
    if (rc == 0)
        rc = MAKE_TEXT(self, err, &self->binding_key, "%.*s_kombu.binding.%.*s",
                       STR_ARG(self->key_prefix), STR_ARG(exchange));
    if (rc == 0)
        rc = MAKE_TEXT(self, err, &words[4], "%.*s_kombu.binding_deadlines",
                       STR_ARG(self->key_prefix));
    if (rc == 0)
        rc = MAKE_TEXT(self, err, &self->binding, "%.*s%.*s%.*s%.*s", STR_ARG(routing_key),
                       STR_ARG(self->separator), STR_ARG(self->separator), STR_ARG(queue));
    words[3] = self->binding_key;
    words[5] = self->binding;
    return rc < 0 ? rc : redis_mailbox_say(self, words, COUNT_OF(words), SAID_BINDING, err);
}

static int
redis_mailbox_listen(struct mailbox *mailbox, struct str exchange, struct str queue,
                     struct error *err)
{
    struct redis_mailbox *self = redis_mailbox_from(mailbox);
    struct str words[2] = {STR("PSUBSCRIBE")};
    struct str name = redis_mailbox_exchange(exchange);
    struct str topic = str_slice(exchange, name.len + 1, exchange.len);
    int rc = bind_queue(self, name, topic, queue, err);

    if (rc == 0)
        rc = connect_to(self, TIME_UNKNOWN, &self->hearer, err);
    if (rc == 0)
        rc = MAKE_TEXT(
            self, err, &words[1], "%.*s%.*s%.*s%s%.*s%s", STR_ARG(self->key_prefix),
            STR_ARG(self->fanout_prefix), STR_ARG(name), topic.len && self->has_topics ? "/" : "",
            STR_ARG(self->has_topics ? str_slice(topic, 0, str_find_char(topic, '#')) : STR_NULL),
            self->has_topics && str_ends_with(topic, STR("#")) ? "*" : "");
    return rc < 0 ? rc : redis_command(self->hearer, words, COUNT_OF(words), err);
}

static int
redis_mailbox_receive(struct mailbox *mailbox, const struct mailbox_address *address,
                      struct str queue, struct error *err)
{
    static const char *const steps[REDIS_MAILBOX_STEPS] = {"", "3", "6", "9"};
    struct redis_mailbox *self = redis_mailbox_from(mailbox);
    int rc = mailbox_check_name(address->routing_key, "the routing key", err);

    if (rc == 0)
        rc = bind_queue(self, address->exchange, address->routing_key, queue, err);
    for (size_t i = 0; rc == 0 && i < REDIS_MAILBOX_STEPS; i++)
        rc = MAKE_TEXT(self, err, &self->lists[i], "%.*s%.*s%.*s%s", STR_ARG(self->key_prefix),
                       STR_ARG(queue), STR_ARG(i ? self->separator : STR("")), steps[i]);
    if (rc == 0)
        rc = connect_to(self, POP_REPLY_US, &self->hearer, err);
    return rc < 0 ? rc : redis_mailbox_pop(self, err);
}

static bool
redis_mailbox_is_listening(const struct mailbox *mailbox)
{
    return ((const struct redis_mailbox *)mailbox)->is_subscribed;
}

/* The binding goes, and with it the lists; who is killed leaves them, as Celery's processes do. */
static void
redis_mailbox_close(struct mailbox *mailbox)
{
    struct redis_mailbox *self = redis_mailbox_from(mailbox);
    struct str words[REDIS_MAILBOX_STEPS + 1] = {STR("SREM"), self->binding_key, self->binding};

    if (self->binding.ptr && redis_is_ready(self->speaker)) {
        error_ignore(redis_command(self->speaker, words, 3, NULL));
        words[0] = STR("DEL");
        for (size_t i = 0; i < REDIS_MAILBOX_STEPS; i++)
            words[i + 1] = self->lists[i];
        if (redis_mailbox_is_popper(self))
            error_ignore(redis_command(self->speaker, words, COUNT_OF(words), NULL));
        redis_mailbox_settle(self, clock_mono_us(&clock_system) + FAREWELL_US);
    }
    free_mailbox(self);
}

static void
redis_mailbox_forget(struct mailbox *mailbox)
{
    struct redis_mailbox *self = redis_mailbox_from(mailbox);

    redis_forget(self->speaker);
    redis_forget(self->hearer);
    self->speaker = NULL;
    self->hearer = NULL;
    file_close_fdp(&self->epoll_fd);
}

const struct mailbox_ops mailbox_redis = {
    .name = "redis",
    .open = redis_mailbox_open,
    .close = redis_mailbox_close,
    .forget = redis_mailbox_forget,
    .listen = redis_mailbox_listen,
    .receive = redis_mailbox_receive,
    .broadcast = redis_mailbox_broadcast,
    .send = redis_mailbox_send,
    .run = redis_mailbox_run,
    .get_wait = redis_mailbox_get_wait,
    .is_idle = redis_mailbox_is_idle,
    .is_listening = redis_mailbox_is_listening,
};
