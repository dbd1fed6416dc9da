/* See journal.h for the picture. */

#include "celery/pool/journal.h"

#include <endian.h>
#include <string.h>

static void
put_line(char *out, enum log_level level, int64_t time_us, struct str text)
{
    uint64_t time = htole64((uint64_t)time_us);
    uint16_t n_text = htole16((uint16_t)text.len);

    (void)memcpy(out, &time, sizeof(time));
    out[8] = (char)level;
    out[9] = 0;
    (void)memcpy(out + 10, &n_text, sizeof(n_text));
    (void)memcpy(out + JOURNAL_HEAD_BYTES, text.ptr, text.len);
}

/* The half with room for a line; the other one, emptied, where this one is full. */
static struct journal_half *
find_room(struct journal *journal, size_t n_bytes)
{
    uint32_t active = atomic_load(&journal->active) & 1;
    struct journal_half *half = &journal->halves[active];

    if (n_bytes <= JOURNAL_HALF_BYTES &&
        atomic_load(&half->n_bytes) <= JOURNAL_HALF_BYTES - n_bytes)
        return half;
    half = &journal->halves[active ^ 1];
    atomic_fetch_add(&journal->n_dropped, atomic_load(&half->n_lines));
    atomic_store(&half->n_bytes, 0);
    atomic_store(&half->n_lines, 0);
    atomic_store(&journal->active, active ^ 1);
    return half;
}

static void
add_line(void *context, enum log_level level, int64_t time_us, struct str message)
{
    struct journal *journal = context;
    struct str text = str_slice(message, 0, JOURNAL_TEXT_BYTES);
    size_t n_bytes = JOURNAL_HEAD_BYTES + text.len;
    struct journal_half *half = find_room(journal, n_bytes);
    uint32_t at = atomic_load(&half->n_bytes);

    if (at > JOURNAL_HALF_BYTES - n_bytes)
        return; /* a task has written over it */
    put_line(half->bytes + at, level, time_us, text);
    atomic_fetch_add(&half->n_lines, 1);
    atomic_store(&half->n_bytes, at + (uint32_t)n_bytes); /* from here on the line counts */
}

void
journal_begin(struct journal *journal, uint64_t serial)
{
    for (size_t i = 0; i < COUNT_OF(journal->halves); i++) {
        atomic_store(&journal->halves[i].n_bytes, 0);
        atomic_store(&journal->halves[i].n_lines, 0);
    }
    atomic_store(&journal->active, 0);
    atomic_store(&journal->n_dropped, 0);
    atomic_store(&journal->serial, serial);
    log_set_listener(add_line, journal);
}

void
journal_end(void)
{
    log_set_listener(NULL, NULL);
}

bool
journal_read(const struct journal *journal, uint64_t serial, struct buf *out, struct pool_log *log)
{
    uint32_t active = atomic_load(&journal->active) & 1;

    buf_clear(out);
    if (atomic_load(&journal->serial) != serial)
        return false;
    for (uint32_t i = 0; i < COUNT_OF(journal->halves); i++) { /* the older half first */
        const struct journal_half *half = &journal->halves[active ^ 1 ^ i];
        uint32_t n_bytes = atomic_load(&half->n_bytes);

        if (n_bytes > JOURNAL_HALF_BYTES)
            return false;
        buf_append_bytes(out, half->bytes, n_bytes);
    }
    if (buf_status(out, NULL) < 0)
        return false;
    *log = (struct pool_log){buf_str(out), atomic_load(&journal->n_dropped)};
    return log->lines.len > 0;
}

bool
journal_next_line(struct str *lines, struct journal_line *out)
{
    uint64_t time;
    uint16_t n_text;
    unsigned char level;

    if (lines->len < JOURNAL_HEAD_BYTES)
        return false;
    (void)memcpy(&time, lines->ptr, sizeof(time));
    (void)memcpy(&n_text, lines->ptr + 10, sizeof(n_text));
    n_text = le16toh(n_text);
    level = (unsigned char)lines->ptr[8];
    if (level >= LOG_NOTHING || n_text > JOURNAL_TEXT_BYTES ||
        n_text > lines->len - JOURNAL_HEAD_BYTES)
        return false;
    *out = (struct journal_line){
        .time_us = (int64_t)le64toh(time),
        .level = (enum log_level)level,
        .text = {lines->ptr + JOURNAL_HEAD_BYTES, n_text},
    };
    *lines = str_slice(*lines, JOURNAL_HEAD_BYTES + n_text, lines->len);
    return true;
}
