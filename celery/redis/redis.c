/* A connection that is ready: what is asked, what is answered, and when silence is a failure. */

#include "celery/redis/connection.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/wait.h"

#define CONNECT_US        (2 * US_PER_S)
#define REPLY_US          (10 * US_PER_S)
#define IDLE_US           (15 * US_PER_S)
#define MAX_REPLY_BYTES   ((size_t)512 << 20)
#define MAX_PENDING_BYTES ((size_t)64 << 20)
#define MAX_HELLO_BYTES   ((size_t)65536)

static void
fill_options(struct redis *redis, const struct redis_options *options)
{
    struct redis_options *filled = &redis->options;

    *filled = *options;
    if (!filled->connect_us)
        filled->connect_us = CONNECT_US;
    if (!filled->reply_us)
        filled->reply_us = REPLY_US;
    if (!filled->idle_us)
        filled->idle_us = IDLE_US;
    if (!filled->max_reply_bytes)
        filled->max_reply_bytes = MAX_REPLY_BYTES;
    if (!filled->max_pending_bytes)
        filled->max_pending_bytes = MAX_PENDING_BYTES;
    (void)snprintf(redis->client_name, sizeof(redis->client_name), "%.*s",
                   STR_ARG(options->client_name));
    filled->client_name = str_from_cstr(redis->client_name);
}

int
redis_open(const struct redis_address *address, const struct redis_options *options,
           struct redis **out, struct error *err)
{
    CLEANUP(redis_closep) struct redis *redis = calloc(1, sizeof(*redis));
    int rc;

    if (!redis)
        return error_set(err, ERR_NOMEM, "out of memory for a Redis connection");
    redis->address = address;
    fill_options(redis, options);
    stream_init(&redis->stream, redis->options.max_reply_bytes);
    buf_init(&redis->hello.buf, MAX_HELLO_BYTES);
    buf_init(&redis->out.buf, SIZE_MAX / 4);               /* redis_command sets the limit */
    redis->arena = (struct arena)ARENA_INIT(SIZE_MAX / 4); /* resp.h does: RESP_MAX_VALUES */
    rc = redis_resolve_hosts(redis, err);
    if (rc < 0)
        return rc;
    *out = TAKE(redis);
    return 0;
}

static void
free_redis(struct redis *redis)
{
    stream_fini(&redis->stream);
    buf_fini(&redis->hello.buf);
    buf_fini(&redis->out.buf);
    arena_fini(&redis->arena);
    free(redis);
}

void
redis_close(struct redis *redis)
{
    if (!redis)
        return;
    link_close(&redis->stream.link);
    free_redis(redis);
}

void
redis_closep(struct redis **redis)
{
    redis_close(*redis);
}

void
redis_forget(struct redis *redis)
{
    if (!redis)
        return;
    link_forget(&redis->stream.link);
    free_redis(redis);
}

/* Tell again why the connection failed. */
static int
repeat_failure(const struct redis *redis, struct error *err)
{
    if (err)
        *err = redis->failure;
    return -(int)redis->failure.code;
}

/* How many replies a command will get; a subscriber's commands get one per channel. */
static size_t
count_replies_of(struct redis *redis, const struct str *words, size_t n_words)
{
    static const struct str names[] = {STR_INIT("SUBSCRIBE"), STR_INIT("PSUBSCRIBE"),
                                       STR_INIT("UNSUBSCRIBE"), STR_INIT("PUNSUBSCRIBE")};

    if (words[0].len < 9)
        return 1;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (str_equal_ignore_case(words[0], names[i])) {
            redis->is_subscriber = true;
            return n_words - 1;
        }
    }
    return 1;
}

static bool
is_due(const struct redis *redis)
{
    return redis->n_answered < redis->n_asked;
}

