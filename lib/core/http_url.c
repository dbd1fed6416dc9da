/* A strict reader of http URLs, and the resolution of references against them. */

#include "lib/core/http_url.h"

#include <stdio.h>

#include "lib/core/http_headers.h"

static bool
is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes that have no business in a URL: controls, space, DEL, backslash. */
static bool
is_unfit(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7F || c == '\\';
}

/* Where the first of `wanted` stands in text, or text.len. */
static size_t
find_any(struct str text, struct str wanted)
{
    size_t i = 0;

    while (i < text.len && str_find_char(wanted, text.ptr[i]) == wanted.len)
        i++;
    return i;
}

/* Length of "http://" or "https://" at the start, or 0. */
static size_t
scheme_len(struct str url, bool *is_https)
{
    if (str_equal_ignore_case(str_slice(url, 0, 7), STR("http://"))) {
        *is_https = false;
        return 7;
    }
    if (str_equal_ignore_case(str_slice(url, 0, 8), STR("https://"))) {
        *is_https = true;
        return 8;
    }
    return 0;
}

/* Letters, digits, "-._~" and UTF-8 for international names; within brackets an IPv6 address. */
static bool
is_host(struct str host)
{
    bool is_literal = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';

    if (is_literal)
        host = str_slice(host, 1, host.len - 1);
    if (host.len == 0 || host.len > 253)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool is_hex = is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        bool is_fine = is_literal ? is_hex || c == ':' || c == '.'
                                  : is_alpha(c) || is_digit(c) || (unsigned char)c >= 0x80 ||
                                        c == '-' || c == '.' || c == '_' || c == '~';

        if (!is_fine)
            return false;
    }
    return true;
}

/* Host and port of an authority; an empty port is the scheme's. */
static bool
parse_authority(struct str authority, struct http_url *url)
{
    size_t bracket = str_find_last(authority, STR("]"));
    size_t from = bracket < authority.len ? bracket : 0;
    size_t colon = from + str_find_char(str_slice(authority, from, authority.len), ':');
    struct str digits = str_slice(authority, colon + 1, authority.len);
    uint32_t port = 0;

    url->host = str_slice(authority, 0, colon);
    url->port = url->is_https ? 443 : 80;
    if (!is_host(url->host) || digits.len > 5)
        return false;
    if (digits.len == 0)
        return true;
    for (size_t i = 0; i < digits.len; i++) {
        if (!is_digit(digits.ptr[i]))
            return false;
        port = port * 10 + (uint32_t)(digits.ptr[i] - '0');
    }
    if (port == 0 || port > 65535)
        return false;
    url->port = (uint16_t)port;
    return true;
}

static bool
split_url(struct str url, struct http_url *out)
{
    size_t scheme = scheme_len(url, &out->is_https);
    size_t authority_len;
    struct str rest;

    if (scheme == 0 || url.len > HTTP_URL_MAX_BYTES)
        return false;
    for (size_t i = 0; i < url.len; i++) {
        if (is_unfit(url.ptr[i]))
            return false;
    }
    rest = str_slice(url, scheme, url.len);
    authority_len = find_any(rest, STR("/?#"));
    out->origin = str_slice(url, 0, scheme + authority_len);
    if (!parse_authority(str_slice(rest, 0, authority_len), out))
        return false;
    rest = str_slice(rest, authority_len, rest.len);
    rest = str_slice(rest, 0, str_find_char(rest, '#'));
    out->path = str_slice(rest, 0, str_find_char(rest, '?'));
    out->query = out->path.len < rest.len ? str_slice(rest, out->path.len + 1, rest.len) : STR_NULL;
    return true;
}

int
http_url_parse(struct str url, struct http_url *out, struct error *err)
{
    struct http_url parsed = {0};
    char shown[HTTP_URL_SHOWN_BYTES];

    if (!split_url(url, &parsed))
        return error_set(err, ERR_INVALID,
                         "'%s' is not an http or https URL (without user info, at most %d bytes)",
                         http_url_format_shown(url, shown), HTTP_URL_MAX_BYTES);
    *out = parsed;
    return 0;
}

