#pragma once

/* Vectors in memory with their codes: what a file of vectors is written from, and what has changed
 * since one was written.  Not thread-safe. */

#include <stddef.h>
#include <stdint.h>

#include <trawl/attributes.h>
#include <trawl/error.h>

#include "encoder/vector_search.h"

struct vector_batch {
    size_t dim;
    size_t n_rows;
    size_t n_room;
    int64_t *ids;     /* [n_rows], ascending */
    float *scales;    /* [n_rows] */
    float *errors;    /* [n_rows] */
    uint64_t *checks; /* [n_rows] */
    float *vectors;   /* [n_rows, dim] */
    int8_t *codes;    /* [n_rows, vector_code_bytes(dim)] */
    float max_norm;
};

void vector_batch_init(struct vector_batch *self, size_t dim);
void vector_batch_fini(struct vector_batch *self);
void vector_batch_clear(struct vector_batch *self); /* keeps its memory */

/* Append a vector [dim]; its id must be greater than the last one's.
 * Errors: ERR_NOMEM; ERR_INVALID (not finite, or an id out of order). */
MUST_CHECK int vector_batch_add(struct vector_batch *self, int64_t id, const float *vector,
                                struct error *err);

/* As the search reads it; valid until the batch changes. */
struct vector_part vector_batch_part(const struct vector_batch *self);
