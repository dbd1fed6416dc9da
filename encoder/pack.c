/* A window has at most 512 texts, so insertion sort and a scan over open batches are cheap: under a
 * millisecond where the forward pass takes seconds. */

#include "encoder/pack.h"

/* Texts by length, longest first, equal ones in the caller's order; returns how many are not left
 * out. */
static size_t
sort_texts(struct pack_plan *self, const size_t *lengths, size_t n_texts)
{
    size_t n = 0;

    for (size_t i = 0; i < n_texts; i++) {
        size_t to = n;

        if (lengths[i] == 0)
            continue;
        for (; to > 0 && lengths[self->sorted[to - 1]] < lengths[i]; to--)
            self->sorted[to] = self->sorted[to - 1];
        self->sorted[to] = i;
        n++;
    }
    return n;
}

/* The batch that a text fills best, or a new one. */
static size_t
find_batch(struct pack_plan *self, size_t length, size_t budget)
{
    size_t best = self->n_batches;

    for (size_t b = 0; b < self->n_batches; b++) {
        size_t n_tokens = self->batches[b].n_tokens;

        if (n_tokens + length > budget)
            continue;
        if (best == self->n_batches || n_tokens > self->batches[best].n_tokens)
            best = b;
    }
    if (best == self->n_batches)
        self->batches[self->n_batches++] = (struct pack_batch){0, 0, 0};
    return best;
}

void
pack_plan_texts(struct pack_plan *self, const size_t *lengths, size_t n_texts, size_t budget)
{
    size_t next[PACK_TEXTS_MAX];
    size_t n_sorted;
    size_t first = 0;

    self->n_batches = 0;
    n_sorted = sort_texts(self, lengths, n_texts);
    for (size_t i = 0; i < n_sorted; i++) {
        size_t text = self->sorted[i];
        size_t b = find_batch(self, lengths[text], budget);

        self->batch_of[text] = b;
        self->batches[b].n_tokens += lengths[text];
        self->batches[b].n_texts++;
    }
    for (size_t b = 0; b < self->n_batches; b++) {
        self->batches[b].first = first;
        next[b] = first;
        first += self->batches[b].n_texts;
    }
    for (size_t i = 0; i < n_sorted; i++)
        self->order[next[self->batch_of[self->sorted[i]]]++] = self->sorted[i];
}
