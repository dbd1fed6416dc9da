/* One table of columns a file.  A column that later dumps have and the 2017 one lacks is required
 * unless the header shows that year's form. */

#include "lib/services/enrichment/kaggle_parser/services/meta_columns.h"

#include "base/buf.h"

#define LISTED_BYTES ((size_t)16384) /* of a header, in a message; error_set cuts it */

enum need {
    OPTIONAL,
    REQUIRED,
    SINCE_2018,
};

struct column {
    enum meta_column column;
    enum need need;
    const char *name;
    const char *name_2017;
};

/* clang-format off */
static const struct column datasets_columns[] = {
    {DATASETS_ID,                 REQUIRED,   "Id",                      NULL},
    {DATASETS_VERSION,            REQUIRED,   "CurrentDatasetVersionId", NULL},
    {DATASETS_OWNER_USER,         SINCE_2018, "OwnerUserId",             NULL},
    {DATASETS_OWNER_ORGANIZATION, SINCE_2018, "OwnerOrganizationId",     NULL},
    {DATASETS_CREATED,            REQUIRED,   "CreationDate",            NULL},
    {DATASETS_ACTIVE,             OPTIONAL,   "LastActivityDate",        NULL},
    {DATASETS_VIEWS,              OPTIONAL,   "TotalViews",              NULL},
    {DATASETS_DOWNLOADS,          OPTIONAL,   "TotalDownloads",          NULL},
    {DATASETS_VOTES,              OPTIONAL,   "TotalVotes",              NULL},
    {DATASETS_KERNELS,            OPTIONAL,   "TotalKernels",            NULL},
};

static const struct column versions_columns[] = {
    {VERSIONS_ID,           REQUIRED,   "Id",                     NULL},
    {VERSIONS_DATASET,      REQUIRED,   "DatasetId",              NULL},
    {VERSIONS_NUMBER,       OPTIONAL,   "VersionNumber",          NULL},
    {VERSIONS_TITLE,        REQUIRED,   "Title",                  "Name"},
    {VERSIONS_SLUG,         REQUIRED,   "Slug",                   NULL},
    {VERSIONS_SUBTITLE,     OPTIONAL,   "Subtitle",               "Overview"},
    {VERSIONS_DESCRIPTION,  REQUIRED,   "Description",            NULL},
    {VERSIONS_LICENSE,      SINCE_2018, "LicenseName",            NULL},
    {VERSIONS_CREATED,      OPTIONAL,   "CreationDate",           NULL},
    {VERSIONS_BYTES,        OPTIONAL,   "TotalUncompressedBytes", NULL},
    {VERSIONS_STORED_BYTES, OPTIONAL,   "TotalCompressedBytes",   "ArchiveFileSizeBytes"},
};

static const struct column users_columns[] = {
    {NAMED_ID,   REQUIRED, "Id",       NULL},
    {NAMED_NAME, REQUIRED, "UserName", NULL},
};

static const struct column organizations_columns[] = {
    {NAMED_ID,   REQUIRED, "Id",   NULL},
    {NAMED_NAME, REQUIRED, "Slug", NULL},
};

static const struct column tags_columns[] = {
    {NAMED_ID,   REQUIRED, "Id",   NULL},
    {NAMED_NAME, REQUIRED, "Name", NULL},
};

static const struct column dataset_tags_columns[] = {
    {DATASET_TAGS_DATASET, REQUIRED, "DatasetId", NULL},
    {DATASET_TAGS_TAG,     REQUIRED, "TagId",     NULL},
};

/* marker: a column that only the 2017 form has */
static const struct {
    const struct column *columns;
    size_t n_columns;
    const char *marker_2017;
} tables[META_N_FILES] = {
    [META_DATASETS] =      {datasets_columns,      COUNT_OF(datasets_columns),      "PublishDate"},
    [META_VERSIONS] =      {versions_columns,      COUNT_OF(versions_columns),      "Overview"},
    [META_USERS] =         {users_columns,         COUNT_OF(users_columns),         NULL},
    [META_ORGANIZATIONS] = {organizations_columns, COUNT_OF(organizations_columns), NULL},
    [META_TAGS] =          {tags_columns,          COUNT_OF(tags_columns),          NULL},
    [META_DATASET_TAGS] =  {dataset_tags_columns,  COUNT_OF(dataset_tags_columns),  NULL},
};
/* clang-format on */

/* The header's field of that name: its index, SIZE_MAX, and whether it comes again. */
static size_t
find_column(const struct csv_record *header, const char *name, bool *is_twice)
{
    size_t found = SIZE_MAX;

    for (size_t i = 0; name && i < header->n_fields; i++) {
        struct str field = str_trim(csv_field(header, i));

        if (!str_equal_ignore_case(field, str_from_cstr(name)))
            continue;
        if (found != SIZE_MAX)
            *is_twice = true;
        else
            found = i;
    }
    return found;
}

static int
report_missing(enum meta_file file, const char *name, const struct csv_record *header,
               struct error *err)
{
    CLEANUP(buf_fini) struct buf found = BUF_INIT(LISTED_BYTES);

    for (size_t i = 0; i < header->n_fields; i++) {
        buf_append(&found, i ? STR(", ") : STR(""));
        buf_append(&found, csv_field(header, i));
    }
    return error_set(err, ERR_INVALID, "%s has no column '%s' (found: %s)",
                     kaggle_meta_file_name(file), name, buf_cstr(&found));
}

int
meta_columns_bind(enum meta_file file, const struct csv_record *header, struct meta_binding *out,
                  struct error *err)
{
    struct meta_binding binding = {.is_2017_form = false};
    bool is_twice = false;

    for (size_t i = 0; i < META_MAX_COLUMNS; i++)
        binding.columns[i] = SIZE_MAX;
    binding.is_2017_form = find_column(header, tables[file].marker_2017, &is_twice) != SIZE_MAX;
    for (size_t i = 0; i < tables[file].n_columns; i++) {
        const struct column *column = &tables[file].columns[i];
        const char *name = column->name;
        size_t at = find_column(header, name, &is_twice);

        if (at == SIZE_MAX && column->name_2017) {
            at = find_column(header, column->name_2017, &is_twice);
            if (at != SIZE_MAX)
                name = column->name_2017;
        }
        if (is_twice)
            return error_set(err, ERR_INVALID, "%s has column '%s' twice",
                             kaggle_meta_file_name(file), name);
        if (at == SIZE_MAX &&
            (column->need == REQUIRED || (column->need == SINCE_2018 && !binding.is_2017_form)))
            return report_missing(file, name, header, err);
        binding.columns[column->column] = at;
        binding.names[column->column] = name;
    }
    *out = binding;
    return 0;
}
