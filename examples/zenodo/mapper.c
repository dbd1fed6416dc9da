/* A record of Zenodo's, as a row of the catalogue.
 *
 *     conceptrecid          source_key: the same for all versions
 *     doi                   external_id, as people cite it
 *     metadata.title        title             metadata.description (HTML)  description
 *     metadata.keywords     tags              metadata.license.id          license
 *     files[].key           file_formats      files[].size                 total_size_bytes
 *     stats.downloads       download_count    stats.views                  view_count
 *     created, updated      created_at, updated_at
 *     conceptdoi, version, creators, publication_date, access_right, language: meta
 *
 * What has another type than documented counts as not sent; without an id or a title the record
 * cannot be used. */

#include "zenodo.h"

#include <string.h>

#define LIST_ITEMS       100
#define EXTENSION_LENGTH 8

static bool
has_item(const struct str *items, size_t n_items, struct str wanted)
{
    for (size_t i = 0; i < n_items; i++) {
        if (str_equal_ignore_case(items[i], wanted))
            return true;
    }
    return false;
}

static struct str_list
map_tags(struct source *source, const struct json *keywords)
{
    struct str *items = source_alloc(source, LIST_ITEMS * sizeof(*items));
    size_t n = 0;

    if (!items || !keywords)
        return (struct str_list){NULL, 0};
    for (size_t i = 0; i < json_n_items(keywords) && n < LIST_ITEMS; i++) {
        const struct json *item = json_item(keywords, i);
        struct str tag = json_type_of(item) == JSON_STRING ? str_trim(json_text_of(item)) : STR("");

        if (tag.len && !has_item(items, n, tag))
            items[n++] = tag;
    }
    return (struct str_list){items, n};
}

/* "csv" of "part 1.CSV", "tar.gz" of "all.tar.gz"; absent where there is none. */
static struct str
extension_of(struct source *source, struct str name)
{
    size_t dot = str_find_last(name, STR("."));
    struct str extension = str_slice(name, dot + 1, name.len);
    char *lower;

    if (dot == name.len || extension.len == 0 || extension.len > EXTENSION_LENGTH)
        return STR_NULL;
    if (str_ends_with(str_slice(name, 0, dot), STR(".tar")))
        extension = str_slice(name, dot - 3, name.len);
    lower = source_printf(source, "%.*s", STR_ARG(extension));
    if (!lower)
        return STR_NULL;
    for (char *c = lower; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + ('a' - 'A'));
        else if (!(*c >= 'a' && *c <= 'z') && !(*c >= '0' && *c <= '9') && *c != '.')
            return STR_NULL;
    }
    return str_from_cstr(lower);
}

static void
map_files(struct source *source, const struct json *files, struct source_dataset *out)
{
    struct str *items = source_alloc(source, LIST_ITEMS * sizeof(*items));
    int64_t total = 0;
    size_t n = 0;

    if (!items || !files)
        return;
    for (size_t i = 0; i < json_n_items(files); i++) {
        const struct json *file = json_item(files, i);
        struct str extension = extension_of(source, json_get_str(file, STR("key")));
        int64_t size;

        if (extension.len && n < LIST_ITEMS && !has_item(items, n, extension))
            items[n++] = extension;
        if (!json_is_i64(json_get(file, STR("size")), &size) || size < 0 ||
            __builtin_add_overflow(total, size, &total))
            total = SOURCE_UNKNOWN;
        if (total == SOURCE_UNKNOWN)
            break; /* a sum of which a part is missing is none */
    }
    out->file_formats = (struct str_list){items, n};
    out->total_size_bytes = total;
}

static int64_t
count_of(const struct json *object, struct str name)
{
    int64_t value;

    return json_is_i64(json_get(object, name), &value) && value >= 0 ? value : SOURCE_UNKNOWN;
}

static int64_t
time_of(const struct json *record, struct str name)
{
    int64_t value;

    return json_is_time(json_get(record, name), &value) ? value : SOURCE_UNKNOWN;
}

static void
map_meta(struct source *source, const struct json *record, const struct json *metadata,
         struct source_dataset *out)
{
    const struct source_meta members[] = {
        {.name = "record_id", .value = json_get(record, STR("id"))},
        {.name = "conceptdoi", .value = json_get(record, STR("conceptdoi"))},
        {.name = "version", .value = json_get(metadata, STR("version"))},
        {.name = "publication_date", .value = json_get(metadata, STR("publication_date"))},
        {.name = "access_right", .value = json_get(metadata, STR("access_right"))},
        {.name = "language", .value = json_get(metadata, STR("language"))},
        {.name = "creators", .value = json_get_typed(metadata, STR("creators"), JSON_ARRAY)},
    };

    out->meta = source_format_meta(source, members, COUNT_OF(members));
}

int64_t
zenodo_mapper_created_at_us(const struct json *record)
{
    return time_of(record, STR("created"));
}

const char *
zenodo_mapper_map(struct source *source, const struct json *record, struct source_dataset *out)
{
    const struct json *metadata = json_get_typed(record, STR("metadata"), JSON_OBJECT);
    const struct json *license = json_get_typed(metadata, STR("license"), JSON_OBJECT);
    const struct json *stats = json_get(record, STR("stats"));
    struct str id = json_text_of(json_get(record, STR("id")));
    struct str concept_id = json_text_of(json_get(record, STR("conceptrecid")));
    struct str doi = json_get_str(record, STR("doi"));
    struct str page = json_get_str(json_get(record, STR("links")), STR("self_html"));
    struct str title = source_plain_text(source, json_get_str(metadata, STR("title")));
    char *url;

    if (!id.len)
        return "it has no id";
    if (!title.len)
        return "it has no title";
    url = source_printf(source, "https://zenodo.org/records/%.*s", STR_ARG(id));
    *out = (struct source_dataset)SOURCE_DATASET_INIT;
    out->external_id = doi.len ? doi : id;
    out->source_key = concept_id.len ? concept_id : id;
    out->title = title;
    out->url = page.len ? page : str_from_cstr(url);
    out->description = source_plain_text(source, json_get_str(metadata, STR("description")));
    out->license = json_get_str(license, STR("id"));
    out->tags = map_tags(source, json_get_typed(metadata, STR("keywords"), JSON_ARRAY));
    map_files(source, json_get_typed(record, STR("files"), JSON_ARRAY), out);
    out->download_count = count_of(stats, STR("downloads"));
    out->view_count = count_of(stats, STR("views"));
    out->created_at_us = time_of(record, STR("created"));
    out->updated_at_us = time_of(record, STR("updated"));
    map_meta(source, record, metadata, out);
    return NULL;
}
