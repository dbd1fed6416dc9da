/* The reader: records cut along the scanner's index.
 *
 * One step of csv_reader_next does the first of these that is possible: cut a record along the
 * index; where that shows anything out of the ordinary, let csv_strict.c read the record; scan on;
 * read on. */

#include <stdlib.h>
#include <string.h>

#include "base/csv_reader.h"
#include "base/utf8.h"

#define DEFAULT_FIELD_BYTES  ((size_t)1 << 20)
#define DEFAULT_RECORD_BYTES ((size_t)4 << 20)
#define DEFAULT_COLUMNS      ((size_t)10000)
#define MAX_RECORD_BYTES     ((size_t)1 << 30) /* offsets in the index are 32 bits */
#define MAX_COLUMNS          ((size_t)1 << 20)
#define FIRST_BUFFER_BYTES   ((size_t)128 << 10)
#define FIRST_FIELDS         ((size_t)64)

const char *
csv_defect_text(enum csv_defect defect)
{
    static const char *const texts[CSV_N_DEFECTS] = {
        [CSV_TEXT_AFTER_QUOTE] = "text after a closing quote",
        [CSV_UNTERMINATED] = "a quoted field never ends",
        [CSV_BARE_QUOTE] = "a quote in a field that is not quoted",
        [CSV_TOO_FEW_COLUMNS] = "fewer columns than the header",
        [CSV_TOO_MANY_COLUMNS] = "more columns than the header",
        [CSV_FIELD_TOO_LONG] = "a field is longer than the limit, or its closing quote is missing",
        [CSV_RECORD_TOO_LONG] = "the record is longer than the limit",
        [CSV_NUL_BYTE] = "a NUL byte",
        [CSV_BAD_UTF8] = "not UTF-8",
    };

    return defect < CSV_N_DEFECTS ? texts[defect] : "unknown";
}

int
csv_reader_create(const struct csv_options *options, struct csv_input input,
                  struct csv_reader **out, struct error *err)
{
    CLEANUP(csv_reader_freep) struct csv_reader *reader = calloc(1, sizeof(*reader));
    struct csv_options *limits;

    if (!reader)
        return error_set(err, ERR_NOMEM, "no memory for a CSV reader");
    if (options)
        reader->options = *options;
    limits = &reader->options;
    limits->max_field_bytes = limits->max_field_bytes ?: DEFAULT_FIELD_BYTES;
    limits->max_record_bytes = limits->max_record_bytes ?: DEFAULT_RECORD_BYTES;
    limits->max_columns = limits->max_columns ?: DEFAULT_COLUMNS;
    if (limits->max_record_bytes > MAX_RECORD_BYTES || limits->max_columns > MAX_COLUMNS ||
        limits->max_field_bytes > limits->max_record_bytes ||
        limits->n_columns > limits->max_columns)
        return error_set(err, ERR_ARGS,
                         "CSV limits contradict each other: field %zu, record %zu bytes, "
                         "%zu of %zu columns",
                         limits->max_field_bytes, limits->max_record_bytes, limits->n_columns,
                         limits->max_columns);
    reader->scan_blocks = csv_scan_kernel(limits->kernel);
    if (!reader->scan_blocks)
        return error_set(err, ERR_UNSUPPORTED, "this processor lacks CSV kernel %d",
                         (int)limits->kernel);
    reader->rules = (struct csv_strict_rules){
        .max_field_bytes = limits->max_field_bytes,
        .max_record_bytes = limits->max_record_bytes,
        .max_columns = limits->max_columns,
    };
    reader->input = input;
    reader->n_columns = limits->n_columns;
    reader->cap = FIRST_BUFFER_BYTES;
    reader->memory = malloc(CSV_FRONT_BYTES + reader->cap + CSV_BACK_BYTES);
    reader->scan.index =
        malloc((CSV_BLOCK_BYTES * (CSV_WINDOW_BLOCKS + 1) + limits->max_columns + 1) *
               sizeof(*reader->scan.index));
    reader->n_fields_cap = FIRST_FIELDS;
    reader->fields = malloc(FIRST_FIELDS * sizeof(*reader->fields));
    if (!reader->memory || !reader->scan.index || !reader->fields)
        return error_set(err, ERR_NOMEM, "no memory for a CSV reader");
    reader->bytes = reader->memory + CSV_FRONT_BYTES;
    reader->bytes[-1] = '\n';
    csv_reader_restart(reader, 0);
    *out = TAKE(reader);
    return 0;
}

