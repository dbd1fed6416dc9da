/* The buffer that slides over the input, and the index of separators that slides with it.  A record
 * longer than what is indexed keeps its entries, so nothing is scanned twice. */

#include <stdlib.h>
#include <string.h>

#include "base/csv_reader.h"

/* Past the longest record: enough to see that it is too long. */
#define SPARE_BYTES ((size_t)64 << 10)

/* After a restart the scanner goes ahead in small steps at first: what it finds may be of no use.
 */
#define FIRST_BLOCKS ((size_t)4)

/* Eight bytes at a time: memchr from one to the next is slow where lines are short. */
static uint64_t
count_newlines(const char *bytes, size_t from, size_t to)
{
    const uint64_t low7 = UINT64_C(0x7F7F7F7F7F7F7F7F);
    const uint64_t newlines = UINT64_C(0x0A0A0A0A0A0A0A0A);
    uint64_t n = 0;

    for (; to - from >= sizeof(uint64_t); from += sizeof(uint64_t)) {
        uint64_t word;

        (void)memcpy(&word, bytes + from, sizeof(word));
        word ^= newlines; /* an LF is a zero byte now; the sum below sets bit 7 of all others */
        word = ~(((word & low7) + low7) | word | low7);
        n += ((word >> 7) * UINT64_C(0x0101010101010101)) >> 56;
    }
    for (; from < to; from++)
        n += bytes[from] == '\n';
    return n;
}

/* LFs of the input before offset `at`, where a record or a line starts, from whichever place nearby
 * has been counted before: the last one asked for, or the scanner's.  Rejecting record after record
 * costs a look at each, and not at all that has been scanned ahead. */
static uint64_t
newlines_before(struct csv_reader *reader, size_t at)
{
    const struct csv_scan *scan = &reader->scan;
    size_t distance = at < scan->at ? scan->at - at : at - scan->at;
    uint64_t n = scan->n_newlines;

    if (reader->counted_at <= at && at - reader->counted_at < distance)
        n = reader->n_counted + count_newlines(reader->bytes, reader->counted_at, at);
    else if (at < scan->at)
        n -= count_newlines(reader->bytes, at, scan->at);
    else
        n += count_newlines(reader->bytes, scan->at, at);
    reader->counted_at = at;
    reader->n_counted = n;
    return n;
}

void
csv_reader_restart(struct csv_reader *reader, size_t at)
{
    struct csv_scan *scan = &reader->scan;

    scan->n_newlines = newlines_before(reader, at);
    scan->at = at;
    scan->inside = 0;
    scan->may_open = 1;
    scan->closed = 0;
    scan->is_stuck = false;
    scan->n_index = 0;
    scan->suspect_from = SIZE_MAX;
    scan->suspect_to = 0;
    reader->index_at = 0;
    reader->n_blocks = FIRST_BLOCKS;
}

/* Drop what stands before rec, and move everything that points into the buffer along. */
static void
slide(struct csv_reader *reader)
{
    struct csv_scan *scan = &reader->scan;
    size_t by = reader->rec;
    size_t n_left = scan->n_index - reader->index_at;

    (void)memmove(reader->bytes, reader->bytes + by, reader->end - by);
    reader->bytes[-1] = '\n';
    for (size_t i = 0; i < n_left; i++)
        scan->index[i] = scan->index[reader->index_at + i] - (uint32_t)by;
    scan->n_index = n_left;
    reader->index_at = 0;
    scan->at -= by;
    if (scan->suspect_to > by) {
        scan->suspect_from = scan->suspect_from > by ? scan->suspect_from - by : 0;
        scan->suspect_to -= by;
    } else {
        scan->suspect_from = SIZE_MAX;
        scan->suspect_to = 0;
    }
    if (reader->counted_at < by)
        reader->counted_at = SIZE_MAX;
    else if (reader->counted_at != SIZE_MAX)
        reader->counted_at -= by;
    reader->end -= by;
    reader->offset += by;
    reader->rec = 0;
}