void
http_url_format_origin(const struct http_url *url, char out[HTTP_ORIGIN_BYTES])
{
    (void)snprintf(out, HTTP_ORIGIN_BYTES, "%s://%.*s:%u", url->is_https ? "https" : "http",
                   STR_ARG(url->host), (unsigned)url->port);
    for (char *c = out; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    }
}

/* Messages stay printable UTF-8, however the URL is cut. */
static char
shown_byte(char c)
{
    return is_unfit(c) || (unsigned char)c >= 0x80 ? '.' : c;
}

/* Length of a short "scheme://" of any kind at the start, or 0. */
static size_t
any_scheme_len(struct str url)
{
    size_t len = str_find(url, STR("://"));

    for (size_t i = 0; i < len; i++) {
        if (!is_alpha(url.ptr[i]) && !is_digit(url.ptr[i]))
            return 0;
    }
    return len < url.len && len <= 16 ? len + 3 : 0;
}

const char *
http_url_format_shown(struct str url, char out[HTTP_URL_SHOWN_BYTES])
{
    size_t from = any_scheme_len(url);
    struct str rest = str_slice(url, from, url.len);
    size_t authority_len = find_any(rest, STR("/?#"));
    size_t at = str_find_last(str_slice(rest, 0, authority_len), STR("@"));
    size_t len = 0;

    if (at < authority_len)
        rest = str_slice(rest, at + 1, rest.len);
    rest = str_slice(rest, 0, find_any(rest, STR("?#")));
    for (size_t i = 0; i < from; i++)
        out[len++] = url.ptr[i];
    for (size_t i = 0; i < rest.len && len < HTTP_URL_SHOWN_BYTES - 4; i++)
        out[len++] = shown_byte(rest.ptr[i]);
    if (len >= HTTP_URL_SHOWN_BYTES - 4) {
        (void)memcpy(out + len, "...", 3);
        len += 3;
    }
    out[len] = '\0';
    return out;
}

struct str
http_url_origin(struct str url)
{
    struct http_url parsed = {0};

    return split_url(url, &parsed) ? parsed.origin : STR_NULL;
}

bool
http_url_same_origin(struct str a, struct str b)
{
    struct http_url parsed_a = {0};
    struct http_url parsed_b = {0};

    return split_url(a, &parsed_a) && split_url(b, &parsed_b) &&
           parsed_a.is_https == parsed_b.is_https && parsed_a.port == parsed_b.port &&
           str_equal_ignore_case(parsed_a.host, parsed_b.host);
}

static size_t
put_encoded(char *out, char c)
{
    static const char digits[] = "0123456789ABCDEF";

    out[0] = '%';
    out[1] = digits[(unsigned char)c >> 4];
    out[2] = digits[(unsigned char)c & 15];
    return 3;
}

struct str
http_url_encode(struct arena *arena, struct str text, struct str keep, bool *ok)
{
    size_t max_len;
    size_t len = 0;
    char *out;

    if (!text.ptr)
        return STR_NULL;
    out = __builtin_mul_overflow(text.len, (size_t)3, &max_len)
              ? NULL
              : arena_alloc_aligned(arena, max_len + 1, 1);
    if (!out) {
        *ok = false;
        return STR_NULL;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (is_alpha(c) || is_digit(c) || str_find_char(STR("-._~"), c) < 4 ||
            str_find_char(keep, c) < keep.len)
            out[len++] = c;
        else
            len += put_encoded(out + len, c);
    }
    out[len] = '\0';
    return (struct str){out, len};
}

/* A reference without its fragment and surrounding space; what cannot stand in a URL is encoded. */
static struct str
clean_reference(struct arena *arena, struct str reference)
{
    struct str text = str_trim(reference);
    size_t len = 0;
    char *out;

    text = str_slice(text, 0, str_find_char(text, '#'));
    if (text.len > HTTP_URL_MAX_BYTES)
        return STR_NULL;
    out = arena_alloc_aligned(arena, text.len * 3 + 1, 1);
    if (!out)
        return STR_NULL;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (is_unfit(c) || (unsigned char)c >= 0x80 || str_find_char(STR("\"<>^`{|}"), c) < 8)
            len += put_encoded(out + len, c);
        else
            out[len++] = c;
    }
    return (struct str){out, len};
}

