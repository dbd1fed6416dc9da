#pragma once

/* A transformer's weights, packed for its kernels.
 *
 * The word table stays where it is, in the mapped file, which must not shrink while the model is
 * open (reading behind a file's end raises SIGBUS); everything else is copied or packed. */

#include <stddef.h>

#include <trawl/error.h>

#include "base/file.h"
#include "encoder/fingerprint.h"
#include "encoder/kernels.h"
#include "encoder/model_config.h"
#include "encoder/safetensors.h"

struct layer_norm {
    const float *gamma; /* [H] */
    const float *beta;  /* [H] */
};

struct layer {
    struct linear *qkv;  /* H -> 3H; q scaled by 1/sqrt d */
    struct linear *out;  /* H -> H */
    struct linear *up;   /* H -> I, activated */
    struct linear *down; /* I -> H */
    struct layer_norm attention_norm;
    struct layer_norm output_norm;
};

struct model {
    struct model_config config;
    const struct kernels_ops *ops;
    struct kernels *kernels;
    struct file_map file;
    struct tensor words;    /* [V, H], in the file */
    const float *positions; /* [P, H], with BERT's token type 0 added */
    struct layer_norm embedding_norm;
    struct layer *layers;       /* [L] */
    const float *position_bias; /* MPNet: [A, 2 * max_tokens - 1] by j - i; else NULL */
    float *block;               /* owns all float arrays above */
    size_t n_parameters;
    const char *weights_type; /* "F32", "F16", "BF16" or "mixed" */
};

/* Map config->dir/model.safetensors, check every tensor and pack it.
 *
 * config       copied; its strings must outlive the model
 * sizes        max_text is config->max_tokens
 * fingerprint  gets the weights, in an order of ours
 * out          the caller's storage; on success for model_fini
 *
 * Errors: ERR_NOT_FOUND, ERR_UNSUPPORTED (sharded, or a pickle only), ERR_INVALID (which tensor),
 * ERR_NOMEM. */
MUST_CHECK int model_init(struct model *out, const struct model_config *config,
                          const struct kernels_ops *ops, const struct kernels_sizes *sizes,
                          struct fingerprint *fingerprint, struct error *err);
void model_fini(struct model *self);

/* MPNet's bucket of a relative position j - i, of n_buckets (half of them for each side).
 * Source: Raffel et al. 2020, T5, as Hugging Face's MPNet computes it. */
size_t model_relative_bucket(long distance, size_t n_buckets);
