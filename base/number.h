#pragma once

/* Numbers from text, strictly: the whole text, no white space, no locale.  Pure. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

/* [+-]digits within int64.  Errors: ERR_INVALID, naming the text. */
MUST_CHECK int number_parse_i64(struct str text, int64_t *out, struct error *err);

/* As above; a fraction of zeros is allowed ("693.0"), as nullable CSV columns carry. */
MUST_CHECK int number_parse_whole(struct str text, int64_t *out, struct error *err);

/* A finite decimal number with optional fraction and exponent. */
MUST_CHECK int number_parse_f64(struct str text, double *out, struct error *err);
