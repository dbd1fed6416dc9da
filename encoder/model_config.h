#pragma once

/* A model directory's settings: architecture, limits, and what follows the transformer. */

#include <stddef.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "encoder/kernels.h"

#define MODULES_MAX 4 /* behind pooling */

enum model_type { MODEL_BERT, MODEL_MPNET };

/* Bits, in the order in which several are concatenated. */
enum pooling_mode {
    POOLING_CLS = 1,
    POOLING_MAX = 2,
    POOLING_MEAN = 4,
    POOLING_MEAN_SQRT_LEN = 8,
    POOLING_WEIGHTED_MEAN = 16,
    POOLING_LAST_TOKEN = 32,
};
#define POOLING_N_MODES 6

enum module_kind { MODULE_NORMALIZE, MODULE_DENSE, MODULE_LAYER_NORM };

struct module_config {
    enum module_kind kind;
    const char *dir; /* NUL-terminated, in the arena */
};

struct model_config {
    enum model_type type;
    size_t hidden;        /* H */
    size_t n_layers;      /* L */
    size_t n_heads;       /* A */
    size_t inner;         /* I */
    size_t vocab_size;    /* rows of the word table */
    size_t n_positions;   /* P, rows of the position table */
    size_t n_token_types; /* BERT only */
    size_t n_buckets;     /* MPNet: relative positions */
    int32_t pad_id;
    float layer_norm_eps;
    enum activation_fn activation;
    struct str activation_name;
    size_t max_tokens;    /* per text, special tokens included */
    unsigned pooling;     /* enum pooling_mode */
    size_t pooling_width; /* H as the pooling module has it, or 0 */
    bool skips_prompt;    /* a prompt's tokens are not pooled */
    struct module_config modules[MODULES_MAX];
    size_t n_modules;
    const char *dir; /* where the transformer, its tokenizer and its weights are; in the arena */
};

/* Read modules.json, config.json, sentence_bert_config.json, tokenizer_config.json's limit and the
 * pooling module's config.json.
 *
 * dir    sentence-transformers directory, or a bare Hugging Face one (then mean pooling, not
 *        normalized, as sentence-transformers does)
 * arena  holds the strings
 *
 * Errors: ERR_NOT_FOUND, ERR_INVALID, ERR_UNSUPPORTED, each naming the file, what was found and
 * what is supported; ERR_NOMEM. */
MUST_CHECK int model_config_load(const char *dir, struct arena *arena, struct model_config *out,
                                 struct error *err);

/* The names of a pooling bit ("mean") and of a module kind ("normalize"). */
const char *model_config_pooling_name(unsigned mode);
const char *model_config_module_name(enum module_kind kind);

/* By the name in config.json ("gelu") or of a PyTorch class ("torch.nn.modules.activation.Tanh").
 * Errors: ERR_UNSUPPORTED, naming the choices. */
MUST_CHECK int model_config_find_activation(struct str name, enum activation_fn *out,
                                            struct error *err);

/* Position ids that MPNet does not use. */
size_t model_config_position_offset(const struct model_config *self);
