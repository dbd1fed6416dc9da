#pragma once

/* Where events go and come from: a mailbox of their own, so that what is heard costs remote control
 * nothing.  On Redis the channels are kombu's; on SQLite it is the file "BROKER-events", that keeps
 * the newest letters for seconds, and is written to only while somebody else listens. */

#include "celery/control/mailbox.h"
#include "celery/events/event.h"

/* Texts are borrowed: the name for the mailbox's life, the rest for the call. */
struct event_mailbox_options {
    struct mailbox_listener listener;
    struct str name;
    struct str topic; /* EVENT_TOPIC_ALL, EVENT_TOPIC_WORKERS; absent: nothing is heard */
};

/* Errors: those of mailbox_open and mailbox_listen. */
MUST_CHECK int event_mailbox_open(struct str broker_url,
                                  const struct event_mailbox_options *options, struct mailbox **out,
                                  struct error *err);

/* Put an event, or a list of them, out as that type; it leaves in mailbox_run.
 * Errors: ERR_BUSY (too much waits to leave), ERR_TOO_LARGE, ERR_NOMEM. */
MUST_CHECK int event_mailbox_send(struct mailbox *mailbox, const struct event_source *source,
                                  struct str type, struct str body, struct error *err);
