#pragma once

/* An embedder for tests: each text becomes a unit vector that tells how often it holds "cat", "dog"
 * and anything else; texts with a given word cannot be encoded. */

#include <math.h>

#include "lib/services/ml/embedder.h"

#define FAKE_DIM 4

struct fake_embedder {
    struct embedder base; /* first */
    const char *refused;  /* texts that hold it fail; NULL = none */
    size_t n_texts;       /* encoded so far */
    size_t n_calls;
    size_t n_queries; /* calls for what is looked for */
};

static inline float
fake_count(struct str text, struct str word)
{
    float n = 0;

    for (size_t at; (at = str_find(text, word)) < text.len; n++)
        text = str_slice(text, at + word.len, text.len);
    return n;
}

static inline int
fake_embed(struct embedder *self, enum embedder_role role, const struct str *texts, size_t n_texts,
           float *out, struct error *err)
{
    struct fake_embedder *own = (struct fake_embedder *)self;

    own->n_calls++;
    own->n_queries += role == EMBEDDER_QUERY;
    for (size_t i = 0; i < n_texts; i++) {
        float *vector = out + i * FAKE_DIM; /* [FAKE_DIM] */
        float cats = fake_count(texts[i], STR("cat"));
        float dogs = fake_count(texts[i], STR("dog"));
        float norm = sqrtf(cats * cats + dogs * dogs + 0.01f);

        if (own->refused && str_find(texts[i], str_from_cstr(own->refused)) < texts[i].len)
            return error_set(err, ERR_INVALID, "refused");
        vector[0] = cats / norm;
        vector[1] = dogs / norm;
        vector[2] = 0.1f / norm;
        vector[3] = 0;
    }
    own->n_texts += n_texts;
    return 0;
}

static inline void
fake_free(struct embedder *self)
{
    (void)self;
}

static inline void
fake_embedder_init(struct fake_embedder *self, const char *model)
{
    static const struct embedder_ops ops = {fake_embed, fake_free};

    *self = (struct fake_embedder){
        .base = {.ops = &ops, .model = str_from_cstr(model), .dim = FAKE_DIM}};
}
