#include "tests/unit/celery/broker/redis_setting.h"

#include <poll.h>

#include "base/log.h"

#define REPLY_US (10 * US_PER_S)

static void
open_raw(struct redis_setting *self)
{
    struct redis_options options = {.idle_us = TIME_UNKNOWN};
    struct error err;

    assert_ok(redis_address_parse(str_from_cstr(self->url), &self->arena, &self->address, &err),
              err);
    assert_ok(redis_open(&self->address, &options, &self->raw, &err), err);
}

static struct redis_setting *
open_setting(const char *tail, const struct redis_server_options *server, const struct clock *clock)
{
    struct redis_setting *self = calloc(1, sizeof(*self));
    struct broker_options options;

    assert_non_null(self);
    party_wire = &party_wire_envelope;
    log_configure(STDERR_FILENO, LOG_ERROR, LOG_TEXT); /* losses are what the tests are about */
    self->arena = (struct arena)ARENA_INIT((size_t)64 << 20);
    self->server = redis_server_start(server);
    self->url = redis_server_url(self->server, tail);
    fake_clock_init(&self->clock);
    open_raw(self);
    options = party_options(&self->a, clock ? clock : &self->clock.clock);
    party_open(&self->a, self->url, &options);
    options = party_options(&self->b, clock ? clock : &self->clock.clock);
    party_open(&self->b, self->url, &options);
    return self;
}

struct redis_setting *
redis_setting_open(const char *tail)
{
    return open_setting(tail, NULL, NULL);
}

struct redis_setting *
redis_setting_open_real(const char *tail, const struct redis_server_options *options)
{
    return open_setting(tail, options, &clock_system);
}

void
redis_setting_close(struct redis_setting *self)
{
    broker_close(self->a.broker);
    broker_close(self->b.broker);
    redis_close(self->raw);
    redis_server_stop(self->server);
    arena_fini(&self->arena);
    free(self);
}

const struct redis_value *
redis_setting_say(struct redis_setting *self, const struct str *words)
{
    const struct redis_value *reply = NULL;
    size_t n_words = 0;
    struct error err;

    while (words[n_words].ptr)
        n_words++;
    if (redis_call(self->raw, words, n_words, REPLY_US, &reply, &err) < 0) { /* once more */
        redis_close(self->raw);
        open_raw(self);
        assert_ok(redis_call(self->raw, words, n_words, REPLY_US, &reply, &err), err);
    }
    return reply;
}

struct str
redis_setting_text(const struct redis_value *reply)
{
    static char text[24];

    if (reply->kind != REDIS_INTEGER)
        return reply->text.ptr ? reply->text : STR("");
    (void)snprintf(text, sizeof(text), "%lld", (long long)reply->integer);
    return str_from_cstr(text);
}

int64_t
redis_setting_count(struct redis_setting *self, const char *verb, const char *key)
{
    return SAY(self, str_from_cstr(verb), str_from_cstr(key))->integer;
}

struct str
redis_setting_envelope(struct redis_setting *self, const char *queue, const char *text)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT((size_t)1 << 20);
    struct broker_message message = party_message(queue, text);
    bool is_copied = true;
    struct str copy;

    party_wire_envelope.wrap(&message, &bytes);
    copy = arena_dup(&self->arena, buf_str(&bytes), &is_copied);
    assert_true(is_copied);
    return copy;
}

void
redis_setting_run_until(struct party *party, const size_t *n, size_t at_least, int64_t timeout_us)
{
    int64_t until_us = clock_mono_us(&clock_system) + timeout_us;
    struct error err;

    while (*n < at_least && clock_mono_us(&clock_system) < until_us) {
        struct broker_wait wait;
        struct pollfd poll_fd;
        int64_t span_us;

        broker_get_wait(party->broker, &wait);
        span_us = wait.deadline_us - clock_mono_us(&clock_system);
        if (span_us > until_us - clock_mono_us(&clock_system))
            span_us = until_us - clock_mono_us(&clock_system);
        poll_fd = (struct pollfd){.fd = wait.fd, .events = wait.events};
        if (span_us > 0)
            (void)poll(&poll_fd, 1, (int)((span_us + US_PER_MS - 1) / US_PER_MS));
        assert_ok(broker_run(party->broker, &err), err);
    }
    assert_true(*n >= at_least);
}
