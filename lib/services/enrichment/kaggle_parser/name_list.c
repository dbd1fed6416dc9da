/* A small array, searched from the front: lists of names are short. */

#include "lib/services/enrichment/kaggle_parser/name_list.h"

void
name_list_add(struct name_list *self, struct str name, bool *ok)
{
    if (name.len == 0 || self->n_items == self->max_items)
        return;
    for (size_t i = 0; i < self->n_items; i++) {
        if (str_equal_ignore_case(self->items[i], name))
            return;
    }
    if (!self->items)
        self->items = arena_calloc(self->arena, self->max_items, sizeof(*self->items));
    if (!self->items) {
        *ok = false;
        return;
    }
    self->items[self->n_items++] = name;
}
