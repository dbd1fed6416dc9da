/* Rejecting a record without losing the good ones behind it: see base/csv.h.
 *
 * Trying each following line costs little even in a hostile file: a try that fails does so at its
 * first misplaced quote or at its first newline outside quotes, and only a line with an odd number
 * of quotes goes past its own end, up to the next such line. */

#include <string.h>

#include "base/csv_reader.h"

/* Is there, `at` bytes after rec, a whole record, strictly?  Reads on as needed, as far as the
 * longest record may go; rec stays the front of what is kept.  Returns 1, 0 or an error. */
static int
is_record_at(struct csv_reader *reader, size_t at, struct error *err)
{
    struct csv_strict_record found;
    enum csv_strict_result result;

    for (;;) {
        size_t from = reader->rec + at;
        struct str text = {reader->bytes + from, reader->end - from};
        int rc;

        reader->rules.is_bare_quote_text = false;
        result = csv_strict_parse(text, reader->is_at_end, &reader->rules, NULL, &found);
        if (result != CSV_STRICT_MORE || at + text.len > reader->rules.max_record_bytes)
            break;
        rc = csv_reader_refill(reader, err);
        if (rc < 0)
            return rc;
    }
    return result == CSV_STRICT_RECORD && !found.is_blank && found.n_fields == reader->n_columns;
}

int
csv_reader_find_swallowed(struct csv_reader *reader, size_t n_bytes, size_t *distance,
                          struct error *err)
{
    size_t at = 0;

    for (;;) {
        const char *from = reader->bytes + reader->rec + at;
        const char *lf = at < n_bytes ? memchr(from, '\n', n_bytes - at) : NULL;
        int rc;

        if (!lf || at + (size_t)(lf - from) + 1 >= n_bytes)
            return 0;
        at += (size_t)(lf - from) + 1;
        rc = is_record_at(reader, at, err);
        if (rc != 0) {
            *distance = at;
            return rc;
        }
    }
}

/* From rec on, drop lines until one starts a whole record. */
static int
resync(struct csv_reader *reader, struct error *err)
{
    for (;;) {
        const char *from = reader->bytes + reader->rec;
        const char *lf = memchr(from, '\n', reader->end - reader->rec);
        int rc;

        reader->rec = lf ? (size_t)(lf - reader->bytes) + 1 : reader->end;
        csv_reader_restart(reader, reader->rec);
        if (reader->rec == reader->end) {
            if (reader->is_at_end)
                return 0;
            rc = csv_reader_refill(reader, err);
            if (rc < 0)
                return rc;
            csv_reader_restart(reader, reader->rec);
        }
        if (!lf)
            continue;
        rc = is_record_at(reader, 0, err);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
}

/* Does the record at rec look as if it came from a system where CR ends a line? */
static bool
has_lone_return(const struct csv_reader *reader)
{
    struct str text = {reader->bytes + reader->rec, reader->end - reader->rec};
    size_t at = str_find_char(text, '\r');

    return at + 1 < text.len && text.ptr[at + 1] != '\n';
}

int
csv_reader_reject(struct csv_reader *reader, enum csv_defect defect, size_t n_bytes,
                  struct error *err)
{
    struct csv_reject reject = {.defect = defect};
    int rc = 0;

    if (reader->n_columns == 0)
        return error_set(err, ERR_INVALID, "bad CSV header: %s%s", csv_defect_text(defect),
                         has_lone_return(reader) ? " (lines that end in CR alone are not CSV)"
                                                 : "");
    reject.record_no = ++reader->counts.n_records;
    reader->counts.n_rejected++;
    reject.offset = reader->offset + reader->rec;
    reject.line_no = csv_reader_line_at(reader, reader->rec);
    if (n_bytes && (defect == CSV_TOO_FEW_COLUMNS || defect == CSV_TOO_MANY_COLUMNS)) {
        size_t distance;

        rc = csv_reader_find_swallowed(reader, n_bytes, &distance, err);
        if (rc < 0)
            return rc;
        if (rc == 1)
            n_bytes = distance;
    }
    rc = 0;
    if (n_bytes)
        csv_reader_advance(reader, n_bytes);
    else
        rc = resync(reader, err);
    reject.n_bytes = reader->offset + reader->rec - reject.offset;
    if (rc == 0 && reader->options.reject)
        reader->options.reject(reader->options.context, &reject);
    return rc;
}
