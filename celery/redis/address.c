/* URLs of Redis servers.
 *
 *     sentinel://user:password@host:port;sentinel://host:port/db?name=value&name=value
 *     \_scheme_/ \_userinfo__/ \_hosts________________________/\_path \__query_______/
 *
 * An unescaped / or # within a password moves the borders between the parts, so no message shows
 * anything of the URL but its scheme: whatever the rest seems to be, it may be the password. */

#include "celery/redis/address.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/number.h"

#define MAX_URL_BYTES  ((size_t)8192)
#define MAX_HOST_BYTES ((size_t)255)
#define MAX_PATH_BYTES ((size_t)107) /* of a socket's name: sun_path without its NUL */
#define DEFAULT_HOST   STR("127.0.0.1")

static const struct scheme {
    struct str prefix;
    enum redis_transport transport;
    uint16_t port;
    bool is_sentinel;
} schemes[] = {
    {STR_INIT("redis://"), REDIS_TCP, 6379, false},
    {STR_INIT("rediss://"), REDIS_TLS, 6379, false},
    {STR_INIT("redis+socket://"), REDIS_UNIX, 0, false},
    {STR_INIT("unix://"), REDIS_UNIX, 0, false},
    {STR_INIT("sentinel://"), REDIS_TCP, 26379, true},
};

static int
parse_port(struct str text, uint16_t *out, struct error *err)
{
    int64_t port;

    if (number_parse_i64(text, &port, NULL) < 0 || port < 1 || port > UINT16_MAX)
        return error_set(err, ERR_CONFIG,
                         "Redis URL: the port is not a number from 1 to 65535; " REDIS_URL_ADVICE);
    *out = (uint16_t)port;
    return 0;
}

/* host, host:port, [v6] or [v6]:port. */
static int
parse_host(struct str text, struct arena *arena, struct redis_host *out, struct error *err)
{
    bool is_bracketed = text.len > 0 && text.ptr[0] == '[';
    size_t name_end = str_find_char(text, is_bracketed ? ']' : ':');
    struct str name = str_slice(text, is_bracketed ? 1 : 0, name_end);
    struct str rest = str_slice(text, name_end + (is_bracketed ? 1 : 0), text.len);
    int rc = 0;

    if (is_bracketed && name_end == text.len)
        return error_set(err, ERR_CONFIG, "Redis URL: a [ without its ] in the host");
    if (rest.len > 1) {
        if (rest.ptr[0] != ':')
            return error_set(err, ERR_CONFIG, "Redis URL: text between ] and the port");
        rc = parse_port(str_slice(rest, 1, rest.len), &out->port, err);
    }
    if (rc == 0)
        rc = redis_url_unescape(name, false, "host", arena, &out->name, err);
    if (rc < 0)
        return rc;
    if (out->name.len == 0)
        out->name = DEFAULT_HOST;
    if (out->name.len > MAX_HOST_BYTES)
        return error_set(err, ERR_CONFIG, "Redis URL: a host has %zu bytes, allowed are %zu",
                         out->name.len, MAX_HOST_BYTES);
    return 0;
}

static int
parse_user(struct str text, struct arena *arena, struct redis_address *out, struct error *err)
{
    size_t colon = str_find_char(text, ':');
    int rc = 0;

    if (colon > 0)
        rc = redis_url_unescape(str_slice(text, 0, colon), false, "user", arena, &out->user, err);
    if (rc == 0 && colon < text.len)
        rc = redis_url_unescape(str_slice(text, colon + 1, text.len), false, "password", arena,
                                &out->password, err);
    /* "redis://:@host" is how an empty template comes out. */
    if (rc == 0 && out->password.len == 0 && !out->user.ptr)
        out->password = STR_NULL;
    return rc;
}

/* [userinfo@]host[:port][/database] */
static int
parse_network(struct str text, uint16_t port, struct arena *arena, struct redis_address *out,
              struct error *err)
{
    size_t slash = str_find_char(text, '/');
    struct str authority = str_slice(text, 0, slash);
    size_t at = str_find_last(authority, STR("@"));
    struct redis_host *host = &out->hosts[out->n_hosts];
    int rc = 0;

    if (out->n_hosts == REDIS_MAX_HOSTS)
        return error_set(err, ERR_CONFIG, "Redis URL: more than %d hosts", REDIS_MAX_HOSTS);
    host->port = port;
    if (at < authority.len) {
        rc = parse_user(str_slice(authority, 0, at), arena, out, err);
        authority = str_slice(authority, at + 1, authority.len);
    }
    if (rc == 0)
        rc = parse_host(authority, arena, host, err);
    if (rc == 0 && slash + 1 < text.len)
        rc = redis_url_parse_database(str_slice(text, slash + 1, text.len), out, err);
    if (rc == 0)
        out->n_hosts++;
    return rc;
}

/* [userinfo@]/path */
static int
parse_socket(struct str text, struct arena *arena, struct redis_address *out, struct error *err)
{
    size_t slash = str_find_char(text, '/');
    int rc = 0;

    if (slash == text.len || (slash > 0 && text.ptr[slash - 1] != '@'))
        return error_set(err, ERR_CONFIG,
                         "Redis URL: the socket's path is not absolute, as in"
                         " redis+socket:///run/redis/redis.sock?virtual_host=0; " REDIS_URL_ADVICE);
    if (slash > 0)
        rc = parse_user(str_slice(text, 0, slash - 1), arena, out, err);
    if (rc == 0)
        rc = redis_url_unescape(str_slice(text, slash, text.len), false, "path", arena, &out->path,
                                err);
    if (rc == 0 && out->path.len > MAX_PATH_BYTES)
        return error_set(err, ERR_CONFIG,
                         "Redis URL: the socket's path has %zu bytes, allowed are"
                         " %zu",
                         out->path.len, MAX_PATH_BYTES);
    return rc;
}

