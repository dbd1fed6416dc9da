/* Header fields and URLs from hostile servers: lib/core/http_headers.h and http_url.h.
 *
 * Every parser gets the same bytes; what their headers promise of the results is checked. */

#include <stdlib.h>

#include "lib/core/http_headers.h"
#include "lib/core/http_url.h"

#define ARENA_BYTES ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n_bytes);

static void
insist(bool is_true)
{
    if (!is_true)
        abort();
}

/* A borrowed part lies within the whole, or is absent. */
static bool
is_within(struct str part, struct str whole)
{
    return !part.ptr || (part.ptr >= whole.ptr && part.len <= whole.len &&
                         part.ptr + part.len <= whole.ptr + whole.len);
}

static void
check_fields(struct str text)
{
    struct http_rate_limit limit = {0};
    struct http_rate_policy policy = {0};
    struct http_content_range range = {0};
    unsigned char md5[16];
    int64_t wait_ms = 0;

    insist(is_within(http_link_find(text, STR("next")), text));
    if (http_rate_limit_parse(text, &limit))
        insist(limit.remaining >= 0 && limit.reset_s >= 0 && is_within(limit.bucket, text));
    if (http_rate_policy_parse(text, &policy))
        insist(policy.quota >= 0 && policy.window_s >= 0 && is_within(policy.bucket, text));
    if (http_retry_after_parse(text, INT64_C(1700000000000000), &wait_ms))
        insist(wait_ms >= 0 && wait_ms <= INT64_C(2147483648000));
    (void)http_retry_after_parse(text, INT64_MIN, &wait_ms);
    if (http_content_range_parse(text, &range))
        insist(!range.has_range ||
               (range.first <= range.last && (!range.has_total || range.last < range.total)));
    (void)http_goog_md5_parse(text, md5);
}

static void
check_urls(struct str text)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    char shown[HTTP_URL_SHOWN_BYTES];
    char origin[HTTP_ORIGIN_BYTES];
    struct http_url url;
    struct str next, encoded;
    bool ok = true;

    for (const char *c = http_url_format_shown(text, shown); *c; c++)
        insist(*c > ' ' && *c < 0x7F && *c != '?');
    if (http_url_parse(text, &url, NULL) == 0) {
        insist(url.port > 0 && url.host.len > 0 && str_starts_with(text, url.origin));
        insist(str_find_char(url.origin, '@') == url.origin.len);
        http_url_format_origin(&url, origin);
        insist(http_url_same_origin(text, str_from_cstr(origin)));
    }
    /* What a redirect leads to is a URL that the client accepts, on one line. */
    if (http_url_resolve(STR("https://h.example/a/b?c"), text, &arena, &next, NULL) == 0) {
        insist(http_url_parse(next, &url, NULL) == 0);
        insist(str_find_char(next, '\n') == next.len && str_find_char(next, '#') == next.len);
    }
    encoded = http_url_encode(&arena, text, STR("/"), &ok);
    insist(!ok || (encoded.len >= text.len && encoded.len <= 3 * text.len));
    arena_fini(&arena);
}

int
LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n_bytes)
{
    struct str text = {(const char *)bytes, n_bytes};

    if (!bytes || n_bytes > 65536)
        return 0;
    check_fields(text);
    check_urls(text);
    return 0;
}
