/* CSV by RFC 4180: a header, CRLF, quotes where they are needed.
 *
 * The columns and their order are a promise: new ones are added at the end.  An unknown value is an
 * empty field, an empty text is "" with its quotes.  Lists and source_meta are JSON within the
 * field, so that nothing in them is lost; a NUL, which many readers refuse, becomes U+FFFD. */

#include "base/json_writer.h"
#include "base/timestamp.h"
#include "base/utf8.h"
#include "lib/services/export/export_format.h"

#include <inttypes.h>
#include <stddef.h>

enum column_kind {
    COLUMN_TEXT,
    COLUMN_LIST,
    COLUMN_NUMBER,
    COLUMN_TIME,
    COLUMN_FLAG,
    COLUMN_STATUS
};

struct column {
    struct str name;
    enum column_kind kind;
    size_t offset; /* in struct dataset */
};

#define COLUMN(column_kind, column_name, member)                                                   \
    {                                                                                              \
        STR_INIT(column_name), COLUMN_##column_kind, offsetof(struct dataset, member)              \
    }

/* clang-format off */
static const struct column columns[] = {
    COLUMN(TEXT,   "id",                    id),
    COLUMN(TEXT,   "source",                source_name),
    COLUMN(TEXT,   "ref",                   external_id),
    COLUMN(TEXT,   "source_key",            source_key),
    COLUMN(TEXT,   "title",                 title),
    COLUMN(TEXT,   "url",                   url),
    COLUMN(TEXT,   "description",           description),
    COLUMN(TEXT,   "license",               license),
    COLUMN(LIST,   "tags",                  tags),
    COLUMN(LIST,   "file_formats",          file_formats),
    COLUMN(LIST,   "column_names",          column_names),
    COLUMN(NUMBER, "total_size_bytes",      total_size_bytes),
    COLUMN(NUMBER, "row_count",             row_count),
    COLUMN(NUMBER, "download_count",        download_count),
    COLUMN(NUMBER, "view_count",            view_count),
    COLUMN(NUMBER, "like_count",            like_count),
    COLUMN(TIME,   "source_created_at",     source_created_at_us),
    COLUMN(TIME,   "source_updated_at",     source_updated_at_us),
    COLUMN(TEXT,   "source_meta",           source_meta),
    COLUMN(STATUS, "status",                status),
    COLUMN(FLAG,   "is_active",             is_active),
    COLUMN(FLAG,   "is_embedded",           is_embedded),
    COLUMN(NUMBER, "enrichment_attempts",   enrichment_attempts),
    COLUMN(TEXT,   "last_enrichment_error", last_enrichment_error),
    COLUMN(TIME,   "last_enriched_at",      last_enriched_at_us),
    COLUMN(TEXT,   "link_state",            link_state),
    COLUMN(TIME,   "last_checked_at",       last_checked_at_us),
    COLUMN(TIME,   "created_at",            created_at_us),
    COLUMN(TIME,   "updated_at",            updated_at_us),
};
/* clang-format on */

/* A run without quotes, NUL and broken bytes is copied at once. */
static void
append_quoted(struct buf *out, struct str text)
{
    size_t n_valid = 0;

    buf_append_char(out, '"');
    for (size_t at = 0; at < text.len;) {
        size_t from = at;
        size_t n_bytes;

        if (at >= n_valid)
            n_valid = at + utf8_valid_prefix(str_slice(text, at, text.len));
        while (at < n_valid && text.ptr[at] != '"' && text.ptr[at] != '\0')
            at++;
        buf_append(out, str_slice(text, from, at));
        if (at == text.len)
            break;
        if (at < n_valid && text.ptr[at] == '"') {
            buf_append(out, STR("\"\""));
            at++;
            continue;
        }
        (void)utf8_decode(str_slice(text, at, text.len), &n_bytes);
        buf_append(out, STR("\xEF\xBF\xBD"));
        at += n_bytes;
    }
    buf_append_char(out, '"');
}

/* Letters, digits and marks that need no quotes; blanks do, for readers that trim. */
static bool
is_bare(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c <= ' ' || c >= 0x7F || c == '"' || c == ',')
            return false;
    }
    return text.len > 0;
}

static void
append_text(struct buf *out, struct str text)
{
    if (!text.ptr)
        return;
    if (is_bare(text))
        buf_append(out, text);
    else
        append_quoted(out, text);
}

static void
append_list(struct buf *out, struct str_list list)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(out->max_bytes);
    struct json_writer json = JSON_WRITER_INIT(&text);

    if (list.n_items == 0)
        return;
    json_begin_array(&json);
    for (size_t i = 0; i < list.n_items; i++)
        json_str(&json, list.items[i].ptr ? list.items[i] : STR(""));
    json_end_array(&json);
    append_quoted(out, buf_str(&text));
    if (text.rc < 0 && out->rc == 0)
        out->rc = text.rc;
}

static void
append_number(struct buf *out, int64_t value)
{
    if (value != DATASET_UNKNOWN)
        buf_printf(out, "%" PRId64, value);
}

static void
append_time(struct buf *out, int64_t time_us)
{
    char text[TIMESTAMP_TEXT_BYTES];

    if (time_us != DATASET_UNKNOWN)
        buf_append(out, str_from_cstr(timestamp_format(time_us, text)));
}

static void
append_column(struct buf *out, const struct column *column, const struct dataset *row)
{
    const void *field = (const char *)row + column->offset;

    switch (column->kind) {
    case COLUMN_TEXT:
        append_text(out, *(const struct str *)field);
        break;
    case COLUMN_LIST:
        append_list(out, *(const struct str_list *)field);
        break;
    case COLUMN_NUMBER:
        append_number(out, *(const int64_t *)field);
        break;
    case COLUMN_TIME:
        append_time(out, *(const int64_t *)field);
        break;
    case COLUMN_FLAG:
        buf_append(out, *(const bool *)field ? STR("true") : STR("false"));
        break;
    case COLUMN_STATUS:
        buf_append(out, str_from_cstr(dataset_status_name(row->status)));
        break;
    }
}

static void
append_header(const struct export_document *document, struct buf *out)
{
    (void)document;
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        buf_append(out, i ? STR(",") : STR(""));
        buf_append(out, columns[i].name);
    }
    buf_append(out, STR("\r\n"));
}

static enum export_verdict
append_row(const struct export_document *document, const struct dataset *row, struct buf *out)
{
    (void)document;
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        buf_append(out, i ? STR(",") : STR(""));
        append_column(out, &columns[i], row);
    }
    buf_append(out, STR("\r\n"));
    return EXPORT_COMPLETE;
}

const struct export_format export_format_csv = {
    .name = STR_INIT("csv"),
    .summary = STR_INIT("CSV (RFC 4180), the same fields as columns"),
    .begin = append_header,
    .append = append_row,
};
