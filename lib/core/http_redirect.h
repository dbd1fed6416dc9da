#pragma once

/* What a redirect means for the next request.  Pure; internal to lib/core/http*. */

#include "base/arena.h"
#include "lib/core/http.h"

#define HTTP_REDIRECT_MAX 5

struct http_redirect {
    struct str url; /* lives as long as the arena */
    enum http_method method;
    bool is_same_origin; /* else credentials stay behind */
};

/* A status that names another place for the same wish: 301, 302, 303, 307, 308. */
bool http_redirect_is_status(int status);

/* Where to go from url (asked with method) after such a status and its Location.
 * Errors: ERR_INVALID (no http URL, or one that gives up https), ERR_NOMEM.
 * Source: RFC 9110 section 15.4, and the Fetch standard for POST on 301 and 302. */
MUST_CHECK int http_redirect_follow(struct str url, enum http_method method, int status,
                                    struct str location, struct arena *arena,
                                    struct http_redirect *out, struct error *err);
