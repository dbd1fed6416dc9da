#pragma once

/* A row that has everything, one that wants to break the forms, and documents read back. */

#include "base/json.h"
#include "lib/services/export/export_format.h"
#include "tests/unit/check.h"

#define OUT_BYTES   ((size_t)64 << 20)
#define NOW_US      INT64_C(1732000000000000) /* 2024-11-19T07:06:40Z */
#define CREATED_US  INT64_C(1700000000000000) /* 2023-11-14T22:13:20Z */
#define MODIFIED_US INT64_C(1710000000000000) /* 2024-03-09T16:00:00Z */

static inline struct dataset
full_row(void)
{
    static const struct str tags[] = {STR_INIT("wine"), STR_INIT("food, drink")};
    static const struct str formats[] = {STR_INIT("csv")};
    static const struct str columns[] = {STR_INIT("grape"), STR_INIT("year")};
    struct dataset row;

    dataset_init(&row);
    row.id = STR("128e3c00-dcd7-583f-b3d0-3cdb3f1f7d3d");
    row.source_name = STR("kaggle");
    row.external_id = STR("ann/wine");
    row.source_key = STR("23");
    row.title = STR("Wine");
    row.url = STR("https://www.kaggle.com/datasets/ann/wine");
    row.description = STR("Ratings of wine");
    row.license = STR("CC-BY-4.0");
    row.tags = (struct str_list){tags, COUNT_OF(tags)};
    row.file_formats = (struct str_list){formats, COUNT_OF(formats)};
    row.column_names = (struct str_list){columns, COUNT_OF(columns)};
    row.total_size_bytes = 1000;
    row.source_created_at_us = CREATED_US;
    row.source_updated_at_us = MODIFIED_US;
    row.source_meta = STR("{\"owner_name\":\"Ann \\u00e9\",\"version_number\":7,"
                          "\"language\":[\"en\",\"deu\"]}");
    row.status = DATASET_ENRICHED;
    row.created_at_us = CREATED_US;
    row.updated_at_us = MODIFIED_US;
    return row;
}

/* Quotes, newlines, control characters, NUL, broken UTF-8 and half a surrogate pair. */
#define HOSTILE                                                                                    \
    STR("=\"a\",\r\n'b'\t\x01\x7F\0</script>\xFF\xC3(\xED\xA0\x80\xE2\x80\xA8\xF0\x9F\x8D\xB7 \\")
#define HOSTILE_READ /* what it reads as where the form can keep a NUL */                          \
    STR("=\"a\",\r\n'b'\t\x01\x7F\0</script>\xEF\xBF\xBD\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD"     \
        "\xEF\xBF\xBD\xE2\x80\xA8\xF0\x9F\x8D\xB7 \\")

static inline struct dataset
hostile_row(struct str text)
{
    static struct str list[1];
    struct dataset row = full_row();

    list[0] = text;
    row.external_id = text;
    row.source_key = text;
    row.title = text;
    row.url = text;
    row.description = text;
    row.license = text;
    row.tags = (struct str_list){list, 1};
    row.file_formats = (struct str_list){list, 1};
    row.column_names = (struct str_list){list, 1};
    row.source_meta = text;
    row.last_enrichment_error = text;
    row.link_state = text;
    return row;
}

/* A whole document of rows, at the end of out. */
static inline enum export_verdict
write_document(const struct export_format *format, enum export_scope scope,
               const struct dataset *rows, size_t n_rows, struct buf *out)
{
    struct export_document document = {.scope = scope, .now_us = NOW_US};
    enum export_verdict verdict = EXPORT_COMPLETE;

    if (format->begin)
        format->begin(&document, out);
    for (size_t i = 0; i < n_rows; i++, document.n_rows++)
        verdict = format->append(&document, &rows[i], out);
    if (format->end)
        format->end(&document, out);
    assert_int_equal(out->rc, 0);
    return verdict;
}

static inline struct json
read_json(struct str text, struct arena *arena)
{
    static const struct json_limits strict = {.flags = JSON_STRICT_UTF8};
    struct json value = {.type = JSON_NULL};
    struct error err;

    assert_ok(json_parse(text, &strict, arena, &value, &err), err);
    return value;
}
