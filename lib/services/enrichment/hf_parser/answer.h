#pragma once

/* Judging an answer of the Hub's listing.  Pure. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>

#include "base/arena.h"
#include "base/json.h"
#include "lib/core/http.h"

struct hf_answer_context {
    bool has_token; /* one went with the request */
    int64_t now_us; /* for a Retry-After that is a date */
};

/* Read the array of rows from an answer.
 *
 * response   any status, any body
 * out        the array; lives as long as the arena and the response
 * is_garbled set on failure: true where this was no answer of the Hub at all (cut JSON, a captcha
 *            page with 200, 202, 403 or 405, an error object with 200), so that asking again may
 * help
 *
 * Errors, with the Hub's own words and the way out: ERR_AUTH (401, 403), ERR_RATE_LIMIT (429, with
 * err->retry_after_ms), ERR_INVALID (the Hub refuses the request: 400 and other 4xx), ERR_NETWORK
 * (5xx, garbled), ERR_NOMEM. */
MUST_CHECK int hf_answer_read(const struct http_response *response,
                              const struct hf_answer_context *context, struct arena *arena,
                              struct json *out, bool *is_garbled, struct error *err);
