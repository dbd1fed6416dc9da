#pragma once

/* Runs one task in this process and keeps its record in the table `runs`. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/buf.h"
#include "base/json.h"
#include "celery/call.h"
#include "lib/core/container.h"

struct task_run {
    const struct celery_task *task;
    struct str task_id;   /* absent: a new one */
    struct str arguments; /* JSON object text: the named arguments */
    struct celery_call_hooks hooks;
    int64_t retries;
    struct buf *sends; /* gets what the task sends, for the caller to send; NULL: it is sent here */
};

/* Bind, record, run, record.  result gets the task's result object, on failure as far as it came.
 * Errors: those of the arguments (nothing is recorded then), the database and the task. */
MUST_CHECK int task_runner_run(struct container *app, const struct task_run *run,
                               struct buf *result, struct error *err);
