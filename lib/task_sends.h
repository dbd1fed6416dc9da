#pragma once

/* What a task has sent, where no worker settles its message: `trawl run`. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "lib/core/container.h"

/* Send it all, by the broker that the settings name.
 *
 * text    as of celery_call_spec.sends; empty = nothing
 * run_id  the task's own id: the parent's, and the workflow's root
 *
 * Errors: of the broker; what stands before the one that failed has been sent. */
MUST_CHECK int task_sends_deliver(struct container *app, struct str text, struct str run_id,
                                  struct error *err);
