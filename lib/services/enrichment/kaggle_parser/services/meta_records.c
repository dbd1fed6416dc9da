/* What a record of each file adds to the join.
 *
 * A record whose ids cannot be read is rejected.  A date or a total that cannot is taken as unknown
 * and counted: the dataset is worth more than its view count. */

#include <stdarg.h>
#include <stdio.h>

#include "base/number.h"
#include "base/timestamp.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_run.h"

#define SHOWN_BYTES 64 /* of a value, in a message */

/* ---- values ---- */

static struct str
get(const struct meta_run *run, const struct csv_record *record, enum meta_column column)
{
    return meta_columns_get(&run->binding, record, column);
}

static PRINTF_LIKE(2, 3) int reject(struct meta_run *run, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(run->reason, sizeof(run->reason), fmt, args);
    va_end(args);
    return META_REJECTED;
}

/* An id, or 0 where the column is empty or missing.  False, with the reason, for anything else. */
static bool
read_id(struct meta_run *run, const struct csv_record *record, enum meta_column column,
        int64_t *out)
{
    struct str text = get(run, record, column);

    *out = 0;
    if (text.len == 0)
        return true;
    if (number_parse_whole(text, out, NULL) == 0 && *out > 0)
        return true;
    (void)reject(run, "column %s: '%.*s' is not an id", run->binding.names[column],
                 STR_ARG(str_slice(text, 0, SHOWN_BYTES)));
    return false;
}

/* As above, and it may not be empty. */
static bool
read_key(struct meta_run *run, const struct csv_record *record, enum meta_column column,
         int64_t *out)
{
    if (!read_id(run, record, column, out))
        return false;
    if (*out == 0)
        (void)reject(run, "column %s is empty", run->binding.names[column]);
    return *out != 0;
}

/* A total or a size; -1 where it is unknown. */
static int64_t
read_total(struct meta_run *run, const struct csv_record *record, enum meta_column column)
{
    struct str text = get(run, record, column);
    int64_t total;

    if (text.len == 0)
        return -1;
    if (number_parse_whole(text, &total, NULL) == 0 && total >= 0)
        return total;
    run->counts.files[run->file].n_bad_values++;
    return -1;
}

static int64_t
read_time(struct meta_run *run, const struct csv_record *record, enum meta_column column)
{
    struct str text = get(run, record, column);
    int64_t time_us;

    if (text.len == 0)
        return TIME_UNKNOWN;
    if (timestamp_parse(text, &time_us, NULL) == 0)
        return time_us;
    run->counts.files[run->file].n_bad_values++;
    return TIME_UNKNOWN;
}

/* ---- records ---- */

static int
add_dataset(struct meta_run *run, const struct csv_record *record, struct error *err)
{
    struct meta_row *row;
    int64_t id;
    int64_t version_id;
    int64_t user_id;
    int64_t organization_id;
    int rc;

    if (!read_key(run, record, DATASETS_ID, &id) ||
        !read_id(run, record, DATASETS_VERSION, &version_id) ||
        !read_id(run, record, DATASETS_OWNER_USER, &user_id) ||
        !read_id(run, record, DATASETS_OWNER_ORGANIZATION, &organization_id))
        return META_REJECTED;
    rc = meta_tables_add_row(&run->tables, id, &row, err);
    if (rc <= 0)
        return rc < 0 ? rc : META_SKIPPED + META_SKIP_DUPLICATE;
    row->version_id = version_id;
    row->created_at_us = read_time(run, record, DATASETS_CREATED);
    row->active_at_us = read_time(run, record, DATASETS_ACTIVE);
    row->n_views = read_total(run, record, DATASETS_VIEWS);
    row->n_downloads = read_total(run, record, DATASETS_DOWNLOADS);
    row->n_votes = read_total(run, record, DATASETS_VOTES);
    row->n_kernels = read_total(run, record, DATASETS_KERNELS);
    if (user_id)
        rc = meta_tables_set_owner(&run->tables, row, META_OWNER_USER, user_id, err);
    else if (organization_id)
        rc =
            meta_tables_set_owner(&run->tables, row, META_OWNER_ORGANIZATION, organization_id, err);
    return rc < 0 ? rc : META_USED;
}

/* Users and Organizations. */
static int
name_owner(struct meta_run *run, const struct csv_record *record, struct error *err)
{
    enum meta_owner kind = run->file == META_USERS ? META_OWNER_USER : META_OWNER_ORGANIZATION;
    enum meta_named named;
    struct str name;
    int64_t id;
    int rc;

    if (!read_key(run, record, NAMED_ID, &id))
        return META_REJECTED;
    name = get(run, record, NAMED_NAME);
    if (name.len == 0 || name.len > META_MAX_NAME)
        return reject(run, "column %s has %zu bytes, not 1 to %d", run->binding.names[NAMED_NAME],
                      name.len, META_MAX_NAME);
    rc = meta_tables_name_owner(&run->tables, kind, id, name, &named, err);
    if (rc < 0)
        return rc;
    if (named == META_NAMED)
        return META_USED;
    return META_SKIPPED + (named == META_NAMED_BEFORE ? META_SKIP_DUPLICATE : META_SKIP_NOT_NEEDED);
}

