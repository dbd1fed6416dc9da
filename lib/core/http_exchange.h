#pragma once

/* One request and its one answer: no redirect, no retry, no pace.
 *
 * Internal to lib/core/http*.  http.c implements it and is the only file that knows the transfer
 * library; http_fetch.c holds the manners. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/buf.h"
#include "base/clock.h"
#include "lib/core/http.h"

#define HTTP_HEAD_MAX_BYTES  ((size_t)65536)
#define HTTP_HEAD_MAX_FIELDS 256

struct http_wire; /* the connections and one transfer; not thread-safe */

struct http_wire_options {
    struct str user_agent;
    const char *ca_file;
    const struct clock *clock;
    int64_t connect_timeout_ms;
    int64_t stall_timeout_ms;
    bool (*is_cancelled)(void *context);
    void *cancel_context;
};

/* The head of an answer; names in lower case.  Views into the wire, valid until the next exchange.
 */
struct http_head {
    int status;
    size_t n_fields;
    struct http_header fields[HTTP_HEAD_MAX_FIELDS];
};

struct str http_head_find(const struct http_head *head, struct str name);

/* What a body receiver returns besides 0 and negative codes: no more is wanted, all is well. */
#define HTTP_BODY_ENOUGH 1

/* Who takes the answer. */
struct http_receiver {
    int (*on_head)(void *context, const struct http_head *head, struct error *err);
    /* n_wire_bytes: of the body, before decoding, up to about 16 KiB late. */
    int (*on_body)(void *context, struct str bytes, uint64_t n_wire_bytes, struct error *err);
    void *context;
};

struct http_exchange {
    enum http_method method;
    struct str url;                    /* accepted by http_url_parse */
    const struct http_header *headers; /* all but User-Agent; checked by the caller */
    size_t n_headers;
    struct str body; /* POST */
    int64_t timeout_ms;
    bool is_public_only; /* refuse addresses that are not public */
    struct http_receiver receiver;

    bool can_retry;            /* out, on failure: it may work the next time */
    enum http_failure failure; /* out: why there is no whole answer */
    int64_t elapsed_ms;        /* out: real time */
};

MUST_CHECK int http_wire_create(const struct http_wire_options *options, struct http_wire **out,
                                struct error *err);
void http_wire_free(struct http_wire *wire);

/* 0 once the whole answer went to the receiver.  Errors: ERR_NETWORK, ERR_TIMEOUT, ERR_TOO_LARGE
 * (head), ERR_INVALID (address refused), ERR_CANCELLED, ERR_NOMEM, or what the receiver returned.
 */
MUST_CHECK int http_wire_exchange(struct http_wire *wire, struct http_exchange *exchange,
                                  struct error *err);
