#pragma once

/* What a worker sends to the process that runs the task: one JSON object, {"id":, "args":,
 * "kwargs":, "retries":}.  Arguments stay the text that they were in the message.  Pure, any
 * thread. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

struct celery_worker_call {
    struct str id;
    struct json args;   /* array */
    struct json kwargs; /* object */
    int64_t retries;
};

/* args, kwargs  JSON slices; absent for none */
void celery_worker_call_encode(struct str id, struct str args, struct str kwargs, int64_t retries,
                               struct buf *out);

/* out is views into payload and arena.  Errors: ERR_INVALID, ERR_TOO_LARGE, ERR_NOMEM. */
MUST_CHECK int celery_worker_call_decode(struct str payload, struct arena *arena,
                                         struct celery_worker_call *out, struct error *err);