void
csv_reader_free(struct csv_reader *reader)
{
    if (!reader)
        return;
    free(reader->memory);
    free(reader->scan.index);
    free(reader->fields);
    free(reader);
}

void
csv_reader_freep(struct csv_reader **reader)
{
    csv_reader_free(*reader);
}

static int
reserve_fields(struct csv_reader *reader, size_t n_fields, struct error *err)
{
    struct str *fields;

    if (n_fields <= reader->n_fields_cap)
        return 0;
    fields = realloc(reader->fields, n_fields * sizeof(*fields));
    if (!fields)
        return error_set(err, ERR_NOMEM, "no memory for %zu CSV columns", n_fields);
    reader->fields = fields;
    reader->n_fields_cap = n_fields;
    return 0;
}

/* The defect of a record whose structure is whole, or CSV_N_DEFECTS. */
static enum csv_defect
judge(const struct csv_reader *reader, struct str text, size_t n_fields)
{
    unsigned flags = reader->options.flags;

    if (reader->n_columns && n_fields > reader->n_columns && !(flags & CSV_KEEP_LONG))
        return CSV_TOO_MANY_COLUMNS;
    if (n_fields < reader->n_columns && flags & CSV_REJECT_SHORT)
        return CSV_TOO_FEW_COLUMNS;
    if (!(flags & CSV_ALLOW_NUL) && memchr(text.ptr, '\0', text.len))
        return CSV_NUL_BYTE;
    if (!(flags & CSV_ALLOW_BAD_UTF8) && !utf8_is_valid(text))
        return CSV_BAD_UTF8;
    return CSV_N_DEFECTS;
}

static void
deliver(struct csv_reader *reader, size_t n_fields, unsigned flags, struct csv_record *record)
{
    *record = (struct csv_record){
        .raw = reader->fields,
        .n_fields = n_fields,
        .offset = reader->offset + reader->rec,
        .flags = flags,
    };
    reader->delivered = reader->rec;
    if (reader->n_columns == 0) {
        reader->n_columns = n_fields;
        return;
    }
    record->record_no = ++reader->counts.n_records;
    reader->counts.n_delivered++;
    reader->counts.n_repaired += (flags & CSV_REPAIRED) != 0;
    reader->counts.n_padded += (flags & CSV_PADDED) != 0;
}

/* The record at rec by the state machine, with its defects and their remedies.  Returns 1 with
 * *record, 0 when there is none yet, or an error. */
static int
read_strictly(struct csv_reader *reader, struct csv_record *record, struct error *err)
{
    struct str text = {reader->bytes + reader->rec, reader->end - reader->rec};
    struct csv_strict_record found;
    enum csv_strict_result result;
    enum csv_defect defect;
    size_t n_fields;
    int rc;

    reader->rules.is_bare_quote_text = !(reader->options.flags & CSV_REJECT_BARE_QUOTE);
    result = csv_strict_parse(text, reader->is_at_end, &reader->rules, NULL, &found);
    if (result == CSV_STRICT_MORE)
        return csv_reader_refill(reader, err);
    if (result == CSV_STRICT_DEFECT)
        return csv_reader_reject(reader, found.defect, 0, err);
    if (found.is_blank) {
        csv_reader_advance(reader, found.n_bytes);
        return 0;
    }
    defect = judge(reader, str_slice(text, 0, found.n_bytes), found.n_fields);
    if (defect == CSV_N_DEFECTS && found.n_fields < reader->n_columns) {
        size_t distance;

        rc = csv_reader_find_swallowed(reader, found.n_bytes, &distance, err);
        if (rc < 0)
            return rc;
        if (rc == 1)
            defect = CSV_TOO_FEW_COLUMNS;
    }
    if (defect != CSV_N_DEFECTS)
        return csv_reader_reject(reader, defect, found.n_bytes, err);

    n_fields = found.n_fields > reader->n_columns ? found.n_fields : reader->n_columns;
    rc = reserve_fields(reader, n_fields, err);
    if (rc < 0)
        return rc;
    text = (struct str){reader->bytes + reader->rec, reader->end - reader->rec};
    reader->rules.is_bare_quote_text = true;
    (void)csv_strict_parse(text, reader->is_at_end, &reader->rules, reader->fields, &found);
    for (size_t i = found.n_fields; i < n_fields; i++)
        reader->fields[i] = STR_NULL;
    deliver(reader, n_fields,
            (found.has_bare_quote ? CSV_REPAIRED : 0u) |
                (found.n_fields < n_fields ? CSV_PADDED : 0u),
            record);
    csv_reader_advance(reader, found.n_bytes);
    return 1;
}

