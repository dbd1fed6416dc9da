#pragma once

/* What the downloads of Meta Kaggle leave in the cache, by name; for those who fetch it and those
 * who clean up.
 *
 *   CACHE/meta-kaggle/VERSION/Datasets.csv ...  whole and checked, or a .part to go on with
 *   CACHE/meta-kaggle/VERSION/complete          all six are there
 *
 * Who downloads into a version or reads it holds a shared lock (flock) on its directory; who
 * removes it, an exclusive one. */

#include <stdbool.h>

#include <trawl/error.h>

#define KAGGLE_DUMP_CACHE_NAME "meta-kaggle"
#define KAGGLE_DUMP_MARK_NAME  "complete"
#define KAGGLE_DUMP_UNKNOWN    "unknown" /* the version where Kaggle does not tell */

enum kaggle_dump_file {
    KAGGLE_DUMP_FOREIGN,    /* not a name that Trawl gives */
    KAGGLE_DUMP_WHOLE,      /* one of the six */
    KAGGLE_DUMP_UNFINISHED, /* on the way to it */
    KAGGLE_DUMP_MARK,
};

/* "123", or KAGGLE_DUMP_UNKNOWN. */
bool kaggle_dump_is_version(const char *name);

enum kaggle_dump_file kaggle_dump_file_kind(const char *name);

/* Make a version's directory and hold it; the lock goes when *out_fd is closed.
 * Errors: ERR_BUSY (it is being removed, again and again), ERR_IO. */
MUST_CHECK int kaggle_dump_hold(const char *directory, int *out_fd, struct error *err);
