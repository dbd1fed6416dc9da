#pragma once

/* A hash from 64-bit ids to 32-bit numbers (row indexes, as a rule), for millions of keys.
 *
 * Open addressing with linear probing in one block of 12-byte slots, at most four fifths full,
 * grown by half: 15 to 23 bytes a key, and one cache line for most look-ups.  Keys are mixed with a
 * random seed, so that a file cannot be written to collide.  Nothing is ever removed.  Not
 * thread-safe. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>

#define ID_MAP_MAX_VALUE (UINT32_MAX - 1)

struct id_slot;

struct id_map {
    struct id_slot *slots;
    size_t n_slots;
    size_t n_keys;
    size_t max_bytes; /* ceiling for the slots; while growing, the old ones exist beside the new */
    uint64_t seed;
};

/* clang-format off */
#define ID_MAP_INIT(limit_bytes) \
    {.slots = NULL, .n_slots = 0, .n_keys = 0, .max_bytes = (limit_bytes), .seed = 0}
/* clang-format on */

void id_map_fini(struct id_map *map); /* also for CLEANUP; safe twice */

/* Remember value (at most ID_MAP_MAX_VALUE) for key, unless the key is known: then the map stays as
 * it is.  *stored (may be NULL) gets the value that the map holds afterwards.
 * Returns 1 where the key is new, 0 where it was known, or -ERR_NOMEM. */
MUST_CHECK int id_map_insert(struct id_map *map, int64_t key, uint32_t value, uint32_t *stored,
                             struct error *err);

/* False where the key is unknown; *value stays then. */
bool id_map_find(const struct id_map *map, int64_t key, uint32_t *value);
