/* One row at a time: identity, texts, lists, numbers, and the rest in source_meta. */

#include "lib/services/enrichment/kaggle_parser/mapper.h"

#include <inttypes.h>
#include <math.h>

#include "base/utf8.h"
#include "lib/services/enrichment/kaggle_parser/file_formats.h"
#include "lib/services/enrichment/kaggle_parser/licenses.h"
#include "lib/services/enrichment/kaggle_parser/markup.h"
#include "lib/services/enrichment/kaggle_parser/name_list.h"
#include "lib/services/enrichment/kaggle_parser/ref.h"
#include "lib/services/enrichment/kaggle_parser/source_meta.h"

#define TAG_BYTES     ((size_t)200)
#define LICENSE_BYTES ((size_t)200)

static bool
is_known(int64_t value)
{
    return value != DATASET_UNKNOWN;
}

static int64_t
known_count(int64_t value)
{
    return value < 0 ? DATASET_UNKNOWN : value;
}

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for a dataset of Kaggle");
}

/* Whether needle stands in text: as it is anywhere, or with ASCII case ignored at the front. */
static bool
has_text(struct str text, struct str needle)
{
    return str_find(text, needle) < text.len ||
           str_equal_ignore_case(str_slice(text, 0, needle.len), needle);
}

/* Both parts are plain and within their ceilings.  Absent parts give an absent whole. */
static struct str
join_description(struct str title, struct str subtitle, struct str description, struct arena *arena,
                 bool *ok)
{
    char *text;

    if (!subtitle.ptr && !description.ptr)
        return STR_NULL;
    if (subtitle.len == 0 || str_equal_ignore_case(subtitle, title) ||
        has_text(description, subtitle))
        return description.ptr ? description : STR("");
    if (description.len == 0)
        return subtitle;
    text = arena_printf(arena, "%.*s\n\n%.*s", STR_ARG(subtitle), STR_ARG(description));
    if (!text) {
        *ok = false;
        return STR_NULL;
    }
    return utf8_cut((struct str){text, subtitle.len + 2 + description.len},
                    DATASET_DESCRIPTION_BYTES);
}

/* A tag is shown by its name; older answers give the path "subject > earth and nature". */
static struct str
tag_name(struct str tag, struct arena *arena, bool *ok)
{
    size_t last = str_find_last(tag, STR(">"));

    if (last < tag.len)
        tag = str_slice(tag, last + 1, tag.len);
    return kaggle_markup_strip_line(tag, TAG_BYTES, arena, ok);
}

/* A list that was not sent stays absent; an empty one clears. */
static struct str_list
map_tags(struct str_list tags, struct arena *arena, bool *ok)
{
    struct name_list names = NAME_LIST_INIT(arena, tags.n_items);

    if (!tags.items)
        return (struct str_list){NULL, 0};
    if (names.max_items > DATASET_LIST_ITEMS)
        names.max_items = DATASET_LIST_ITEMS;
    for (size_t i = 0; i < tags.n_items; i++)
        name_list_add(&names, tag_name(tags.items[i], arena, ok), ok);
    return names.items ? name_list_view(&names) : (struct str_list){tags.items, 0};
}

static struct str
map_license(struct str name, struct arena *arena, bool *ok)
{
    return kaggle_license_id(kaggle_markup_strip_line(name, LICENSE_BYTES, arena, ok));
}

void
kaggle_mapper_merge_metadata(const struct kaggle_api_dataset *metadata,
                             struct kaggle_api_dataset *dataset)
{
    struct str *const texts[] = {&dataset->title, &dataset->subtitle, &dataset->description,
                                 &dataset->license_name, &dataset->update_frequency};
    const struct str more_texts[] = {metadata->title, metadata->subtitle, metadata->description,
                                     metadata->license_name, metadata->update_frequency};
    int64_t *const numbers[] = {&dataset->n_views, &dataset->n_votes, &dataset->n_downloads};
    const int64_t more_numbers[] = {metadata->n_views, metadata->n_votes, metadata->n_downloads};

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (str_trim(*texts[i]).len == 0 && more_texts[i].ptr)
            *texts[i] = more_texts[i];
    }
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        if (!is_known(*numbers[i]))
            *numbers[i] = more_numbers[i];
    }
    if (!isfinite(dataset->usability_rating))
        dataset->usability_rating = metadata->usability_rating;
    if (dataset->tags.n_items == 0 && metadata->tags.items)
        dataset->tags = metadata->tags;
    if (dataset->n_files == 0) {
        dataset->files = metadata->files;
        dataset->n_files = metadata->n_files;
    }
}

static int
map_files(const struct kaggle_api_dataset *in, struct arena *arena, struct dataset *out,
          struct error *err)
{
    int rc;

    if (in->n_files == 0)
        return 0;
    rc = kaggle_files_find_formats(in->files, in->n_files, arena, &out->file_formats, err);
    if (rc == 0)
        rc = kaggle_files_find_columns(in->files, in->n_files, arena, &out->column_names, err);
    return rc;
}

