/* Slots are chosen by the high half of hash * n_slots (Lemire 2019, "Fast Random Integer Generation
 * in an Interval"), so their number need not be a power of two and memory grows in small steps. */

#include "base/id_map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_SLOTS ((size_t)64)
#define FREE_VALUE  UINT32_MAX

struct id_slot {
    uint32_t key_low; /* in halves: a slot has 12 bytes, not 16 */
    uint32_t key_high;
    uint32_t value; /* FREE_VALUE in a free slot */
};

_Static_assert(sizeof(struct id_slot) == 12, "a slot is packed");

/* Source: Appleby, MurmurHash3, fmix64. */
static uint64_t
mix(uint64_t key)
{
    key ^= key >> 33;
    key *= UINT64_C(0xff51afd7ed558ccd);
    key ^= key >> 33;
    key *= UINT64_C(0xc4ceb9fe1a85ec53);
    return key ^ key >> 33;
}

/* The slot that holds the key, or the free one where it belongs. */
static struct id_slot *
probe(struct id_slot *slots, size_t n_slots, uint64_t seed, int64_t key)
{
    uint64_t bits = (uint64_t)key;
    size_t at = (size_t)((unsigned __int128)mix(bits ^ seed) * n_slots >> 64);

    for (;;) {
        struct id_slot *slot = &slots[at];

        if (slot->value == FREE_VALUE ||
            (slot->key_low == (uint32_t)bits && slot->key_high == (uint32_t)(bits >> 32)))
            return slot;
        if (++at == n_slots)
            at = 0;
    }
}

static int
grow(struct id_map *map, struct error *err)
{
    size_t n_slots = map->n_slots ? map->n_slots + map->n_slots / 2 : FIRST_SLOTS;
    struct id_slot *slots = NULL;
    size_t n_bytes;

    if (!map->slots && getrandom(&map->seed, sizeof(map->seed), GRND_NONBLOCK) < 0)
        map->seed = (uint64_t)(uintptr_t)map; /* early at boot: better than nothing */
    if (!__builtin_mul_overflow(n_slots, sizeof(*slots), &n_bytes) && n_bytes <= map->max_bytes)
        slots = malloc(n_bytes);
    if (!slots)
        return error_set(err, ERR_NOMEM, "no room for more than %zu ids in %zu bytes", map->n_keys,
                         map->max_bytes);
    (void)memset(slots, 0xFF, n_bytes);
    for (size_t i = 0; i < map->n_slots; i++) {
        const struct id_slot *old = &map->slots[i];
        uint64_t key = (uint64_t)old->key_high << 32 | old->key_low;

        if (old->value != FREE_VALUE)
            *probe(slots, n_slots, map->seed, (int64_t)key) = *old;
    }
    free(map->slots);
    map->slots = slots;
    map->n_slots = n_slots;
    return 0;
}

void
id_map_fini(struct id_map *map)
{
    free(map->slots);
    map->slots = NULL;
    map->n_slots = 0;
    map->n_keys = 0;
}

int
id_map_insert(struct id_map *map, int64_t key, uint32_t value, uint32_t *stored, struct error *err)
{
    struct id_slot *slot = map->slots ? probe(map->slots, map->n_slots, map->seed, key) : NULL;
    bool is_new = !slot || slot->value == FREE_VALUE;

    if (is_new) {
        if (map->n_keys >= map->n_slots / 5 * 4) {
            int rc = grow(map, err);

            if (rc < 0)
                return rc;
            slot = probe(map->slots, map->n_slots, map->seed, key);
        }
        *slot = (struct id_slot){(uint32_t)(uint64_t)key, (uint32_t)((uint64_t)key >> 32), value};
        map->n_keys++;
    }
    if (stored)
        *stored = slot->value;
    return is_new;
}

bool
id_map_find(const struct id_map *map, int64_t key, uint32_t *value)
{
    const struct id_slot *slot;

    if (!map->slots)
        return false;
    slot = probe(map->slots, map->n_slots, map->seed, key);
    if (slot->value == FREE_VALUE)
        return false;
    *value = slot->value;
    return true;
}
