#pragma once

/* Header fields that carry decisions: links, limits, waits.  Pure functions on hostile text; a field
 * that cannot be read is "no information", never an error. */

#include "base/arena.h"

#include <trawl/str.h>

#include <stdbool.h>
#include <stdint.h>

/* The URI of the first link whose rel holds the word, or STR_NULL; borrowed from value.
 * Source: RFC 8288 section 3. */
struct str http_link_find(struct str value, struct str rel);

struct http_rate_limit {
    struct str bucket; /* "api", "resolvers", "pages"; borrowed; may be absent */
    int64_t remaining; /* requests left in the window */
    int64_t reset_s;   /* seconds until the window ends */
};

/* `"api";r=489;t=189`, the form of draft-ietf-httpapi-ratelimit-headers. */
bool http_rate_limit_parse(struct str value, struct http_rate_limit *out);

struct http_rate_policy {
    struct str bucket;
    int64_t quota;    /* requests per window */
    int64_t window_s;
};

/* `"fixed window";"api";q=500;w=300`. */
bool http_rate_policy_parse(struct str value, struct http_rate_policy *out);

/* Milliseconds asked for by Retry-After: digits, or an HTTP date seen from now_us (never negative). */
bool http_retry_after_parse(struct str value, int64_t now_us, int64_t *out_ms);

/* scheme://host:port of an absolute http(s) URL, without user info; STR_NULL when it is none. */
struct str http_url_origin(struct str url);

/* Percent-encode everything but unreserved characters and the bytes in keep ("/" for paths).
 * *ok turns false on lack of memory.  Source: RFC 3986 section 2. */
struct str http_url_encode(struct arena *arena, struct str text, struct str keep, bool *ok);
