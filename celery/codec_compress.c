/* One table row per method: its names, how to unpack into a block of known size, how to pack. */

#include "celery/codec_compress.h"

#include <limits.h>

#include <bzlib.h>
#include <zlib.h>

/* Where unpacked bytes go: a block, or nowhere when they are only counted. */
struct sink {
    char *out;    /* NULL = count */
    size_t limit; /* bytes allowed; the size of out */
    size_t n;     /* bytes so far */
    char scratch[16384];
};

struct method {
    enum celery_compression compression;
    struct str names[4]; /* the header's first */
    int (*unpack)(struct str bytes, struct sink *sink, struct error *err);
    int (*pack)(struct str bytes, struct buf *out, struct error *err);
};

/* Room for the next piece.  One byte more than allowed is counted, so that "exactly full" and "too
 * much" differ. */
static char *
sink_room(struct sink *sink, size_t *room)
{
    *room = sizeof(sink->scratch);
    if (!sink->out || sink->n >= sink->limit)
        return sink->scratch;
    if (sink->limit - sink->n < INT_MAX)
        *room = sink->limit - sink->n;
    else
        *room = INT_MAX;
    return sink->out + sink->n;
}

static int
sink_took(struct sink *sink, size_t n_bytes, struct error *err)
{
    if (n_bytes > sink->limit - sink->n)
        return error_set(err, ERR_TOO_LARGE, "the body decompresses to more than %zu bytes",
                         sink->limit);
    sink->n += n_bytes;
    return 0;
}

static int
damaged(const char *what, struct error *err)
{
    return error_set(err, ERR_INVALID, "%s body is damaged or cut", what);
}

static int
trailing(const char *what, size_t n_bytes, struct error *err)
{
    return error_set(err, ERR_INVALID, "%zu bytes follow the %s body", n_bytes, what);
}

static int
unpack_zlib_stream(z_stream *stream, struct sink *sink, struct error *err)
{
    for (;;) {
        size_t room;
        char *to = sink_room(sink, &room);
        int status;
        int rc;

        stream->next_out = (Bytef *)to;
        stream->avail_out = (uInt)room;
        status = inflate(stream, Z_NO_FLUSH);
        rc = sink_took(sink, room - stream->avail_out, err);
        if (rc < 0)
            return rc;
        if (status == Z_STREAM_END)
            return stream->avail_in ? trailing("zlib", stream->avail_in, err) : 0;
        if (status == Z_MEM_ERROR)
            return error_set(err, ERR_NOMEM, "no memory to decompress");
        if (status != Z_OK || stream->avail_out == room) /* an error, or no progress: cut short */
            return damaged("the zlib", err);
    }
}

static int
unpack_zlib(struct str bytes, struct sink *sink, struct error *err)
{
    z_stream stream = {0};
    int rc;

    if (inflateInit2(&stream, MAX_WBITS + 32) != Z_OK) /* 32: a gzip header is fine too */
        return error_set(err, ERR_NOMEM, "no memory to decompress");
    stream.next_in = (z_const Bytef *)(uintptr_t)bytes.ptr;
    stream.avail_in = (uInt)bytes.len;
    rc = unpack_zlib_stream(&stream, sink, err);
    (void)inflateEnd(&stream);
    return rc;
}

static int
unpack_bzip2_stream(bz_stream *stream, struct sink *sink, struct error *err)
{
    for (;;) {
        size_t room;
        char *to = sink_room(sink, &room);
        int status;
        int rc;

        stream->next_out = to;
        stream->avail_out = (unsigned)room;
        status = BZ2_bzDecompress(stream);
        rc = sink_took(sink, room - stream->avail_out, err);
        if (rc < 0)
            return rc;
        if (status == BZ_STREAM_END)
            return stream->avail_in ? trailing("bzip2", stream->avail_in, err) : 0;
        if (status == BZ_MEM_ERROR)
            return error_set(err, ERR_NOMEM, "no memory to decompress");
        if (status != BZ_OK || (stream->avail_out == room && stream->avail_in == 0))
            return damaged("the bzip2", err);
    }
}

static int
unpack_bzip2(struct str bytes, struct sink *sink, struct error *err)
{
    bz_stream stream = {0};
    int rc;

    if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK)
        return error_set(err, ERR_NOMEM, "no memory to decompress");
    stream.next_in = (char *)(uintptr_t)bytes.ptr; /* only read */
    stream.avail_in = (unsigned)bytes.len;
    rc = unpack_bzip2_stream(&stream, sink, err);
    (void)BZ2_bzDecompressEnd(&stream);
    return rc;
}

/* What is packed here is mostly UUIDs.  Z_FILTERED takes no match of less than six bytes: in random
 * hexadecimal digits those cost more than the digits, and a body of a thousand ids is a tenth
 * smaller without them, at level 8 in the time of the default level. */
