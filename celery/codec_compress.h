#pragma once

/* Compressed message bodies.  Pure, any thread.
 *
 * Names are kombu's: "application/x-gzip" means a zlib stream (RFC 1950); a real gzip file (RFC
 * 1952) is read too.  lzma, brotli and zstd are refused: nothing in Celery uses them by default,
 * and each would be a library more that reads foreign bytes. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/buf.h"

/* Output that is let pass whatever the ratio; small repetitive messages are no bombs. */
#define CELERY_RATIO_FREE_BYTES ((size_t)1 << 20)

/* Above that, output bytes per input byte. */
#define CELERY_RATIO_MAX ((size_t)200)

enum celery_compression {
    CELERY_COMPRESSION_NONE,
    CELERY_COMPRESSION_ZLIB,
    CELERY_COMPRESSION_BZIP2,
};

/* By content type or alias ("gzip", "zlib", "bzip2" ...); an absent or empty name is NONE.
 * Errors: ERR_UNSUPPORTED, naming it and what is understood. */
MUST_CHECK int celery_compression_find(struct str name, enum celery_compression *out,
                                       struct error *err);

/* What the header `compression` says; STR_NULL for NONE. */
struct str celery_compression_name(enum celery_compression compression);

/* Decompress all of bytes.
 *
 * max_bytes  ceiling of the output; lower where CELERY_RATIO_MAX says so
 * out        in the arena, a block of exactly its size; for NONE, bytes itself
 *
 * Runs twice over the input, first only to measure: no growing buffer, no bomb in memory.  Beside
 * the output it takes 45 KB (zlib) or 3.7 MB (bzip2) while it runs. Errors: ERR_INVALID (damaged,
 * cut, followed by other bytes), ERR_TOO_LARGE, ERR_NOMEM. */
MUST_CHECK int celery_decompress(enum celery_compression compression, struct str bytes,
                                 size_t max_bytes, struct arena *arena, struct str *out,
                                 struct error *err);

/* Append the compressed bytes; NONE appends them as they are.  Errors: ERR_NOMEM, ERR_TOO_LARGE. */
MUST_CHECK int celery_compress(enum celery_compression compression, struct str bytes,
                               struct buf *out, struct error *err);
