/* Two linked lists and their accounting. */

#include "celery/broker/outbox.h"

#include <stdlib.h>
#include <string.h>

static void
list_init(struct pending_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
    list->n_items = 0;
}

static void
list_append(struct pending_list *list, struct pending *pending)
{
    pending->next = NULL;
    *list->tail = pending;
    list->tail = &pending->next;
    list->n_items++;
}

/* All of from behind into. */
static void
list_move(struct pending_list *into, struct pending_list *from)
{
    if (!from->head)
        return;
    *into->tail = from->head;
    into->tail = from->tail;
    into->n_items += from->n_items;
    list_init(from);
}

struct pending *
pending_list_take(struct pending_list *list)
{
    struct pending *pending = list->head;

    if (!pending)
        return NULL;
    list->head = pending->next;
    if (!list->head)
        list->tail = &list->head;
    list->n_items--;
    pending->next = NULL;
    return pending;
}

static void
list_fini(struct pending_list *list)
{
    struct pending *pending;

    while ((pending = pending_list_take(list)))
        free(pending);
}

void
outbox_init(struct outbox *outbox, size_t max_bytes)
{
    *outbox = (struct outbox){.max_bytes = max_bytes};
    list_init(&outbox->waiting);
    list_init(&outbox->running);
}

void
outbox_fini(struct outbox *outbox)
{
    list_fini(&outbox->waiting);
    list_fini(&outbox->running);
    outbox->n_bytes = 0;
}

static size_t
size_of_admission(const struct broker_admission *admission)
{
    size_t n_bytes = sizeof(*admission) + admission->n_gates * sizeof(*admission->gates) +
                     admission->id.len + admission->lock.key.len;

    for (size_t i = 0; i < admission->n_gates; i++)
        n_bytes += admission->gates[i].key.len;
    return n_bytes;
}

static size_t
size_of(const struct pending *pending)
{
    return sizeof(*pending) + pending->queue.len + pending->id.len + pending->bytes.len +
           pending->reason.len + (pending->admission ? size_of_admission(pending->admission) : 0);
}

