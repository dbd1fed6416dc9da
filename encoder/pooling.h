#pragma once

/* From token vectors to one vector per text: pooling, then the modules behind it. */

#include <stddef.h>

#include <trawl/error.h>

#include "encoder/model_config.h"

/* Floats of the pooled vector: H for each mode. */
size_t pooling_dim(unsigned modes, size_t hidden);

/* tokens  [n_tokens, H], n_tokens >= 1
 * n_skip  < n_tokens: a prompt's tokens, which do not count
 * out     [pooling_dim], modes in the order of enum pooling_mode
 *
 * Pure.  Source: sentence-transformers, Pooling. */
void pooling_run(unsigned modes, const float *tokens, size_t n_tokens, size_t n_skip, size_t hidden,
                 float *out);

struct fingerprint;
struct module_chain; /* read-only once loaded, any thread */

/* Load the modules behind pooling; Dense and LayerNorm have a model.safetensors of their own.
 *
 * fingerprint  gets their weights
 * dim          in: of the pooled vector; out: of the final one
 *
 * Errors: as model_config_load's; weights that are not finite are ERR_INVALID. */
MUST_CHECK int module_chain_load(const struct model_config *config, struct fingerprint *fingerprint,
                                 size_t *dim, struct module_chain **out, struct error *err);
void module_chain_free(struct module_chain *self);

/* The widest vector on the way: what in and scratch of module_chain_run must hold. */
size_t module_chain_width(const struct module_chain *self);

/* vector [width] holds the pooled vector; overwritten; out gets the final one.
 * scratch  [width] */
void module_chain_run(const struct module_chain *self, float *vector, float *scratch, float *out);
