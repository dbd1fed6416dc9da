#pragma once

/* What the encoder's built-in check found, kept in {cache_dir}/encoder-checks.txt: a line per
 * model, precision and CPU.  Losing the file costs a tenth of a second per model. */

#include <limits.h>

#include <trawl/encoder.h>

struct precision_notes {
    struct encoder_notes notes; /* for encoder_options; its context is this struct */
    char dir[PATH_MAX];         /* "" = nothing is kept */
};

/* cache_dir  made when something is saved; a path that is too long, or none, keeps nothing */
void precision_notes_init(struct precision_notes *self, struct str cache_dir);
