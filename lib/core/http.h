#pragma once

/* HTTP client on libcurl: one per process, opened after fork, not thread-safe.
 *
 * It keeps connections (HTTP/2 where the server has it), asks for gzip/br, paces each host by the
 * RateLimit and Retry-After headers of its answers, retries what can be retried with backoff and
 * full jitter, caps sizes and times, follows redirects itself and never takes credentials to
 * another origin.  Nothing here logs; attempts are counted in the answer. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/clock.h"

struct http_client;
struct http_response;

/* Where connections may go: asked of each address once its name is resolved, redirects included. */
enum http_reach {
    HTTP_REACH_ANY,    /* tests, and clients whose URLs all come from the operator */
    HTTP_REACH_PUBLIC, /* public addresses, ports 80 and 443; URLs that come from data need this */
};

struct http_options {
    struct str user_agent;      /* "trawl/0.1.0; +https://..." ; required */
    const struct clock *clock;  /* NULL = clock_system */
    int64_t connect_timeout_ms; /* 0 = 5,000 */
    int64_t total_timeout_ms;   /* one attempt; 0 = 60,000 */
    int64_t stall_timeout_ms;   /* no byte for so long ends an attempt; 0 = 15,000 */
    size_t max_body_bytes;      /* decoded, held in memory; 0 = 64 MiB */
    unsigned max_attempts;      /* 0 = 5 */
    int64_t max_wait_ms; /* a longer wait asked by the server is ERR_RATE_LIMIT; 0 = 330,000 */
    int64_t backoff_ms;  /* first backoff; doubles, full jitter, cap 30 s; 0 = 1,000 */
    bool (*is_cancelled)(void *context); /* asked during waits and transfers; may be NULL */
    void *cancel_context;
    enum http_reach reach;
    struct str_list trusted_origins; /* named by the operator, beyond reach: a mirror in the LAN */
    const char *ca_file;             /* PEM; NULL = the system's authorities */
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST };

/* Why a fetch brought no answer: what the error codes do not tell apart. */
enum http_failure {
    HTTP_FAILURE_NONE,
    HTTP_FAILURE_URL,       /* it, or one that it redirects to, is not one that may be asked for */
    HTTP_FAILURE_REACH,     /* its address or port is not public */
    HTTP_FAILURE_NAME,      /* the host's name has no address */
    HTTP_FAILURE_CONNECT,   /* refused, no route */
    HTTP_FAILURE_TLS,       /* the host answers; its certificate is not valid */
    HTTP_FAILURE_TIMEOUT,   /* of the connection, the answer, or a stall */
    HTTP_FAILURE_TRANSFER,  /* the answer broke off, or is none */
    HTTP_FAILURE_REDIRECTS, /* too many */
};

struct http_header {
    struct str name;
    struct str value;
};

/* Where a download goes, block by block, in order.  A broken transfer is continued with Range and
 * If-Range where the server gave a strong ETag.  reset() is called when bytes were written (or
 * range_from asked for a later start) and the object begins again at its byte 0; never when a Range
 * continues.  begin() sees the head of each 200 or 206 before its first byte: what it needs to keep
 * it copies.  Each returns 0, or a negative code with *err filled, which ends the fetch. */
struct http_sink {
    int (*write)(void *context, struct str bytes, struct error *err);
    int (*reset)(void *context, struct error *err);
    void *context;
    int (*begin)(void *context, const struct http_response *head, struct error *err); /* or NULL */
};

struct http_request {
    enum http_method method;
    struct str url;                    /* absolute, http or https */
    struct str authorization;          /* whole header value; sent to this url's origin only */
    const struct http_header *headers; /* more headers, at most 64; no secrets */
    size_t n_headers;
    struct str body;          /* POST */
    struct str content_type;  /* POST */
    int64_t min_interval_ms;  /* own pace for this url's origin, on top of the server's wishes */
    int64_t total_timeout_ms; /* 0 = the client's */
    size_t max_body_bytes;    /* 0 = the client's; for a sink: of the object, 0 = no cap */
    uint64_t range_from;      /* > 0: "Range: bytes=N-" */
    const struct http_sink *sink; /* NULL = body in memory; used for 200 and 206 answers only */
    bool keep_redirects;          /* give a 3xx back instead of following it */
    bool is_single;               /* one attempt: the caller decides what to repeat, and when; then
                                     a 429 is an answer like any other */
};

struct http_response {
    int status;                        /* of the last answer */
    struct str url;                    /* the one that answered, after redirects */
    const struct http_header *headers; /* of the last answer, names in lower case */
    size_t n_headers;
    struct str body;     /* decoded; with a sink only that of other than 200 and 206, and that
                            cut at 64 KiB, as it is for every status from 300 on */
    unsigned n_attempts; /* requests sent, redirects not counted */
};

MUST_CHECK int http_client_create(const struct http_options *options, struct http_client **out,
                                  struct error *err);
void http_client_free(struct http_client *client);
void http_client_freep(struct http_client **client); /* for CLEANUP */

/* Fetch, with pacing and retries (408, 425, 429, 500, 502, 503, 504, broken transfers, timeouts).
 *
 * Redirects: at most 5; POST becomes GET on 301, 302 and 303; credentials stay at the first origin,
 * and do not come back; from https to http is refused.  A 429 that tells how long to wait is waited
 * out and does not count as an attempt, five times; a transfer to a sink that brought 1 MiB does
 * not either.
 *
 * Any final answer but 429 is success, whatever its status; out lives as long as the arena. Errors:
 * ERR_NETWORK, ERR_TIMEOUT (after the last attempt), ERR_RATE_LIMIT (429 to the end, or a host
 * whose turn would come later than max_wait_ms: err->retry_after_ms tells), ERR_TOO_LARGE (size,
 * ratio over 200:1, headers over 64 KiB), ERR_INVALID (url, headers, redirects, reach),
 * ERR_CANCELLED, ERR_NOMEM, or what the sink returned.  Messages hold no query and no header value.
 * Source: RFC 9110, RFC 9111, RFC 6585; draft-ietf-httpapi-ratelimit-headers. */
MUST_CHECK int http_fetch(struct http_client *client, const struct http_request *request,
                          struct arena *arena, struct http_response *out, struct error *err);

/* Why the last http_fetch of this client failed; HTTP_FAILURE_NONE where it did not, or where the
 * failure is not the network's or the URL's (memory, a limit, the sink, cancelled). */
enum http_failure http_client_last_failure(const struct http_client *client);

/* The value of a header (lower-case name), the first where it is repeated; STR_NULL when absent. */
struct str http_response_header(const struct http_response *response, struct str name);
