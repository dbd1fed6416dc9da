#pragma once

/* The members of a JSON object, each with its value as it is written.  Pure, any thread. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/json.h"

struct json_slices {
    struct json object;       /* JSON_OBJECT, parsed */
    const struct str *values; /* [object.object.n_members], slices of the text, trimmed */
};

/* text  hostile bytes; NaN and halves of surrogate pairs are taken, as Python writes them
 * out   lives as long as the arena and the text
 *
 * Errors: ERR_INVALID (not UTF-8, not a JSON object), ERR_TOO_LARGE (nested deeper than
 * RESULT_MAX_DEPTH), ERR_NOMEM (the arena's ceiling). */
MUST_CHECK int json_slices_parse(struct str text, struct arena *arena, struct json_slices *out,
                                 struct error *err);