static int
add_tag(struct meta_run *run, const struct csv_record *record, struct error *err)
{
    struct str name;
    int64_t id;
    int rc;

    if (!read_key(run, record, NAMED_ID, &id))
        return META_REJECTED;
    name = get(run, record, NAMED_NAME);
    if (name.len == 0)
        return reject(run, "column %s is empty", run->binding.names[NAMED_NAME]);
    rc = meta_tables_add_tag(&run->tables, id, name, err);
    if (rc < 0)
        return rc;
    return rc == 1 ? META_USED : META_SKIPPED + META_SKIP_DUPLICATE;
}

static int
tag_dataset(struct meta_run *run, const struct csv_record *record, struct error *err)
{
    static const int outcomes[] = {
        [META_TAGGED] = META_USED,
        [META_TAGGED_BEFORE] = META_SKIPPED + META_SKIP_DUPLICATE,
        [META_TAG_UNKNOWN] = META_SKIPPED + META_SKIP_NO_TAG,
        [META_TAGS_FULL] = META_SKIPPED + META_SKIP_NO_ROOM,
    };
    enum meta_tagged tagged;
    struct meta_row *row;
    int64_t dataset_id;
    int64_t tag_id;
    int rc;

    if (!read_key(run, record, DATASET_TAGS_DATASET, &dataset_id) ||
        !read_key(run, record, DATASET_TAGS_TAG, &tag_id))
        return META_REJECTED;
    row = meta_tables_find_row(&run->tables, dataset_id);
    if (!row)
        return META_SKIPPED + META_SKIP_NO_DATASET;
    rc = meta_tables_tag_row(&run->tables, row, tag_id, &tagged, err);
    return rc < 0 ? rc : outcomes[tagged];
}

/* Fill what a version says; the ids are known already. */
static void
read_version(struct meta_run *run, const struct csv_record *record, struct meta_version *version)
{
    int64_t number = read_total(run, record, VERSIONS_NUMBER);
    int64_t n_bytes = read_total(run, record, VERSIONS_BYTES);

    version->number = number < 0 ? 0 : number;
    version->n_bytes = n_bytes < 0 ? read_total(run, record, VERSIONS_STORED_BYTES) : n_bytes;
    version->created_at_us = read_time(run, record, VERSIONS_CREATED);
    version->texts[META_TEXT_SLUG] = get(run, record, VERSIONS_SLUG);
    version->texts[META_TEXT_TITLE] = get(run, record, VERSIONS_TITLE);
    version->texts[META_TEXT_SUBTITLE] = get(run, record, VERSIONS_SUBTITLE);
    version->texts[META_TEXT_DESCRIPTION] = get(run, record, VERSIONS_DESCRIPTION);
    version->texts[META_TEXT_LICENSE] = get(run, record, VERSIONS_LICENSE);
}

static int
keep_version(struct meta_run *run, const struct meta_row *row, const struct meta_version *version,
             struct error *err)
{
    uint64_t *n_skipped = run->counts.files[run->file].n_skipped;
    enum meta_kept kept;
    int rc = meta_tables_keep_version(&run->tables, row, version, &kept, err);

    if (rc < 0)
        return rc;
    switch (kept) {
    case META_KEPT_FIRST:
        return META_PENDING;
    case META_KEPT_NO_ROOM_INSTEAD: /* two records meet their fate: the one kept so far, and this */
        n_skipped[META_SKIP_OLD_VERSION]++;
        return META_SKIPPED + META_SKIP_NO_ROOM;
    case META_KEPT_NO_ROOM:
        return META_SKIPPED + META_SKIP_NO_ROOM;
    case META_KEPT_INSTEAD: /* this one is pending, the one before it was old */
    case META_KEPT_NOT:
        break;
    }
    return META_SKIPPED + META_SKIP_OLD_VERSION;
}

static int
add_version(struct meta_run *run, const struct csv_record *record, struct error *err)
{
    struct meta_version version;
    struct meta_row *row;
    int64_t dataset_id;
    int rc;

    if (!read_key(run, record, VERSIONS_ID, &version.id) ||
        !read_key(run, record, VERSIONS_DATASET, &dataset_id))
        return META_REJECTED;
    row = meta_tables_find_row(&run->tables, dataset_id);
    if (!row)
        return META_SKIPPED + META_SKIP_NO_DATASET;
    if ((row->version_id && row->version_id != version.id) || (run->is_again && !row->is_late))
        return META_SKIPPED + META_SKIP_OLD_VERSION;
    if (row->is_sent)
        return META_SKIPPED + META_SKIP_DUPLICATE;
    read_version(run, record, &version);
    if (row->version_id == 0)
        return keep_version(run, row, &version, err);
    rc = meta_run_send(run, row, &version, err);
    return rc < 0 ? rc : META_USED;
}

const meta_record_fn meta_record_fns[META_N_FILES] = {
    [META_DATASETS] = add_dataset,     [META_USERS] = name_owner,
    [META_ORGANIZATIONS] = name_owner, [META_TAGS] = add_tag,
    [META_DATASET_TAGS] = tag_dataset, [META_VERSIONS] = add_version,
};
