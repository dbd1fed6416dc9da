/* What came of a round: counted, and told to the listener. */

#include "celery/broker/sqlite_internal.h"

static void
tell(struct sqlite_broker *self, const struct pending *pending, const struct error *err)
{
    struct broker_completion completion = {
        .ticket = pending->ticket,
        .tag = pending->tag,
        .outcome = pending->outcome,
        .err = pending->outcome == BROKER_FAILED ? err : NULL,
    };

    if (self->options.listener.completed)
        self->options.listener.completed(self->options.listener.context, &completion);
}

static void
count(struct sqlite_broker *self, const struct pending *pending)
{
    uint64_t *const by_action[] = {
        [BROKER_ACK] = &self->stats.n_acked,        [BROKER_REQUEUE] = &self->stats.n_requeued,
        [BROKER_RELEASE] = &self->stats.n_released, [BROKER_CRASHED] = &self->stats.n_crashed,
        [BROKER_BURY] = &self->stats.n_buried,
    };

    if (!pending->tag)
        self->stats.n_published++;
    else if (pending->outcome == BROKER_FENCED)
        self->stats.n_fenced++;
    else
        ++*by_action[pending->action];
    if (pending->outcome == BROKER_BURIED)
        self->stats.n_buried++;
}

void
sqlite_tell_done(struct sqlite_broker *self)
{
    struct pending_list done;
    struct pending *pending;

    outbox_finish(&self->outbox, &done);
    while ((pending = pending_list_take(&done))) {
        struct held *held = window_find(&self->window, pending->tag);

        count(self, pending);
        if (held)
            window_give_back(&self->window, held);
        tell(self, pending, NULL);
        outbox_free(&self->outbox, pending);
    }
}

/* A verdict that failed leaves its delivery open; a message is not published. */
void
sqlite_tell_failed(struct sqlite_broker *self, struct pending_list *failed, const struct error *err)
{
    struct pending *pending;

    while ((pending = pending_list_take(failed))) {
        struct held *held = window_find(&self->window, pending->tag);

        pending->outcome = BROKER_FAILED;
        if (held)
            held->state = HELD_OPEN;
        tell(self, pending, err);
        outbox_free(&self->outbox, pending);
    }
}

/* By index: the callback may settle, and the slots may move. */
void
sqlite_tell_lost(struct sqlite_broker *self)
{
    if (!self->has_lost)
        return;
    self->has_lost = false;
    for (size_t i = 0; i < self->window.n_slots; i++) {
        if (self->window.slots[i].state == HELD_FREE || !self->window.slots[i].must_tell)
            continue;
        self->window.slots[i].must_tell = false;
        if (self->options.listener.lost)
            self->options.listener.lost(self->options.listener.context, self->window.slots[i].tag);
    }
}

void
sqlite_tell_deliveries(struct sqlite_broker *self)
{
    for (size_t i = 0; i < self->n_claimed; i++) {
        const struct broker_delivery *delivery = &self->claimed[i].delivery;

        self->stats.n_delivered++;
        self->stats.n_redelivered += delivery->is_redelivered;
        if (self->credit > 0)
            self->credit--;
        if (self->options.listener.delivered)
            self->options.listener.delivered(self->options.listener.context, delivery);
    }
    self->n_claimed = 0;
}
