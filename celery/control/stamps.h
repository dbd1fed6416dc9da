#pragma once

/* Revoked stamps: a header and one of its values, as one key in a set of revoked ids.
 *
 * A key is the JSON text ["header",value], the value as json_value writes it; so 1 and "1" are two,
 * as in Python.  Pure, any thread. */

#include <stdbool.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/json.h"
#include "celery/control/revoked.h"

#define STAMPS_KEY_PREFIX    "[\"" /* no task id that a client makes begins so */
#define STAMPS_MAX_KEY_BYTES ((size_t)255)

/* The keys of {"header": value or [value, ...], ...}, in the arena.
 * Errors: ERR_INVALID (no object, a value that is no text or number, a key that is too long, more
 * than max_keys), ERR_NOMEM. */
MUST_CHECK int stamps_list_keys(const struct json *headers, size_t max_keys, struct arena *arena,
                                struct str **out, size_t *n_out, struct error *err);

/* Does a message carry one of the revoked stamps?  stamps: the JSON object of its header; one that
 * cannot be read has none. */
bool stamps_are_revoked(const struct revoked *revoked, struct str stamps);
