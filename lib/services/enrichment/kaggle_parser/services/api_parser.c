/* Tables of fields, read twice: first the suffixed twins, then the plain names over them. */

#include "lib/services/enrichment/kaggle_parser/services/api_parser.h"

#include <inttypes.h>
#include <math.h>

#include "base/json_fields.h"
#include "base/number.h"

#define MAX_ROWS    ((size_t)10000)
#define MAX_TAGS    ((size_t)1000)
#define MAX_FILES   ((size_t)10000)
#define MAX_COLUMNS ((size_t)10000)

/* clang-format off */
#define DATASET(kind, member, name) \
    JSON_FIELD(kind, struct kaggle_api_dataset, member, name, 0)

static const struct json_field twin_fields[] = {
    DATASET(STR,  title,            "titleNullable"),
    DATASET(STR,  subtitle,         "subtitleNullable"),
    DATASET(STR,  description,      "descriptionNullable"),
    DATASET(STR,  license_name,     "licenseNameNullable"),
    DATASET(STR,  owner_name,       "ownerNameNullable"),
    DATASET(STR,  creator_name,     "creatorNameNullable"),
    DATASET(I64,  total_bytes,      "totalBytesNullable"),
    DATASET(F64,  usability_rating, "usabilityRatingNullable"),
    DATASET(I64,  version_number,   "currentVersionNumberNullable"),
    JSON_FIELDS_END,
};

static const struct json_field dataset_fields[] = {
    DATASET(I64,  id,               "id"),
    DATASET(STR,  ref,              "ref"),
    DATASET(STR,  title,            "title"),
    DATASET(STR,  subtitle,         "subtitle"),
    DATASET(STR,  description,      "description"),
    DATASET(STR,  license_name,     "licenseName"),
    DATASET(STR,  owner_name,       "ownerName"),
    DATASET(STR,  creator_name,     "creatorName"),
    DATASET(I64,  total_bytes,      "totalBytes"),
    DATASET(TIME, last_updated_us,  "lastUpdated"),
    DATASET(I64,  n_downloads,      "downloadCount"),
    DATASET(I64,  n_views,          "viewCount"),
    DATASET(I64,  n_votes,          "voteCount"),
    DATASET(I64,  n_kernels,        "kernelCount"),
    DATASET(I64,  n_topics,         "topicCount"),
    DATASET(I64,  version_number,   "currentVersionNumber"),
    DATASET(F64,  usability_rating, "usabilityRating"),
    DATASET(BOOL, is_private,       "isPrivate"),
    DATASET(BOOL, is_featured,      "isFeatured"),
    JSON_FIELDS_END,
};

static const struct json_field info_fields[] = {
    DATASET(I64,  id,               "datasetId"),
    DATASET(STR,  title,            "title"),
    DATASET(STR,  subtitle,         "subtitle"),
    DATASET(STR,  description,      "description"),
    DATASET(STR,  update_frequency, "expectedUpdateFrequency"),
    DATASET(I64,  n_views,          "totalViews"),
    DATASET(I64,  n_votes,          "totalVotes"),
    DATASET(I64,  n_downloads,      "totalDownloads"),
    DATASET(F64,  usability_rating, "usabilityRating"),
    DATASET(BOOL, is_private,       "isPrivate"),
    JSON_FIELDS_END,
};

static const struct json_field file_fields[] = {
    JSON_FIELD(STR, struct kaggle_api_file, file_type,   "fileTypeNullable", 0),
    JSON_FIELD(I64, struct kaggle_api_file, total_bytes, "totalBytesNullable", 0),
    JSON_FIELD(STR, struct kaggle_api_file, name,        "nameNullable", 0),
    JSON_FIELD(STR, struct kaggle_api_file, name,        "name", 0),
    JSON_FIELD(STR, struct kaggle_api_file, file_type,   "fileType", 0),
    JSON_FIELD(I64, struct kaggle_api_file, total_bytes, "totalBytes", 0),
    JSON_FIELDS_END,
};
/* clang-format on */

/* 64-bit numbers travel as text where the sender is a protocol-buffer library. */
static void
read_textual_numbers(const struct json *object, const struct json_field *fields, void *out)
{
    for (const struct json_field *field = fields; field->name.ptr; field++) {
        struct str text = STR_NULL;
        int64_t value;

        if (field->kind == JSON_FIELD_I64)
            text = json_get_str(object, field->name);
        if (text.len && number_parse_whole(text, &value, NULL) == 0)
            (void)memcpy((char *)out + field->offset, &value, sizeof(value));
    }
}

