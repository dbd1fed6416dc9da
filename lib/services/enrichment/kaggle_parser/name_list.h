#pragma once

/* A list of names in order of appearance, each once (ASCII case ignored), with a ceiling. */

#include <trawl/str.h>

#include "base/arena.h"

struct name_list {
    struct str *items; /* arena; NULL until the first name */
    size_t n_items;
    size_t max_items;
    struct arena *arena;
};

/* clang-format off */
#define NAME_LIST_INIT(arena_ptr, max) \
    {.items = NULL, .n_items = 0, .max_items = (max), .arena = (arena_ptr)}
/* clang-format on */

/* Borrow name into the list; empty and repeated names, and those past the ceiling, are passed over.
 * *ok turns false on lack of memory. */
void name_list_add(struct name_list *self, struct str name, bool *ok);

static inline struct str_list
name_list_view(const struct name_list *self)
{
    return (struct str_list){self->items, self->n_items};
}