int
redis_command(struct redis *redis, const struct str *words, size_t n_words, struct error *err)
{
    size_t n_before = redis->out.buf.len;
    size_t n_replies;
    int rc;

    if (redis->failure.code != ERR_NONE)
        return repeat_failure(redis, err);
    n_replies = count_replies_of(redis, words, n_words);
    if (n_replies == 0)
        return error_set(err, ERR_ARGS,
                         "%.*s without channels: how many replies it gets is not"
                         " known",
                         STR_ARG(words[0]));
    rc = resp_encode(words, n_words, &redis->out.buf, err);
    if (rc == 0 && redis->out.buf.len - redis->out.at > redis->options.max_pending_bytes) {
        size_t n_pending = n_before - redis->out.at;

        rc = error_set(err, n_pending > 0 ? ERR_BUSY : ERR_TOO_LARGE,
                       "%zu bytes wait for the Redis server, and a command of %zu is one too many:"
                       " the limit is %zu",
                       n_pending, redis->out.buf.len - n_before, redis->options.max_pending_bytes);
    }
    if (rc < 0) { /* take it back */
        redis->out.buf.len = n_before;
        redis->out.buf.rc = 0;
        return rc;
    }
    if (!is_due(redis)) {
        redis->heard_us = clock_mono_us(&clock_system);
        redis->is_unsaid = true;
    }
    redis->n_asked += n_replies;
    return 0;
}

/* A subscriber's message, that no command asked for. */
static bool
is_message(const struct redis *redis, struct str reply)
{
    return redis->is_subscriber && (str_starts_with(reply, STR("*3\r\n$7\r\nmessage\r\n")) ||
                                    str_starts_with(reply, STR("*4\r\n$8\r\npmessage\r\n")));
}

static int
number_reply(void *context, struct str reply, struct error *err)
{
    struct redis *redis = context;

    if (is_message(redis, reply))
        return 0;
    if (!is_due(redis))
        return error_set(err, ERR_INVALID, "the server answers what was not asked: '%.*s'",
                         STR_ARG(str_slice(reply, 0, str_find_char(reply, '\r'))));
    redis->n_answered++;
    return 0;
}

/* The answers to our own PINGs, as far as they are next. */
static int
drop_pongs(struct redis *redis, struct error *err)
{
    while (redis->stream.n_whole > 0 && redis->n_taken + 1 == redis->ping &&
           !is_message(redis, stream_peek(&redis->stream))) {
        const struct redis_value *pong;
        int rc = stream_take(&redis->stream, &redis->arena, &pong, err);

        if (rc < 0)
            return rc;
        redis->n_taken++;
    }
    return 0;
}

/* How long what is due may take. */
static int64_t
silence_limit(const struct redis *redis)
{
    if (redis->options.reply_us != TIME_UNKNOWN)
        return redis->options.reply_us;
    return redis->ping > redis->n_answered ? REPLY_US : TIME_UNKNOWN;
}

static int
check_silence(const struct redis *redis, int64_t now_us, struct error *err)
{
    int64_t limit_us = silence_limit(redis);

    if (!is_due(redis) || limit_us == TIME_UNKNOWN || now_us - redis->heard_us < limit_us)
        return 0;
    return error_set(err, ERR_TIMEOUT, "no reply within %lld ms",
                     (long long)(limit_us / US_PER_MS));
}

static int
ping_if_idle(struct redis *redis, int64_t now_us, struct error *err)
{
    size_t n_bytes;
    int rc;

    if (redis->options.idle_us == TIME_UNKNOWN || is_due(redis) ||
        redis->n_taken < redis->n_answered || now_us - redis->heard_us < redis->options.idle_us)
        return 0;
    rc = redis_command(redis, &STR("PING"), 1, err);
    if (rc < 0)
        return rc;
    redis->ping = redis->n_asked;
    return stream_send(&redis->stream, &redis->out, &n_bytes, err);
}

static int
exchange(struct redis *redis, int64_t now_us, struct error *err)
{
    size_t n_sent;
    size_t n_read;
    int rc = stream_send(&redis->stream, &redis->out, &n_sent, err);
    int pongs;

    if (n_sent > 0 && redis->is_unsaid) {
        redis->heard_us = now_us;
        redis->is_unsaid = false;
    }
    /* After a failed write as well: the server's last words may be there. */
    if (rc == 0 || rc == -ERR_NETWORK) {
        int received =
            stream_receive(&redis->stream, number_reply, redis, &n_read, rc < 0 ? NULL : err);

        rc = rc < 0 ? rc : received;
        if (n_read > 0)
            redis->heard_us = now_us;
    }
    pongs = drop_pongs(redis, rc < 0 ? NULL : err);
    rc = rc < 0 ? rc : pongs;
    if (rc == 0)
        rc = check_silence(redis, now_us, err);
    if (rc == 0)
        rc = ping_if_idle(redis, now_us, err);
    return rc;
}

