#pragma once

/* What the parts of the HTTP client share: its options, connections, pace and chance.
 *
 * Internal to lib/core/http*. */

#include "base/arena.h"
#include "lib/core/http.h"
#include "lib/core/http_exchange.h"
#include "lib/core/http_pacer.h"

struct http_client {
    struct http_options options; /* zeros replaced by the defaults */
    struct http_wire *wire;
    struct http_pacer *pacer;
    struct arena arena; /* holds trusted_origins */
    uint64_t random_state;
    enum http_failure last_failure;
};

/* Nothing in text could end a header field. */
bool http_client_is_field_value(struct str text);

/* A random number from 0 to max, both included; for jitter. */
int64_t http_client_random(struct http_client *client, int64_t max);

/* Wait for a monotonic moment on the client's clock, in slices that look at is_cancelled.
 * Errors: ERR_CANCELLED. */
MUST_CHECK int http_client_wait_until(const struct http_client *client, int64_t until_us,
                                      struct error *err);
