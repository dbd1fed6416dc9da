#pragma once

/* The deliveries of one handle that are not settled, by tag.
 *
 *     tag = sequence number (44 bits) | index of its slot (20 bits)
 *
 * A look-up is one array access, whatever is settled in which order.  The first sequence number is
 * random, so that a tag of another handle is taken for foreign. */

#include "celery/broker/broker.h"

enum held_state {
    HELD_FREE,
    HELD_OPEN,     /* delivered, no verdict */
    HELD_SETTLING, /* its verdict is in the outbox */
};

struct held {
    uint64_t tag;
    int64_t key; /* the broker's own name of the delivery: a number, */
    char *name;  /* or a text on the heap, that the slot owns; else NULL */
    uint32_t n_crashes;
    enum held_state state;
    bool is_lost;   /* its lease is gone */
    bool must_tell; /* that it is lost */
    size_t next;    /* of the free slots */
};

struct window {
    struct held *slots;
    size_t n_slots;
    size_t n_held;
    size_t n_untold;   /* more than 0: some slots must tell that they are lost */
    size_t first_free; /* n_slots when there is none */
    uint64_t first_sequence;
    uint64_t next_sequence;
};

void window_init(struct window *window);
void window_fini(struct window *window);

/* A slot for a new delivery, with its tag; NULL on lack of memory or at BROKER_MAX_CREDIT. Borrowed
 * until the next one is taken. */
struct held *window_take(struct window *window);
void window_give_back(struct window *window, struct held *held); /* frees its name */

/* NULL: settled before, or never a tag of this handle (window_has_issued tells). */
struct held *window_find(struct window *window, uint64_t tag);
bool window_has_issued(const struct window *window, uint64_t tag);
