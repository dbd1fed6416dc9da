#pragma once

/* What came of a round: counted, and told to the listener.  Shared by the implementations. */

#include "celery/broker/outbox.h"
#include "celery/broker/window.h"

struct teller {
    struct outbox *outbox;
    struct window *window;
    struct broker_stats *stats;
    const struct broker_listener *listener;
};

/* Each by its outcome; err tells of those that failed.  All of the list is freed. */
void tell_done(struct teller teller, struct pending_list *done, const struct error *err);

/* All of the list failed: a verdict leaves its delivery open, a message is not published. */
void tell_failed(struct teller teller, struct pending_list *failed, const struct error *err);

/* Every delivery that is not settled is lost: count it, and note that it must be told. */
void tell_note_lost(struct teller teller);

/* Those that were noted and are still not settled. */
void tell_lost(struct teller teller);

void tell_delivery(struct teller teller, size_t *credit, const struct broker_delivery *delivery);
