#pragma once

/* The task ids that a node was told to revoke, newest last; a full set forgets its oldest.  Not
 * thread-safe. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#define REVOKED_MAX ((size_t)50000) /* Celery's own limit */

struct revoked_id;

struct revoked {
    struct revoked_id **buckets; /* made by the first insert */
    struct revoked_id *oldest;
    struct revoked_id *newest;
    size_t n_ids;
    uint64_t seed;
};

/* clang-format off */
#define REVOKED_INIT {.buckets = NULL, .oldest = NULL, .newest = NULL, .n_ids = 0, .seed = 0}
/* clang-format on */

void revoked_fini(struct revoked *self); /* safe twice */

/* Add an id; known ones stay as they are.  Errors: ERR_NOMEM. */
MUST_CHECK int revoked_insert(struct revoked *self, struct str id, struct error *err);

/* Forget the n oldest, or all. */
void revoked_drop_oldest(struct revoked *self, size_t n);

bool revoked_has(const struct revoked *self, struct str id);

/* Oldest first: *position starts as NULL.  False at the end. */
bool revoked_next(const struct revoked *self, const struct revoked_id **position, struct str *id);
