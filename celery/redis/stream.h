#pragma once

/* Replies from a link, whole ones only: the bytes that came, where the next reply starts and how
 * far they are judged.  Private to celery/redis/.
 *
 *     in  |..taken..|..whole replies..|..part of one..|
 *                   ^taken            ^whole          ^in.len */

#include "base/buf.h"
#include "celery/redis/link.h"
#include "celery/redis/resp.h"

struct stream {
    struct link link;
    struct buf in;
    size_t taken;
    size_t whole;
    size_t n_whole; /* replies between taken and whole */
    struct resp_scanner scanner;
};

/* Bytes to write, and how many of them are written. */
struct stream_output {
    struct buf buf;
    size_t at;
};

void stream_init(struct stream *stream, size_t max_reply_bytes);
void stream_fini(struct stream *stream); /* the link must be closed */

/* Forget what came: for a new link. */
void stream_clear(struct stream *stream);

/* Drop what is taken.  Replies borrowed before are gone. */
void stream_compact(struct stream *stream);

/* Write what goes.  *n_written gets how many bytes.  Errors: ERR_NETWORK, ERR_CONFIG. */
MUST_CHECK int stream_send(struct stream *stream, struct stream_output *output, size_t *n_written,
                           struct error *err);

/* Read what is there, within a share for one call, and count whole replies: on_reply is told of
 * each, and may refuse it.  *n_read gets how many bytes came, also when it fails: a connection's
 * last words count.  Errors: ERR_NETWORK, ERR_CONFIG, ERR_INVALID, ERR_TOO_LARGE, ERR_NOMEM. */
typedef int (*stream_reply_fn)(void *context, struct str reply, struct error *err);
MUST_CHECK int stream_receive(struct stream *stream, stream_reply_fn on_reply, void *context,
                              size_t *n_read, struct error *err);

/* The bytes of the next whole reply and what follows; absent: there is none. */
struct str stream_peek(const struct stream *stream);

/* Take the next whole reply; there must be one.  Errors: ERR_NOMEM. */
MUST_CHECK int stream_take(struct stream *stream, struct arena *arena,
                           const struct redis_value **out, struct error *err);
