/* Unknown numbers, times and texts are null; lists that were never sent are empty. */

#include "lib/models/dataset_json.h"

#include "base/json_scan.h"
#include "base/timestamp.h"

static void
member_i64(struct json_writer *json, struct str name, int64_t value)
{
    json_name(json, name);
    if (value == DATASET_UNKNOWN)
        json_null(json);
    else
        json_i64(json, value);
}

static void
member_time(struct json_writer *json, struct str name, int64_t time_us)
{
    char text[TIMESTAMP_TEXT_BYTES];

    json_name(json, name);
    if (time_us == DATASET_UNKNOWN)
        json_null(json);
    else
        json_str(json, str_from_cstr(timestamp_format(time_us, text)));
}

static void
member_list(struct json_writer *json, struct str name, struct str_list list)
{
    json_name(json, name);
    json_begin_array(json);
    for (size_t i = 0; i < list.n_items; i++)
        json_str(json, list.items[i]);
    json_end_array(json);
}

/* Our own mappers write it, but a database may have passed through other hands. */
static void
member_meta(struct json_writer *json, struct str meta)
{
    static const struct json_limits strict = {.flags = JSON_STRICT_UTF8};
    struct str value;

    json_name(json, STR("source_meta"));
    if (meta.len == 0)
        json_null(json);
    else if (json_scan(meta, &strict, &value, NULL) < 0 || memchr(value.ptr, '\n', value.len) ||
             memchr(value.ptr, '\r', value.len))
        json_str(json, meta);
    else
        json_raw(json, value);
}

void
dataset_json_members(struct json_writer *json, const struct dataset *dataset)
{
    json_member_str(json, STR("id"), dataset->id);
    json_member_str(json, STR("source"), dataset->source_name);
    json_member_str(json, STR("ref"), dataset->external_id);
    json_member_str(json, STR("source_key"), dataset->source_key);
    json_member_str(json, STR("title"), dataset->title);
    json_member_str(json, STR("url"), dataset->url);
    json_member_str(json, STR("description"), dataset->description);
    json_member_str(json, STR("license"), dataset->license);
    member_list(json, STR("tags"), dataset->tags);
    member_list(json, STR("file_formats"), dataset->file_formats);
    member_list(json, STR("column_names"), dataset->column_names);
    member_i64(json, STR("total_size_bytes"), dataset->total_size_bytes);
    member_i64(json, STR("row_count"), dataset->row_count);
    member_i64(json, STR("download_count"), dataset->download_count);
    member_i64(json, STR("view_count"), dataset->view_count);
    member_i64(json, STR("like_count"), dataset->like_count);
    member_time(json, STR("source_created_at"), dataset->source_created_at_us);
    member_time(json, STR("source_updated_at"), dataset->source_updated_at_us);
    member_meta(json, dataset->source_meta);
    json_member_str(json, STR("status"), str_from_cstr(dataset_status_name(dataset->status)));
    json_member_bool(json, STR("is_active"), dataset->is_active);
    json_member_bool(json, STR("is_embedded"), dataset->is_embedded);
    json_member_i64(json, STR("enrichment_attempts"), dataset->enrichment_attempts);
    json_member_str(json, STR("last_enrichment_error"), dataset->last_enrichment_error);
    member_time(json, STR("last_enriched_at"), dataset->last_enriched_at_us);
    json_member_str(json, STR("link_state"), dataset->link_state);
    member_time(json, STR("last_checked_at"), dataset->last_checked_at_us);
    member_time(json, STR("created_at"), dataset->created_at_us);
    member_time(json, STR("updated_at"), dataset->updated_at_us);
}
