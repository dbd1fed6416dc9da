/* The main connection: opened again when it fails, and what its replies answer.
 *
 * One epoll descriptor stands for both connections, whose own descriptors come and go. */

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "base/wait.h"
#include "celery/broker/redis_internal.h"

/* The next try at once, then after 20 ms, doubled: a server that is back is found within 5 s, the 2
 * s of a connect included. */
#define RETRY_MIN_US (20 * US_PER_MS)
#define RETRY_MAX_US (2500 * US_PER_MS)
#define LOG_EVERY_US (10 * US_PER_S)

static int64_t
real_us(void)
{
    return clock_mono_us(&clock_system);
}

/* Half of the span for sure, the rest by chance: many clients must not come all at once. */
static int64_t
jitter(const struct redis_broker *self, int64_t span_us)
{
    uint64_t random =
        ((uint64_t)real_us() + self->window.first_sequence) * UINT64_C(0x9E3779B97F4A7C15);

    return span_us / 2 + (int64_t)((random >> 33) % (uint64_t)(span_us / 2 + 1));
}

static int
start(struct redis_broker *self, struct error *err)
{
    struct redis_options options = {
        .client_name = str_from_cstr("trawl"),
        .max_pending_bytes = self->options.max_pending_bytes + self->options.max_message_bytes,
    };

    return redis_open(&self->address, &options, &self->main.redis, err);
}

static void
watch(const struct redis_broker *self, struct redis_line *line)
{
    struct epoll_event event = {.data = {.ptr = line}};
    struct redis_wait wait = {.fd = -1};

    if (line->redis)
        redis_get_wait(line->redis, &wait);
    if (line->redis && redis_is_ready(line->redis) && wait.fd == line->watched_fd &&
        wait.events == line->watched_events)
        return;
    if (wait.fd < 0) {
        line->watched_fd = -1;
        return;
    }
    event.events = (wait.events & POLLIN ? EPOLLIN : 0u) | (wait.events & POLLOUT ? EPOLLOUT : 0u);
    if (epoll_ctl(self->epoll_fd, EPOLL_CTL_MOD, wait.fd, &event) < 0 && errno == ENOENT)
        (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, wait.fd, &event);
    line->watched_fd = wait.fd;
    line->watched_events = wait.events;
}

static void
drop(struct redis_line *line)
{
    redis_close(line->redis); /* epoll forgets a closed descriptor by itself */
    line->redis = NULL;
    line->watched_fd = -1;
}

int
redis_link_open(struct redis_broker *self, int64_t until_us, struct error *err)
{
    int rc;

    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd < 0)
        return error_set_errno(err, "cannot make an epoll descriptor");
    rc = start(self, err);
    while (rc == 0 && !redis_is_ready(self->main.redis)) {
        struct redis_wait wait;

        rc = redis_run(self->main.redis, err);
        redis_get_wait(self->main.redis, &wait);
        if (rc < 0 || redis_is_ready(self->main.redis))
            break;
        if (real_us() >= until_us) {
            char text[REDIS_TEXT_BYTES];

            return error_set(err, ERR_TIMEOUT, "%s does not answer within %lld ms",
                             redis_address_format(&self->address, text),
                             (long long)(self->options.max_open_us / US_PER_MS));
        }
        (void)wait_for_fd(wait.fd, wait.events,
                          wait.deadline_us < until_us ? wait.deadline_us : until_us);
    }
    return rc;
}

void
redis_link_close(struct redis_broker *self)
{
    drop(&self->main);
    drop(&self->wake);
    redis_close(self->commands);
    self->commands = NULL;
    if (self->epoll_fd >= 0)
        (void)close(self->epoll_fd);
    self->epoll_fd = -1;
}

void
redis_link_forget(struct redis_broker *self)
{
    redis_forget(self->main.redis);
    redis_forget(self->wake.redis);
    redis_forget(self->commands);
    self->main.redis = NULL;
    self->wake.redis = NULL;
    self->commands = NULL;
    (void)close(self->epoll_fd);
    self->epoll_fd = -1;
}

static void
log_loss(struct redis_broker *self, const struct error *why)
{
    int64_t now_us = real_us();

    if (self->lost_at_us == 0)
        self->lost_at_us = now_us;
    if (self->logged_at_us && now_us - self->logged_at_us < LOG_EVERY_US)
        return;
    self->logged_at_us = now_us;
    self->is_loss_logged = true;
    log_warning("broker connection lost, it is opened again: reason=%s", why->message);
}

void
redis_link_log_refusal(struct redis_broker *self, const char *what, const struct redis_value *reply)
{
    int64_t now_us = real_us();

    if (self->logged_at_us && now_us - self->logged_at_us < LOG_EVERY_US)
        return;
    self->logged_at_us = now_us;
    log_warning("broker refuses to %s, it is asked again: reason=%.*s", what,
                STR_ARG(str_slice(reply->text, 0, 200)));
}

/* Nobody knows which of the commands without a reply were carried out: the outbox's batch is
 * repeated under its number, and what the server holds for us is compared with what we know. */
