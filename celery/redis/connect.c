/* The way to a server: all addresses of all hosts in turn; where the hosts are Sentinels, from each
 * on to the master that it names.
 *
 *     NEXT -> CONNECTING -> GREETING -> READY
 *      ^                       |
 *      +--- a Sentinel's answer, or a failure while targets are left
 *
 * Every target gets an equal share of the time that is left, so that one that swallows packets does
 * not hide the others. */

#include "celery/redis/connection.h"

#include <netdb.h>
#include <stdio.h>

#include "base/number.h"

static void
add_target(struct redis_targets *targets, const struct addrinfo *info, struct str host)
{
    struct redis_target *target = &targets->items[targets->n_items];

    if (targets->n_items == REDIS_MAX_TARGETS || info->ai_addrlen > sizeof(target->socket))
        return;
    (void)memcpy(&target->socket, info->ai_addr, info->ai_addrlen);
    target->len = info->ai_addrlen;
    target->host = host;
    targets->n_items++;
}

/* Add the addresses of a host; its name ends with a NUL. */
static int
resolve(struct redis_targets *targets, struct str host, uint16_t port, struct error *err)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV,
    };
    struct addrinfo *infos = NULL;
    char service[8];
    int rc;

    (void)snprintf(service, sizeof(service), "%u", (unsigned)port);
    rc = getaddrinfo(host.ptr, service, &hints, &infos);
    if (rc != 0)
        return error_set(err, rc == EAI_MEMORY ? ERR_NOMEM : ERR_NETWORK,
                         "cannot find host '%.*s': %s", STR_ARG(host),
                         rc == EAI_SYSTEM ? "the resolver failed" : gai_strerror(rc));
    for (const struct addrinfo *info = infos; info; info = info->ai_next)
        add_target(targets, info, host);
    freeaddrinfo(infos);
    return 0;
}

static void
add_socket(struct redis_targets *targets, struct str path)
{
    struct redis_target *target = &targets->items[targets->n_items++];

    target->socket.local.sun_family =
        AF_UNIX; /* the rest of it is zero; the path fits: address.c */
    (void)memcpy(target->socket.local.sun_path, path.ptr, path.len);
    target->len = sizeof(target->socket.local);
}

int
redis_resolve_hosts(struct redis *redis, struct error *err)
{
    const struct redis_address *address = redis->address;
    int rc = 0;

    if (address->transport == REDIS_UNIX) {
        add_socket(&redis->hosts, address->path);
        return 0;
    }
    for (size_t i = 0; i < address->n_hosts && rc != -ERR_NOMEM; i++)
        rc = resolve(&redis->hosts, address->hosts[i].name, address->hosts[i].port, err);
    return redis->hosts.n_items > 0 && rc != -ERR_NOMEM ? 0 : rc;
}

int
redis_resolve_master(struct redis *redis, struct str host, struct str port, struct error *err)
{
    int64_t number;

    if (host.len == 0 || host.len >= sizeof(redis->master_host) ||
        memchr(host.ptr, '\0', host.len) || number_parse_i64(port, &number, NULL) < 0 ||
        number < 1 || number > UINT16_MAX)
        return error_set(err, ERR_NETWORK, "the Sentinel's answer names no host and port");
    (void)memcpy(redis->master_host, host.ptr, host.len);
    redis->master_host[host.len] = '\0';
    redis->master = (struct redis_targets){.n_items = 0};
    return resolve(&redis->master, str_from_cstr(redis->master_host), (uint16_t)number, err);
}

static size_t
n_left(const struct redis_targets *targets)
{
    return targets->n_items - targets->n_tried;
}

/* Start with the next target: a master that was named, else a host of the URL. */
static int
start_next(struct redis *redis, int64_t now_us, struct error *err)
{
    bool has_master = n_left(&redis->master) > 0;
    struct redis_targets *targets = has_master ? &redis->master : &redis->hosts;
    size_t n_shares = n_left(&redis->master) + n_left(&redis->hosts);

    redis->is_sentinel = !has_master && redis->address->master_name.ptr;
    if (redis->is_sentinel)
        n_shares++; /* the master that it will name */
    redis->deadline_us = now_us + (redis->open_deadline_us - now_us) / (int64_t)n_shares;
    stream_clear(&redis->stream);
    redis->stage = STAGE_CONNECTING;
    return link_start(&redis->stream.link, &targets->items[targets->n_tried++], redis->address,
                      err);
}

