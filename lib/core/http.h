#pragma once

/* HTTP client on libcurl: one per process, opened after fork, not thread-safe.
 *
 * It keeps connections (HTTP/2 where the server has it), asks for gzip/br, paces each host by the
 * RateLimit and Retry-After headers of its answers, retries what can be retried with backoff and full
 * jitter, caps sizes and times, follows redirects itself and never takes credentials to another
 * origin.  Nothing here logs; attempts are counted in the answer. */

#include "base/arena.h"
#include "base/clock.h"

#include <trawl/error.h>
#include <trawl/str.h>

#include <stdbool.h>
#include <stdint.h>

struct http_client;

struct http_options {
    struct str user_agent;        /* "trawl/0.1.0; +https://..." ; required */
    const struct clock *clock;    /* NULL = clock_system */
    int64_t connect_timeout_ms;   /* 0 = 5,000 */
    int64_t total_timeout_ms;     /* one attempt; 0 = 60,000 */
    int64_t stall_timeout_ms;     /* no byte for so long ends an attempt; 0 = 15,000 */
    size_t max_body_bytes;        /* decoded, held in memory; 0 = 64 MiB */
    unsigned max_attempts;        /* 0 = 5 */
    int64_t max_wait_ms;          /* a longer wait asked by the server is ERR_RATE_LIMIT; 0 = 330,000 */
    int64_t backoff_ms;           /* first backoff; doubles, full jitter, cap 30 s; 0 = 1,000 */
    bool (*is_cancelled)(void *context); /* asked during waits and transfers; may be NULL */
    void *cancel_context;
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST };

struct http_header {
    struct str name;
    struct str value;
};

/* Where a download goes, block by block, in order.  reset() is called before a retry that starts from
 * the first byte again (never when a Range continues). */
struct http_sink {
    int (*write)(void *context, struct str bytes, struct error *err);
    int (*reset)(void *context, struct error *err);
    void *context;
};

struct http_request {
    enum http_method method;
    struct str url;                    /* absolute, http or https */
    struct str authorization;          /* whole header value; sent to this url's origin only */
    const struct http_header *headers; /* more headers; no secrets */
    size_t n_headers;
    struct str body;                   /* POST */
    struct str content_type;           /* POST */
    int64_t min_interval_ms;           /* own pace for this url's host, on top of the server's wishes */
    int64_t total_timeout_ms;          /* 0 = the client's */
    size_t max_body_bytes;             /* 0 = the client's; for a sink: 0 = no cap */
    uint64_t range_from;               /* > 0: "Range: bytes=N-" */
    const struct http_sink *sink;      /* NULL = body in memory; used for 200 and 206 answers only */
    bool keep_redirects;               /* give a 3xx back instead of following it */
};

struct http_response {
    int status;                        /* of the last answer */
    struct str url;                    /* the one that answered, after redirects */
    const struct http_header *headers; /* of the last answer, names in lower case */
    size_t n_headers;
    struct str body;                   /* decoded; empty with a sink */
    unsigned n_attempts;
};

MUST_CHECK int http_client_create(const struct http_options *options, struct http_client **out,
                                  struct error *err);
void http_client_free(struct http_client *client);
void http_client_freep(struct http_client **client); /* for CLEANUP */

/* Fetch, with pacing and retries (408, 425, 429, 500, 502, 503, 504, broken transfers, timeouts).
 *
 * Any final answer is success, whatever its status; out lives as long as the arena.  Errors:
 * ERR_NETWORK, ERR_TIMEOUT (after the last attempt), ERR_RATE_LIMIT (429, or a host still parked, that
 * would take longer than max_wait_ms: err->retry_after_ms tells), ERR_TOO_LARGE, ERR_INVALID (url),
 * ERR_CANCELLED, ERR_NOMEM, or what the sink returned. */
MUST_CHECK int http_fetch(struct http_client *client, const struct http_request *request,
                          struct arena *arena, struct http_response *out, struct error *err);

/* The value of a header (lower-case name), the first where it is repeated; STR_NULL when absent. */
struct str http_response_header(const struct http_response *response, struct str name);