static int
read_fields(const struct json *object, const struct json_field *fields, void *out,
            struct error *err)
{
    int rc = json_fields_read(object, fields, out, NULL, err);

    if (rc == 0)
        read_textual_numbers(object, fields, out);
    return rc;
}

static void
init_dataset(struct kaggle_api_dataset *out)
{
    *out = (struct kaggle_api_dataset){
        .id = KAGGLE_NO_NUMBER,
        .total_bytes = KAGGLE_NO_NUMBER,
        .last_updated_us = KAGGLE_NO_NUMBER,
        .n_downloads = KAGGLE_NO_NUMBER,
        .n_views = KAGGLE_NO_NUMBER,
        .n_votes = KAGGLE_NO_NUMBER,
        .n_kernels = KAGGLE_NO_NUMBER,
        .n_topics = KAGGLE_NO_NUMBER,
        .version_number = KAGGLE_NO_NUMBER,
        .usability_rating = NAN,
    };
}

static bool
is_number(int64_t value)
{
    return value != KAGGLE_NO_NUMBER;
}

/* An array under a name, NULL where there is none, cut at max items. */
static const struct json *
get_array(const struct json *object, struct str name, size_t max, size_t *n_items)
{
    const struct json *array = json_get_typed(object, name, JSON_ARRAY);

    *n_items = 0;
    if (array)
        *n_items = array->array.n_items < max ? array->array.n_items : max;
    return array;
}

/* The text of a tag, a column, a keyword: a string, or an object's "name" (else "nameNullable"). */
static struct str
name_of(const struct json *item)
{
    struct str name = STR_NULL;

    if (item->type == JSON_STRING)
        return item->text;
    if (item->type == JSON_OBJECT)
        name = json_get_str(item, STR("name"));
    return name.len ? name : json_get_str(item, STR("nameNullable"));
}

/* Names of the items of an array; absent when there is no array. */
static int
read_names(const struct json *object, struct str name, size_t max, struct arena *arena,
           struct str_list *out, struct error *err)
{
    size_t n_items;
    const struct json *array = get_array(object, name, max, &n_items);
    struct str *names;
    size_t n_names = 0;

    if (!array)
        return 0;
    names = arena_calloc(arena, n_items ? n_items : 1, sizeof(*names));
    if (!names)
        return error_set(err, ERR_NOMEM, "no memory for %zu names", n_items);
    for (size_t i = 0; i < n_items; i++) {
        struct str text = str_trim(name_of(&array->array.items[i]));

        if (text.len)
            names[n_names++] = text;
    }
    *out = (struct str_list){names, n_names};
    return 0;
}

/* "files" of a dataset, "data" of metadata. */
static int
read_files(const struct json *object, struct str name, struct arena *arena,
           struct kaggle_api_dataset *out, struct error *err)
{
    size_t n_items;
    const struct json *array = get_array(object, name, MAX_FILES, &n_items);
    struct kaggle_api_file *files;
    int rc = 0;

    if (!array || n_items == 0)
        return 0;
    files = arena_calloc(arena, n_items, sizeof(*files));
    if (!files)
        return error_set(err, ERR_NOMEM, "no memory for %zu files", n_items);
    for (size_t i = 0; rc == 0 && i < n_items; i++) {
        const struct json *item = &array->array.items[i];
        struct kaggle_api_file *file = &files[out->n_files];

        file->total_bytes = KAGGLE_NO_NUMBER;
        if (item->type != JSON_OBJECT || read_fields(item, file_fields, file, NULL) < 0)
            continue;
        rc = read_names(item, STR("columns"), MAX_COLUMNS, arena, &file->columns, err);
        out->n_files++;
    }
    out->files = files;
    return rc;
}

/* The first licence of metadata that has a name. */
static struct str
first_license(const struct json *info)
{
    size_t n_items;
    const struct json *array = get_array(info, STR("licenses"), MAX_TAGS, &n_items);

    for (size_t i = 0; i < n_items; i++) {
        struct str name = name_of(&array->array.items[i]);

        if (name.len)
            return name;
    }
    return STR_NULL;
}

static int
read_dataset(const struct json *object, struct arena *arena, struct kaggle_api_dataset *out,
             struct error *err)
{
    int rc;

