/* The names and the limits that are events' own. */

#include "celery/events/event_mailbox.h"

#include <stdio.h>

#include "base/uuid.h"

#define KEPT_US       (5 * US_PER_S) /* Celery's queues of events keep no longer */
#define MAX_LETTERS   1024           /* of 64 KiB and a little, where there are many */
#define PENDING_BYTES ((size_t)8 << 20)
#define BODY_BYTES    ((size_t)12 << 20) /* in base64 it is a letter */

int
event_mailbox_open(struct str broker_url, const struct event_mailbox_options *options,
                   struct mailbox **out, struct error *err)
{
    struct mailbox_options given = {
        .listener = options->listener,
        .name = options->name,
        .suffix = "-events",
        .kept_us = KEPT_US,
        .max_letters = MAX_LETTERS,
        .max_pending_bytes = PENDING_BYTES,
    };
    CLEANUP(mailbox_closep) struct mailbox *mailbox = NULL;
    char id[UUID_TEXT_BYTES];
    char queue[sizeof(EVENT_EXCHANGE) + UUID_TEXT_BYTES];
    int rc = mailbox_open(broker_url, &given, &mailbox, err);

    if (rc < 0)
        return rc;
    uuid_random(id);
    (void)snprintf(queue, sizeof(queue), EVENT_EXCHANGE ".%s", id);
    if (options->topic.ptr)
        rc = mailbox_listen(mailbox, options->topic, str_from_cstr(queue), err);
    if (rc < 0)
        return rc;
    *out = TAKE(mailbox);
    return 0;
}

int
event_mailbox_send(struct mailbox *mailbox, const struct event_source *source, struct str type,
                   struct str body, struct error *err)
{
    CLEANUP(buf_fini) struct buf topic = BUF_INIT(1024);
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(MAILBOX_MAX_BYTES);
    int rc = event_format_topic(type, &topic, err);

    if (rc == 0 && body.len > BODY_BYTES)
        return error_set(err, ERR_TOO_LARGE, "an event of %zu bytes, allowed are %zu", body.len,
                         BODY_BYTES);
    if (rc == 0)
        rc = event_encode(source, type, body, &bytes, err);
    return rc < 0 ? rc : mailbox_broadcast(mailbox, buf_str(&topic), buf_str(&bytes), err);
}
