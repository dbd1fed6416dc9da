/* The habits are a table with a row per source; a source without a row loses only these links. */

#include "lib/services/export/export_links.h"

#include "base/json_scan.h"
#include "base/timestamp.h"
#include "lib/services/export/export_terms.h"

#define ADDRESS_BYTES ((size_t)1 << 20)

struct source_habit {
    struct str source_name;
    struct str owner_page;    /* + owner */
    struct str download;      /* + external_id */
    struct str download_type; /* of what comes from there */
};

/* clang-format off */
static const struct source_habit habits[] = {
    {STR_INIT("huggingface"), STR_INIT("https://huggingface.co/"),
     STR_INIT("https://huggingface.co/datasets/"), STR_INIT("git+https")},
    {STR_INIT("kaggle"), STR_INIT("https://www.kaggle.com/"),
     STR_INIT("https://www.kaggle.com/api/v1/datasets/download/"), STR_INIT("application/zip")},
};
/* clang-format on */

static const struct source_habit *
find_habit(const struct dataset *row)
{
    for (size_t i = 0; i < COUNT_OF(habits); i++)
        if (str_equal(habits[i].source_name, row->source_name))
            return &habits[i];
    return NULL;
}

static bool
is_text(struct str value)
{
    return json_slice_type(value) == JSON_STRING && value.len > 2;
}

static bool
is_text_list(struct str value)
{
    struct json_cursor items = json_cursor_open(value);
    struct json_slice item;

    if (json_slice_type(value) != JSON_ARRAY)
        return false;
    while (json_cursor_next(&items, &item))
        if (!is_text(item.value))
            return false;
    return true;
}

static void
read_member(const struct json_slice *member, struct export_meta *out)
{
    bool is_number = json_slice_type(member->value) == JSON_NUMBER;

    if (is_text(member->value)) {
        if (json_slice_is_named(member, STR("owner_name")) ||
            (!out->creator_json.ptr && json_slice_is_named(member, STR("author"))))
            out->creator_json = member->value;
        else if (json_slice_is_named(member, STR("sha")))
            out->version_json = member->value;
        else if (json_slice_is_named(member, STR("citation")))
            out->citation_json = member->value;
    }
    if (is_number && json_slice_is_named(member, STR("version_number")))
        out->version_json = member->value;
    if (json_slice_is_named(member, STR("language")) && is_text_list(member->value))
        out->language_json = member->value;
    if (json_slice_is_named(member, STR("is_organization")))
        out->is_organization = str_equal(member->value, STR("true"));
}

void
export_meta_read(const struct dataset *row, struct export_meta *out)
{
    static const struct json_limits strict = {.flags = JSON_STRICT_UTF8};
    struct json_cursor members;
    struct json_slice member;
    struct str object;

    *out = (struct export_meta){.is_organization = false};
    if (row->source_meta.len == 0 || json_scan(row->source_meta, &strict, &object, NULL) < 0 ||
        json_slice_type(object) != JSON_OBJECT)
        return;
    members = json_cursor_open(object);
    while (json_cursor_next(&members, &member))
        read_member(&member, out);
}

struct str
export_title(const struct dataset *row)
{
    return str_trim(row->title).len ? row->title : row->external_id;
}

/* name and an address; what is none, or longer than any, is left out. */
static bool
member_address(struct json_writer *json, struct str name, struct str address)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(ADDRESS_BYTES);

    if (!export_append_address(&text, address) || buf_status(&text, NULL) < 0)
        return false;
    json_member_str(json, name, buf_str(&text));
    return true;
}

/* The same of base and a path that a source sent. */
static bool
member_joined(struct json_writer *json, struct str name, struct str base, struct str path)
{
    CLEANUP(buf_fini) struct buf joined = BUF_INIT(ADDRESS_BYTES);

    if (!base.len || !path.len)
        return false;
    buf_append(&joined, base);
    buf_append(&joined, path);
    return buf_status(&joined, NULL) == 0 && member_address(json, name, buf_str(&joined));
}

bool
export_member_page(struct json_writer *json, struct str name, const struct dataset *row)
{
    return member_address(json, name, row->url);
}

bool
export_member_owner_page(struct json_writer *json, struct str name, const struct dataset *row)
{
    const struct source_habit *habit = find_habit(row);

    return habit && member_joined(json, name, habit->owner_page, dataset_owner(row));
}

bool
export_member_download(struct json_writer *json, struct str name, const struct dataset *row)
{
    const struct source_habit *habit = find_habit(row);

    return habit && member_joined(json, name, habit->download, row->external_id);
}

void
export_member_identifier(struct json_writer *json, struct str name, const struct dataset *row)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(ADDRESS_BYTES);

    buf_append(&text, row->source_name);
    buf_append_char(&text, ':');
    buf_append(&text, row->source_key);
    json_member_str(json, name, buf_str(&text));
}

struct str
export_download_type(const struct dataset *row)
{
    const struct source_habit *habit = find_habit(row);

    return habit ? habit->download_type : STR_NULL;
}

bool
export_member_owner(struct json_writer *json, struct str name, const struct dataset *row,
                    const struct export_meta *meta)
{
    struct str owner = dataset_owner(row);

    if (!meta->creator_json.ptr && !owner.len)
        return false;
    json_name(json, name);
    if (meta->creator_json.ptr)
        json_raw(json, meta->creator_json);
    else
        json_str(json, owner);
    return true;
}

bool
export_member_time(struct json_writer *json, struct str name, int64_t time_us)
{
    char text[TIMESTAMP_TEXT_BYTES];

    if (time_us == DATASET_UNKNOWN)
        return false;
    json_member_str(json, name, str_from_cstr(timestamp_format(time_us, text)));
    return true;
}

bool
export_member_license(struct json_writer *json, struct str name, struct str license)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(ADDRESS_BYTES);

    if (!export_append_license(&text, license) || buf_status(&text, NULL) < 0)
        return false;
    json_member_str(json, name, buf_str(&text));
    return true;
}

void
export_member_list(struct json_writer *json, struct str name, struct str_list list)
{
    if (list.n_items == 0)
        return;
    json_name(json, name);
    json_begin_array(json);
    for (size_t i = 0; i < list.n_items; i++)
        json_str(json, list.items[i].ptr ? list.items[i] : STR(""));
    json_end_array(json);
}
