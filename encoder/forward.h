#pragma once

/* The transformer's forward pass over a micro-batch of whole texts, packed without padding. */

#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>

#include "encoder/model.h"

struct forward_text {
    const int32_t *ids; /* [n_ids], each below the word table's rows */
    size_t n_ids;       /* 1 to max_tokens */
};

/* One worker's buffers, for up to max_rows tokens; 64-byte aligned, from one block. */
struct forward_buffers {
    float *x;      /* [max_rows, H]: the residual stream; token vectors at the end */
    void *x_in;    /* [max_rows, H]: x as activations; x itself where those are f32 */
    void *qkv;     /* [max_rows, 3H], as attention reads it */
    void *context; /* [max_rows, H] activations */
    float *delta;  /* [max_rows, H] */
    void *inner;   /* [max_rows, I] activations */
    void *block;
};

MUST_CHECK int forward_buffers_init(struct forward_buffers *self, const struct model *model,
                                    size_t max_rows, struct error *err);
void forward_buffers_fini(struct forward_buffers *self);

/* Rows that n_tokens take, padding included; what kernels_ops.prepare must have seen. */
size_t forward_rows(const struct model *model, size_t n_tokens);

/* Run; buffers->x then holds the texts' token vectors, one text behind the other.
 *
 * worker  which of the kernels' workers, one thread at a time; the thread has entered
 *
 * Allocates nothing.  Errors: ERR_IO (the matrix library failed).
 * Source: Devlin et al. 2019 (post-LayerNorm); Song et al. 2020 for MPNet. */
MUST_CHECK int forward_run(const struct model *model, struct forward_buffers *buffers,
                           size_t worker, const struct forward_text *texts, size_t n_texts,
                           struct error *err);
