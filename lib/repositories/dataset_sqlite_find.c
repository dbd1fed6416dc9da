/* Single rows: by number, and by whatever a person has at hand. */

#include "lib/repositories/dataset_sqlite.h"

#define URL_SEGMENTS_MAX ((size_t)16)
#define REF_BYTES        ((size_t)4096)

static const char find_id_sql[] = "SELECT " DATASET_COLUMNS " FROM datasets WHERE id = $1";

static const char find_row_sql[] = "SELECT " DATASET_COLUMNS " FROM datasets WHERE row_id = $1";

/* Any source, any case; active before gone, the exact spelling before another. */
static const char find_name_sql[] =
    "SELECT " DATASET_COLUMNS " FROM datasets WHERE external_id = $1 COLLATE NOCASE"
    " ORDER BY is_active DESC, external_id = $1 DESC, row_id LIMIT 1";

static const char find_source_name_sql[] =
    "SELECT " DATASET_COLUMNS " FROM datasets"
    " WHERE external_id = $1 COLLATE NOCASE AND source_name = $2"
    " ORDER BY is_active DESC, external_id = $1 DESC, row_id LIMIT 1";

/* The narrow table: hundreds of candidates are asked for, and few of them shown. */
static const char find_score_sql[] = "SELECT static_score FROM dataset_scores WHERE row_id = $1";

/* 1 with the statement's only row in *out, 0 without one. */
static int
read_one(struct statement *statement, struct arena *arena, struct dataset *out, struct error *err)
{
    int rc = statement_step(statement, err);

    if (rc == 1) {
        rc = dataset_row_read(statement, arena, out, err);
        rc = rc < 0 ? rc : 1;
    }
    statement_reset(statement);
    return rc;
}

static int
find_row(struct sqlite_repo *repo, int64_t row_id, struct arena *arena, struct dataset *out,
         struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(repo->database, find_row_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    return read_one(statement, arena, out, err);
}

int
sqlite_find_rows(struct dataset_repo *self, const int64_t *row_ids, size_t n_row_ids,
                 struct arena *arena, struct dataset_list *out, struct error *err)
{
    struct sqlite_repo *repo = sqlite_repo_of(self);
    struct dataset *items = arena_calloc(arena, n_row_ids, sizeof(*items));
    size_t n_items = 0;

    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for %zu datasets", n_row_ids);
    for (size_t i = 0; i < n_row_ids; i++) {
        int rc = find_row(repo, row_ids[i], arena, &items[n_items], err);

        if (rc < 0)
            return rc;
        n_items += (size_t)rc;
    }
    *out = (struct dataset_list){items, n_items};
    return 0;
}

int
sqlite_find_scores(struct dataset_repo *self, const int64_t *row_ids, size_t n_row_ids, double *out,
                   struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(sqlite_repo_of(self)->database, find_score_sql, &statement, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n_row_ids; i++) {
        statement_bind_i64(statement, 1, row_ids[i]);
        rc = statement_step(statement, err);
        if (rc < 0)
            return rc;
        out[i] = rc == 1 ? statement_f64(statement, 0) : 0;
        statement_reset(statement);
    }
    return 0;
}

static int
find_id(struct sqlite_repo *repo, struct str text, struct arena *arena, struct dataset *out,
        struct error *err)
{
    unsigned char id[DATASET_ID_BYTES];
    struct statement *statement;
    int rc = database_prepare(repo->database, find_id_sql, &statement, err);

    if (rc < 0)
        return rc;
    dataset_id_decode(text, id);
    statement_bind_blob(statement, 1, (struct str){(const char *)id, sizeof(id)});
    return read_one(statement, arena, out, err);
}

/* source_name may be absent: any source. */
static int
find_name(struct sqlite_repo *repo, struct str source_name, struct str external_id,
          struct arena *arena, struct dataset *out, struct error *err)
{
    const char *sql = source_name.ptr ? find_source_name_sql : find_name_sql;
    struct statement *statement;
    int rc;

    if (external_id.len == 0)
        return 0;
    rc = database_prepare(repo->database, sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, external_id);
    if (source_name.ptr)
        statement_bind_str(statement, 2, source_name);
    return read_one(statement, arena, out, err);
}

/* Host and path: without scheme, "www.", query, fragment and trailing slashes. */
static struct str
bare_url(struct str url)
{
    size_t scheme = str_find(url, STR("://"));

    if (scheme < url.len)
        url = str_slice(url, scheme + 3, url.len);
    if (str_starts_with(url, STR("www.")))
        url = str_slice(url, 4, url.len);
    url = str_slice(url, 0, str_find_char(url, '?'));
    url = str_slice(url, 0, str_find_char(url, '#'));
    while (url.len && url.ptr[url.len - 1] == '/')
        url.len--;
    return url;
}

/* Does a person's URL name the dataset's page, or a page below it? */
static bool
is_url_of(struct str url, const struct dataset *dataset)
{
    struct str own = bare_url(dataset->url);

    url = bare_url(url);
    return own.len && url.len >= own.len &&
           str_equal_ignore_case(str_slice(url, 0, own.len), own) &&
           (url.len == own.len || url.ptr[own.len] == '/');
}

/* There is no index of URLs: one or two neighbouring segments of a dataset's URL are its
 * external_id, which has one; the row's own URL then decides. */
static int
find_url(struct sqlite_repo *repo, struct str url, struct arena *arena, struct dataset *out,
         struct error *err)
{
    struct str segments[URL_SEGMENTS_MAX];
    struct str rest = bare_url(url);
    size_t n_segments = 0;

    while (n_segments < URL_SEGMENTS_MAX && str_split(&rest, '/', &segments[n_segments]))
        n_segments++;
    for (size_t i = 1; i < n_segments; i++) {
        for (size_t n = 1; n <= 2 && i + n <= n_segments; n++) {
            const char *end = segments[i + n - 1].ptr + segments[i + n - 1].len;
            struct str name = {segments[i].ptr, (size_t)(end - segments[i].ptr)};
            struct dataset found;
            int rc = find_name(repo, STR_NULL, name, arena, &found, err);

            if (rc < 0)
                return rc;
            if (rc == 1 && is_url_of(url, &found)) {
                *out = found;
                return 1;
            }
        }
    }
    return 0;
}

int
sqlite_find(struct dataset_repo *self, struct str ref, struct arena *arena, struct dataset *out,
            struct error *err)
{
    struct sqlite_repo *repo = sqlite_repo_of(self);
    struct str text = str_trim(ref);
    size_t colon = str_find_char(text, ':');
    int rc = 0;

    if (text.len > REF_BYTES)
        return error_set(err, ERR_NOT_FOUND, "no dataset has a reference of %zu bytes", text.len);
    if (uuid_is_valid(text))
        rc = find_id(repo, text, arena, out, err);
    if (rc == 0 && str_find(text, STR("://")) < text.len)
        rc = find_url(repo, text, arena, out, err);
    if (rc == 0 && colon < text.len)
        rc = find_name(repo, str_slice(text, 0, colon), str_slice(text, colon + 1, text.len), arena,
                       out, err);
    if (rc == 0)
        rc = find_name(repo, STR_NULL, text, arena, out, err);
    if (rc == 0)
        return error_set(err, ERR_NOT_FOUND, "no dataset '%.*s'", STR_ARG(str_slice(text, 0, 200)));
    return rc < 0 ? rc : 0;
}