    if (object->type != JSON_OBJECT)
        return error_set(err, ERR_INVALID, "a dataset is an object, not this %s",
                         json_type_name(object->type));
    init_dataset(out);
    rc = read_fields(object, twin_fields, out, err);
    if (rc == 0)
        rc = read_fields(object, dataset_fields, out, err);
    if (rc == 0)
        rc = read_names(object, STR("tags"), MAX_TAGS, arena, &out->tags, err);
    if (rc == 0)
        rc = read_files(object, STR("files"), arena, out, err);
    if (rc < 0)
        return rc;
    if (!is_number(out->id) || out->id <= 0)
        return error_set(err, ERR_INVALID, "field id: missing, or no positive whole number");
    if (out->ref.len == 0)
        return error_set(err, ERR_INVALID, "field ref: missing in dataset %" PRId64, out->id);
    return 0;
}

struct kaggle_api_error
kaggle_api_find_error(const struct json *body)
{
    const struct json *nested = json_get_typed(body, STR("error"), JSON_OBJECT);
    const struct json *object = nested ? nested : body;
    struct kaggle_api_error found = {.code = 0};
    const struct json *code = json_get(object, STR("code"));

    found.message = json_get_str(object, STR("message"));
    found.status = json_get_str(object, STR("status"));
    if (code && json_is_i64(code, &found.code) && found.code >= 400)
        return found;
    found.code = nested ? 500 : 0; /* an error object without a code is an error all the same */
    if (!nested) {
        found.message = json_get_str(body, STR("errorMessage"));
        found.status = STR_NULL;
        found.code = str_trim(found.message).len ? 500 : 0;
    }
    return found;
}

/* The RPC door leaves empty lists out of its answers. */
static bool
is_empty_page(const struct json *body)
{
    return body->type == JSON_OBJECT && !json_get(body, STR("datasets")) &&
           (body->object.n_members == 0 || json_get(body, STR("nextPageToken")));
}

int
kaggle_api_parse_page(const struct json *body, struct arena *arena, struct kaggle_api_page *out,
                      struct error *err)
{
    const struct json *array =
        body->type == JSON_ARRAY ? body : json_get_typed(body, STR("datasets"), JSON_ARRAY);
    struct kaggle_api_row *rows;
    size_t n_rows = 0;

    if (!array && !is_empty_page(body))
        return error_set(err, ERR_INVALID,
                         "a list is an array or an object with 'datasets', not this %s",
                         json_type_name(body->type));
    if (array)
        n_rows = array->array.n_items < MAX_ROWS ? array->array.n_items : MAX_ROWS;
    rows = arena_calloc(arena, n_rows ? n_rows : 1, sizeof(*rows));
    if (!rows)
        return error_set(err, ERR_NOMEM, "no memory for %zu rows", n_rows);
    for (size_t i = 0; i < n_rows; i++) {
        struct error why;
        int rc = read_dataset(&array->array.items[i], arena, &rows[i].dataset, &why);

        if (rc == -ERR_NOMEM)
            return error_set(err, ERR_NOMEM, "%s", why.message);
        if (rc < 0)
            rows[i].reject = arena_printf(arena, "%s", why.message);
        if (rc < 0 && !rows[i].reject)
            return error_set(err, ERR_NOMEM, "no memory for the reason of a reject");
    }
    *out = (struct kaggle_api_page){
        .rows = rows,
        .n_rows = n_rows,
        .next_page_token = json_get_str(body, STR("nextPageToken")),
    };
    return 0;
}

int
kaggle_api_parse_dataset(const struct json *body, struct arena *arena,
                         struct kaggle_api_dataset *out, struct error *err)
{
    const struct json *nested = json_get_typed(body, STR("dataset"), JSON_OBJECT);
    struct kaggle_api_dataset dataset;
    int rc = read_dataset(nested ? nested : body, arena, &dataset, err);

    if (rc == 0)
        *out = dataset;
    return rc;
}

int
kaggle_api_parse_metadata(const struct json *body, struct arena *arena,
                          struct kaggle_api_dataset *out, struct error *err)
{
    const struct json *info = json_get_typed(body, STR("info"), JSON_OBJECT);
    struct kaggle_api_dataset dataset;
    int rc;

    if (!info)
        info = body;
    if (info->type != JSON_OBJECT)
        return error_set(err, ERR_INVALID, "metadata is an object, not this %s",
                         json_type_name(info->type));
    init_dataset(&dataset);
    rc = read_fields(info, info_fields, &dataset, err);
    if (rc == 0)
        rc = read_names(info, STR("keywords"), MAX_TAGS, arena, &dataset.tags, err);
    if (rc == 0)
        rc = read_files(info, STR("data"), arena, &dataset, err);
    dataset.license_name = first_license(info);
    if (rc == 0)
        *out = dataset;
    return rc;
}
