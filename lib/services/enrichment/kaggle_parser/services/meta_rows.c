/* A dataset's row, put together and sent. */

#include <string.h>

#include "lib/services/enrichment/kaggle_parser/services/meta_run.h"

/* May this stand in "owner/slug", and so in a URL?  Kaggle's own are letters, digits and '-'. */
static bool
is_ref_part(struct str text)
{
    if (text.len == 0 || text.len > META_MAX_NAME || text.ptr[0] == '.')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.'))
            return false;
    }
    return true;
}

/* The 2017 dump wrote each apostrophe twice.  Appends to texts, which has room for all of a row. */
static struct str
undo_apostrophes(struct buf *texts, struct str text)
{
    size_t from = texts->len;

    while (text.len) {
        size_t at = str_find(text, STR("''"));

        buf_append(texts, str_slice(text, 0, at + 1)); /* one of the two, or all that is left */
        text = str_slice(text, at + 2, text.len);
    }
    return str_slice(buf_str(texts), from, texts->len);
}

static int
fix_texts(struct meta_run *run, struct meta_dataset *row, struct error *err)
{
    struct str *const fields[] = {&row->title, &row->subtitle, &row->description};
    size_t n_bytes = 0;

    for (size_t i = 0; i < COUNT_OF(fields); i++)
        n_bytes += fields[i]->len;
    buf_clear(&run->texts);
    if (!buf_reserve(&run->texts, n_bytes)) /* so that nothing moves from here on */
        return buf_status(&run->texts, err);
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (fields[i]->len)
            *fields[i] = undo_apostrophes(&run->texts, *fields[i]);
    }
    return buf_status(&run->texts, err);
}

static int
make_ref(struct meta_run *run, struct meta_dataset *row, struct error *err)
{
    row->completeness = META_NO_REF;
    if (row->slug.len && !is_ref_part(row->slug))
        run->counts.files[META_VERSIONS].n_bad_values++;
    if (!is_ref_part(row->slug) || !is_ref_part(row->owner))
        return 0;
    buf_clear(&run->ref);
    buf_append(&run->ref, row->owner);
    buf_append_char(&run->ref, '/');
    buf_append(&run->ref, row->slug);
    row->ref = buf_str(&run->ref);
    row->completeness = META_COMPLETE;
    return buf_status(&run->ref, err);
}

static int
add_version(struct meta_run *run, struct meta_dataset *row, const struct meta_version *version,
            struct error *err)
{
    int rc;

    row->version_id = version->id;
    row->version_number = version->number;
    row->slug = version->texts[META_TEXT_SLUG];
    row->title = version->texts[META_TEXT_TITLE];
    row->subtitle = version->texts[META_TEXT_SUBTITLE];
    row->description = version->texts[META_TEXT_DESCRIPTION];
    row->license = version->texts[META_TEXT_LICENSE];
    row->n_bytes = version->n_bytes;
    if (version->created_at_us != TIME_UNKNOWN)
        row->updated_at_us = version->created_at_us;
    if (run->counts.is_2017_form) {
        rc = fix_texts(run, row, err);
        if (rc < 0)
            return rc;
    }
    return make_ref(run, row, err);
}

int
meta_run_send(struct meta_run *run, struct meta_row *known, const struct meta_version *version,
              struct error *err)
{
    struct str tags[META_MAX_TAGS];
    struct meta_dataset row = {
        .position = run->n_rows + 1,
        .id = known->id,
        .owner = meta_tables_owner_name(&run->tables, known),
        .tags = {tags, meta_tables_get_tags(&run->tables, known, tags)},
        .n_bytes = -1,
        .created_at_us = known->created_at_us,
        .updated_at_us = known->active_at_us,
        .n_views = known->n_views,
        .n_downloads = known->n_downloads,
        .n_votes = known->n_votes,
        .n_kernels = known->n_kernels,
        .owner_kind = (enum meta_owner)known->owner_kind,
        .completeness = META_MINIMAL,
    };
    int rc = version ? add_version(run, &row, version, err) : 0;

    if (rc == 0 && row.position <= run->skip_rows)
        run->counts.n_skipped_rows++;
    else if (rc == 0 && run->sink->row)
        rc = run->sink->row(run->sink->context, &row, err);
    if (rc < 0)
        return rc;
    known->is_sent = true;
    run->n_rows++;
    run->counts.n_complete += row.completeness == META_COMPLETE;
    run->counts.n_no_ref += row.completeness == META_NO_REF;
    run->counts.n_minimal += row.completeness == META_MINIMAL;
    return 0;
}
