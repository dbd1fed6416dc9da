/* What is said on one connection, what is heard on the other. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "base/wait.h"
#include "celery/control/mailbox_redis_internal.h"

/* KEYS: the binding set.  ARGV: routing key, key prefix, letter, how long it is kept (ms),
 * separator.  Only a list that is somebody's letters gets a deadline: who asks chooses the address,
 * and might name a queue of tasks. */
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
    "      if string.sub(queue, -7) == '.pidbox' then\n"
    "        redis.call('PEXPIRE', queue, ARGV[4])\n"
    "      end\n"
    "      n = n + 1\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return n\n";

int
redis_mailbox_say(struct redis_mailbox *self, const struct str *words, size_t n_words,
                  enum said said, struct error *err)
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

int
redis_mailbox_pop(struct redis_mailbox *self, struct error *err)
{
    struct str words[REDIS_MAILBOX_STEPS + 2] = {STR("BRPOP")};

    for (size_t i = 0; i < REDIS_MAILBOX_STEPS; i++)
        words[i + 1] = self->lists[i];
    words[REDIS_MAILBOX_STEPS + 1] = STR("1");
    self->must_run = true;
    return redis_command(self->hearer, words, COUNT_OF(words), err);
}

static int
check_letter(struct str exchange, struct str bytes, struct error *err)
{
    if (bytes.len > MAILBOX_MAX_BYTES)
        return error_set(err, ERR_TOO_LARGE, "a letter has %zu bytes, allowed are %zu", bytes.len,
                         MAILBOX_MAX_BYTES);
    return mailbox_check_name(exchange, "the exchange", err);
}

int
redis_mailbox_broadcast(struct mailbox *mailbox, struct str exchange, struct str bytes,
                        struct error *err)
{
    struct redis_mailbox *self = redis_mailbox_from(mailbox);
    CLEANUP(buf_fini) struct buf channel = BUF_INIT(4096);
    struct str words[3] = {STR("PUBLISH"), STR_NULL, bytes};
    int rc = check_letter(exchange, bytes, err);

    buf_append(&channel, self->key_prefix);
    buf_append(&channel, self->fanout_prefix);
    buf_append(&channel, self->has_topics ? exchange : redis_mailbox_exchange(exchange));
    if (rc == 0)
        rc = buf_status(&channel, err);
    words[1] = buf_str(&channel);
    return rc < 0 ? rc : redis_mailbox_say(self, words, COUNT_OF(words), SAID_BROADCAST, err);
}

int
redis_mailbox_send(struct mailbox *mailbox, const struct mailbox_address *address, struct str bytes,
                   struct error *err)
{
    struct redis_mailbox *self = redis_mailbox_from(mailbox);
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
    return rc < 0 ? rc : redis_mailbox_say(self, words, COUNT_OF(words), SAID_LETTER, err);
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

/* A letter that the server refuses (no room, or the address is no list) is lost, as one that nobody
 * waits for is: the address is the asker's, and must not cost everybody else their mailbox. */
static bool
is_lost_letter(enum said said, int rc)
{
    return said == SAID_LETTER && rc < 0 && rc != -ERR_NETWORK && rc != -ERR_AUTH;
}

static int
speak(struct redis_mailbox *self, struct error *err)
{
    const struct redis_value *reply;
    int rc = redis_run(self->speaker, err);

    while (rc == 0 && redis_take(self->speaker, &reply)) {
        enum said said = take_said(self);

        rc = redis_check(reply, err);
        if (is_lost_letter(said, rc))
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
    size_t n_items = redis_mailbox_is_popper(self) ? 2 : 4;

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
        if (rc == 0 && !letter.ptr && !redis_mailbox_is_popper(self))
            self->is_subscribed = true; /* nothing else is answered there */
        if (rc == 0 && letter.ptr && self->options.listener.received)
            self->options.listener.received(self->options.listener.context, letter);
        if (rc == 0 && redis_mailbox_is_popper(self))
            rc = redis_mailbox_pop(self, err);
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

int
redis_mailbox_run(struct mailbox *mailbox, struct error *err)
{
    struct redis_mailbox *self = redis_mailbox_from(mailbox);
    int rc = 0;

    if (self->hearer) /* first: what is answered leaves in the same round */
        rc = hear(self, err);
    if (rc == 0)
        rc = speak(self, err);
    self->must_run = false;
    if (rc == 0 && self->hearer && redis_mailbox_is_popper(self)) /* the BRPOP of above */
        rc = redis_run(self->hearer, err);
    if (rc == 0)
        rc = watch(self, self->speaker, err);
    if (rc == 0 && self->hearer)
        rc = watch(self, self->hearer, err);
    return rc;
}

void
redis_mailbox_get_wait(const struct mailbox *mailbox, struct mailbox_wait *out)
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

bool
redis_mailbox_is_idle(const struct mailbox *mailbox)
{
    const struct redis_mailbox *self = (const struct redis_mailbox *)mailbox;

    return redis_is_ready(self->speaker) && redis_count_pending(self->speaker) == 0;
}

void
redis_mailbox_settle(struct redis_mailbox *self, int64_t until_us)
{
    const struct redis_value *reply;
    struct redis_wait wait;

    while (redis_count_pending(self->speaker) > 0 && redis_run(self->speaker, NULL) == 0) {
        while (redis_take(self->speaker, &reply))
            continue;
        if (clock_mono_us(&clock_system) >= until_us || redis_count_pending(self->speaker) == 0)
            return;
        redis_get_wait(self->speaker, &wait);
        (void)wait_for_fd(wait.fd, wait.events, until_us);
    }
}