/* Does the reference name a scheme of its own? */
static bool
has_scheme(struct str reference)
{
    size_t i = 0;

    while (i < reference.len && (is_alpha(reference.ptr[i]) ||
                                 (i > 0 && (is_digit(reference.ptr[i]) ||
                                            str_find_char(STR("+-."), reference.ptr[i]) < 3))))
        i++;
    return i > 0 && i < reference.len && reference.ptr[i] == ':';
}

/* Take the "." and ".." segments out of path[0, len), in place.  Returns the new length.
 * Source: RFC 3986 section 5.2.4; the path begins with a slash. */
static size_t
remove_dot_segments(char *path, size_t len)
{
    struct str rest = {path + 1, len - 1};
    size_t n = 0;

    for (bool is_last = false; !is_last;) {
        size_t slash = str_find_char(rest, '/');
        struct str segment = str_slice(rest, 0, slash);
        bool is_up = str_equal(segment, STR(".."));

        is_last = slash == rest.len;
        rest = str_slice(rest, slash + 1, rest.len);
        if (is_up) {
            while (n > 0 && path[--n] != '/')
                ;
        }
        if (is_up || str_equal(segment, STR("."))) {
            if (is_last)
                path[n++] = '/';
            continue;
        }
        path[n++] = '/';
        (void)memmove(path + n, segment.ptr, segment.len);
        n += segment.len;
    }
    return n;
}

/* The path of a relative reference joined with that of the base. */
static struct str
merge_paths(const struct http_url *base, struct str reference_path, struct arena *arena)
{
    struct str dir = STR_NULL;
    char *path;
    size_t len;

    if (reference_path.len == 0)
        reference_path = base->path;
    else if (reference_path.ptr[0] != '/')
        dir = str_slice(base->path, 0, str_find_last(base->path, STR("/")));
    path = arena_printf(arena, "%.*s%s%.*s", STR_ARG(dir),
                        reference_path.len && reference_path.ptr[0] == '/' ? "" : "/",
                        STR_ARG(reference_path));
    if (!path)
        return STR_NULL;
    len = remove_dot_segments(path, strlen(path));
    return (struct str){path, len};
}

int
http_url_resolve(struct str base, struct str reference, struct arena *arena, struct str *out,
                 struct error *err)
{
    struct str text = clean_reference(arena, reference);
    struct http_url url = {0};
    struct http_url check;
    struct str path, query;
    char *joined;
    int rc = http_url_parse(base, &url, err);

    if (rc < 0)
        return rc;
    if (!text.ptr)
        return error_set(err, ERR_INVALID, "a reference of %zu bytes is too long for a URL",
                         reference.len);
    if (has_scheme(text)) {
        joined = arena_printf(arena, "%.*s", STR_ARG(text));
    } else if (str_starts_with(text, STR("//"))) {
        joined = arena_printf(arena, "%s:%.*s", url.is_https ? "https" : "http", STR_ARG(text));
    } else {
        size_t mark = str_find_char(text, '?');

        path = merge_paths(&url, str_slice(text, 0, mark), arena);
        query = mark < text.len ? str_slice(text, mark + 1, text.len) : STR_NULL;
        if (text.len == 0)
            query = url.query;
        joined = arena_printf(arena, "%.*s%.*s%s%.*s", STR_ARG(url.origin), STR_ARG(path),
                              query.ptr ? "?" : "", STR_ARG(query));
    }
    if (!joined)
        return error_set(err, ERR_NOMEM, "no memory for a URL of %zu bytes", text.len);
    rc = http_url_parse(str_from_cstr(joined), &check, err);
    if (rc == 0)
        *out = str_from_cstr(joined);
    return rc;
}
