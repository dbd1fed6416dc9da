#pragma once

/* A progress bar on stderr: amount, share, rate, time left.  Drawn at most ten times a second, only
 * on a terminal; elsewhere every call is free. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/str.h>

#include "base/clock.h"

struct cli_progress {
    const struct clock *clock;
    struct str label; /* borrowed */
    bool is_shown;
    bool is_bytes; /* amounts are bytes, else things */
    int64_t begin_us;
    int64_t drawn_us;
    int64_t first_done; /* where the first call stood: a resumed work's rate counts from there */
    bool has_begun;
    int width; /* of the last line drawn */
};

void cli_progress_init(struct cli_progress *self, struct str label, bool is_shown);

/* done of total; total 0 = unknown. */
void cli_progress_update(struct cli_progress *self, int64_t done, int64_t total);

/* Wipe the line, so that a message can follow. */
void cli_progress_clear(struct cli_progress *self);