static void
map_api_numbers(const struct kaggle_api_dataset *in, struct dataset *out)
{
    out->total_size_bytes = known_count(in->total_bytes);
    out->download_count = known_count(in->n_downloads);
    out->view_count = known_count(in->n_views);
    out->like_count = known_count(in->n_votes);
    out->source_updated_at_us = in->last_updated_us;
}

static int
map_ref(const struct kaggle_ref *ref, int64_t id, struct arena *arena, struct dataset *out,
        struct error *err)
{
    char *key = arena_printf(arena, "%" PRId64, id);
    bool ok = key != NULL;

    out->source_name = KAGGLE_SOURCE_NAME;
    out->source_key = str_from_cstr(key);
    if (ref->text.len) {
        out->external_id = ref->text;
        out->url = kaggle_ref_url(ref, arena, &ok);
    } else {
        out->external_id = kaggle_ref_placeholder(id, arena, &ok);
    }
    return ok ? 0 : no_memory(err);
}

int
kaggle_mapper_from_api(const struct kaggle_api_dataset *dataset, enum kaggle_answer_kind kind,
                       struct arena *arena, struct dataset *out, struct error *err)
{
    struct str subtitle;
    struct str description;
    struct kaggle_ref ref;
    struct dataset row;
    bool ok = true;
    int rc;

    dataset_init(&row);
    rc = kaggle_ref_parse(dataset->ref, &ref, err);
    if (rc < 0)
        return error_wrap(err, rc, "dataset %" PRId64, dataset->id);
    if (dataset->is_private)
        return error_set(err, ERR_INVALID, "dataset %" PRId64 " is private", dataset->id);
    rc = map_ref(&ref, dataset->id, arena, &row, err);
    if (rc < 0)
        return rc;

    row.title = kaggle_markup_strip_line(dataset->title, DATASET_TITLE_BYTES, arena, &ok);
    subtitle = kaggle_markup_strip_line(dataset->subtitle, DATASET_TITLE_BYTES, arena, &ok);
    if (kind == KAGGLE_VIEW) {
        description =
            kaggle_markup_strip(dataset->description, DATASET_DESCRIPTION_BYTES, arena, &ok);
        row.description = join_description(row.title, subtitle, description, arena, &ok);
        row.status = DATASET_ENRICHED;
    }
    row.license = map_license(dataset->license_name, arena, &ok);
    row.tags = map_tags(dataset->tags, arena, &ok);
    map_api_numbers(dataset, &row);
    if (!ok)
        return no_memory(err);
    rc = map_files(dataset, arena, &row, err);
    if (rc == 0)
        rc = kaggle_source_meta_from_api(dataset, subtitle, arena, &row.source_meta, err);
    if (rc == 0)
        *out = row;
    return rc;
}

static void
map_meta_numbers(const struct meta_dataset *in, struct dataset *out)
{
    out->total_size_bytes = known_count(in->n_bytes);
    out->download_count = known_count(in->n_downloads);
    out->view_count = known_count(in->n_views);
    out->like_count = known_count(in->n_votes);
    out->source_created_at_us = in->created_at_us;
    out->source_updated_at_us = in->updated_at_us;
}

int
kaggle_mapper_from_meta(const struct meta_dataset *row, struct arena *arena, struct dataset *out,
                        struct error *err)
{
    struct kaggle_ref ref = {.text = STR_NULL};
    struct str description;
    struct dataset mapped;
    struct str subtitle;
    bool ok = true;
    int rc;

    dataset_init(&mapped);
    if (row->id <= 0)
        return error_set(err, ERR_INVALID, "dataset id %" PRId64 " is not positive", row->id);
    if (row->ref.len && kaggle_ref_parse(row->ref, &ref, NULL) < 0)
        ref.text = STR_NULL;
    rc = map_ref(&ref, row->id, arena, &mapped, err);
    if (rc < 0)
        return rc;

    mapped.title = kaggle_markup_strip_line(row->title, DATASET_TITLE_BYTES, arena, &ok);
    subtitle = kaggle_markup_strip_line(row->subtitle, DATASET_TITLE_BYTES, arena, &ok);
    description = kaggle_markup_strip(row->description, DATASET_DESCRIPTION_BYTES, arena, &ok);
    mapped.description = join_description(mapped.title, subtitle, description, arena, &ok);
    mapped.license = map_license(row->license, arena, &ok);
    mapped.tags = map_tags(row->tags, arena, &ok);
    map_meta_numbers(row, &mapped);
    if (!ok)
        return no_memory(err);
    if (ref.text.len && mapped.title.len)
        mapped.status = DATASET_ENRICHED;
    rc = kaggle_source_meta_from_dump(row, subtitle,
                                      ref.text.len ? KAGGLE_REF_KNOWN : KAGGLE_REF_UNKNOWN, arena,
                                      &mapped.source_meta, err);
    if (rc == 0)
        *out = mapped;
    return rc;
}

struct str
kaggle_mapper_subtitle(const struct kaggle_api_dataset *dataset, struct arena *arena, bool *ok)
{
    return kaggle_markup_strip_line(dataset->subtitle, DATASET_TITLE_BYTES, arena, ok);
}
