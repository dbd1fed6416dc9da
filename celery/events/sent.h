#pragma once

/* task-sent: what a client tells of a task that it has sent. */

#include "celery/client.h"

/* Tell it, by a mailbox that is opened for it; blocks until it has left, 300 ms at most.
 *
 * request  as it was sent; id is the task's
 *
 * Nothing depends on it: monitors see a task a moment earlier.
 * Errors: those of mailbox_open and mailbox_run; ERR_TIMEOUT. */
MUST_CHECK int event_tell_sent(struct str broker_url, const struct celery_request *request,
                               struct str id, struct error *err);