/* The hosts of the Sentinels; each but the first may leave its sentinel:// out. */
static int
parse_sentinels(struct str text, const struct scheme *scheme, struct arena *arena,
                struct redis_address *out, struct error *err)
{
    struct str part;
    int rc = 0;

    while (rc == 0 && str_split(&text, ';', &part)) {
        if (str_starts_with(part, scheme->prefix))
            part = str_slice(part, scheme->prefix.len, part.len);
        rc = parse_network(part, scheme->port, arena, out, err);
    }
    return rc;
}

static int
check_address(const struct scheme *scheme, const struct redis_address *address, struct error *err)
{
    if (scheme->is_sentinel && address->master_name.len == 0)
        return error_set(err, ERR_CONFIG,
                         "Redis URL: sentinel:// needs the name of what the Sentinels watch:"
                         " ?master_name=NAME");
    if (!scheme->is_sentinel && address->master_name.ptr)
        return error_set(err, ERR_CONFIG, "Redis URL: master_name is for sentinel://");
    if (!address->cert_file.ptr != !address->key_file.ptr)
        return error_set(err, ERR_CONFIG, "Redis URL: ssl_certfile and ssl_keyfile go together");
    return 0;
}

static int
find_scheme(struct str url, const struct scheme **out, struct error *err)
{
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        if (str_starts_with(url, schemes[i].prefix)) {
            *out = &schemes[i];
            return 0;
        }
    }
    return error_set(err, ERR_CONFIG,
                     "no Redis URL: use redis://, rediss://, redis+socket://, unix:// or"
                     " sentinel://");
}

static int
check_bytes(struct str url, struct error *err)
{
    if (url.len > MAX_URL_BYTES)
        return error_set(err, ERR_CONFIG, "Redis URL: %zu bytes, allowed are %zu", url.len,
                         MAX_URL_BYTES);
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.ptr[i] <= ' ' || url.ptr[i] == '\x7f' || url.ptr[i] == '#')
            return error_set(
                err, ERR_CONFIG,
                "Redis URL: a space, a control byte or a # at offset %zu; " REDIS_URL_ADVICE, i);
    return 0;
}

int
redis_address_parse(struct str url, struct arena *arena, struct redis_address *out,
                    struct error *err)
{
    const struct scheme *scheme = NULL;
    struct redis_address address = {.n_hosts = 0};
    bool ok = true;
    struct str rest;
    size_t mark;
    int rc = check_bytes(url, err);

    if (rc == 0)
        rc = find_scheme(url, &scheme, err);
    if (rc < 0)
        return rc;
    rest = arena_dup(arena, str_slice(url, scheme->prefix.len, url.len), &ok);
    if (!ok)
        return error_set(err, ERR_NOMEM, "out of memory for a Redis URL");
    mark = str_find_char(rest, '?');
    if (mark < rest.len)
        address.query = str_slice(rest, mark + 1, rest.len);
    if (str_find_char(address.query, '@') < address.query.len)
        return error_set(err, ERR_CONFIG, "Redis URL: an @ behind the ?; " REDIS_URL_ADVICE);
    rest = str_slice(rest, 0, mark);
    address.transport = scheme->transport;
    if (scheme->transport == REDIS_UNIX)
        rc = parse_socket(rest, arena, &address, err);
    else if (scheme->is_sentinel)
        rc = parse_sentinels(rest, scheme, arena, &address, err);
    else
        rc = parse_network(rest, scheme->port, arena, &address, err);
    if (rc == 0)
        rc = redis_url_parse_options(scheme->is_sentinel, arena, &address, err);
    if (rc == 0)
        rc = check_address(scheme, &address, err);
    if (rc == 0)
        *out = address;
    return rc;
}

/* Append what fits. */
static void append(char text[REDIS_TEXT_BYTES], const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
append(char text[REDIS_TEXT_BYTES], const char *fmt, ...)
{
    size_t used = strlen(text);
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text + used, REDIS_TEXT_BYTES - used, fmt, args);
    va_end(args);
}

const char *
redis_address_format(const struct redis_address *address, char text[REDIS_TEXT_BYTES])
{
    const char *scheme = address->master_name.ptr           ? "sentinel://"
                         : address->transport == REDIS_UNIX ? "redis+socket://"
                         : address->transport == REDIS_TLS  ? "rediss://"
                                                            : "redis://";

    text[0] = '\0';
    append(text, "%s", scheme);
    if (address->transport == REDIS_UNIX) {
        append(text, "%.*s?virtual_host=%lld", STR_ARG(address->path),
               (long long)address->database);
        return text;
    }
    for (size_t i = 0; i < address->n_hosts; i++) {
        const struct redis_host *host = &address->hosts[i];
        bool is_v6 = str_find_char(host->name, ':') < host->name.len;

        append(text, "%s%s%.*s%s:%u", i > 0 ? ";" : "", is_v6 ? "[" : "", STR_ARG(host->name),
               is_v6 ? "]" : "", (unsigned)host->port);
    }
    append(text, "/%lld", (long long)address->database);
    if (address->master_name.ptr)
        append(text, "?master_name=%.*s", STR_ARG(address->master_name));
    return text;
}
