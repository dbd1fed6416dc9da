#pragma once

/* A set of task ids, each with a mark: what is watched, and how much of it has been told. */

#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

struct watched {
    struct str id;
    int64_t mark; /* 0 at first; its meaning is the owner's */
};

struct watch_list {
    struct watched *items; /* [n_items], sorted by id, each id once */
    size_t n_items;
    char *bytes; /* of the ids */
};

/* Copy the ids.  Errors: ERR_INVALID (an id that is empty or too long), ERR_TOO_LARGE (more than
 * BACKEND_MAX_WATCHED), ERR_NOMEM. */
MUST_CHECK int watch_list_create(const struct str *ids, size_t n_ids, struct watch_list *out,
                                 struct error *err);
void watch_list_fini(struct watch_list *self); /* also for CLEANUP; twice is fine */

/* NULL where it is not watched. */
struct watched *watch_list_find(const struct watch_list *self, struct str id);