/* The answers so far; whoever speaks before it is asked is no Redis. */
static int
hear(struct redis *redis, struct error *err)
{
    while (redis->stream.n_whole > 0) {
        const struct redis_value *reply;
        int rc = stream_take(&redis->stream, &redis->arena, &reply, err);

        if (rc == 0 && redis->n_steps_done == redis->n_steps)
            rc = error_set(err, ERR_INVALID, "the server answers what was not asked");
        if (rc == 0)
            rc = redis_greeting_hear(redis, reply, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
accept_any(void *context, struct str reply, struct error *err)
{
    (void)context;
    (void)reply;
    (void)err;
    return 0;
}

static int
greet(struct redis *redis, int64_t now_us, struct error *err)
{
    struct error broken;
    size_t n_bytes;
    int rc = stream_send(&redis->stream, &redis->hello, &n_bytes, err);
    int heard;

    if (rc == 0)
        rc = stream_receive(&redis->stream, accept_any, NULL, &n_bytes, err);
    /* What a server says before it closes tells more than that it did. */
    heard = hear(redis, &broken);
    if (heard < 0 && err)
        *err = broken;
    rc = heard < 0 ? heard : rc;
    arena_reset(&redis->arena);
    stream_compact(&redis->stream);
    if (rc < 0 || redis->n_steps_done < redis->n_steps)
        return rc;
    if (redis->is_sentinel) {
        link_close(&redis->stream.link);
        redis->stage = STAGE_NEXT;
        return 0;
    }
    redis->stage = STAGE_READY;
    redis->heard_us = now_us;
    return 0;
}

static const char *
what_is_missing(const struct redis *redis)
{
    if (redis->stage == STAGE_GREETING)
        return "answer";
    return redis->stream.link.is_connected ? "TLS handshake" : "connection";
}

/* A caller that comes so late that the time was over before it looked finds that the server has
 * done its part: the time begins anew, or a far server would never be reached by one who seldom
 * comes. */
static void
allow_late_caller(struct redis *redis, int64_t now_us)
{
    if (now_us < redis->deadline_us)
        return;
    redis->open_deadline_us = now_us + redis->options.connect_us;
    redis->deadline_us = redis->open_deadline_us;
}

/* One step.  1: done, or nothing more without waiting. */
static int
take_step(struct redis *redis, int64_t now_us, struct error *err)
{
    enum redis_stage before = redis->stage;
    bool was_connected = redis->stream.link.is_connected;
    int rc = 0;

    switch (redis->stage) {
    case STAGE_NEXT:
        if (n_left(&redis->master) + n_left(&redis->hosts) == 0)
            return error_set(err, ERR_NETWORK, "no address left to try");
        rc = start_next(redis, now_us, err);
        break;
    case STAGE_CONNECTING:
        rc = link_connect(&redis->stream.link, err);
        if (rc == 1) {
            redis->stage = STAGE_GREETING;
            rc = redis_greeting_start(redis, err);
        }
        break;
    case STAGE_GREETING:
        rc = greet(redis, now_us, err);
        break;
    case STAGE_READY:
        return 1;
    }
    if (rc < 0)
        return rc;
    if (redis->stage != before || redis->stream.link.is_connected != was_connected)
        allow_late_caller(redis, now_us);
    if (redis->stage != before)
        return rc;
    if (now_us >= redis->deadline_us)
        return error_set(err, ERR_TIMEOUT, "no %s within %lld ms", what_is_missing(redis),
                         (long long)(redis->options.connect_us / US_PER_MS));
    return 1;
}

int
redis_connect_run(struct redis *redis, int64_t now_us, struct error *err)
{
    if (redis->open_deadline_us == 0)
        redis->open_deadline_us = now_us + redis->options.connect_us;
    for (;;) {
        int rc = take_step(redis, now_us, err);

        if (rc == 1)
            return 0;
        if (rc == 0)
            continue;
        link_close(&redis->stream.link);
        stream_clear(&redis->stream); /* what else it said is not the caller's */
        redis->stage = STAGE_NEXT;
        if ((rc != -ERR_NETWORK && rc != -ERR_TIMEOUT) ||
            n_left(&redis->master) + n_left(&redis->hosts) == 0)
            return rc;
    }
}
