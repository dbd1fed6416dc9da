#pragma once

/* Which entry to look at next: a binary heap of entries by the time of their next check.  Equal
 * times come in the order of their indexes.  Not thread-safe. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>

struct celery_queue_item {
    int64_t check_us; /* as celery_due.next_check_us */
    size_t entry_idx; /* the caller's */
};

struct celery_schedule_queue {
    struct celery_queue_item *items; /* heap memory, [n_max] */
    size_t n_items;
    size_t n_max;
};

/* Room for n_max entries; pushing allocates nothing.  Errors: ERR_NOMEM. */
MUST_CHECK int celery_schedule_queue_init(struct celery_schedule_queue *queue, size_t n_max,
                                          struct error *err);
void celery_schedule_queue_fini(struct celery_schedule_queue *queue); /* also for CLEANUP */

/* There must be room. */
void celery_schedule_queue_push(struct celery_schedule_queue *queue, int64_t check_us,
                                size_t entry_idx);

/* The earliest item without taking it out, borrowed until the next call; NULL when empty. */
const struct celery_queue_item *
celery_schedule_queue_peek(const struct celery_schedule_queue *queue);

/* Take the earliest item out if its time has come; false otherwise. */
bool celery_schedule_queue_pop_due(struct celery_schedule_queue *queue, int64_t now_us,
                                   size_t *entry_idx);

/* Take all items out: after a change of the table. */
void celery_schedule_queue_clear(struct celery_schedule_queue *queue);
