#pragma once

/* Files: whole reads, atomic writes, directories and read-only maps.
 *
 * Every descriptor is close-on-exec.  Paths are NUL-terminated, borrowed. */

#include <stdint.h>
#include <stdio.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/buf.h"

/* For CLEANUP. */
void file_closep(FILE **file);
void file_close_fdp(int *fd); /* -1 is fine */

bool file_exists(const char *path);

/* Append the whole file to *out; it must stay 16 KiB below the buffer's ceiling.
 * Errors: ERR_NOT_FOUND, ERR_IO, ERR_TOO_LARGE, ERR_NOMEM. */
MUST_CHECK int file_read(const char *path, struct buf *out, struct error *err);

/* Replace path by bytes so that a crash leaves the old file or the new one, both whole:
 * temporary file beside it, fsync, rename, fsync of the directory. */
MUST_CHECK int file_write_atomic(const char *path, struct str bytes, struct error *err);

/* As mkdir -p, mode 0700 for what it makes. */
MUST_CHECK int file_make_dirs(const char *path, struct error *err);

/* A file mapped read-only and private.  bytes.ptr is page-aligned; an empty file maps to {"", 0}.
 * If the file is cut by someone else later, reading past its end raises SIGBUS. */
struct file_map {
    struct str bytes;
};

MUST_CHECK int file_map_open(const char *path, struct file_map *out, struct error *err);
void file_map_close(struct file_map *map); /* also for CLEANUP; safe twice */
