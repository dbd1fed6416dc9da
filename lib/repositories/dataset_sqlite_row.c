/* From a statement's row to struct dataset. */

#include "base/digest.h"
#include "base/json.h"
#include "lib/repositories/dataset_sqlite.h"

/* Positions in DATASET_COLUMNS. */
enum column {
    COLUMN_ROW_ID,
    COLUMN_ID,
    COLUMN_SOURCE_NAME,
    COLUMN_EXTERNAL_ID,
    COLUMN_SOURCE_KEY,
    COLUMN_TITLE,
    COLUMN_URL,
    COLUMN_DESCRIPTION,
    COLUMN_LICENSE,
    COLUMN_TAGS,
    COLUMN_FILE_FORMATS,
    COLUMN_COLUMN_NAMES,
    COLUMN_TOTAL_SIZE_BYTES,
    COLUMN_ROW_COUNT,
    COLUMN_DOWNLOAD_COUNT,
    COLUMN_VIEW_COUNT,
    COLUMN_LIKE_COUNT,
    COLUMN_SOURCE_CREATED_AT,
    COLUMN_SOURCE_UPDATED_AT,
    COLUMN_SOURCE_META,
    COLUMN_STATUS,
    COLUMN_IS_ACTIVE,
    COLUMN_IS_EMBEDDED,
    COLUMN_ATTEMPTS,
    COLUMN_LAST_ERROR,
    COLUMN_LAST_ENRICHED_AT,
    COLUMN_NEXT_ATTEMPT_AT,
    COLUMN_LINK_STATE,
    COLUMN_LAST_CHECKED_AT,
    COLUMN_CREATED_AT,
    COLUMN_UPDATED_AT,
};

/* clang-format off */
#define TEXT(name, column)   {offsetof(struct dataset_record, name), (column)}
#define NUMBER(name, column) {offsetof(struct dataset, name), (column)}
/* clang-format on */

static const struct {
    size_t offset; /* of a struct str in struct dataset_record */
    int column_idx;
} texts[] = {
    TEXT(dataset.source_name, COLUMN_SOURCE_NAME),
    TEXT(dataset.external_id, COLUMN_EXTERNAL_ID),
    TEXT(dataset.source_key, COLUMN_SOURCE_KEY),
    TEXT(dataset.title, COLUMN_TITLE),
    TEXT(dataset.url, COLUMN_URL),
    TEXT(dataset.description, COLUMN_DESCRIPTION),
    TEXT(dataset.license, COLUMN_LICENSE),
    TEXT(tags, COLUMN_TAGS),
    TEXT(file_formats, COLUMN_FILE_FORMATS),
    TEXT(column_names, COLUMN_COLUMN_NAMES),
    TEXT(dataset.source_meta, COLUMN_SOURCE_META),
    TEXT(dataset.last_enrichment_error, COLUMN_LAST_ERROR),
    TEXT(dataset.link_state, COLUMN_LINK_STATE),
};

static const struct {
    size_t offset; /* of an int64_t in struct dataset */
    int column_idx;
} numbers[] = {
    NUMBER(row_id, COLUMN_ROW_ID),
    NUMBER(total_size_bytes, COLUMN_TOTAL_SIZE_BYTES),
    NUMBER(row_count, COLUMN_ROW_COUNT),
    NUMBER(download_count, COLUMN_DOWNLOAD_COUNT),
    NUMBER(view_count, COLUMN_VIEW_COUNT),
    NUMBER(like_count, COLUMN_LIKE_COUNT),
    NUMBER(source_created_at_us, COLUMN_SOURCE_CREATED_AT),
    NUMBER(source_updated_at_us, COLUMN_SOURCE_UPDATED_AT),
    NUMBER(enrichment_attempts, COLUMN_ATTEMPTS),
    NUMBER(last_enriched_at_us, COLUMN_LAST_ENRICHED_AT),
    NUMBER(next_attempt_at_us, COLUMN_NEXT_ATTEMPT_AT),
    NUMBER(last_checked_at_us, COLUMN_LAST_CHECKED_AT),
    NUMBER(created_at_us, COLUMN_CREATED_AT),
    NUMBER(updated_at_us, COLUMN_UPDATED_AT),
};