static void
fail(struct redis *redis, int rc, struct error *err)
{
    char text[REDIS_TEXT_BYTES];

    error_ignore(error_wrap(err, rc, "%s", redis_address_format(redis->address, text)));
    redis->failure = *err;
    link_close(&redis->stream.link);
}

int
redis_run(struct redis *redis, struct error *err)
{
    struct error failure;
    int64_t now_us;
    int rc = 0;

    stream_compact(&redis->stream);
    arena_reset(&redis->arena);
    if (redis->failure.code == ERR_NONE) {
        now_us = clock_mono_us(&clock_system);
        if (redis->stage != STAGE_READY)
            rc = redis_connect_run(redis, now_us, &failure);
        if (rc == 0 && redis->stage == STAGE_READY)
            rc = exchange(redis, now_us, &failure);
        if (rc < 0)
            fail(redis, rc, &failure);
    }
    /* Replies that came before the failure are still handed out. */
    if (redis->failure.code == ERR_NONE || redis->stream.n_whole > 0)
        return 0;
    return repeat_failure(redis, err);
}

bool
redis_take(struct redis *redis, const struct redis_value **out)
{
    struct error failure;
    int rc = drop_pongs(redis, &failure);
    bool is_numbered;

    if (rc == 0 && redis->stream.n_whole == 0)
        return false;
    is_numbered = !is_message(redis, stream_peek(&redis->stream));
    if (rc == 0)
        rc = stream_take(&redis->stream, &redis->arena, out, &failure);
    if (rc < 0) {
        fail(redis, rc, &failure);
        stream_clear(&redis->stream);
        return false;
    }
    redis->n_taken += is_numbered;
    return true;
}

bool
redis_is_ready(const struct redis *redis)
{
    return redis->stage == STAGE_READY && redis->failure.code == ERR_NONE;
}

size_t
redis_count_pending(const struct redis *redis)
{
    return (size_t)(redis->n_asked - redis->n_taken) - (redis->ping > redis->n_taken ? 1 : 0);
}

/* When redis_run has something to do although nothing comes. */
static int64_t
find_deadline(const struct redis *redis)
{
    int64_t limit_us = silence_limit(redis);

    if (redis->failure.code != ERR_NONE || redis->stream.n_whole > 0 ||
        link_has_more(&redis->stream.link) || redis->stage == STAGE_NEXT)
        return 0;
    if (redis->stage != STAGE_READY)
        return redis->deadline_us;
    if (!is_due(redis))
        limit_us = redis->options.idle_us;
    return limit_us == TIME_UNKNOWN ? INT64_MAX : redis->heard_us + limit_us;
}

void
redis_get_wait(const struct redis *redis, struct redis_wait *out)
{
    const struct link *link = &redis->stream.link;
    bool has_output = redis->stage == STAGE_READY && redis->out.at < redis->out.buf.len;

    out->fd = link->fd;
    out->events = link->wants;
    if (link->is_connected)
        out->events |= POLLIN;
    if (has_output && !link->wants)
        out->events |= POLLOUT;
    out->deadline_us = find_deadline(redis);
}

static void
wait_for(const struct redis *redis, int64_t until_us)
{
    struct redis_wait wait;

    redis_get_wait(redis, &wait);
    if (wait.deadline_us < until_us)
        until_us = wait.deadline_us;
    /* An error other than a signal would be of our making, and the next round comes anyway. */
    (void)wait_for_fd(wait.fd, wait.events, until_us);
}

int
redis_call(struct redis *redis, const struct str *words, size_t n_words, int64_t timeout_us,
           const struct redis_value **out, struct error *err)
{
    int64_t until_us = clock_mono_us(&clock_system) + timeout_us;
    int rc;

    assert(redis->failure.code != ERR_NONE || redis_count_pending(redis) == 0);
    rc = redis_command(redis, words, n_words, err);
    while (rc == 0) {
        struct error failure;

        rc = redis_run(redis, err);
        if (rc < 0 || redis_take(redis, out))
            return rc;
        if (clock_mono_us(&clock_system) < until_us) {
            wait_for(redis, until_us);
            continue;
        }
        error_ignore(error_set(&failure, ERR_TIMEOUT, "no reply within %lld ms",
                               (long long)(timeout_us / US_PER_MS)));
        fail(redis, -ERR_TIMEOUT, &failure);
        rc = repeat_failure(redis, err);
    }
    return rc;
}