static struct str
copy_text(char **at, struct str text)
{
    struct str copy = {*at, text.len};

    if (text.len > 0)
        (void)memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

/* Records first, then their texts: the block is aligned for them at its start only. */
static const struct broker_admission *
copy_admission(char **at, const struct broker_admission *admission)
{
    struct broker_admission *copy = (struct broker_admission *)(void *)*at;
    struct broker_gate *gates = (struct broker_gate *)(void *)(copy + 1);

    *at += sizeof(*copy) + admission->n_gates * sizeof(*gates);
    *copy = *admission;
    copy->id = copy_text(at, admission->id);
    copy->lock.key = copy_text(at, admission->lock.key);
    for (size_t i = 0; i < admission->n_gates; i++) {
        gates[i] = admission->gates[i];
        gates[i].key = copy_text(at, admission->gates[i].key);
    }
    copy->gates = gates;
    return copy;
}

/* A block with a copy of what like says, its texts too. */
static int
add(struct outbox *outbox, const struct pending *like, uint64_t *ticket, struct error *err)
{
    size_t n_bytes = size_of(like);
    struct pending *pending;
    char *at;

    if (n_bytes > outbox->max_bytes - outbox->n_bytes)
        return error_set(err, ERR_BUSY,
                         "%zu bytes wait for the broker, the limit is %zu: it is slower than what"
                         " is sent to it",
                         outbox->n_bytes, outbox->max_bytes);
    pending = malloc(n_bytes);
    if (!pending)
        return error_set(err, ERR_NOMEM, "no memory for a message of %zu bytes", n_bytes);
    *pending = *like;
    at = (char *)(pending + 1);
    if (like->admission)
        pending->admission = copy_admission(&at, like->admission);
    pending->queue = copy_text(&at, like->queue);
    pending->id = copy_text(&at, like->id);
    pending->bytes = copy_text(&at, like->bytes);
    pending->reason = copy_text(&at, like->reason);
    pending->ticket = ++outbox->last_ticket;
    outbox->n_bytes += n_bytes;
    list_append(&outbox->waiting, pending);
    if (ticket)
        *ticket = pending->ticket;
    return 0;
}

int
outbox_add_publish(struct outbox *outbox, const struct broker_message *message, uint64_t *ticket,
                   struct error *err)
{
    struct pending like = {
        .queue = message->queue,
        .id = message->id,
        .bytes = message->bytes,
        .priority = message->priority,
        .eta_us = message->eta_us,
        .expires_us = message->expires_us,
    };
    struct broker_admission admission = {.id = message->id};

    if (message->lock && message->lock->span != BROKER_LOCK_NONE) {
        admission.lock = *message->lock;
        like.admission = &admission;
    }
    return add(outbox, &like, ticket, err);
}

int
outbox_add_admission(struct outbox *outbox, uint64_t tag, const struct broker_admission *admission,
                     uint64_t *ticket, struct error *err)
{
    struct pending like = {.tag = tag, .admission = admission, .is_question = true};

    return add(outbox, &like, ticket, err);
}

int
outbox_add_verdict(struct outbox *outbox, uint64_t tag, const struct broker_verdict *verdict,
                   uint64_t *ticket, struct error *err)
{
    struct pending like = {
        .tag = tag,
        .action = verdict->action,
        .delay_us = verdict->delay_us,
        .reason = str_slice(verdict->reason, 0, BROKER_MAX_REASON_BYTES),
        .after = verdict->after,
    };
    struct broker_admission admission = {.id = verdict->id};

    if (verdict->lock && verdict->lock->span != BROKER_LOCK_NONE) {
        admission.lock = *verdict->lock;
        like.admission = &admission;
    }
    return add(outbox, &like, ticket, err);
}

struct pending *
outbox_start(struct outbox *outbox)
{
    struct pending *pending = pending_list_take(&outbox->waiting);

    if (pending)
        list_append(&outbox->running, pending);
    return pending;
}

/* Whether the list has that publish, failed; tickets ascend in it. */
static bool
has_failed(const struct pending_list *list, uint64_t ticket)
{
    const struct pending *pending = list->head;

    while (pending && pending->ticket < ticket)
        pending = pending->next;
    return pending && pending->ticket == ticket && !pending->tag &&
           pending->outcome == BROKER_FAILED;
}

void
outbox_fail_bound(struct outbox *outbox, struct pending_list *done)
{
    struct pending_list kept;
    struct pending_list bound;
    struct pending *pending;

    list_init(&kept);
    list_init(&bound);
    while ((pending = pending_list_take(&outbox->waiting))) {
        bool is_bound = pending->after && has_failed(done, pending->after);

        if (is_bound)
            pending->outcome = BROKER_FAILED;
        list_append(is_bound ? &bound : &kept, pending);
    }
    list_move(&outbox->waiting, &kept);
    list_move(done, &bound);
}

bool
outbox_must_go_on(const struct outbox *outbox, const struct pending *last)
{
    const struct pending *next = outbox->waiting.head;

    if (!last || last->tag)
        return false;
    for (size_t n = 0; next && !next->tag && n < OUTBOX_MAX_BOUND; n++)
        next = next->next;
    return next && next->tag && next->after;
}

void
outbox_retry(struct outbox *outbox)
{
    list_move(&outbox->running, &outbox->waiting);
    list_move(&outbox->waiting, &outbox->running);
}

void
outbox_undo(struct outbox *outbox, struct pending_list *failed)
{
    struct pending_list verdicts;
    struct pending *pending;

    list_init(failed);
    list_init(&verdicts);
    while ((pending = pending_list_take(&outbox->running))) {
        if (!pending->tag)
            pending->outcome = BROKER_FAILED;
        list_append(pending->tag ? &verdicts : failed, pending);
    }
    list_move(&verdicts, &outbox->waiting);
    list_move(&outbox->waiting, &verdicts);
    if (failed->head)
        outbox_fail_bound(outbox, failed);
}

void
outbox_finish(struct outbox *outbox, struct pending_list *done)
{
    list_init(done);
    list_move(done, &outbox->running);
}

void
outbox_abandon(struct outbox *outbox, struct pending_list *failed)
{
    list_init(failed);
    list_move(failed, &outbox->running);
    list_move(failed, &outbox->waiting);
}

void
outbox_free(struct outbox *outbox, struct pending *pending)
{
    outbox->n_bytes -= size_of(pending);
    free(pending);
}
