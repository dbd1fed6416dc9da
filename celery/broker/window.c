/* Slots and their free list. */

#include "celery/broker/window.h"

#include <stdlib.h>
#include <sys/random.h>

#define SLOT_BITS  20
#define SLOT_MASK  ((UINT64_C(1) << SLOT_BITS) - 1)
#define SLOTS_MIN  ((size_t)64)
#define START_MASK ((UINT64_C(1) << 42) - 1)

_Static_assert(BROKER_MAX_CREDIT <= SLOT_MASK + 1, "a tag has room for every slot");

void
window_init(struct window *window)
{
    uint64_t random = 0;

    *window = (struct window){0};
    /* Without a random number tags of two handles may be alike: both are still fenced. */
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        random = (uint64_t)clock_mono_us(&clock_system);
    window->first_sequence = (random & START_MASK) + 1;
    window->next_sequence = window->first_sequence;
}

void
window_fini(struct window *window)
{
    for (size_t i = 0; i < window->n_slots; i++)
        free(window->slots[i].name);
    free(window->slots);
    window->slots = NULL;
    window->n_slots = 0;
    window->n_held = 0;
    window->first_free = 0;
}

static bool
grow(struct window *window)
{
    size_t n_slots = window->n_slots ? window->n_slots * 2 : SLOTS_MIN;
    struct held *slots;

    if (n_slots > BROKER_MAX_CREDIT)
        return false;
    slots = realloc(window->slots, n_slots * sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = window->n_slots; i < n_slots; i++)
        slots[i] = (struct held){.state = HELD_FREE, .next = i + 1};
    window->slots = slots;
    window->n_slots = n_slots;
    return true;
}

struct held *
window_take(struct window *window)
{
    struct held *held;

    if (window->first_free == window->n_slots && !grow(window))
        return NULL;
    held = &window->slots[window->first_free];
    *held = (struct held){
        .tag = window->next_sequence++ << SLOT_BITS | window->first_free,
        .state = HELD_OPEN,
        .next = held->next,
    };
    window->first_free = held->next;
    window->n_held++;
    return held;
}

void
window_give_back(struct window *window, struct held *held)
{
    free(held->name);
    held->name = NULL;
    held->state = HELD_FREE;
    held->next = window->first_free;
    window->first_free = (size_t)(held - window->slots);
    window->n_held--;
}

struct held *
window_find(struct window *window, uint64_t tag)
{
    size_t idx = (size_t)(tag & SLOT_MASK);

    if (idx >= window->n_slots || window->slots[idx].tag != tag ||
        window->slots[idx].state == HELD_FREE)
        return NULL;
    return &window->slots[idx];
}

bool
window_has_issued(const struct window *window, uint64_t tag)
{
    uint64_t sequence = tag >> SLOT_BITS;

    return sequence >= window->first_sequence && sequence < window->next_sequence &&
           (tag & SLOT_MASK) < window->n_slots;
}
