/* The callbacks.  Each may publish, settle and set the credit, so nothing is kept across them. */

#include "celery/broker/tell.h"

static void
complete(struct teller teller, const struct pending *pending, const struct error *err)
{
    struct broker_completion completion = {
        .ticket = pending->ticket,
        .tag = pending->tag,
        .outcome = pending->outcome,
        .err = pending->outcome == BROKER_FAILED ? err : NULL,
        .holder = pending->outcome == BROKER_HELD ? pending->holder : STR_NULL,
    };

    if (teller.listener->completed)
        teller.listener->completed(teller.listener->context, &completion);
}

static void
count(struct broker_stats *stats, const struct pending *pending)
{
    uint64_t *const by_action[] = {
        [BROKER_ACK] = &stats->n_acked,        [BROKER_REQUEUE] = &stats->n_requeued,
        [BROKER_RELEASE] = &stats->n_released, [BROKER_CRASHED] = &stats->n_crashed,
        [BROKER_BURY] = &stats->n_buried,
    };

    if (pending->outcome == BROKER_FAILED)
        return;
    stats->n_held += pending->outcome == BROKER_HELD;
    stats->n_waited += pending->outcome == BROKER_WAITS;
    if (pending->outcome == BROKER_HELD || pending->is_question)
        return;
    if (!pending->tag)
        stats->n_published++;
    else if (pending->outcome == BROKER_FENCED)
        stats->n_fenced++;
    else
        ++*by_action[pending->action];
    if (pending->outcome == BROKER_BURIED)
        stats->n_buried++;
}

void
tell_done(struct teller teller, struct pending_list *done, const struct error *err)
{
    struct pending *pending;

    while ((pending = pending_list_take(done))) {
        struct held *held = window_find(teller.window, pending->tag);
        bool is_kept = pending->is_question && pending->outcome != BROKER_WAITS;

        count(teller.stats, pending);
        if (held && !is_kept && pending->outcome == BROKER_FAILED)
            held->state = HELD_OPEN;
        else if (held && !is_kept)
            window_give_back(teller.window, held);
        complete(teller, pending, err);
        outbox_free(teller.outbox, pending);
    }
}

void
tell_failed(struct teller teller, struct pending_list *failed, const struct error *err)
{
    for (struct pending *pending = failed->head; pending; pending = pending->next)
        pending->outcome = BROKER_FAILED;
    tell_done(teller, failed, err);
}

void
tell_note_lost(struct teller teller)
{
    for (size_t i = 0; i < teller.window->n_slots; i++) {
        struct held *held = &teller.window->slots[i];

        if (held->state == HELD_FREE || held->is_lost)
            continue;
        held->is_lost = true;
        held->must_tell = true;
        teller.window->n_untold++;
        teller.stats->n_lost++;
    }
}

/* By index: the callback may settle, and the slots may move. */
void
tell_lost(struct teller teller)
{
    if (teller.window->n_untold == 0)
        return;
    teller.window->n_untold = 0;
    for (size_t i = 0; i < teller.window->n_slots; i++) {
        if (teller.window->slots[i].state == HELD_FREE || !teller.window->slots[i].must_tell)
            continue;
        teller.window->slots[i].must_tell = false;
        if (teller.listener->lost)
            teller.listener->lost(teller.listener->context, teller.window->slots[i].tag);
    }
}

void
tell_delivery(struct teller teller, size_t *credit, const struct broker_delivery *delivery)
{
    teller.stats->n_delivered++;
    teller.stats->n_redelivered += delivery->is_redelivered;
    if (*credit > 0)
        --*credit;
    if (teller.listener->delivered)
        teller.listener->delivered(teller.listener->context, delivery);
}
