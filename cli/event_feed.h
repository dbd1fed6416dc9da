#pragma once

/* Live events of the configured broker, for commands that show them. */

#include "celery/control/mailbox.h"
#include "celery/events/event.h"
#include "cli/cli.h"

struct cli_event_feed {
    const struct cli *cli;
    void (*take)(void *context, const struct event *event); /* borrowed for the callback */
    void *context;
    bool is_enabling; /* workers are told to send events of tasks, those that come later, too */
    struct mailbox *mailbox;
    int64_t enable_us; /* monotonic: when they are told next */
    char name[64];
    uint64_t n_unread; /* messages and events that could not be read */
};

/* Listen, then ask all workers for a heartbeat.  The first four members are the caller's.
 * Errors: those of mailbox_open; ERR_TIMEOUT (the broker does not answer), ERR_CANCELLED. */
MUST_CHECK int cli_event_feed_open(struct cli_event_feed *self, struct error *err);
void cli_event_feed_close(struct cli_event_feed *self); /* safe twice */

/* Take what comes until then (monotonic), or until Ctrl-C.  Errors: those of mailbox_run. */
MUST_CHECK int cli_event_feed_run(struct cli_event_feed *self, int64_t until_us, struct error *err);
