/* ASCII goes through a table of 128 bytes; everything else through unicode_table.c.
 *
 * A code point becomes its stripped decomposition (one table entry; Hangul by arithmetic), each
 * part is lower-cased alone.  Canonical order concerns only marks that stripping leaves (Mc, and Mn
 * that the reference's old tables do not know), so runs of them are collected and sorted;
 * everything else is written at once. */

#include "encoder/normalizer.h"

#include "base/utf8.h"
#include "encoder/unicode_table.h"

#define HANGUL_FIRST 0xAC00u
#define HANGUL_LAST  0xD7A3u

/* Where a step writes. */
struct sink {
    const struct normalizer *self;
    struct normalizer_run *run;
    char *out;
    size_t n;
};

void
normalizer_init(struct normalizer *self, struct normalizer_options options)
{
    self->options = options;
    for (uint32_t c = 0; c < COUNT_OF(self->ascii); c++) {
        uint8_t classes = unicode_find(c)->classes;

        self->ascii[c] = (uint8_t)c;
        if (options.clean_text && (classes & UNICODE_DROP) != 0)
            self->ascii[c] = NORMALIZER_DROP;
        else if (options.clean_text && (classes & UNICODE_SPACE) != 0)
            self->ascii[c] = ' ';
        else if (options.lowercase && c >= 'A' && c <= 'Z')
            self->ascii[c] = (uint8_t)(c + ('a' - 'A'));
    }
}

static void
put_lowered(struct sink *sink, uint32_t code_point)
{
    if (sink->self->options.lowercase) {
        if (code_point == 0x130) { /* the only one that becomes two: i and a dot above */
            sink->n += utf8_encode('i', sink->out + sink->n);
            code_point = 0x307;
        } else {
            code_point += (uint32_t)unicode_find(code_point)->lower_delta;
        }
    }
    sink->n += utf8_encode(code_point, sink->out + sink->n);
}

/* A stable insertion sort by combining class, then out. */
static void
flush_run(struct sink *sink)
{
    uint32_t *marks = sink->run->marks;

    for (size_t i = 1; i < sink->run->n_marks; i++) {
        uint32_t mark = marks[i];
        uint8_t combining = unicode_find(mark)->combining;
        size_t to = i;

        for (; to > 0 && unicode_find(marks[to - 1])->combining > combining; to--)
            marks[to] = marks[to - 1];
        marks[to] = mark;
    }
    for (size_t i = 0; i < sink->run->n_marks; i++)
        put_lowered(sink, marks[i]);
    sink->run->n_marks = 0;
}

/* One code point of a decomposition; marks wait for their run's end. */
static void
put_decomposed(struct sink *sink, uint32_t code_point)
{
    if (unicode_find(code_point)->combining == 0) {
        flush_run(sink);
        put_lowered(sink, code_point);
        return;
    }
    if (sink->run->n_marks == NORMALIZER_RUN_MAX)
        flush_run(sink);
    sink->run->marks[sink->run->n_marks++] = code_point;
}

/* Syllables to jamo, as Unicode 3.12 has it. */
static void
put_hangul(struct sink *sink, uint32_t code_point)
{
    uint32_t idx = code_point - HANGUL_FIRST;

    put_decomposed(sink, 0x1100 + idx / (21 * 28));
    put_decomposed(sink, 0x1161 + idx / 28 % 21);
    if (idx % 28 != 0)
        put_decomposed(sink, 0x11A7 + idx % 28);
}

static void
put_stripped(struct sink *sink, uint32_t code_point, const struct unicode_record *record)
{
    if (code_point >= HANGUL_FIRST && code_point <= HANGUL_LAST) {
        put_hangul(sink, code_point);
        return;
    }
    if (record->sequence_len == UNICODE_SAME) {
        put_decomposed(sink, code_point);
        return;
    }
    if (record->combining == 0) /* also of a mark that vanishes: it still ends the run */
        flush_run(sink);
    for (size_t i = 0; i < record->sequence_len; i++)
        put_decomposed(sink, unicode_pool[record->sequence_at + i]);
}

static void
put_code_point(struct sink *sink, uint32_t code_point)
{
    const struct normalizer_options *options = &sink->self->options;
    const struct unicode_record *record = unicode_find(code_point);
    bool is_spaced = options->handle_chinese_chars && (record->classes & UNICODE_CJK) != 0;

    if (options->clean_text && (record->classes & UNICODE_DROP) != 0)
        return;
    if (options->clean_text && (record->classes & UNICODE_SPACE) != 0) {
        flush_run(sink);
        sink->out[sink->n++] = ' ';
        return;
    }
    if (is_spaced) {
        flush_run(sink);
        sink->out[sink->n++] = ' ';
    }
    if (options->strip_accents)
        put_stripped(sink, code_point, record);
    else
        put_lowered(sink, code_point);
    if (is_spaced)
        sink->out[sink->n++] = ' ';
}

size_t
normalizer_step(const struct normalizer *self, struct normalizer_run *run, struct str text,
                size_t *at, char *out, size_t cap)
{
    struct sink sink = {.self = self, .run = run, .out = out, .n = 0};
    size_t i = *at;

    while (i < text.len && cap - sink.n >= NORMALIZER_ROOM) {
        unsigned char c = (unsigned char)text.ptr[i];
        size_t n_bytes;
        uint32_t code_point;

        if (c < 0x80) {
            if (self->ascii[c] != NORMALIZER_DROP) {
                flush_run(&sink);
                out[sink.n++] = (char)self->ascii[c];
            }
            i++;
            continue;
        }
        code_point = utf8_decode(str_slice(text, i, text.len), &n_bytes);
        put_code_point(&sink, code_point);
        i += n_bytes;
    }
    if (i == text.len && cap - sink.n >= NORMALIZER_RUN_MAX * 4)
        flush_run(&sink);
    *at = i;
    return sink.n;
}
