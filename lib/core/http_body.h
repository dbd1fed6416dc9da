#pragma once

/* Where the body of an answer goes: memory or a sink, over all attempts of one fetch.
 *
 * Internal to lib/core/http*.  It holds the caps, and for a sink the place in the object, so that a
 * broken transfer can be continued.  No I/O of its own. */

#include "base/buf.h"
#include "lib/core/http_exchange.h"

#define HTTP_BODY_CUT_BYTES  ((size_t)65536) /* of a body from status 300 on, or beside a sink */
#define HTTP_BODY_MAX_RATIO  200             /* decoded bytes per byte received */
#define HTTP_BODY_ETAG_BYTES 256

struct http_body {
    const struct http_sink *sink; /* NULL = memory */
    uint64_t max_bytes;           /* decoded, of the whole object; 0 = no cap */
    struct buf memory;

    uint64_t position;               /* of the object: what the sink expects next */
    char etag[HTTP_BODY_ETAG_BYTES]; /* a strong one of the object under way, or "" */
    bool was_touched;                /* the sink's place is our doing, no longer the caller's */
    bool must_restart;               /* the last answer does not fit our place in the object */

    /* of the answer under way */
    bool is_head_request;
    struct str url;               /* for the head that the sink sees */
    const struct http_head *head; /* NULL until it has come */
    bool is_for_sink;
    uint64_t n_decoded;
};

/* max_bytes: the cap that holds for this request.  The body keeps request's sink, borrowed. */
void http_body_init(struct http_body *body, const struct http_request *request, size_t max_bytes);
void http_body_fini(struct http_body *body);

/* Forget the last answer; the next one comes from url (borrowed until then). */
void http_body_expect(struct http_body *body, struct str url, enum http_method method);

/* Should the next request ask for the bytes from `position` on?  Else for the whole object. */
bool http_body_wants_range(const struct http_body *body);

/* The two calls of struct http_receiver; context is the body.  Errors: ERR_TOO_LARGE, ERR_NETWORK
 * (with must_restart), ERR_NOMEM, or what the sink returned. */
MUST_CHECK int http_body_begin(void *context, const struct http_head *head, struct error *err);
MUST_CHECK int http_body_write(void *context, struct str bytes, uint64_t n_wire_bytes,
                               struct error *err);
