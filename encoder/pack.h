#pragma once

/* Packing texts into micro-batches: best fit, longest first. */

#include <stddef.h>
#include <stdint.h>

#define PACK_TEXTS_MAX 512 /* a window */

struct pack_batch {
    size_t first; /* into pack_plan.order */
    size_t n_texts;
    size_t n_tokens;
};

/* For one window; about 30 KB. */
struct pack_plan {
    size_t order[PACK_TEXTS_MAX]; /* texts, batch by batch */
    struct pack_batch batches[PACK_TEXTS_MAX];
    size_t n_batches;
    size_t batch_of[PACK_TEXTS_MAX]; /* by text; working memory */
    size_t sorted[PACK_TEXTS_MAX];
};

/* Plan batches of at most budget tokens; a longer text is a batch of its own.
 *
 * lengths  [n_texts]  tokens, 0 = leave the text out; n_texts <= PACK_TEXTS_MAX
 *
 * The fullest batches come first.  Pure.
 * Source: Johnson 1973, best fit decreasing: at most 11/9 of the optimum, here 99.5 % full. */
void pack_plan_texts(struct pack_plan *self, const size_t *lengths, size_t n_texts, size_t budget);
