/* Doubling buffer; every growth is checked against the ceiling it was born with. */

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CAP_MIN_BYTES ((size_t)64)

void
buf_init(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf)BUF_INIT(max_bytes);
}

void
buf_fini(struct buf *buf)
{
    free(buf->ptr);
    *buf = (struct buf)BUF_INIT(buf->max_bytes);
}

void
buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->rc = 0;
    if (buf->ptr)
        buf->ptr[0] = '\0';
}

/* Make cap > len + n_bytes (one byte for the terminator). */
static int
grow(struct buf *buf, size_t n_bytes)
{
    size_t need;
    size_t cap = buf->cap ? buf->cap : CAP_MIN_BYTES;
    char *ptr;

    if (__builtin_add_overflow(buf->len, n_bytes, &need) || need > buf->max_bytes)
        return -ERR_TOO_LARGE;
    if (need < buf->cap)
        return 0;
    while (cap <= need)
        cap = cap > buf->max_bytes / 2 ? buf->max_bytes + 1 : cap * 2;
    ptr = realloc(buf->ptr, cap);
    if (!ptr)
        return -ERR_NOMEM;
    buf->ptr = ptr;
    buf->cap = cap;
    return 0;
}

char *
buf_reserve(struct buf *buf, size_t n_bytes)
{
    if (buf->rc < 0)
        return NULL;
    buf->rc = grow(buf, n_bytes);
    return buf->rc < 0 ? NULL : buf->ptr + buf->len;
}

void
buf_commit(struct buf *buf, size_t n_bytes)
{
    buf->len += n_bytes;
    buf->ptr[buf->len] = '\0';
}

void
buf_append_bytes(struct buf *buf, const void *bytes, size_t n_bytes)
{
    char *end = buf_reserve(buf, n_bytes);

    if (!end)
        return;
    if (n_bytes)
        (void)memcpy(end, bytes, n_bytes);
    buf_commit(buf, n_bytes);
}

void
buf_append(struct buf *buf, struct str text)
{
    buf_append_bytes(buf, text.ptr, text.len);
}

void
buf_append_char(struct buf *buf, char c)
{
    buf_append_bytes(buf, &c, 1);
}

void
buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    char *end;
    int len;

    va_start(args, fmt);
    len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    end = len < 0 ? NULL : buf_reserve(buf, (size_t)len);
    if (!end)
        return;
    va_start(args, fmt);
    (void)vsnprintf(end, (size_t)len + 1, fmt, args);
    va_end(args);
    buf_commit(buf, (size_t)len);
}

const char *
buf_cstr(const struct buf *buf)
{
    return buf->ptr ? buf->ptr : "";
}

int
buf_status(const struct buf *buf, struct error *err)
{
    if (buf->rc == -ERR_TOO_LARGE)
        return error_set(err, ERR_TOO_LARGE, "text exceeds its limit of %zu bytes", buf->max_bytes);
    if (buf->rc < 0)
        return error_set(err, ERR_NOMEM, "out of memory after %zu bytes of text", buf->len);
    return 0;
}
