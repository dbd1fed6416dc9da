#pragma once

/* Operations that wait for the broker's next round, in the order of their tickets.
 *
 * Shared by the implementations.  Every operation is one heap block with its texts behind it. */

#include "celery/broker/broker.h"

struct pending {
    struct pending *next;
    uint64_t ticket;
    uint64_t tag; /* 0: a publish */
    enum broker_outcome outcome;

    /* A publish. */
    struct str queue; /* these three point into the block */
    struct str id;
    struct str bytes;
    int priority;
    int64_t eta_us;
    int64_t expires_us;

    /* A publish with a lock; a question whether a delivery may start; a verdict that frees a lock.
     * In the block, too; NULL: none. */
    const struct broker_admission *admission;
    bool is_question;
    struct str holder; /* BROKER_HELD: lives until the completion is told */

    /* A verdict. */
    enum broker_action action;
    int64_t delay_us;
    struct str reason; /* points into the block */
    uint64_t after;
};

#define OUTBOX_MAX_BOUND ((size_t)1024) /* messages before a verdict, of which that is true */

struct pending_list {
    struct pending *head;
    struct pending **tail; /* where the next one is hung up */
    size_t n_items;
};

struct outbox {
    struct pending_list waiting;
    struct pending_list running; /* in the transaction at hand */
    uint64_t last_ticket;
    size_t n_bytes; /* of both lists */
    size_t max_bytes;
};

void outbox_init(struct outbox *outbox, size_t max_bytes);
void outbox_fini(struct outbox *outbox); /* safe twice */

/* Append a copy.  Errors: ERR_BUSY (full), ERR_NOMEM. */
MUST_CHECK int outbox_add_publish(struct outbox *outbox, const struct broker_message *message,
                                  uint64_t *ticket, struct error *err);
MUST_CHECK int outbox_add_verdict(struct outbox *outbox, uint64_t tag,
                                  const struct broker_verdict *verdict, uint64_t *ticket,
                                  struct error *err);

MUST_CHECK int outbox_add_admission(struct outbox *outbox, uint64_t tag,
                                    const struct broker_admission *admission, uint64_t *ticket,
                                    struct error *err);

/* Move the first waiting operation to the running ones; NULL when there is none. */
struct pending *outbox_start(struct outbox *outbox);

/* A batch that ends now, after *last, would part messages from the verdict that is bound to them:
 * what belongs together is carried out together, or not at all. */
bool outbox_must_go_on(const struct outbox *outbox, const struct pending *last);

/* The transaction was not begun, or could not get a lock: all that ran waits again, in front. */
void outbox_retry(struct outbox *outbox);

/* The transaction came to nothing.  Verdicts wait again, in front.  Publishes, and verdicts that
 * are bound to one of them, move to *failed. */
void outbox_undo(struct outbox *outbox, struct pending_list *failed);

/* The transaction is durable: all that ran moves to *done. */
void outbox_finish(struct outbox *outbox, struct pending_list *done);

/* Some of *done have the outcome BROKER_FAILED: the waiting verdicts that are bound to such a
 * publish move there, with the same outcome. */
void outbox_fail_bound(struct outbox *outbox, struct pending_list *done);

/* Nothing will be carried out any more: all of it moves to *failed. */
void outbox_abandon(struct outbox *outbox, struct pending_list *failed);

/* Detach the first; the caller tells and frees it (outbox_free).  NULL when the list is empty. */
struct pending *pending_list_take(struct pending_list *list);
void outbox_free(struct outbox *outbox, struct pending *pending);

static inline bool
outbox_is_empty(const struct outbox *outbox)
{
    return !outbox->waiting.head && !outbox->running.head;
}
