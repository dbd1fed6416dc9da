#pragma once

/* What a service needs to know of the run that it works for. */

#include <stdint.h>

#include <trawl/str.h>

#include "lib/models/progress.h"

struct run_context {
    int64_t run_id;                  /* row of `runs`, for rejects; 0 = none is kept */
    struct str task_id;              /* UUID text */
    struct str worker_id;            /* unique per process: the owner of its leases */
    const struct progress *progress; /* may be NULL */
};