static int
grow_buffer(struct csv_reader *reader, struct error *err)
{
    size_t most = reader->rules.max_record_bytes + SPARE_BYTES;
    size_t cap = reader->cap < most / 2 ? reader->cap * 2 : most;
    char *memory = realloc(reader->memory, CSV_FRONT_BYTES + cap + CSV_BACK_BYTES);

    if (!memory)
        return error_set(err, ERR_NOMEM, "no memory for a CSV record of %zu bytes", cap);
    reader->memory = memory;
    reader->bytes = memory + CSV_FRONT_BYTES;
    reader->cap = cap;
    return 0;
}

int
csv_reader_refill(struct csv_reader *reader, struct error *err)
{
    if (reader->rec)
        slide(reader);
    if (reader->end == reader->cap) {
        int rc = grow_buffer(reader, err);

        if (rc < 0)
            return rc;
    }
    while (reader->end < reader->cap) {
        size_t n = 0;
        int rc = reader->input.read(reader->input.context, reader->bytes + reader->end,
                                    reader->cap - reader->end, &n, err);

        if (rc < 0)
            return rc;
        if (n == 0) {
            reader->is_at_end = true;
            break;
        }
        reader->end += n;
    }
    if (!reader->is_started) {
        reader->is_started = true;
        if (reader->end >= 3 && memcmp(reader->bytes, "\xEF\xBB\xBF", 3) == 0) {
            reader->rec = 3;
            reader->scan.at = 3;
        }
    }
    /* What a scan may see past the end: the newline that the last record may lack, and nothing. */
    (void)memset(reader->bytes + reader->end, ' ', CSV_BACK_BYTES);
    if (reader->end && reader->bytes[reader->end - 1] != '\n')
        reader->bytes[reader->end] = '\n';
    return 0;
}

/* Up to where the scanner may go: with the added newline, once the input has ended without one. */
static size_t
scan_end(const struct csv_reader *reader)
{
    bool is_cut =
        reader->is_at_end && reader->end > reader->rec && reader->bytes[reader->end - 1] != '\n';

    return reader->end + is_cut;
}

bool
csv_reader_scan(struct csv_reader *reader)
{
    struct csv_scan *scan = &reader->scan;
    size_t end = scan_end(reader);
    size_t n_left = scan->n_index - reader->index_at;
    size_t n_blocks;

    if (scan->at >= end)
        return false;
    n_blocks = (end - scan->at + (reader->is_at_end ? CSV_BLOCK_BYTES - 1 : 0)) / CSV_BLOCK_BYTES;
    if (n_blocks == 0)
        return false;
    if (n_blocks > reader->n_blocks)
        n_blocks = reader->n_blocks;
    if (reader->n_blocks < CSV_WINDOW_BLOCKS)
        reader->n_blocks *= 2;
    if (reader->index_at) {
        (void)memmove(scan->index, scan->index + reader->index_at, n_left * sizeof(*scan->index));
        scan->n_index = n_left;
        reader->index_at = 0;
    }
    if (scan->suspect_to <= reader->rec) {
        scan->suspect_from = SIZE_MAX;
        scan->suspect_to = 0;
    }
    reader->scan_blocks(scan, reader->bytes, n_blocks);
    return true;
}

void
csv_reader_advance(struct csv_reader *reader, size_t n_bytes)
{
    struct csv_scan *scan = &reader->scan;
    size_t rec = reader->rec + n_bytes;
    bool is_indexed = false;

    while (reader->index_at < scan->n_index && scan->index[reader->index_at] < rec)
        is_indexed = scan->index[reader->index_at++] == rec - 1;
    reader->rec = rec;
    if (!is_indexed || scan->at < rec)
        csv_reader_restart(reader, rec);
}

uint64_t
csv_reader_line_at(struct csv_reader *reader, size_t at)
{
    return newlines_before(reader, at) + 1;
}
