#pragma once

/* The task that misbehaves: probe.crash. */

#include <trawl/task.h>

struct probe_crash_args {
    struct str how;
    struct str path;
    struct str token;
    int64_t times;
    int64_t amount;
};

extern const struct celery_param probe_crash_params[];

/* probe.crash(how="segv", path=null, token="-", times=0, amount=0) -> {"runs": int}
 *
 * Ends its process in the way that is asked for, or hangs; with times, only in so many runs, which
 * the record file counts. */
int probe_crash(struct celery_call *call, struct error *err);