/* "6f1d2c52-9b0e-..." of 16 bytes. */
static struct str
format_id(struct str bytes, struct arena *arena, bool *ok)
{
    static const size_t ends[] = {4, 6, 8, 10, 16};
    char text[UUID_TEXT_BYTES];
    size_t from = 0;
    size_t n = 0;

    if (bytes.len != DATASET_ID_BYTES)
        return STR_NULL;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        digest_format_hex((const unsigned char *)bytes.ptr + from, ends[i] - from, text + n);
        n += 2 * (ends[i] - from);
        from = ends[i];
        text[n++] = '-';
    }
    return arena_dup(arena, (struct str){text, UUID_TEXT_BYTES - 1}, ok);
}

static unsigned
hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : ((unsigned)c | 0x20) - 'a' + 10;
}

void
dataset_id_decode(struct str text, unsigned char out[DATASET_ID_BYTES])
{
    size_t n = 0;

    for (size_t i = 0; i + 1 < text.len && n < DATASET_ID_BYTES; i += 2) {
        if (text.ptr[i] == '-')
            i++;
        out[n++] = (unsigned char)(hex_value(text.ptr[i]) << 4 | hex_value(text.ptr[i + 1]));
    }
}

int
dataset_record_read(const struct statement *statement, struct arena *arena,
                    struct dataset_record *out, struct error *err)
{
    struct dataset_record record = {.dataset = {.row_id = 0}};
    struct dataset *dataset = &record.dataset;
    bool ok = true;
    int rc;

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        *(struct str *)((char *)&record + texts[i].offset) =
            arena_dup(arena, statement_str(statement, texts[i].column_idx), &ok);
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        *(int64_t *)((char *)dataset + numbers[i].offset) =
            statement_i64(statement, numbers[i].column_idx);
    dataset->id = format_id(statement_blob(statement, COLUMN_ID), arena, &ok);
    dataset->is_active = statement_i64(statement, COLUMN_IS_ACTIVE) == 1;
    dataset->is_embedded = statement_i64(statement, COLUMN_IS_EMBEDDED) == 1;
    rc = dataset_parse_status(statement_str(statement, COLUMN_STATUS), &dataset->status, err);
    if (rc < 0)
        return error_wrap(err, rc, "dataset %lld", (long long)dataset->row_id);
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for dataset %lld", (long long)dataset->row_id);
    *out = record;
    return 0;
}

static int
read_list(struct str text, struct arena *arena, struct str_list *out, struct error *err)
{
    struct json value;
    struct str *items;
    size_t n_items = 0;
    int rc;

    if (!text.ptr)
        return 0;
    rc = json_parse(text, NULL, arena, &value, err);
    if (rc < 0)
        return rc;
    if (value.type != JSON_ARRAY)
        return error_set(err, ERR_INVALID, "a stored list is no JSON array");
    items = arena_calloc(arena, value.array.n_items, sizeof(*items));
    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for a list of %zu", value.array.n_items);
    for (size_t i = 0; i < value.array.n_items; i++)
        if (value.array.items[i].type == JSON_STRING)
            items[n_items++] = value.array.items[i].text;
    *out = (struct str_list){items, n_items};
    return 0;
}

int
dataset_record_read_lists(struct dataset_record *record, struct arena *arena, struct error *err)
{
    struct dataset *dataset = &record->dataset;
    int rc = read_list(record->tags, arena, &dataset->tags, err);

    if (rc == 0)
        rc = read_list(record->file_formats, arena, &dataset->file_formats, err);
    if (rc == 0)
        rc = read_list(record->column_names, arena, &dataset->column_names, err);
    if (rc < 0)
        return error_wrap(err, rc, "dataset %lld", (long long)dataset->row_id);
    return 0;
}

int
dataset_row_read(const struct statement *statement, struct arena *arena, struct dataset *out,
                 struct error *err)
{
    struct dataset_record record;
    int rc = dataset_record_read(statement, arena, &record, err);

    if (rc == 0)
        rc = dataset_record_read_lists(&record, arena, err);
    if (rc == 0)
        *out = record.dataset;
    return rc;
}
