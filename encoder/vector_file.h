#pragma once

/* Vectors in a file that is searched through memory.
 *
 * A copy of what stands elsewhere: it may be lost, cut or damaged at any time and is then made
 * again. It names the store that it copies and the model of its vectors, and up to which change it
 * follows.
 *
 *     head                         the store, the model, the size of a vector; a checksum
 *     segment ...                  appended, never changed
 *
 *     segment = head               counts, the change that it follows to; a checksum
 *               ids i64, scales f32, errors f32, vectors' checksums u64          [n_rows] each
 *               places in earlier segments that no longer count u64              [n_dead]
 *               checksums of codes u64      one for each VECTOR_FILE_BLOCK rows
 *               codes s8 [n_rows, code bytes]
 *               vectors f32 [n_rows, dim]
 *
 * Every list begins at a multiple of 64 bytes; numbers are little endian.  A segment counts once
 * its head is whole, and that is written last; what stands behind the last whole one is a writer's
 * that died.  Nothing is synced: after a power failure checksums tell what is missing.  A new file
 * is written beside the old one and renamed, so readers keep the one they have.
 *
 * Writers exclude each other by the caller's lock; readers need none. */

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/attributes.h>
#include <trawl/error.h>
#include <trawl/str.h>

#include "encoder/vector_batch.h"

#define VECTOR_FILE_ID_BYTES    16
#define VECTOR_FILE_MODEL_BYTES 256
#define VECTOR_FILE_BLOCK       ((size_t)4096)

/* What a file belongs to; model is borrowed. */
struct vector_file_identity {
    unsigned char store_id[VECTOR_FILE_ID_BYTES];
    struct str model;
    size_t dim;
};

/* Up to which change of the store a file follows. */
struct vector_file_mark {
    int64_t seq;
    int64_t nonce;
};

struct vector_file;

/* Map a file and check all of it but the f32 vectors, whose checksums the search compares (parts
 * have checks).  n_threads read at once.
 *
 * Errors: ERR_NOT_FOUND (no file); ERR_INVALID (of another store, model or version); ERR_CORRUPT
 * (naming what is damaged); ERR_NOMEM, and of the system. */
MUST_CHECK int vector_file_open(const char *path, const struct vector_file_identity *identity,
                                size_t n_threads, struct vector_file **out, struct error *err);
void vector_file_close(struct vector_file *file);

struct vector_file_mark vector_file_mark(const struct vector_file *file);

/* Its segments, oldest first; allowed is the file's own bitmap: what has not died since.  Borrowed.
 */
const struct vector_part *vector_file_parts(const struct vector_file *file, size_t *n_parts);

/* Rows that count, and all that are stored. */
size_t vector_file_live_rows(const struct vector_file *file);
size_t vector_file_all_rows(const struct vector_file *file);

/* Is there another file at the path by now, or more in it? */
bool vector_file_is_outdated(const struct vector_file *file, const char *path);

/* Where a row stands: its part, and its place there, which in the file's count is
 * part's first place + row. */
struct vector_place {
    size_t part_idx;
    size_t row;
};

/* The row that counts for an id; false where there is none. */
bool vector_file_find(const struct vector_file *file, int64_t id, struct vector_place *out);

/* Append a segment behind what file, which must be the newest state, has: n_dead places stop
 * counting and the batch's rows are new.  Readers that are open do not notice.  Errors:
 * ERR_DISK_FULL, ERR_IO; what was written is taken back then. */
MUST_CHECK int vector_file_append(const struct vector_file *file, const char *path,
                                  const struct vector_batch *batch, const struct vector_place *dead,
                                  size_t n_dead, struct vector_file_mark mark, struct error *err);

/* A new file, which takes the place of an old one when it is committed. */
struct vector_writer {
    char path[PATH_MAX];
    char temporary[PATH_MAX];
    int fd;
    uint64_t at;
};

MUST_CHECK int vector_writer_open(struct vector_writer *self, const char *path,
                                  const struct vector_file_identity *identity, struct error *err);
/* Rows whose ids are above all before. */
MUST_CHECK int vector_writer_add(struct vector_writer *self, const struct vector_batch *batch,
                                 struct error *err);
/* The last rows (there may be none), and the mark that makes the file whole. */
MUST_CHECK int vector_writer_commit(struct vector_writer *self, const struct vector_batch *batch,
                                    struct vector_file_mark mark, struct error *err);
void vector_writer_close(struct vector_writer *self); /* without a commit, removes what it wrote */
