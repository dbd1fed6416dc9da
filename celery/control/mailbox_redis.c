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

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/file.h"
#include "celery/control/mailbox.h"
#include "celery/redis/redis.h"

#define OPEN_US       US_PER_S
#define POP_REPLY_US  (5 * US_PER_S) /* BRPOP ends after a second */
#define FAREWELL_US   (200 * US_PER_MS)
#define ADDRESS_BYTES ((size_t)65536)
#define N_STEPS       4 /* kombu's priority steps: a queue is so many lists */

/* KEYS: the binding set, when kombu (from 5.7) sweeps which.  ARGV: the binding, the exchange.
 * Where others have set a deadline for the set, it is put off; none is set, since older members
 * know nothing of sweeps.  An old server does not know GT, and no kombu that sweeps. */
static const char bind_script[] =
    "redis.call('SADD', KEYS[1], ARGV[1])\n"
    "local now = redis.call('TIME')\n"
    "redis.pcall('ZADD', KEYS[2], 'XX', 'GT', tonumber(now[1]) * 1000 + 300000, ARGV[2])\n"
    "return 1\n";

/* KEYS: the binding set.  ARGV: routing key, key prefix, letter, how long it is kept (ms),
 * separator. */
static const char send_script[] =
    "local separator = ARGV[5]\n"
    "local head = ARGV[1] .. separator\n"
    "local n = 0\n"
    "for _, member in ipairs(redis.call('SMEMBERS', KEYS[1])) do\n"
    "  if string.sub(member, 1, #head) == head then\n"
    "    local rest = string.sub(member, #head + 1)\n"
    "    local at = string.find(rest, separator, 1, true)\n"
    "    if at then\n"
    "      local queue = ARGV[2] .. string.sub(rest, at + #separator)\n"
    "      redis.call('LPUSH', queue, ARGV[3])\n"
    "      redis.call('PEXPIRE', queue, ARGV[4])\n"
    "      n = n + 1\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return n\n";

/* What the speaker's next replies are about. */
enum said { SAID_BINDING, SAID_BROADCAST, SAID_LETTER };

struct redis_mailbox {
    struct mailbox base;
    struct mailbox_options options;
    struct arena arena; /* of the address and the names below */
    struct redis_address address;
    struct str key_prefix;
    struct str fanout_prefix;
    struct str separator; /* between the parts of a binding, and before a priority step */
    struct redis *speaker;
    struct redis *hearer;
    struct buf said; /* enum said, one byte each */
    size_t said_at;
    bool must_run; /* commands were added since the last run */
    int epoll_fd;
    struct str binding_key; /* absent: hears nothing */
    struct str binding;
    struct str lists[N_STEPS]; /* absent: hears broadcasts */
};

static struct redis_mailbox *
from(struct mailbox *mailbox)
{
    return (struct redis_mailbox *)mailbox;
}

static bool
is_popper(const struct redis_mailbox *self)
{
    return self->lists[0].ptr != NULL;
}

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
    };

    return redis_open(&self->address, &options, out, err);
}

