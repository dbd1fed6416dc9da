#pragma once

/* The unfinished file of a download: PATH.part, and the ETag beside it.
 *
 * Internal to lib/core/download*. */

#include <limits.h>

#include "lib/core/download.h"

struct download_part {
    const char *path; /* of the finished file; borrowed */
    char part[PATH_MAX];
    char etag[PATH_MAX];
    int fd; /* locked; -1 = closed */
    uint64_t n_bytes;
};

/* Open PATH.part, made where there is none, and lock it.  The lock goes with download_part_close.
 * Errors: ERR_BUSY, ERR_IO, ERR_NOT_FOUND (directory), ERR_INVALID (path too long). */
MUST_CHECK int download_part_open(struct download_part *part, const char *path, struct error *err);
void download_part_close(struct download_part *part); /* also for CLEANUP; safe twice */

/* What the bytes there belong to: a strong ETag in the arena, or STR_NULL. */
struct str download_part_etag(const struct download_part *part, struct arena *arena);

/* Note it; STR_NULL forgets it. */
MUST_CHECK int download_part_set_etag(const struct download_part *part, struct str etag,
                                      struct error *err);

/* Back to no bytes and no ETag. */
MUST_CHECK int download_part_clear(struct download_part *part, struct error *err);

/* See now whether the disk has room for n_more bytes; says nothing where it cannot know.
 * Errors: ERR_DISK_FULL. */
MUST_CHECK int download_part_reserve(struct download_part *part, uint64_t n_more,
                                     struct error *err);

MUST_CHECK int download_part_append(struct download_part *part, struct str bytes,
                                    struct error *err);

/* Make it the finished file: to the disk, checked, renamed.  What fails the check is removed.
 * goog_md5: one more expected MD5, or NULL.
 * Errors: ERR_CORRUPT, ERR_IO, ERR_DISK_FULL. */
MUST_CHECK int download_part_finish(struct download_part *part, const struct download_check *check,
                                    const unsigned char *goog_md5, struct error *err);

/* Remove it, if it is empty or is_forced. */
void download_part_drop(struct download_part *part, bool is_forced);
