/* Plain fields by table, tags and card by their readers; what is left here is choosing between
 * them. */

#include "lib/services/enrichment/hf_parser/mapper.h"

#include <math.h>

#include "base/clock.h"
#include "base/json_fields.h"
#include "base/timestamp.h"
#include "base/utf8.h"
#include "lib/services/enrichment/hf_parser/dataset_info.h"
#include "lib/services/enrichment/hf_parser/facets.h"
#include "lib/services/enrichment/hf_parser/source_meta.h"
#include "lib/services/enrichment/hf_parser/text.h"

#define KEY_BYTES       ((size_t)64)
#define NAME_PART_BYTES ((size_t)128)
#define LICENSE_BYTES   ((size_t)200)

/* 2022-03-02T23:29:04Z: the Hub began to keep creation times; older sets all carry this one. */
#define CREATED_BEFORE_RECORDS_US (INT64_C(1646263744) * US_PER_S)

_Static_assert(DATASET_UNKNOWN == TIME_UNKNOWN, "a time that is not sent is unknown as is");

static const struct json_field row_fields[] = {
    JSON_FIELD(STR, struct hf_row, key, "_id", JSON_REQUIRED),
    JSON_FIELD(STR, struct hf_row, id, "id", JSON_REQUIRED),
    JSON_FIELD(STR, struct hf_row, author, "author", 0),
    JSON_FIELD(STR, struct hf_row, sha, "sha", 0),
    JSON_FIELD(STR, struct hf_row, description, "description", 0),
    JSON_FIELD(STR, struct hf_row, citation, "citation", 0),
    JSON_FIELD(STR, struct hf_row, paperswithcode_id, "paperswithcode_id", 0),
    JSON_FIELD(TIME, struct hf_row, created_at_us, "createdAt", 0),
    JSON_FIELD(TIME, struct hf_row, updated_at_us, "lastModified", 0),
    JSON_FIELD(I64, struct hf_row, n_downloads, "downloads", 0),
    JSON_FIELD(I64, struct hf_row, n_downloads_ever, "downloadsAllTime", 0),
    JSON_FIELD(I64, struct hf_row, n_likes, "likes", 0),
    JSON_FIELD(I64, struct hf_row, main_bytes, "mainSize", 0),
    JSON_FIELD(I64, struct hf_row, used_bytes, "usedStorage", 0),
    JSON_FIELD(F64, struct hf_row, trending_score, "trendingScore", 0),
    JSON_FIELD(BOOL, struct hf_row, is_private, "private", 0),
    JSON_FIELD(BOOL, struct hf_row, is_disabled, "disabled", 0),
    JSON_FIELDS_END,
};

/* The kinds that search sees as tags, in this order. */
static const enum hf_facet tag_kinds[] = {HF_KEYWORD, HF_TASK, HF_TASK_ID, HF_MODALITY,
                                          HF_LANGUAGE};

static bool
is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* One part of an id: a name, no path. */
static bool
is_name(struct str text, size_t max_bytes, char also)
{
    if (text.len == 0 || text.len > max_bytes || str_equal(text, STR(".")) ||
        str_equal(text, STR("..")))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_name_char(text.ptr[i]) && text.ptr[i] != also)
            return false;
    }
    return true;
}

static int
check_names(const struct hf_row *row, struct error *err)
{
    size_t slash = str_find_char(row->id, '/');
    struct str name = str_slice(row->id, slash == row->id.len ? 0 : slash + 1, row->id.len);

    if (!is_name(row->key, KEY_BYTES, '_'))
        return error_set(err, ERR_INVALID, "field '_id' is no identifier: '%.*s'",
                         STR_ARG(utf8_cut(row->key, KEY_BYTES)));
    if (!is_name(name, NAME_PART_BYTES, '.') ||
        (slash < row->id.len && !is_name(str_slice(row->id, 0, slash), NAME_PART_BYTES, '.')))
        return error_set(err, ERR_INVALID, "field 'id' is no 'owner/name': '%.*s'",
                         STR_ARG(utf8_cut(row->id, NAME_PART_BYTES)));
    return 0;
}

