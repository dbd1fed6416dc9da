#pragma once

/* Header fields that carry decisions: links, limits, waits.  Pure functions on hostile text; a
 * field that cannot be read is "no information", never an error. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/str.h>

#include "base/arena.h"

/* The URI of the first link whose rel holds the word, or STR_NULL; borrowed from value.
 * Source: RFC 8288 section 3. */
struct str http_link_find(struct str value, struct str rel);

struct http_rate_limit {
    struct str bucket; /* "api", "resolvers", "pages"; borrowed; may be absent */
    int64_t remaining; /* requests left in the window */
    int64_t reset_s;   /* seconds until the window ends */
};

/* `"api";r=489;t=189`, the form of draft-ietf-httpapi-ratelimit-headers; of several limits, the one
 * with the least left. */
bool http_rate_limit_parse(struct str value, struct http_rate_limit *out);

struct http_rate_policy {
    struct str bucket; /* borrowed; may be absent */
    int64_t quota;     /* requests per window */
    int64_t window_s;
};

/* `"fixed window";"api";q=500;w=300`; of several policies, the first. */
bool http_rate_policy_parse(struct str value, struct http_rate_policy *out);

/* Milliseconds asked for by Retry-After: digits, or an HTTP date seen from now_us (never negative).
 * More than 2^31 seconds count as 2^31, as RFC 9111 section 1.2.2 has it. */
bool http_retry_after_parse(struct str value, int64_t now_us, int64_t *out_ms);

struct http_content_range {
    bool has_range;
    bool has_total;
    uint64_t first; /* offsets of the first and last byte sent, where has_range */
    uint64_t last;
    uint64_t total; /* bytes of the whole object, where has_total */
};

/* `bytes 5-9/10`, with a star for what is not known.  Source: RFC 9110 section 14.4. */
bool http_content_range_parse(struct str value, struct http_content_range *out);

/* The MD5 in x-goog-hash, `crc32c=n03x6A==,md5=Ojk9c3dhfxgoKVVHYwFbHQ==`; Google storage may spread
 * the two over two fields. */
bool http_goog_md5_parse(struct str value, unsigned char out[16]);

/* scheme://host:port at the start of an absolute http(s) URL, as it is written there, so that the
 * path begins at url.ptr + its length; STR_NULL when the URL is none, or carries user info (such
 * URLs are refused everywhere). */
struct str http_url_origin(struct str url);

/* The same scheme, host and port, whatever the case and whether a default port is written out. */
bool http_url_same_origin(struct str a, struct str b);

/* Percent-encode everything but unreserved characters and the bytes in keep ("/" for paths).
 * *ok turns false on lack of memory.  Source: RFC 3986 section 2. */
struct str http_url_encode(struct arena *arena, struct str text, struct str keep, bool *ok);
