#pragma once

/* A growing byte buffer with a ceiling.  The first failure sticks: later appends do nothing, and
 * buf_status tells once, at the end.  Not thread-safe. */

#include <stddef.h>

#include <trawl/error.h>
#include <trawl/str.h>

struct buf {
    char *ptr; /* heap; NUL-terminated one byte past len once anything was appended */
    size_t len;
    size_t cap;
    size_t max_bytes;
    int rc; /* 0, or the first failure's negative code */
};

/* clang-format off */
#define BUF_INIT(limit_bytes) {.ptr = NULL, .len = 0, .cap = 0, .max_bytes = (limit_bytes), .rc = 0}
/* clang-format on */

void buf_init(struct buf *buf, size_t max_bytes);
void buf_fini(struct buf *buf);

/* Empty it and forget a failure; the memory stays. */
void buf_clear(struct buf *buf);

void buf_append(struct buf *buf, struct str text);
void buf_append_char(struct buf *buf, char c);
void buf_append_bytes(struct buf *buf, const void *bytes, size_t n_bytes);
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Room for n_bytes more at the end, to be filled by the caller and counted with buf_commit;
 * NULL after a failure. */
char *buf_reserve(struct buf *buf, size_t n_bytes);
void buf_commit(struct buf *buf, size_t n_bytes);

/* Borrowed until the next append. */
static inline struct str
buf_str(const struct buf *buf)
{
    return (struct str){buf->ptr ? buf->ptr : "", buf->len};
}

/* NUL-terminated, borrowed until the next append; never NULL. */
const char *buf_cstr(const struct buf *buf);

/* 0, or the sticky failure: ERR_NOMEM, or ERR_TOO_LARGE where the ceiling was met. */
MUST_CHECK int buf_status(const struct buf *buf, struct error *err);
