#pragma once

/* What Trawl keeps below its cache directory ends some day: cleanup.remove_old_cache.
 *
 * Today that is the files of Meta Kaggle; docs/cache.md tells what lies where. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/clock.h"
#include "lib/models/run_context.h"

/* All borrowed; one run at a time. */
struct cleanup_service {
    struct str cache_dir;
    const struct clock *clock; /* compared with the times of files */
};

struct cleanup_counts {
    int64_t n_downloads;  /* whole files that were removed */
    int64_t n_unfinished; /* .part files and what belongs to them */
    int64_t n_bytes;      /* of both */
    int64_t n_in_use;     /* directories passed over: a download or a seed is at them */
    int64_t n_failed;     /* files that cannot be removed; each is logged */
};

/* Remove every version of Meta Kaggle whose newest file was written longer ago than max_age_hours.
 *
 * A version goes as a whole, its mark of completeness first: killed anywhere, what is left counts
 * as an unfinished download.  Only regular files with names that Trawl gives are touched; links are
 * not followed, and directories that hold anything else stay.  What another process has locked is
 * in use and stays.
 *
 * out  filled on failure, too
 *
 * Errors: ERR_IO (the cache directory cannot be read; one that is not there is empty),
 * ERR_CANCELLED (between files). */
MUST_CHECK int cleanup_remove_old(const struct cleanup_service *self, int64_t max_age_hours,
                                  const struct run_context *ctx, struct cleanup_counts *out,
                                  struct error *err);