void
redis_link_fail(struct redis_broker *self, const struct error *why)
{
    int64_t span_us = self->main_span_us;

    log_loss(self, why);
    drop(&self->main);
    self->was_lost = true;
    self->n_asked = 0;
    self->is_greeted = false;
    self->is_settling = false;
    self->is_resuming = false;
    self->is_tending = false;
    self->is_claiming = false;
    self->must_resume = self->membership != MEMBER_NO;
    if (self->tracking == TRACKING_ASKED || self->tracking == TRACKING_ON)
        self->tracking = TRACKING_KNOWN;
    redis_bind_forget(self);
    if (why->code == ERR_TOO_LARGE)
        self->claim_most = 1; /* too much at once: a part of it, then */
    self->main_at_us = real_us() + (span_us ? jitter(self, span_us) : 0);
    span_us = span_us ? span_us * 2 : RETRY_MIN_US;
    self->main_span_us = span_us < RETRY_MAX_US ? span_us : RETRY_MAX_US;
}

bool
redis_link_ask(struct redis_broker *self, enum redis_asked asked, const struct words *words)
{
    struct error err;

    if (!self->main.redis)
        return false;
    if (words->is_failed || self->n_asked == REDIS_MAX_ASKED ||
        redis_command(self->main.redis, words->items, words->n_items, &err) < 0)
        return false;
    self->asked[(self->asked_head + self->n_asked++) % REDIS_MAX_ASKED] = asked;
    return true;
}

bool
redis_link_must_greet(const struct redis_broker *self)
{
    return self->main.redis && redis_is_ready(self->main.redis) && !self->is_greeted;
}

static void
greet(struct redis_broker *self)
{
    for (size_t i = 0; i < N_SCRIPTS; i++) {
        struct words words = {.arena = &self->round};

        words_add(&words, STR("SCRIPT"));
        words_add(&words, STR("LOAD"));
        words_add(&words, str_from_cstr(self->scripts[i].text));
        if (!redis_link_ask(self, ASKED_LOAD, &words))
            return; /* no memory: again with the next round */
    }
    self->is_greeted = true;
    self->must_bind = self->n_queues > 0;
    self->may_be_ready = true;
    if (self->is_loss_logged)
        log_info("broker connection is back: away_ms=%lld",
                 (long long)((real_us() - self->lost_at_us) / US_PER_MS));
    self->is_loss_logged = false;
    self->lost_at_us = 0;
    redis_settle_repeat(self);
}

static void
take_reply(struct redis_broker *self, const struct redis_value *reply)
{
    enum redis_asked asked = self->asked[self->asked_head];
    struct error err;

    if (self->n_asked == 0)
        return;
    self->asked_head = (self->asked_head + 1) % REDIS_MAX_ASKED;
    self->n_asked--;
    if (redis_check(reply, &err) == -ERR_NETWORK) {
        redis_link_fail(self, &err);
        return;
    }
    self->main_span_us = 0; /* it serves us: the next failure is a new one */
    switch (asked) {
    case ASKED_LOAD:
        break;
    case ASKED_BIND:
        if (reply->kind == REDIS_ERROR)
            redis_bind_on_refused(self);
        break;
    case ASKED_TRACKING:
        redis_track_on_reply(self, reply);
        break;
    case ASKED_SETTLE:
        redis_settle_on_reply(self, reply);
        break;
    case ASKED_RESUME:
        redis_consumer_on_resumed(self, reply);
        break;
    case ASKED_TEND:
        redis_consumer_on_tended(self, reply);
        break;
    case ASKED_CLAIM:
        redis_claim_on_reply(self, reply);
        break;
    }
}

/* Read, and do what the replies say. */
void
redis_link_run(struct redis_broker *self)
{
    const struct redis_value *reply;
    struct error err;
    int rc = 0;

    if (!self->main.redis && real_us() >= self->main_at_us)
        rc = start(self, &err);
    if (rc == 0 && self->main.redis)
        rc = redis_run(self->main.redis, &err);
    if (rc < 0) {
        redis_link_fail(self, &err);
        return;
    }
    /* After a failure, too: what came before it is told before the failure is. */
    while (self->main.redis && redis_take(self->main.redis, &reply))
        take_reply(self, reply);
    if (redis_link_must_greet(self))
        greet(self);
}

/* Send what was asked in this round. */
void
redis_link_write(struct redis_broker *self)
{
    struct error err;

    if (self->main.redis && redis_run(self->main.redis, &err) < 0)
        redis_link_fail(self, &err);
    watch(self, &self->main);
    watch(self, &self->wake);
}

static int64_t
line_deadline(const struct redis_line *line, int64_t open_at_us)
{
    struct redis_wait wait;

    if (!line->redis)
        return open_at_us;
    redis_get_wait(line->redis, &wait);
    return wait.deadline_us;
}

int64_t
redis_link_deadline(const struct redis_broker *self)
{
    int64_t at_us = line_deadline(&self->main, self->main_at_us);

    if (self->n_queues > 0 && self->tracking != TRACKING_REFUSED &&
        (self->wake.redis || self->is_greeted)) {
        int64_t wake_us = line_deadline(&self->wake, self->wake_at_us);

        at_us = wake_us < at_us ? wake_us : at_us;
    }
    if (at_us == INT64_MAX || self->options.clock == &clock_system)
        return at_us;
    return at_us - real_us() + redis_broker_mono_us(self);
}
