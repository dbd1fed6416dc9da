#pragma once

/* URLs as the HTTP client understands them: absolute, http or https, and strictly read.
 *
 * Internal to lib/core/http*.  One parser decides origins, credentials and what goes to the
 * transfer library, so that the two cannot disagree: what is doubtful (user info, backslashes,
 * control bytes, percent signs in a host) is refused.  Pure. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"

#define HTTP_URL_MAX_BYTES   8192
#define HTTP_ORIGIN_BYTES    288 /* canonical text with its NUL */
#define HTTP_URL_SHOWN_BYTES 200 /* of a URL in a message, with the NUL */

struct http_url {
    bool is_https;
    uint16_t port;     /* written or the scheme's */
    struct str host;   /* as written; an IPv6 literal with its brackets */
    struct str origin; /* scheme://authority as written */
    struct str path;   /* "" or what follows up to ? or # */
    struct str query;  /* after "?", up to "#"; absent without one */
};

/* Everything in *out is borrowed from url.  Errors: ERR_INVALID, naming the URL as it may be shown.
 */
MUST_CHECK int http_url_parse(struct str url, struct http_url *out, struct error *err);

/* "https://host:port" with the port always there and letters in lower case: a key. */
void http_url_format_origin(const struct http_url *url, char out[HTTP_ORIGIN_BYTES]);

/* The URL as messages may show it: no user info, no query, no control bytes, cut where long. */
const char *http_url_format_shown(struct str url, char out[HTTP_URL_SHOWN_BYTES]);

/* The absolute URL that a reference found at base means, without its fragment; bytes that cannot
 * stand in a URL are percent-encoded as browsers do.  Errors: ERR_INVALID, ERR_NOMEM. Source: RFC
 * 3986 section 5.2. */
MUST_CHECK int http_url_resolve(struct str base, struct str reference, struct arena *arena,
                                struct str *out, struct error *err);
