#pragma once

/* Where each harvest of a source stands: table `source_state`, one row per (source, stream). */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/database.h"

/* Absent texts and unknown times (DATABASE_NULL) are stored as NULL. */
struct source_state {
    struct str source_name;
    struct str stream;          /* "listing", "sweep", "meta_kaggle", "latest" ... */
    struct str cursor;          /* where an interrupted walk goes on, e.g. the next page's URL */
    int64_t watermark_us;       /* everything up to here has been seen */
    int64_t walk_started_at_us; /* of the interrupted walk; DATABASE_NULL when none */
    struct str etag;
    struct str detail; /* one JSON object, the owner's own */
    int64_t updated_at_us;
};

/* -ERR_NOT_FOUND when the stream has never been stored. */
MUST_CHECK int source_state_repo_find(struct database *database, struct str source_name,
                                      struct str stream, struct arena *arena,
                                      struct source_state *out, struct error *err);

/* Insert or replace the whole row. */
MUST_CHECK int source_state_repo_save(struct database *database, const struct source_state *state,
                                      struct error *err);

MUST_CHECK int source_state_repo_list(struct database *database, struct arena *arena,
                                      const struct source_state **out, size_t *out_n,
                                      struct error *err);