/* "gated" is false, "auto" or "manual". */
static size_t
read_gated(const struct json *json, struct hf_row *row)
{
    const struct json *gated = json_get(json, STR("gated"));

    if (!gated || gated->type == JSON_NULL || (gated->type == JSON_BOOL && !gated->boolean))
        return 0;
    if (gated->type == JSON_STRING) {
        row->gated = gated->text;
        return 0;
    }
    row->gated = gated->type == JSON_BOOL ? STR("auto") : STR_NULL;
    return gated->type != JSON_BOOL;
}

static int64_t
amount(int64_t value)
{
    return value < 0 ? DATASET_UNKNOWN : value;
}

static int
read_row(const struct json *json, struct hf_row *row, size_t *n_mistyped, struct error *err)
{
    int rc;

    *row = (struct hf_row){
        .created_at_us = TIME_UNKNOWN,
        .updated_at_us = TIME_UNKNOWN,
        .n_downloads = DATASET_UNKNOWN,
        .n_downloads_ever = DATASET_UNKNOWN,
        .n_likes = DATASET_UNKNOWN,
        .main_bytes = DATASET_UNKNOWN,
        .used_bytes = DATASET_UNKNOWN,
        .trending_score = NAN,
    };
    rc = json_fields_read(json, row_fields, row, n_mistyped, err);
    if (rc == 0)
        rc = check_names(row, err);
    if (rc < 0)
        return rc;
    *n_mistyped += read_gated(json, row);
    row->n_downloads = amount(row->n_downloads);
    row->n_downloads_ever = amount(row->n_downloads_ever);
    row->n_likes = amount(row->n_likes);
    row->main_bytes = amount(row->main_bytes);
    row->used_bytes = amount(row->used_bytes);
    if (row->created_at_us == CREATED_BEFORE_RECORDS_US)
        row->created_at_us = TIME_UNKNOWN;
    return 0;
}

/* The card's pretty_name, a string or the first of a list; else the tag of that name; else the name
 * part of the id, as it is. */
static int
choose_title(const struct hf_row *row, const struct json *card, const struct hf_facets *facets,
             struct arena *arena, struct str *out, struct error *err)
{
    const struct json *pretty = json_get(card, STR("pretty_name"));
    size_t slash = str_find_char(row->id, '/');
    int rc;

    if (pretty && pretty->type == JSON_ARRAY && pretty->array.n_items)
        pretty = &pretty->array.items[0];
    rc = hf_text_clean_line(pretty && pretty->type == JSON_STRING ? pretty->text : STR_NULL,
                            DATASET_TITLE_BYTES, arena, out, err);
    if (rc < 0 || out->len)
        return rc;
    if (facets->lists[HF_PRETTY_NAME].n_items)
        *out = facets->lists[HF_PRETTY_NAME].items[0];
    else
        *out = str_slice(row->id, slash == row->id.len ? 0 : slash + 1, row->id.len);
    return 0;
}

/* The first licence named; for "other" the card's own name of it.  Ids are lower case. */
static int
choose_license(const struct json *card, const struct hf_facets *facets, struct arena *arena,
               struct str *out, struct error *err)
{
    const struct str_list *licenses = &facets->lists[HF_LICENSE];
    struct str name = json_get_str(card, STR("license_name"));
    char *id;
    int rc;

