/* Building: nodes are taken from a stack; a node's keys are one range of the sorted list, its
 * children the runs of equal bytes in it.
 *
 * Free cells form a list through `base`; a node's place is the first free cell that suits all its
 * children, and after FIT_TRIES failures a fresh block, so building stays linear. */

#include "encoder/trie.h"

#include <stdlib.h>

#define BLOCK_CELLS 256u
#define CELLS_MAX   ((size_t)1 << 28)
#define FIT_TRIES   64u
#define NO_CELL     UINT32_MAX
#define NO_PARENT   (UINT32_MAX - 1) /* of the roots: taken, and nobody's child */

struct range {
    const struct trie_key *keys;
    size_t n_keys;
    size_t depth; /* bytes that all keys share */
    uint32_t node;
};

struct builder {
    struct trie_cell *cells;
    size_t n_cells;
    uint32_t first_free; /* list through cells[].base (next) and cells[].value (previous) */
    struct range *stack;
    size_t n_stack;
    size_t cap_stack;
    struct error *err;
};

static int
add_block(struct builder *self)
{
    size_t n_cells = self->n_cells + BLOCK_CELLS;
    struct trie_cell *cells;

    if (n_cells > CELLS_MAX)
        return error_set(self->err, ERR_TOO_LARGE, "the vocabulary needs more than %zu trie cells",
                         CELLS_MAX);
    cells = reallocarray(self->cells, n_cells, sizeof(*cells));
    if (!cells)
        return error_set(self->err, ERR_NOMEM, "cannot hold %zu trie cells", n_cells);
    self->cells = cells;
    for (size_t i = n_cells; i-- > self->n_cells;) {
        cells[i] = (struct trie_cell){.base = self->first_free, .parent = NO_CELL, .value = -1};
        if (self->first_free != NO_CELL)
            cells[self->first_free].value = (int32_t)i;
        self->first_free = (uint32_t)i;
    }
    self->n_cells = n_cells;
    return 0;
}

static void
take_cell(struct builder *self, uint32_t cell, uint32_t parent)
{
    uint32_t next = self->cells[cell].base;
    int32_t previous = self->cells[cell].value;

    if (next != NO_CELL)
        self->cells[next].value = previous;
    if (previous >= 0)
        self->cells[previous].base = next;
    else
        self->first_free = next;
    self->cells[cell] = (struct trie_cell){.base = 0, .parent = parent, .value = TRIE_NO_VALUE};
}

static bool
is_fit(const struct builder *self, uint32_t base, const uint8_t *bytes, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++) {
        if (self->cells[base ^ bytes[i]].parent != NO_CELL)
            return false;
    }
    return true;
}

/* A base under which all children's cells are free. */
static int
find_base(struct builder *self, const uint8_t *bytes, size_t n_bytes, uint32_t *out)
{
    uint32_t cell = self->first_free;
    int rc;

    for (size_t n_tries = 0; cell != NO_CELL && n_tries < FIT_TRIES; n_tries++) {
        uint32_t base = cell ^ bytes[0];

        if (is_fit(self, base, bytes, n_bytes)) {
            *out = base;
            return 0;
        }
        cell = self->cells[cell].base;
    }
    *out = (uint32_t)self->n_cells;
    rc = add_block(self);
    return rc;
}

static int
push_range(struct builder *self, struct range range)
{
    if (self->n_stack == self->cap_stack) {
        size_t cap = self->cap_stack ? self->cap_stack * 2 : 256;
        struct range *stack = reallocarray(self->stack, cap, sizeof(*stack));

        if (!stack)
            return error_set(self->err, ERR_NOMEM, "cannot hold %zu trie nodes", cap);
        self->stack = stack;
        self->cap_stack = cap;
    }
    self->stack[self->n_stack++] = range;
    return 0;
}

/* The distinct bytes at range.depth, ascending as the keys are; starts[i] is byte i's first key. */
static size_t
list_children(struct range range, uint8_t bytes[BLOCK_CELLS], size_t starts[BLOCK_CELLS + 1])
{
    size_t n = 0;

    for (size_t i = 0; i < range.n_keys; i++) {
        uint8_t byte = (uint8_t)range.keys[i].text.ptr[range.depth];

        if (n == 0 || bytes[n - 1] != byte) {
            bytes[n] = byte;
            starts[n++] = i;
        }
    }
    starts[n] = range.n_keys;
    return n;
}

/* Place a node's children; the key that ends at the node, if any, comes first in its range. */
static int
place_node(struct builder *self, struct range range)
{
    uint8_t bytes[BLOCK_CELLS];
    size_t starts[BLOCK_CELLS + 1];
    size_t n_children;
    uint32_t base;
    int rc;

    if (range.n_keys && range.keys[0].text.len == range.depth) {
        self->cells[range.node].value = range.keys[0].value;
        range.keys++;
        range.n_keys--;
    }
    n_children = list_children(range, bytes, starts);
    if (n_children == 0)
        return 0;
    rc = find_base(self, bytes, n_children, &base);
    if (rc < 0)
        return rc;
    self->cells[range.node].base = base;
    for (size_t i = 0; i < n_children; i++)
        take_cell(self, base ^ bytes[i], range.node);
    for (size_t i = 0; rc == 0 && i < n_children; i++)
        rc = push_range(self, (struct range){range.keys + starts[i], starts[i + 1] - starts[i],
                                             range.depth + 1, base ^ bytes[i]});
    return rc;
}

static int
place_all(struct builder *self)
{
    int rc = 0;

    while (rc == 0 && self->n_stack > 0)
        rc = place_node(self, self->stack[--self->n_stack]);
    return rc;
}

int
trie_build(const struct trie_key *words, size_t n_words, const struct trie_key *continuations,
           size_t n_continuations, struct trie *out, struct error *err)
{
    struct builder self = {.first_free = NO_CELL, .err = err};
    int rc = add_block(&self);

    if (rc == 0) {
        take_cell(&self, TRIE_WORD_ROOT, NO_PARENT);
        take_cell(&self, TRIE_CONTINUE_ROOT, NO_PARENT);
        rc = push_range(&self,
                        (struct range){continuations, n_continuations, 0, TRIE_CONTINUE_ROOT});
    }
    if (rc == 0)
        rc = push_range(&self, (struct range){words, n_words, 0, TRIE_WORD_ROOT});
    if (rc == 0)
        rc = place_all(&self);
    free(self.stack);
    if (rc < 0) {
        free(self.cells);
        return rc;
    }
    for (size_t i = 0; i < self.n_cells; i++) { /* the free list's links are no values */
        if (self.cells[i].parent == NO_CELL)
            self.cells[i] = (struct trie_cell){.base = 0, .parent = NO_CELL, .value = -1};
    }
    *out = (struct trie){self.cells, self.n_cells};
    return 0;
}

void
trie_fini(struct trie *self)
{
    free(self->cells);
    *self = (struct trie){NULL, 0};
}
