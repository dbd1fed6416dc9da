/* Queues by name.  Kombu finds the queues of an exchange in a set of bindings, so every queue that
 * is published to or consumed from is written into it once, as Celery's own declaration does: an
 * exchange, a routing key and a queue of one name. */

#include <string.h>

#include "celery/broker/redis_internal.h"

#define RETRY_US US_PER_S

static bool
send_binding(struct redis_broker *self, struct str queue, const char *kind)
{
    struct words words = {.arena = &self->round};
    const struct redis_layout *layout = &self->layout;
    char *key =
        arena_printf(&self->round, "%.*s%s.%.*s", STR_ARG(layout->binding), kind, STR_ARG(queue));
    char *member =
        arena_printf(&self->round, "%.*s%.*s%.*s%.*s", STR_ARG(queue), STR_ARG(layout->separator),
                     STR_ARG(layout->separator), STR_ARG(queue));

    if (!key || !member)
        return false;
    words_add(&words, STR("SADD"));
    words_add(&words, str_from_cstr(key));
    words_add(&words, str_from_cstr(member));
    return redis_link_ask(self, ASKED_BIND, &words);
}

/* Both sets: newer Kombu sweeps tables that stand in the first only. */
static bool
bind_one(struct redis_broker *self, struct str queue)
{
    return send_binding(self, queue, "") && send_binding(self, queue, "_permanent");
}

static bool
is_bound(const struct redis_broker *self, struct str queue)
{
    for (size_t i = 0; i < self->n_bound; i++)
        if (str_equal(self->bound[i].name, queue))
            return true;
    return false;
}

static void
remember(struct redis_broker *self, struct str queue)
{
    struct redis_queue *entry;

    if (self->n_bound < REDIS_BOUND_QUEUES) {
        entry = &self->bound[self->n_bound++];
    } else {
        entry = &self->bound[self->bound_turn];
        self->bound_turn = (self->bound_turn + 1) % REDIS_BOUND_QUEUES;
    }
    (void)memcpy(entry->bytes, queue.ptr, queue.len);
    entry->name = (struct str){entry->bytes, queue.len};
}

bool
redis_bind_has_room(const struct redis_broker *self)
{
    return self->n_asked < REDIS_MAX_BINDING;
}

/* False: not now, too much waits for the server. */
bool
redis_bind_one(struct redis_broker *self, struct str queue)
{
    if (is_bound(self, queue))
        return true;
    if (!redis_bind_has_room(self) || !bind_one(self, queue))
        return false;
    remember(self, queue);
    return true;
}

void
redis_bind_queues(struct redis_broker *self)
{
    if (!self->must_bind || !self->is_greeted || redis_broker_mono_us(self) < self->bind_at_us)
        return;
    for (size_t i = 0; i < self->n_queues; i++)
        if (!redis_bind_one(self, self->queues[i].name))
            return;
    self->must_bind = false;
}

/* Another server may not have them. */
void
redis_bind_forget(struct redis_broker *self)
{
    self->n_bound = 0;
    self->bound_turn = 0;
    self->must_bind = self->n_queues > 0;
}

/* Without memory the server takes no binding: some rounds later. */
void
redis_bind_on_refused(struct redis_broker *self)
{
    redis_bind_forget(self);
    self->bind_at_us = redis_broker_mono_us(self) + RETRY_US;
}