    if (licenses->n_items == 0)
        return 0;
    if (str_equal_ignore_case(licenses->items[0], STR("other"))) {
        rc = hf_text_clean_line(name, LICENSE_BYTES, arena, &name, err);
        if (rc < 0)
            return rc;
        if (name.len) {
            *out = name;
            return 0;
        }
    }
    id = arena_alloc_aligned(arena, licenses->items[0].len, 1);
    if (!id)
        return error_set(err, ERR_NOMEM, "no memory for a licence's name");
    for (size_t i = 0; i < licenses->items[0].len; i++) {
        char c = licenses->items[0].ptr[i];

        id[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    *out = (struct str){id, licenses->items[0].len};
    return 0;
}

static int
choose_texts(const struct hf_row *row, const struct json *card, const struct hf_facets *facets,
             struct arena *arena, struct dataset *out, struct error *err)
{
    struct str description =
        hf_text_is_placeholder(row->description) ? STR_NULL : hf_text_strip_tail(row->description);
    char *url = arena_printf(arena, "https://huggingface.co/datasets/%.*s", STR_ARG(row->id));
    int rc;

    if (!url)
        return error_set(err, ERR_NOMEM, "no memory for a URL");
    out->url = str_from_cstr(url);
    rc = hf_text_clean(description, DATASET_DESCRIPTION_BYTES, arena, &out->description, err);
    if (rc == 0)
        rc = choose_title(row, card, facets, arena, &out->title, err);
    if (rc == 0)
        rc = choose_license(card, facets, arena, &out->license, err);
    return rc;
}

/* What is known of the size, from the card's own count to the repository's storage. */
static int64_t
choose_size(const struct hf_row *row, const struct hf_info *info)
{
    if (info->n_bytes != DATASET_UNKNOWN)
        return info->n_bytes;
    return row->main_bytes != DATASET_UNKNOWN ? row->main_bytes : row->used_bytes;
}

/* Tags, formats and columns; a row without any leaves what the catalogue has. */
static int
fill_lists(const struct json *json, const struct hf_facets *facets, const struct hf_info *info,
           struct arena *arena, struct dataset *out, struct error *err)
{
    struct str_list tags;
    int rc = hf_facets_join(facets, tag_kinds, COUNT_OF(tag_kinds), arena, &tags, err);

    if (rc < 0)
        return rc;
    if (tags.n_items || json_get_typed(json, STR("tags"), JSON_ARRAY))
        out->tags = tags;
    out->file_formats = facets->lists[HF_FORMAT];
    out->column_names = info->column_names;
    return 0;
}

int
hf_mapper_map(const struct json *json, struct arena *arena, struct dataset *out, size_t *n_mistyped,
              struct error *err)
{
    const struct json *tags = json_get(json, STR("tags"));
    const struct json *card = json_get_typed(json, STR("cardData"), JSON_OBJECT);
    struct dataset dataset;
    struct hf_facets facets;
    struct hf_info info;
    struct hf_row row;
    size_t n_wrong;
    int rc;

    rc = read_row(json, &row, &n_wrong, err);
    if (rc == 0)
        rc = hf_facets_read(tags, card, arena, &facets, err);
    if (rc == 0)
        rc = hf_info_read(card, arena, &info, err);
    if (rc < 0)
        return rc;
    dataset_init(&dataset);
    dataset.source_name = HF_SOURCE_NAME;
    dataset.source_key = row.key;
    dataset.external_id = row.id;
    dataset.total_size_bytes = choose_size(&row, &info);
    dataset.row_count = info.n_rows;
    dataset.download_count = row.n_downloads;
    dataset.like_count = row.n_likes;
    dataset.source_created_at_us = row.created_at_us;
    dataset.source_updated_at_us = row.updated_at_us;
    dataset.status = DATASET_ENRICHED;
    dataset.is_active = !row.is_disabled && !row.is_private;
    rc = choose_texts(&row, card, &facets, arena, &dataset, err);
    if (rc == 0)
        rc = fill_lists(json, &facets, &info, arena, &dataset, err);
    if (rc == 0)
        rc = hf_meta_write(&(struct hf_meta_parts){&row, card, &facets, &info}, arena,
                           &dataset.source_meta, err);
    if (rc < 0)
        return rc;
    *out = dataset;
    if (n_mistyped)
        *n_mistyped = n_wrong;
    return 0;
}

static int64_t
read_time(const struct json *row, struct str name)
{
    int64_t time_us = TIME_UNKNOWN;

    /* A date that cannot be read is as none. */
    error_ignore(timestamp_parse(json_get_str(row, name), &time_us, NULL));
    return time_us;
}

int64_t
hf_mapper_updated_at_us(const struct json *row)
{
    return read_time(row, STR("lastModified"));
}

int64_t
hf_mapper_created_at_us(const struct json *row)
{
    return read_time(row, STR("createdAt"));
}