enum cut {
    CUT_RECORD,
    CUT_MORE,     /* the index ends within the record */
    CUT_STRICTLY, /* anything out of the ordinary: read_strictly knows what to do */
};

/* The record at rec, along the index: the path that all good records take. */
static enum cut
cut_record(struct csv_reader *reader, struct csv_record *record)
{
    struct csv_scan *scan = &reader->scan;
    const uint32_t *entry = scan->index + reader->index_at;
    const uint32_t *last = scan->index + scan->n_index;
    const char *bytes = reader->bytes;
    const struct str *field_end = reader->fields + reader->n_fields_cap;
    struct str *field = reader->fields;
    size_t start = reader->rec;
    bool is_last = false;

    while (!is_last) {
        const char *ptr = bytes + start;
        size_t at;
        size_t len;

        if (entry == last)
            return CUT_MORE;
        if (field == field_end)
            return CUT_STRICTLY;
        at = *entry++;
        len = at - start;
        is_last = bytes[at] == '\n';
        if (is_last && len && ptr[len - 1] == '\r')
            len--;
        if (*ptr == '"') {
            if (len < 2 || ptr[len - 1] != '"') /* a closing quote, then a CR that ends no line */
                return CUT_STRICTLY;
            ptr++;
            len -= 2;
        }
        *field++ = (struct str){ptr, len};
        start = at + 1;
    }
    if ((size_t)(field - reader->fields) != reader->n_columns ||
        start - reader->rec > reader->rules.max_field_bytes || start == reader->rec + 1 ||
        (start == reader->rec + 2 && bytes[reader->rec] == '\r'))
        return CUT_STRICTLY;
    if (reader->rec < scan->suspect_to && start > scan->suspect_from &&
        judge(reader, (struct str){bytes + reader->rec, start - reader->rec}, reader->n_columns) !=
            CSV_N_DEFECTS)
        return CUT_STRICTLY;
    deliver(reader, reader->n_columns, 0, record);
    reader->index_at = (size_t)(entry - scan->index);
    reader->rec = start;
    if (scan->at < start) /* stuck in its last block; see csv_reader_advance */
        csv_reader_restart(reader, start);
    return CUT_RECORD;
}

/* One step: 1 with *record, 0 to go on, or an error; *is_done at the end of the input. */
static int
step(struct csv_reader *reader, struct csv_record *record, bool *is_done, struct error *err)
{
    enum cut cut = CUT_STRICTLY;

    if (reader->options.kernel != CSV_KERNEL_STRICT)
        cut = cut_record(reader, record);
    else if (reader->rec == reader->end)
        cut = CUT_MORE;
    if (cut == CUT_RECORD)
        return 1;
    if (cut == CUT_STRICTLY || reader->scan.is_stuck)
        return read_strictly(reader, record, err);
    if (reader->options.kernel != CSV_KERNEL_STRICT && csv_reader_scan(reader))
        return 0;
    if (reader->is_at_end) {
        *is_done = reader->rec >= reader->end;
        return *is_done ? 0 : read_strictly(reader, record, err);
    }
    if (reader->end - reader->rec > reader->rules.max_field_bytes)
        return read_strictly(reader, record, err);
    return csv_reader_refill(reader, err);
}

int
csv_reader_next(struct csv_reader *reader, struct csv_record *record, struct error *err)
{
    struct error *failure = &reader->failure;
    bool is_done = false;
    int rc = failure->code ? -(int)failure->code : 0;

    while (rc == 0 && !is_done)
        rc = step(reader, record, &is_done, failure);
    if (rc < 0) {
        failure->code = (enum error_code) - rc;
        if (err)
            *err = *failure;
    }
    return rc;
}

uint64_t
csv_reader_line(struct csv_reader *reader)
{
    return csv_reader_line_at(reader, reader->delivered);
}

const struct csv_counts *
csv_reader_counts(const struct csv_reader *reader)
{
    return &reader->counts;
}
