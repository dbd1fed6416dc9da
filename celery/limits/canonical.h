#pragma once

/* One text for one JSON value, however its members are ordered, spaced and escaped. */

#include "base/buf.h"
#include "base/json.h"

/* Append it: members by name, of equal names the last; numbers as they were written.
 * Errors: ERR_NOMEM (the arena). */
MUST_CHECK int limit_write_canonical(const struct json *value, struct arena *arena, struct buf *out,
                                     struct error *err);
