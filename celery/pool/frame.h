#pragma once

/* What goes over the socket between the worker and one of its children.  No I/O here.
 *
 *      0        4      5        8         16
 *     +--------+------+--------+---------+---------------------+
 *     | length | type | zeros  | serial  | payload, length long |
 *     +--------+------+--------+---------+---------------------+
 *
 *     READY    nothing                                          child to worker, once
 *     FAILED   text: why the child cannot start                 child to worker
 *     REQUEST  id 8, task 8, bytes                              worker to child
 *     OUTCOME  code 4, flags 4, retry_after_ms 8, started_us 8, runtime_us 8, peak_rss_kib 8,
 *              message length 4, sends length 4, message, sends, result
 *                                                               child to worker
 *     LOG      dropped 8, lines (journal.h); right before the
 *              outcome of the same request                      child to worker
 *
 * Integers are little-endian.  The child's half is not trusted: a task may have written anything
 * into its own memory. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/buf.h"
#include "celery/pool/journal.h"

#define FRAME_HEADER_BYTES       ((size_t)16)
#define FRAME_REQUEST_HEAD_BYTES ((size_t)16)
#define FRAME_OUTCOME_HEAD_BYTES ((size_t)48)
#define FRAME_LOG_HEAD_BYTES     ((size_t)8)

/* Error messages are cut to this. */
#define FRAME_MESSAGE_BYTES ((size_t)512)

enum frame_type {
    FRAME_READY = 1,
    FRAME_FAILED = 2,
    FRAME_REQUEST = 3,
    FRAME_OUTCOME = 4,
    FRAME_LOG = 5
};

struct frame {
    enum frame_type type;
    uint64_t serial;
    struct str payload; /* borrowed from the reader until its next call */
};

struct frame_request {
    uint64_t id;
    uint64_t task; /* an address: both sides are one program */
    struct str payload;
};

struct frame_outcome {
    int code;        /* 0, or an enum error_code */
    bool is_leaving; /* the child ends after this one */
    int64_t retry_after_ms;
    int64_t started_us; /* monotonic */
    int64_t runtime_us;
    int64_t peak_rss_kib;
    struct str message; /* at most FRAME_MESSAGE_BYTES */
    struct str sends;
    struct str result;
};

/* Append a whole frame, or nothing.  Errors: ERR_TOO_LARGE, ERR_NOMEM; the buffer stays usable. */
MUST_CHECK int frame_append(struct buf *out, enum frame_type type, uint64_t serial,
                            struct str payload, struct error *err);
MUST_CHECK int frame_append_request(struct buf *out, uint64_t serial,
                                    const struct frame_request *request, struct error *err);

/* The frame's header and all of an outcome but its texts; message, sends and result follow on the
 * wire.
 * Their lengths must fit: message in FRAME_MESSAGE_BYTES, all in 32 bits. */
void frame_encode_outcome_head(const struct frame_outcome *outcome, uint64_t serial,
                               char out[FRAME_HEADER_BYTES + FRAME_OUTCOME_HEAD_BYTES]);

/* The frame's header and all of a log but its lines, which follow on the wire. */
void frame_encode_log_head(const struct pool_log *log, uint64_t serial,
                           char out[FRAME_HEADER_BYTES + FRAME_LOG_HEAD_BYTES]);

/* Take a payload apart; texts are borrowed.  Errors: ERR_INVALID (too short, impossible values). */
MUST_CHECK int frame_decode_request(struct str payload, struct frame_request *out,
                                    struct error *err);
MUST_CHECK int frame_decode_outcome(struct str payload, struct frame_outcome *out,
                                    struct error *err);

MUST_CHECK int frame_decode_log(struct str payload, struct pool_log *out, struct error *err);

/* Bytes in, frames out. */
struct frame_reader {
    struct buf bytes;
    size_t n_taken; /* bytes of frames already given out */
    size_t max_payload_bytes;
};

void frame_reader_init(struct frame_reader *reader, size_t max_payload_bytes);
void frame_reader_fini(struct frame_reader *reader);

/* Where the next bytes go: *n_room of them, at least 64 KiB, more in the middle of a large frame.
 * Memory grows with what has come, not with what a header promises.  NULL: out of memory. */
char *frame_reader_space(struct frame_reader *reader, size_t *n_room);
void frame_reader_commit(struct frame_reader *reader, size_t n_bytes);

/* 1: a frame; 0: need more bytes.  Errors: ERR_INVALID (unknown type), ERR_TOO_LARGE; after one
 * the stream is lost. */
MUST_CHECK int frame_reader_next(struct frame_reader *reader, struct frame *out, struct error *err);
