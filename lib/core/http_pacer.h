#pragma once

/* When may the next request to a host start?  What each origin told us, as numbers.
 *
 * Internal to lib/core/http*.  A state machine without clock or I/O: times come in as monotonic
 * microseconds.  It remembers 1,024 origins; beyond that the one that is free soonest is forgotten.
 * Not thread-safe. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

struct http_pacer;

MUST_CHECK int http_pacer_create(struct http_pacer **out, struct error *err);
void http_pacer_free(struct http_pacer *pacer);

/* The moment from which a request may start; anything up to now means at once.
 *
 * origin           as http_url_format_origin writes it
 * min_interval_us  the caller's own pace: so long after the last start */
int64_t http_pacer_ready_us(const struct http_pacer *pacer, const char *origin,
                            int64_t min_interval_us);

/* A request starts now. */
void http_pacer_note_start(struct http_pacer *pacer, const char *origin, int64_t now_us);

/* Nothing goes to this origin before until_us. */
void http_pacer_park(struct http_pacer *pacer, const char *origin, int64_t until_us);

/* The fields of an answer that ask for patience; absent ones are STR_NULL. */
struct http_pacer_answer {
    int status;
    struct str rate_limit;
    struct str rate_policy;
    struct str retry_after;
};

/* Take in an answer.  A window with nothing left parks the origin until one second after its end;
 * one of which 60 % are used has the rest spread over the time that is left, so that the limit is
 * not met. Retry-After counts on 408, 425, 429 and 5xx, where the window did not already tell.
 *
 * now_us  monotonic;  utc_us  for Retry-After as a date
 *
 * True when the answer told how long to wait before this request is sent again. */
bool http_pacer_note_answer(struct http_pacer *pacer, const char *origin,
                            const struct http_pacer_answer *answer, int64_t now_us, int64_t utc_us);