static int
mailbox_redis_open(struct str broker_url, const struct mailbox_options *options,
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

/* A command of the speaker, and what its reply will be about. */
static int
say(struct redis_mailbox *self, const struct str *words, size_t n_words, enum said said,
    struct error *err)
{
    int rc;

    buf_append_char(&self->said, (char)said);
    rc = buf_status(&self->said, err);
    if (rc == 0)
        rc = redis_command(self->speaker, words, n_words, err);
    if (rc < 0) {
        self->said.len -= self->said.rc == 0;
        self->said.rc = 0;
        return rc;
    }
    self->must_run = true;
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
    return rc < 0 ? rc : say(self, words, COUNT_OF(words), SAID_BINDING, err);
}

static int
mailbox_redis_listen(struct mailbox *mailbox, struct str exchange, struct str queue,
                     struct error *err)
{
    struct redis_mailbox *self = from(mailbox);
    struct str words[2] = {STR("PSUBSCRIBE")};
    int rc = bind_queue(self, exchange, STR(""), queue, err);

    if (rc == 0)
        rc = connect_to(self, TIME_UNKNOWN, &self->hearer, err);
    if (rc == 0)
        rc = MAKE_TEXT(self, err, &words[1], "%.*s%.*s%.*s", STR_ARG(self->key_prefix),
                       STR_ARG(self->fanout_prefix), STR_ARG(exchange));
    return rc < 0 ? rc : redis_command(self->hearer, words, COUNT_OF(words), err);
}

/* Wait on all lists of the queue, for a second. */
static int
pop(struct redis_mailbox *self, struct error *err)
{
    struct str words[N_STEPS + 2] = {STR("BRPOP")};

    for (size_t i = 0; i < N_STEPS; i++)
        words[i + 1] = self->lists[i];
    words[N_STEPS + 1] = STR("1");
    self->must_run = true;
    return redis_command(self->hearer, words, COUNT_OF(words), err);
}

static int
mailbox_redis_receive(struct mailbox *mailbox, const struct mailbox_address *address,
                      struct str queue, struct error *err)
{
    static const char *const steps[N_STEPS] = {"", "3", "6", "9"};
    struct redis_mailbox *self = from(mailbox);
    int rc = mailbox_check_name(address->routing_key, "the routing key", err);

    if (rc == 0)
        rc = bind_queue(self, address->exchange, address->routing_key, queue, err);
    for (size_t i = 0; rc == 0 && i < N_STEPS; i++)
        rc = MAKE_TEXT(self, err, &self->lists[i], "%.*s%.*s%.*s%s", STR_ARG(self->key_prefix),
                       STR_ARG(queue), STR_ARG(i ? self->separator : STR("")), steps[i]);
    if (rc == 0)
        rc = connect_to(self, POP_REPLY_US, &self->hearer, err);
    return rc < 0 ? rc : pop(self, err);
}

static int
check_letter(struct str exchange, struct str bytes, struct error *err)
{
    if (bytes.len > MAILBOX_MAX_BYTES)
        return error_set(err, ERR_TOO_LARGE, "a letter has %zu bytes, allowed are %zu", bytes.len,
                         MAILBOX_MAX_BYTES);
    return mailbox_check_name(exchange, "the exchange", err);
}

static int
mailbox_redis_broadcast(struct mailbox *mailbox, struct str exchange, struct str bytes,
                        struct error *err)
{
    struct redis_mailbox *self = from(mailbox);
    CLEANUP(buf_fini) struct buf channel = BUF_INIT(4096);
    struct str words[3] = {STR("PUBLISH"), STR_NULL, bytes};
    int rc = check_letter(exchange, bytes, err);

    buf_append(&channel, self->key_prefix);
    buf_append(&channel, self->fanout_prefix);
    buf_append(&channel, exchange);
    if (rc == 0)
        rc = buf_status(&channel, err);
    words[1] = buf_str(&channel);
    return rc < 0 ? rc : say(self, words, COUNT_OF(words), SAID_BROADCAST, err);
}

static int
mailbox_redis_send(struct mailbox *mailbox, const struct mailbox_address *address, struct str bytes,
                   struct error *err)
{
    struct redis_mailbox *self = from(mailbox);
    CLEANUP(buf_fini) struct buf key = BUF_INIT(4096);
    char kept_ms[24];
    struct str words[9] = {STR("EVAL"), str_from_cstr(send_script), STR("1")};
    int rc = check_letter(address->exchange, bytes, err);

    if (rc == 0)
        rc = mailbox_check_name(address->routing_key, "the routing key", err);
    buf_append(&key, self->key_prefix);
    buf_append(&key, STR("_kombu.binding."));
    buf_append(&key, address->exchange);
    if (rc == 0)
        rc = buf_status(&key, err);
    (void)snprintf(kept_ms, sizeof(kept_ms), "%lld", (long long)(MAILBOX_KEPT_US / US_PER_MS));
    words[3] = buf_str(&key);
    words[4] = address->routing_key;
    words[5] = self->key_prefix;
    words[6] = bytes;
    words[7] = str_from_cstr(kept_ms);
    words[8] = self->separator;
    return rc < 0 ? rc : say(self, words, COUNT_OF(words), SAID_LETTER, err);
}

static enum said
take_said(struct redis_mailbox *self)
{
    enum said said = (enum said)self->said.ptr[self->said_at++];

    if (self->said_at == self->said.len) {
        buf_clear(&self->said);
        self->said_at = 0;
    }
    return said;
}

/* A letter that the server has no room for is lost, as one that nobody waits for is. */
static int
speak(struct redis_mailbox *self, struct error *err)
{
    const struct redis_value *reply;
    int rc = redis_run(self->speaker, err);

    while (rc == 0 && redis_take(self->speaker, &reply)) {
        enum said said = take_said(self);

        rc = redis_check(reply, err);
        if (rc == -ERR_DISK_FULL && said == SAID_LETTER)
            rc = 0;
        if (rc == 0 && said == SAID_BROADCAST && self->options.listener.sent)
            self->options.listener.sent(self->options.listener.context,
                                        reply->integer > 0 ? (size_t)reply->integer : 0);
    }
    return rc;
}

/* The letter in what the hearer got; absent where it is none. */
static struct str
letter_of(const struct redis_mailbox *self, const struct redis_value *reply)
{
    size_t n_items = is_popper(self) ? 2 : 4;

    if (reply->kind != REDIS_ARRAY || reply->n_items != n_items ||
        reply->items[n_items - 1].kind != REDIS_BULK)
        return STR_NULL;
    return reply->items[n_items - 1].text;
}

static int
hear(struct redis_mailbox *self, struct error *err)
{
    const struct redis_value *reply;
    int rc = redis_run(self->hearer, err);

    while (rc == 0 && redis_take(self->hearer, &reply)) {
        struct str letter = letter_of(self, reply);

        rc = redis_check(reply, err);
        if (rc == 0 && letter.ptr && self->options.listener.received)
            self->options.listener.received(self->options.listener.context, letter);
        if (rc == 0 && is_popper(self))
            rc = pop(self, err);
    }
    return rc;
}

/* Registered anew each time: the kernel forgets a descriptor that was closed, and its number may be
 * another connection's by now. */
static int
watch(struct redis_mailbox *self, const struct redis *redis, struct error *err)
{
    struct redis_wait wait;
    struct epoll_event event;

    redis_get_wait(redis, &wait);
    if (wait.fd < 0)
        return 0;
    event = (struct epoll_event){
        .events =
            ((wait.events & POLLIN) ? EPOLLIN : 0u) | ((wait.events & POLLOUT) ? EPOLLOUT : 0u),
        .data.fd = wait.fd,
    };
    if (epoll_ctl(self->epoll_fd, EPOLL_CTL_MOD, wait.fd, &event) == 0 ||
        (errno == ENOENT && epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, wait.fd, &event) == 0))
        return 0;
    return error_set_errno(err, "cannot watch a connection");
}

