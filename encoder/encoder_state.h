#pragma once

/* The encoder's inside, shared by encoder.c (life) and embed.c (work). */

#include <trawl/encoder.h>

#include "encoder/forward.h"
#include "encoder/model.h"
#include "encoder/pack.h"
#include "encoder/pooling.h"
#include "encoder/tokenizer.h"

/* What one thread works with. */
struct encoder_worker {
    struct forward_buffers buffers;
    struct tokenizer_scratch scratch;
    struct buf prompted; /* prompt and text */
    struct forward_text texts[PACK_TEXTS_MAX]; /* the batch that is being run */
    float *vector;                             /* [module_chain_width] */
    float *vector_scratch;
    int rc; /* the first failure of the call, with its story */
    struct error err;
};

/* The texts that are worked on together. */
struct encoder_window {
    int32_t *ids; /* [PACK_TEXTS_MAX, max_tokens] */
    size_t n_ids[PACK_TEXTS_MAX];
    uint8_t flags[PACK_TEXTS_MAX];
    size_t same_as[PACK_TEXTS_MAX];     /* the first text with the same ids; itself if it is that */
    size_t run_lengths[PACK_TEXTS_MAX]; /* n_ids, or 0 where another text's vector serves */
    size_t by_hash[PACK_TEXTS_MAX * 2]; /* open addressing: text + 1, or 0 */
    struct pack_plan plan;
};

struct encoder {
    struct arena arena; /* the configuration's strings */
    struct encoder_options options;
    struct encoder_prompts prompts;
    struct model model;
    struct tokenizer *tokenizer;
    struct module_chain *modules;
    size_t dim;
    size_t n_threads;
    size_t token_budget;
    struct encoder_worker *workers; /* [n_threads] */
    struct encoder_window *window;
    const char *tokenizer_source;
    char fingerprint[128];
    char pooling[96];
    char modules_text[64];
    char kernels_text[128];
};

/* encoder_open on chosen kernels, whatever the options' precision. */
MUST_CHECK int encoder_open_with(const char *dir, const struct encoder_options *options,
                                 const struct kernels_ops *ops, struct encoder **out,
                                 struct error *err);