static int
pack_zlib(struct str bytes, struct buf *out, struct error *err)
{
    z_stream stream = {0};
    char *to;
    int status;

    if (deflateInit2(&stream, 8, Z_DEFLATED, MAX_WBITS, MAX_MEM_LEVEL, Z_FILTERED) != Z_OK)
        return error_set(err, ERR_NOMEM, "no memory to compress");
    stream.avail_out = (uInt)deflateBound(&stream, bytes.len);
    to = buf_reserve(out, stream.avail_out);
    stream.next_in = (z_const Bytef *)(uintptr_t)bytes.ptr;
    stream.avail_in = (uInt)bytes.len;
    stream.next_out = (Bytef *)to;
    status = to ? deflate(&stream, Z_FINISH) : Z_MEM_ERROR;
    if (status == Z_STREAM_END)
        buf_commit(out, stream.total_out);
    (void)deflateEnd(&stream);
    if (status == Z_STREAM_END)
        return 0;
    return to ? error_set(err, ERR_NOMEM, "no memory to compress") : buf_status(out, err);
}

static int
pack_bzip2(struct str bytes, struct buf *out, struct error *err)
{
    unsigned n = (unsigned)(bytes.len + bytes.len / 100 + 600); /* the library's own bound */
    char *to = buf_reserve(out, n);

    if (!to)
        return buf_status(out, err);
    if (BZ2_bzBuffToBuffCompress(to, &n, (char *)(uintptr_t)bytes.ptr, (unsigned)bytes.len, 9, 0,
                                 0) != BZ_OK)
        return error_set(err, ERR_NOMEM, "no memory to compress");
    buf_commit(out, n);
    return 0;
}

static const struct method methods[] = {
    {CELERY_COMPRESSION_ZLIB,
     {STR_INIT("application/x-gzip"), STR_INIT("gzip"), STR_INIT("zlib"), {NULL, 0}},
     unpack_zlib,
     pack_zlib},
    {CELERY_COMPRESSION_BZIP2,
     {STR_INIT("application/x-bz2"), STR_INIT("bzip2"), STR_INIT("bzip"), {NULL, 0}},
     unpack_bzip2,
     pack_bzip2},
};

static const struct method *
get_method(enum celery_compression compression)
{
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (methods[i].compression == compression)
            return &methods[i];
    }
    return NULL;
}

int
celery_compression_find(struct str name, enum celery_compression *out, struct error *err)
{
    if (name.len == 0) {
        *out = CELERY_COMPRESSION_NONE;
        return 0;
    }
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        for (const struct str *alias = methods[i].names; alias->ptr; alias++) {
            if (str_equal(name, *alias)) {
                *out = methods[i].compression;
                return 0;
            }
        }
    }
    return error_set(err, ERR_UNSUPPORTED,
                     "compression '%.*s' is not understood: let the sender use zlib or bzip2",
                     STR_ARG(str_slice(name, 0, 64)));
}

struct str
celery_compression_name(enum celery_compression compression)
{
    const struct method *method = get_method(compression);

    return method ? method->names[0] : STR_NULL;
}

/* The output that bytes may grow to. */
static size_t
output_limit(size_t n_bytes, size_t max_bytes)
{
    size_t by_ratio;

    if (__builtin_mul_overflow(n_bytes, CELERY_RATIO_MAX, &by_ratio))
        return max_bytes;
    if (by_ratio < CELERY_RATIO_FREE_BYTES)
        by_ratio = CELERY_RATIO_FREE_BYTES;
    return by_ratio < max_bytes ? by_ratio : max_bytes;
}

int
celery_decompress(enum celery_compression compression, struct str bytes, size_t max_bytes,
                  struct arena *arena, struct str *out, struct error *err)
{
    const struct method *method = get_method(compression);
    struct sink sink = {.out = NULL};
    int rc;

    if (!method) {
        *out = bytes;
        return 0;
    }
    if (bytes.len > INT_MAX)
        return error_set(err, ERR_TOO_LARGE, "a compressed body of %zu bytes", bytes.len);
    sink.limit = output_limit(bytes.len, max_bytes);
    rc = method->unpack(bytes, &sink, err);
    if (rc < 0)
        return rc;
    sink.limit = sink.n;
    sink.n = 0;
    sink.out = arena_alloc_aligned(arena, sink.limit + 1, 1);
    if (!sink.out)
        return error_set(err, ERR_NOMEM, "no memory for a body of %zu bytes", sink.limit);
    rc = method->unpack(bytes, &sink, err);
    if (rc == 0)
        *out = (struct str){sink.out, sink.n};
    return rc;
}

int
celery_compress(enum celery_compression compression, struct str bytes, struct buf *out,
                struct error *err)
{
    const struct method *method = get_method(compression);

    if (!method) {
        buf_append(out, bytes);
        return buf_status(out, err);
    }
    if (bytes.len > INT_MAX / 2)
        return error_set(err, ERR_TOO_LARGE, "a body of %zu bytes is too large to compress",
                         bytes.len);
    return method->pack(bytes, out, err);
}
