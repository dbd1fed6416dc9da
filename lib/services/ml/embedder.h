#pragma once

/* Texts to vectors, as the services see it: an interface, so that their tests bring a fake.
 *
 * Not thread-safe; opened after fork. */

#include <stddef.h>

#include <trawl/encoder.h>
#include <trawl/error.h>
#include <trawl/str.h>

struct embedder;

struct embedder_ops {
    int (*embed)(struct embedder *self, const struct str *texts, size_t n_texts, float *out,
                 struct error *err);
    void (*free)(struct embedder *self);
};

struct embedder {
    const struct embedder_ops *ops;
    struct str model; /* identity of the vectors: only equal ones may be compared */
    size_t dim;       /* floats per vector */
};

/* Unit vectors of n_texts texts into out [n_texts, dim]. */
MUST_CHECK static inline int
embedder_embed(struct embedder *self, const struct str *texts, size_t n_texts, float *out,
               struct error *err)
{
    return self->ops->embed(self, texts, n_texts, out, err);
}

static inline void
embedder_free(struct embedder *self)
{
    if (self)
        self->ops->free(self);
}

struct embedder_options {
    struct str models_dir; /* where 'trawl model pull' puts models */
    struct str model;      /* "owner/name", "name", or a path with a slash that exists */
    size_t n_threads;      /* 0 = all that this process may use */
    enum encoder_precision precision;
    double min_cosine;    /* of the precision that AUTO takes, to f32 */
    struct str cache_dir; /* where the outcome of AUTO's check is kept; may be absent */
};

/* The encoder behind the interface.  Errors: ERR_CONFIG (no such model, with the command that gets
 * it), and encoder_open's. */
MUST_CHECK int embedder_open(const struct embedder_options *options, struct embedder **out,
                             struct error *err);

/* The precision that a model's identity ends with: "bert-.../1b2c.../bf16-1" is BF16.
 * Errors: ERR_CORRUPT. */
MUST_CHECK int embedder_precision_of(struct str model, enum encoder_precision *out,
                                     struct error *err);

/* The directory of a model, whether or not it exists; NUL-terminated, at most PATH_MAX. */
MUST_CHECK int embedder_model_dir(const struct embedder_options *options, char *out,
                                  size_t out_bytes, struct error *err);
