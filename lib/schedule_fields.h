#pragma once

/* The fields of one entry of beat_schedule, from trawl.yaml into a row. */

#include <stdbool.h>

#include <trawl/error.h>

#include "base/arena.h"
#include "celery/schedule.h"
#include "lib/core/config_node.h"

struct schedule_entry {
    struct celery_schedule row; /* the defaults at first, where there are some */
    bool is_enabled;
    bool is_foreign; /* a task of another worker: neither name nor arguments are checked */
    bool has_task;
    bool has_when;
    bool has_arguments;
};

/* Fill in what a mapping says; what it does not say stays.
 *
 * path   of the file, for messages
 * node   the entry: its key is the name
 * arena  for texts; others point into node
 *
 * Errors: ERR_CONFIG with file, line, entry, field and value; ERR_NOMEM. */
MUST_CHECK int schedule_fields_read(const char *path, const struct config_node *node,
                                    struct arena *arena, struct schedule_entry *out,
                                    struct error *err);
