#pragma once

/* RESP2, the bytes that a Redis server answers with.  Private to celery/redis/.
 *
 *     +OK\r\n                 status            -ERR no such key\r\n    error
 *     :12\r\n                 integer           $5\r\nhello\r\n         bulk, $-1\r\n is nil
 *     *2\r\n:1\r\n$-1\r\n     array, *-1\r\n is nil; nests
 *
 * In two steps: resp_scan finds where a reply ends, in pieces as they arrive, and judges every byte
 * of its structure; resp_build then makes values of the whole reply, whose texts point into it.  So
 * nothing is allocated for what has not arrived, and a reply that comes in a thousand pieces is
 * still looked at once.  Pure; does no I/O.
 * Source: redis.io, "Redis serialization protocol specification". */

#include "base/buf.h"
#include "celery/redis/redis.h"

#define RESP_MAX_DEPTH      32
#define RESP_MAX_VALUES     ((size_t)1 << 22) /* in one reply: 200 MB of values */
#define RESP_MAX_LINE_BYTES ((size_t)65536)   /* of a status or an error */

struct resp_scanner {
    size_t max_bytes;            /* of one reply */
    size_t at;                   /* bytes of the reply that are judged, or searched for a newline */
    size_t line_at;              /* where the line being read starts */
    size_t body_end;             /* of the bulk being read; 0: a line is being read */
    size_t n_values;             /* seen or announced */
    size_t depth;                /* arrays that are open */
    size_t left[RESP_MAX_DEPTH]; /* [depth] values that each of them still waits for */
};

void resp_scanner_init(struct resp_scanner *scanner, size_t max_bytes);

/* Look for the end of the reply that bytes starts with; bytes is what has arrived of it, at least
 * as much as last time, wherever it lies now.
 * Returns 1 and the reply's length (the scanner is ready for the next one), 0: more is needed, or
 * an error: ERR_INVALID (no RESP2), ERR_TOO_LARGE. */
MUST_CHECK int resp_scan(struct resp_scanner *scanner, struct str bytes, size_t *n_bytes,
                         struct error *err);

/* The value of the reply at the front of bytes, whose end resp_scan has found, and its length;
 * texts are borrowed from bytes.  Errors: ERR_NOMEM. */
MUST_CHECK int resp_build(struct str bytes, struct arena *arena, const struct redis_value **out,
                          size_t *n_bytes, struct error *err);

/* Append a command as the server wants it: an array of bulks.  Errors: ERR_NOMEM, ERR_TOO_LARGE
 * (the buffer's limit). */
MUST_CHECK int resp_encode(const struct str *words, size_t n_words, struct buf *out,
                           struct error *err);
