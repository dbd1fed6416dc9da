/* items[0] is the earliest; the children of items[i] are items[2i + 1] and items[2i + 2]. */

#include "celery/schedule_queue.h"

#include <assert.h>
#include <stdlib.h>

int
celery_schedule_queue_init(struct celery_schedule_queue *queue, size_t n_max, struct error *err)
{
    struct celery_queue_item *items = calloc(n_max ? n_max : 1, sizeof(*items));

    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for a queue of %zu schedules", n_max);
    *queue = (struct celery_schedule_queue){.items = items, .n_max = n_max};
    return 0;
}

void
celery_schedule_queue_fini(struct celery_schedule_queue *queue)
{
    free(queue->items);
    *queue = (struct celery_schedule_queue){0};
}

static bool
is_before(const struct celery_queue_item *a, const struct celery_queue_item *b)
{
    return a->check_us != b->check_us ? a->check_us < b->check_us : a->entry_idx < b->entry_idx;
}

void
celery_schedule_queue_push(struct celery_schedule_queue *queue, int64_t check_us, size_t entry_idx)
{
    struct celery_queue_item item = {check_us, entry_idx};
    size_t i = queue->n_items;

    assert(queue->n_items < queue->n_max);
    queue->n_items++;
    while (i > 0 && is_before(&item, &queue->items[(i - 1) / 2])) {
        queue->items[i] = queue->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    queue->items[i] = item;
}

const struct celery_queue_item *
celery_schedule_queue_peek(const struct celery_schedule_queue *queue)
{
    return queue->n_items ? &queue->items[0] : NULL;
}

bool
celery_schedule_queue_pop_due(struct celery_schedule_queue *queue, int64_t now_us,
                              size_t *entry_idx)
{
    struct celery_queue_item moved;
    size_t i = 0;

    if (queue->n_items == 0 || queue->items[0].check_us > now_us)
        return false;
    *entry_idx = queue->items[0].entry_idx;
    moved = queue->items[--queue->n_items];
    for (size_t child = 1; child < queue->n_items; child = 2 * i + 1) {
        if (child + 1 < queue->n_items && is_before(&queue->items[child + 1], &queue->items[child]))
            child++;
        if (!is_before(&queue->items[child], &moved))
            break;
        queue->items[i] = queue->items[child];
        i = child;
    }
    queue->items[i] = moved;
    return true;
}

void
celery_schedule_queue_clear(struct celery_schedule_queue *queue)
{
    queue->n_items = 0;
}
