/* See stream.h. */

#include "celery/redis/stream.h"

#define READ_BYTES       ((size_t)65536)
#define SHARE_BYTES      ((size_t)1 << 20) /* read in one call: others wait for the loop, too */
#define KEEP_BYTES       ((size_t)1 << 20) /* a larger empty buffer is given back */
#define BUFFER_MAX_BYTES (SIZE_MAX / 4)    /* the scanner is what sets the limit */

void
stream_init(struct stream *stream, size_t max_reply_bytes)
{
    stream->link = (struct link)LINK_INIT;
    buf_init(&stream->in, BUFFER_MAX_BYTES);
    resp_scanner_init(&stream->scanner, max_reply_bytes);
    stream_clear(stream);
}

void
stream_fini(struct stream *stream)
{
    buf_fini(&stream->in);
}

void
stream_clear(struct stream *stream)
{
    buf_clear(&stream->in);
    stream->taken = 0;
    stream->whole = 0;
    stream->n_whole = 0;
    resp_scanner_init(&stream->scanner, stream->scanner.max_bytes);
}

void
stream_compact(struct stream *stream)
{
    size_t n_left = stream->in.len - stream->taken;

    if (stream->taken > 0) {
        (void)memmove(stream->in.ptr, stream->in.ptr + stream->taken, n_left);
        stream->in.len = n_left;
        stream->whole -= stream->taken;
        stream->taken = 0;
    }
    if (n_left == 0 && stream->in.cap > KEEP_BYTES)
        buf_fini(&stream->in);
}

/* What is written need not stay. */
static void
trim_output(struct stream_output *output)
{
    size_t n_left = output->buf.len - output->at;

    if (n_left == 0 && output->buf.cap > KEEP_BYTES) {
        buf_fini(&output->buf);
    } else if (output->at > n_left) {
        (void)memmove(output->buf.ptr, output->buf.ptr + output->at, n_left);
        output->buf.len = n_left;
    } else {
        return;
    }
    output->at = 0;
}

int
stream_send(struct stream *stream, struct stream_output *output, size_t *n_written,
            struct error *err)
{
    *n_written = 0;
    while (output->at < output->buf.len) {
        ssize_t n = link_write(&stream->link, output->buf.ptr + output->at,
                               output->buf.len - output->at, err);

        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        output->at += (size_t)n;
        *n_written += (size_t)n;
    }
    trim_output(output);
    return 0;
}

/* Judge what has come. */
static int
count_replies(struct stream *stream, stream_reply_fn on_reply, void *context, struct error *err)
{
    for (;;) {
        struct str rest = str_slice(buf_str(&stream->in), stream->whole, stream->in.len);
        size_t n_bytes;
        int rc;

        if (rest.len == 0)
            return 0;
        rc = resp_scan(&stream->scanner, rest, &n_bytes, err);
        if (rc <= 0)
            return rc;
        rc = on_reply(context, str_slice(rest, 0, n_bytes), err);
        if (rc < 0)
            return rc;
        stream->whole += n_bytes;
        stream->n_whole++;
    }
}

int
stream_receive(struct stream *stream, stream_reply_fn on_reply, void *context, size_t *n_read,
               struct error *err)
{
    int rc = 0;

    *n_read = 0;
    while (stream->whole - stream->taken < SHARE_BYTES && *n_read < SHARE_BYTES) {
        char *room = buf_reserve(&stream->in, READ_BYTES);
        ssize_t n;

        if (!room)
            return buf_status(&stream->in, err);
        n = link_read(&stream->link, room, READ_BYTES, err);
        if (n <= 0) {
            rc = (int)n;
            break;
        }
        buf_commit(&stream->in, (size_t)n);
        *n_read += (size_t)n;
        /* Judged as it comes: bytes that are no reply are not collected. */
        rc = count_replies(stream, on_reply, context, err);
        if (rc < 0 || ((size_t)n < READ_BYTES && !link_has_more(&stream->link)))
            break;
    }
    return rc;
}

struct str
stream_peek(const struct stream *stream)
{
    if (stream->n_whole == 0)
        return STR_NULL;
    return str_slice(buf_str(&stream->in), stream->taken, stream->whole);
}

int
stream_take(struct stream *stream, struct arena *arena, const struct redis_value **out,
            struct error *err)
{
    size_t n_bytes = 0;
    int rc = resp_build(stream_peek(stream), arena, out, &n_bytes, err);

    if (rc == 0) {
        stream->taken += n_bytes;
        stream->n_whole--;
    }
    return rc;
}
