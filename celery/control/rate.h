#pragma once

/* Celery's rate limits: "10/s", "100/m", "5/h", "0.5", or a number per second; a token bucket that
 * holds one token.  Pure, any thread. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#define CONTROL_RATE_BYTES ((size_t)32) /* the longest text of one */

/* Not limited as { .per_s = 0 }. */
struct control_rate {
    double per_s;
    double n_tokens;   /* 0 to 1, at that moment */
    int64_t filled_us; /* monotonic */
};

/* How many a second; 0 = no limit.
 *
 * exception  the type of Python's exception, where it is not that of the code; static
 *
 * Errors: ERR_INVALID, in Python's words (ValueError: no number; KeyError: no such unit). */
MUST_CHECK int control_rate_parse(struct str text, double *per_s, const char **exception,
                                  struct error *err);

/* Begin with one token, as Celery does. */
struct control_rate control_rate_of(double per_s, int64_t now_us);

/* Take a token; false: there is none yet. */
bool control_rate_take(struct control_rate *self, int64_t now_us);

/* The same for somebody who waits already: what the clock has gone beyond the token's moment counts
 * for the next ones, two tokens at most.  So the rate is met however late one looks. */
bool control_rate_take_late(struct control_rate *self, int64_t now_us);

/* When the next token is there (monotonic); at once where there is no limit. */
int64_t control_rate_due_us(const struct control_rate *self, int64_t now_us);
