#pragma once

/* How a service tells how far it is: an interface, so that it knows neither tasks nor terminals. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    /* done of total units (total 0 = unknown); called at most once per batch. */
    void (*report)(const struct progress *self, int64_t done, int64_t total);
    /* True once the caller wants the work to stop at the next safe point. */
    bool (*is_cancelled)(const struct progress *self);
};

/* progress may be NULL in both. */
static inline void
progress_report(const struct progress *progress, int64_t done, int64_t total)
{
    if (progress && progress->report)
        progress->report(progress, done, total);
}

static inline bool
progress_is_cancelled(const struct progress *progress)
{
    return progress && progress->is_cancelled && progress->is_cancelled(progress);
}
