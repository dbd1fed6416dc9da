/* The rules of redirects, without any transfer. */

#include "lib/core/http_redirect.h"

#include "lib/core/http_headers.h"
#include "lib/core/http_url.h"

bool
http_redirect_is_status(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

int
http_redirect_follow(struct str url, enum http_method method, int status, struct str location,
                     struct arena *arena, struct http_redirect *out, struct error *err)
{
    struct http_redirect next = {.method = method};
    struct http_url from, to;
    char shown[HTTP_URL_SHOWN_BYTES];
    int rc = http_url_resolve(url, location, arena, &next.url, err);

    if (rc == 0)
        rc = http_url_parse(url, &from, err);
    if (rc == 0)
        rc = http_url_parse(next.url, &to, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot follow a redirect (status %d)", status);
    if (from.is_https && !to.is_https)
        return error_set(err, ERR_INVALID, "redirect from https to '%s' refused: not encrypted",
                         http_url_format_shown(next.url, shown));
    if (method == HTTP_POST && (status == 301 || status == 302 || status == 303))
        next.method = HTTP_GET;
    next.is_same_origin = http_url_same_origin(url, next.url);
    *out = next;
    return 0;
}
