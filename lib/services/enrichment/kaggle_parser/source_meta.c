/* Small objects, written member by member. */

#include "lib/services/enrichment/kaggle_parser/source_meta.h"

#include <math.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/utf8.h"
#include "lib/models/dataset.h"

#define NAME_BYTES ((size_t)200)

static void
add_number(struct json_writer *json, struct str name, int64_t value)
{
    if (value >= 0)
        json_member_i64(json, name, value);
}

static void
add_text(struct json_writer *json, struct str name, struct str value)
{
    if (value.len)
        json_member_str(json, name, utf8_cut(value, NAME_BYTES));
}

static void
add_flag(struct json_writer *json, struct str name, bool value)
{
    if (value)
        json_member_bool(json, name, true);
}

static int
finish(struct json_writer *json, struct arena *arena, struct str *out, struct error *err)
{
    struct str text;
    bool ok = true;
    int rc;

    json_end_object(json);
    rc = buf_status(json->out, err);
    if (rc < 0)
        return rc;
    text = arena_dup(arena, buf_str(json->out), &ok);
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for source_meta of %zu bytes", text.len);
    *out = text;
    return 0;
}

int
kaggle_source_meta_from_api(const struct kaggle_api_dataset *dataset, struct str subtitle,
                            struct arena *arena, struct str *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf meta = BUF_INIT(DATASET_META_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&meta);

    json_begin_object(&json);
    if (subtitle.len)
        json_member_str(&json, STR("subtitle"), subtitle);
    add_number(&json, STR("version_number"), dataset->version_number);
    add_number(&json, STR("kernel_count"), dataset->n_kernels);
    add_number(&json, STR("topic_count"), dataset->n_topics);
    add_text(&json, STR("owner_name"), dataset->owner_name);
    add_text(&json, STR("creator_name"), dataset->creator_name);
    if (isfinite(dataset->usability_rating))
        json_member_f64(&json, STR("usability_rating"), dataset->usability_rating);
    add_flag(&json, STR("is_featured"), dataset->is_featured);
    if (dataset->n_files)
        json_member_i64(&json, STR("file_count"), (int64_t)dataset->n_files);
    add_text(&json, STR("update_frequency"), dataset->update_frequency);
    return finish(&json, arena, out, err);
}

int
kaggle_source_meta_from_dump(const struct meta_dataset *row, struct str subtitle,
                             enum kaggle_ref_state ref_state, struct arena *arena, struct str *out,
                             struct error *err)
{
    CLEANUP(buf_fini) struct buf meta = BUF_INIT(DATASET_META_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&meta);

    json_begin_object(&json);
    if (subtitle.len)
        json_member_str(&json, STR("subtitle"), subtitle);
    if (row->version_number > 0)
        json_member_i64(&json, STR("version_number"), row->version_number);
    add_number(&json, STR("kernel_count"), row->n_kernels);
    add_flag(&json, STR("is_organization"), row->owner_kind == META_OWNER_ORGANIZATION);
    if (ref_state == KAGGLE_REF_UNKNOWN) {
        add_text(&json, STR("owner"), row->owner);
        add_text(&json, STR("slug"), row->slug);
    }
    return finish(&json, arena, out, err);
}

struct str
kaggle_source_meta_text(struct str meta, struct str name, struct arena *arena)
{
    struct json value;

    if (!meta.len || json_parse(meta, NULL, arena, &value, NULL) < 0)
        return STR_NULL;
    return json_get_str(&value, name);
}
