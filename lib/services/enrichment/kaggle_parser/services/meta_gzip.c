/* Plain files and gzip (RFC 1952) by zlib, as streams. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <zlib.h>

#include "base/file.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_stream.h"

#define INPUT_BYTES    ((size_t)64 << 10)
#define GZIP_ONLY_BITS (16 + MAX_WBITS)

struct plain {
    int fd;
    uint64_t n_bytes;
};

struct gzip {
    struct plain file;
    z_stream zlib;
    bool is_between; /* members */
    bool is_at_end;  /* of the file */
    unsigned char input[INPUT_BYTES];
};

static int
read_plain(void *self, char *out, size_t cap, size_t *n, struct error *err)
{
    struct plain *plain = self;
    ssize_t got;

    do
        got = read(plain->fd, out, cap);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return error_set_errno(err, "cannot read");
    plain->n_bytes += (uint64_t)got;
    *n = (size_t)got;
    return 0;
}

static uint64_t
count_plain(const void *self)
{
    return ((const struct plain *)self)->n_bytes;
}

static void
close_plain(void *self)
{
    struct plain *plain = self;

    (void)close(plain->fd);
    free(plain);
}

int
meta_plain_open(const char *path, struct meta_decoder *out, struct error *err)
{
    CLEANUP(file_close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct plain *plain;

    if (fd < 0)
        return error_set_errno(err, "cannot open");
    plain = calloc(1, sizeof(*plain));
    if (!plain)
        return error_set(err, ERR_NOMEM, "no memory to read a file");
    plain->fd = fd;
    fd = -1;
    *out = (struct meta_decoder){read_plain, count_plain, close_plain, plain};
    return 0;
}

/* Fill the input.  At the end of the file it stays empty. */
static int
feed(struct gzip *gzip, struct error *err)
{
    size_t n = 0;
    int rc = read_plain(&gzip->file, (char *)gzip->input, sizeof(gzip->input), &n, err);

    if (rc < 0)
        return rc;
    gzip->zlib.next_in = gzip->input;
    gzip->zlib.avail_in = (uInt)n;
    gzip->is_at_end = n == 0;
    return 0;
}

static int
read_gzip(void *self, char *out, size_t cap, size_t *n, struct error *err)
{
    struct gzip *gzip = self;
    z_stream *zlib = &gzip->zlib;
    uInt room = cap < UINT_MAX ? (uInt)cap : UINT_MAX;

    zlib->next_out = (unsigned char *)out;
    zlib->avail_out = room;
    while (zlib->avail_out == room) {
        int status;

        if (zlib->avail_in == 0) {
            int rc = feed(gzip, err);

            if (rc < 0)
                return rc;
            if (gzip->is_at_end && gzip->is_between)
                break;
            if (gzip->is_at_end)
                return error_set(err, ERR_CORRUPT, "gzip data is cut short after %ju bytes",
                                 (uintmax_t)gzip->file.n_bytes);
        }
        if (gzip->is_between && inflateReset(zlib) != Z_OK)
            return error_set(err, ERR_NOMEM, "cannot start a gzip member");
        gzip->is_between = false;
        status = inflate(zlib, Z_NO_FLUSH);
        if (status == Z_STREAM_END)
            gzip->is_between = true;
        else if (status == Z_MEM_ERROR)
            return error_set(err, ERR_NOMEM, "no memory to inflate gzip");
        else if (status != Z_OK && status != Z_BUF_ERROR)
            return error_set(err, ERR_CORRUPT, "bad gzip data near byte %ju: %s",
                             (uintmax_t)gzip->file.n_bytes, zlib->msg ? zlib->msg : "unknown");
    }
    *n = room - zlib->avail_out;
    return 0;
}

static uint64_t
count_gzip(const void *self)
{
    const struct gzip *gzip = self;

    return gzip->file.n_bytes - gzip->zlib.avail_in;
}

static void
close_gzip(void *self)
{
    struct gzip *gzip = self;

    (void)inflateEnd(&gzip->zlib);
    (void)close(gzip->file.fd);
    free(gzip);
}

int
meta_gzip_open(const char *path, struct meta_decoder *out, struct error *err)
{
    CLEANUP(file_close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct gzip *gzip;

    if (fd < 0)
        return error_set_errno(err, "cannot open");
    gzip = calloc(1, sizeof(*gzip));
    if (!gzip || inflateInit2(&gzip->zlib, GZIP_ONLY_BITS) != Z_OK) {
        free(gzip);
        return error_set(err, ERR_NOMEM, "no memory to read gzip");
    }
    gzip->file.fd = fd;
    fd = -1;
    *out = (struct meta_decoder){read_gzip, count_gzip, close_gzip, gzip};
    return 0;
}
