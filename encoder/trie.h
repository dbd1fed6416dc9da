#pragma once

/* Double-array trie over bytes with two roots: words' beginnings and their continuations.
 *
 * A child of a node by byte b is the cell base ^ b, if that cell's parent is the node.
 * Read-only once built, any thread.
 * Source: Aoe 1989, "An efficient digital search algorithm by using a double-array structure". */

#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#define TRIE_WORD_ROOT     0u
#define TRIE_CONTINUE_ROOT 1u
#define TRIE_NO_VALUE      (-1)

struct trie_cell {
    uint32_t base;
    uint32_t parent; /* UINT32_MAX: a free cell */
    int32_t value;   /* of the key that ends here, or TRIE_NO_VALUE */
};

struct trie {
    struct trie_cell *cells; /* heap, [n_cells] */
    size_t n_cells;          /* a multiple of 256 */
};

struct trie_key {
    struct str text; /* not empty */
    int32_t value;   /* >= 0 */
};

/* words, continuations: sorted by bytes, no duplicates, borrowed for the call.
 * Errors: ERR_NOMEM, ERR_TOO_LARGE (more than 2^28 cells). */
MUST_CHECK int trie_build(const struct trie_key *words, size_t n_words,
                          const struct trie_key *continuations, size_t n_continuations,
                          struct trie *out, struct error *err);
void trie_fini(struct trie *self);

/* The value of the longest key that text begins with, and the key's size; TRIE_NO_VALUE if none. */
static inline int32_t
trie_find_longest(const struct trie *self, uint32_t root, struct str text, size_t *n_bytes)
{
    const struct trie_cell *cells = self->cells;
    uint32_t node = root;
    int32_t found = TRIE_NO_VALUE;

    for (size_t i = 0; i < text.len; i++) {
        uint32_t next = cells[node].base ^ (unsigned char)text.ptr[i];

        if (cells[next].parent != node)
            break;
        node = next;
        if (cells[node].value >= 0) {
            found = cells[node].value;
            *n_bytes = i + 1;
        }
    }
    return found;
}