static int
mailbox_redis_run(struct mailbox *mailbox, struct error *err)
{
    struct redis_mailbox *self = from(mailbox);
    int rc = 0;

    if (self->hearer) /* first: what is answered leaves in the same round */
        rc = hear(self, err);
    if (rc == 0)
        rc = speak(self, err);
    self->must_run = false;
    if (rc == 0 && self->hearer && is_popper(self)) /* the BRPOP of above */
        rc = redis_run(self->hearer, err);
    if (rc == 0)
        rc = watch(self, self->speaker, err);
    if (rc == 0 && self->hearer)
        rc = watch(self, self->hearer, err);
    return rc;
}

static void
mailbox_redis_get_wait(const struct mailbox *mailbox, struct mailbox_wait *out)
{
    const struct redis_mailbox *self = (const struct redis_mailbox *)mailbox;
    struct redis_wait wait;

    *out = (struct mailbox_wait){.fd = self->epoll_fd, .events = POLLIN};
    if (self->must_run)
        return;
    redis_get_wait(self->speaker, &wait);
    out->deadline_us = wait.deadline_us;
    if (!self->hearer)
        return;
    redis_get_wait(self->hearer, &wait);
    if (wait.deadline_us < out->deadline_us)
        out->deadline_us = wait.deadline_us;
}

static bool
mailbox_redis_is_idle(const struct mailbox *mailbox)
{
    const struct redis_mailbox *self = (const struct redis_mailbox *)mailbox;

    return redis_is_ready(self->speaker) && redis_count_pending(self->speaker) == 0;
}

/* What is still in flight, until then. */
static void
settle(struct redis_mailbox *self, int64_t until_us)
{
    const struct redis_value *reply;
    struct redis_wait wait;

    while (redis_count_pending(self->speaker) > 0 && redis_run(self->speaker, NULL) == 0) {
        int64_t left_us = until_us - clock_mono_us(&clock_system);
        struct pollfd poll_fd;

        while (redis_take(self->speaker, &reply))
            continue;
        if (left_us <= 0 || redis_count_pending(self->speaker) == 0)
            return;
        redis_get_wait(self->speaker, &wait);
        poll_fd = (struct pollfd){.fd = wait.fd, .events = wait.events};
        (void)poll(&poll_fd, 1, (int)(left_us / US_PER_MS) + 1);
    }
}

/* The binding goes, and with it the lists; who is killed leaves them, as Celery's processes do. */
static void
mailbox_redis_close(struct mailbox *mailbox)
{
    struct redis_mailbox *self = from(mailbox);
    struct str words[N_STEPS + 1] = {STR("SREM"), self->binding_key, self->binding};

    if (self->binding.ptr && redis_is_ready(self->speaker)) {
        error_ignore(redis_command(self->speaker, words, 3, NULL));
        words[0] = STR("DEL");
        for (size_t i = 0; i < N_STEPS; i++)
            words[i + 1] = self->lists[i];
        if (is_popper(self))
            error_ignore(redis_command(self->speaker, words, COUNT_OF(words), NULL));
        settle(self, clock_mono_us(&clock_system) + FAREWELL_US);
    }
    free_mailbox(self);
}

static void
mailbox_redis_forget(struct mailbox *mailbox)
{
    struct redis_mailbox *self = from(mailbox);

    redis_forget(self->speaker);
    redis_forget(self->hearer);
    self->speaker = NULL;
    self->hearer = NULL;
    file_close_fdp(&self->epoll_fd);
}

const struct mailbox_ops mailbox_redis = {
    .name = "redis",
    .open = mailbox_redis_open,
    .close = mailbox_redis_close,
    .forget = mailbox_redis_forget,
    .listen = mailbox_redis_listen,
    .receive = mailbox_redis_receive,
    .broadcast = mailbox_redis_broadcast,
    .send = mailbox_redis_send,
    .run = mailbox_redis_run,
    .get_wait = mailbox_redis_get_wait,
    .is_idle = mailbox_redis_is_idle,
};
