/* The values of fields, and the inputs that need no library. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/csv.h"

/* Stands in the buffer for the opening quote of a field that has been unescaped. */
#define UNESCAPED '\1'

/* Fold doubled quotes, in place.  The bytes that this frees at the end become quotes: the number of
 * newlines between here and there must stay what it was, csv_reader_line counts them. */
static void
unescape(struct str *raw)
{
    char *field = (char *)(uintptr_t)raw->ptr; /* the reader's own buffer */
    const char *from = memchr(field, '"', raw->len);
    const char *end = field + raw->len;
    char *to;

    field[-1] = UNESCAPED;
    if (!from)
        return;
    to = field + (from - field);
    while (from < end) {
        const char *quote = memchr(from, '"', (size_t)(end - from));
        size_t n = (size_t)((quote ? quote + 1 : end) - from);

        (void)memmove(to, from, n);
        to += n;
        from += n + (quote != NULL); /* a quote within a quoted field always has a twin */
    }
    raw->len = (size_t)(to - field);
    (void)memset(to, '"', (size_t)(end - to));
}

struct str
csv_field(const struct csv_record *record, size_t column)
{
    struct str *raw;

    if (column >= record->n_fields)
        return STR_NULL;
    raw = &record->raw[column];
    if (raw->len == 0)
        return STR_NULL;
    if (raw->ptr[-1] == '"')
        unescape(raw);
    return *raw;
}

enum csv_field_form
csv_field_form(const struct csv_record *record, size_t column)
{
    char before;

    if (column >= record->n_fields || !record->raw[column].ptr)
        return CSV_FIELD_MISSING;
    before = record->raw[column].ptr[-1];
    return before == '"' || before == UNESCAPED ? CSV_FIELD_QUOTED : CSV_FIELD_BARE;
}

static int
read_memory(void *context, char *out, size_t cap, size_t *n, struct error *err)
{
    struct csv_memory *memory = context;
    size_t left = memory->text.len - memory->at;

    (void)err;
    *n = left < cap ? left : cap;
    if (memory->step && *n > memory->step)
        *n = memory->step;
    if (*n)
        (void)memcpy(out, memory->text.ptr + memory->at, *n);
    memory->at += *n;
    return 0;
}

struct csv_input
csv_input_memory(struct csv_memory *memory)
{
    return (struct csv_input){read_memory, memory};
}

static int
read_fd(void *context, char *out, size_t cap, size_t *n, struct error *err)
{
    const int *fd = context;

    for (;;) {
        ssize_t got = read(*fd, out, cap);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, "cannot read CSV");
        *n = (size_t)got;
        return 0;
    }
}

struct csv_input
csv_input_fd(int *fd)
{
    return (struct csv_input){read_fd, fd};
}
