#pragma once

/* The Hub's listing of datasets as an interface, and the client that reads it over HTTP.
 *
 * Not thread-safe; one request at a time. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "lib/core/http.h"
#include "lib/services/enrichment/hf_parser/listing.h"

struct hf_page {
    const struct json *rows; /* [n_rows], as the Hub sent them */
    size_t n_rows;
    struct str next;     /* reference of the next page; STR_NULL on the last */
    struct str warning;  /* "topic; message" that the Hub wants to be seen; mostly absent */
    unsigned n_requests; /* that it took */
};

struct hf_client;

struct hf_client_ops {
    /* Fetch a page.
     *
     * reference  hf_listing_first(), or the `next` of a page, of this run or an earlier one
     * n_rows     at most so many; the last page may have fewer, a strange server may send more
     * arena      is emptied first (and before every repetition); out lives in it
     *
     * Errors: ERR_INVALID (the Hub refuses the request, or names a strange next page), ERR_AUTH,
     * ERR_RATE_LIMIT (with retry_after_ms), ERR_NETWORK, ERR_TIMEOUT, ERR_TOO_LARGE (ask for fewer
     * rows), ERR_CANCELLED, ERR_NOMEM. */
    int (*fetch_page)(struct hf_client *self, struct str reference, int64_t n_rows,
                      struct arena *arena, struct hf_page *out, struct error *err);
};

/* The first member of every implementation. */
struct hf_client {
    const struct hf_client_ops *ops;
};

MUST_CHECK static inline int
hf_client_fetch_page(struct hf_client *self, struct str reference, int64_t n_rows,
                     struct arena *arena, struct hf_page *out, struct error *err)
{
    return self->ops->fetch_page(self, reference, n_rows, arena, out, err);
}

/* Who carries a request: http_fetch in the program, a script in tests. */
struct hf_transport {
    int (*fetch)(void *context, const struct http_request *request, struct arena *arena,
                 struct http_response *out, struct error *err);
    void *context;
};

struct hf_transport hf_transport_http(struct http_client *http);

#define HF_ENDPOINT STR("https://huggingface.co")

/* All texts are copied. */
struct hf_client_options {
    struct hf_transport transport; /* repeats what HTTP says can be repeated */
    struct str endpoint;           /* without or with a final "/"; absent = HF_ENDPOINT */
    struct str token;              /* "hf_..."; absent or empty = anonymous */
    const struct clock *clock;     /* NULL = clock_system */
    unsigned max_attempts;         /* at a page whose body is no page; 0 = 6 */
    int64_t backoff_ms;            /* before the second attempt, doubles; 0 = 1,000 */
};

/* Errors: ERR_CONFIG (endpoint, token), ERR_NOMEM. */
MUST_CHECK int hf_client_create(const struct hf_client_options *options, struct hf_client **out,
                                struct error *err);
void hf_client_free(struct hf_client *client); /* one that hf_client_create made */
void hf_client_freep(struct hf_client **client);
