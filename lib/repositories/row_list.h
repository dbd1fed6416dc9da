#pragma once

/* The rows of a statement as an array in an arena: the loop that every list of a repository shares.
 */

#include <stddef.h>

#include <trawl/error.h>

#include "base/arena.h"
#include "base/database.h"

/* The present row into *item, texts copied to the arena. */
typedef int (*row_list_read_fn)(const struct statement *statement, struct arena *arena, void *item,
                                struct error *err);

struct row_list_spec {
    row_list_read_fn read;
    size_t item_bytes;
    size_t n_room;    /* rows at most; the statement's own LIMIT */
    const char *what; /* "runs", for the message */
};

/* Step through a bound statement and reset it.  *out is the array, *out_n its length.
 * Errors: ERR_NOMEM, those of the statement and of read. */
MUST_CHECK int row_list_collect(struct statement *statement, const struct row_list_spec *spec,
                                struct arena *arena, void **out, size_t *out_n, struct error *err);
