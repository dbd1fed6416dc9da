/* Many rows: those that pass a filter, the top of them, each of them, and their counts. */

#include "lib/repositories/dataset_sqlite.h"

#define ROW_BYTES ((size_t)32 << 20) /* one row with its lists, while it is given to a callback */

/* Where facets fit no more rows than this, the rows are sorted; of more, the first that pass are
 * met soon in the order of the index. */
#define FEW_ROWS    INT64_C(20000)
#define TOP_MAX     INT64_C(100000)
#define SOURCES_MAX ((size_t)1000)

/* From here on a statement's filter is $1 to $4, its facets $5. */
#define FROM_SCAN " FROM datasets d INDEXED BY datasets_scan WHERE " DATASET_PASSES_SQL
#define FROM_FACETS                                                                                \
    " FROM datasets_fts f CROSS JOIN datasets d INDEXED BY datasets_scan"                          \
    " ON d.row_id = f.rowid WHERE " DATASET_PASSES_SQL " AND f.datasets_fts MATCH $5"

static const char filter_sql[] = "SELECT d.row_id" FROM_SCAN " AND $5 IS NULL ORDER BY d.row_id";
static const char filter_facets_sql[] = "SELECT f.rowid" FROM_FACETS " ORDER BY f.rowid";

/* The same passage through whole rows. */
static const char each_sql[] =
    "SELECT " DATASET_COLUMNS " FROM datasets d WHERE " DATASET_PASSES_SQL
    " AND $5 IS NULL ORDER BY d.row_id";
static const char each_facets_sql[] =
    "SELECT " DATASET_COLUMNS " FROM datasets d WHERE " DATASET_PASSES_SQL
    " AND d.row_id IN (SELECT rowid FROM datasets_fts WHERE datasets_fts MATCH $5)"
    " ORDER BY d.row_id";

#define FROM_TOP  "SELECT d.row_id FROM datasets d INDEXED BY datasets_top WHERE " DATASET_PASSES_SQL
#define TOP_ORDER " ORDER BY CAST(d.static_score * 1000 AS INTEGER) DESC, d.row_id DESC LIMIT $6"

static const char top_sql[] = FROM_TOP " AND $5 IS NULL" TOP_ORDER;
static const char top_few_sql[] =
    "SELECT d.row_id FROM datasets_fts f CROSS JOIN datasets d ON d.row_id = f.rowid"
    " WHERE " DATASET_PASSES_SQL " AND f.datasets_fts MATCH $5" TOP_ORDER;
static const char top_many_sql[] =
    FROM_TOP " AND EXISTS (SELECT 1 FROM datasets_fts f WHERE f.datasets_fts MATCH $5"
             " AND f.rowid = d.row_id)" TOP_ORDER;

static const char probe_sql[] =
    "SELECT count(*) FROM (SELECT 1 FROM datasets_fts WHERE datasets_fts MATCH $1 LIMIT $2)";

static const char count_sql[] =
    "SELECT source_name, enrichment_status, is_active, is_embedded, count(*)"
    " FROM datasets INDEXED BY datasets_status"
    " GROUP BY source_name, enrichment_status, is_active, is_embedded";

/* The facets as an expression, absent when the filter has none. */
static int
format_facets(const struct dataset_filter *filter, struct buf *buf, struct str *out,
              struct error *err)
{
    dataset_filter_format(filter, buf);
    *out = buf->len ? buf_str(buf) : STR_NULL;
    return buf_status(buf, err);
}

/* Bring the indexes in step, then prepare one of two statements by whether there are facets. */
static int
prepare_filtered(struct sqlite_repo *repo, const struct dataset_filter *filter, struct str facets,
                 const char *sql, const char *with_facets_sql, struct statement **out,
                 struct error *err)
{
    int rc = 0;

    if (database_in_transaction(repo->database))
        rc = keyword_index_flush(repo->database, err);
    if (rc == 0)
        rc = database_prepare(repo->database, facets.len ? with_facets_sql : sql, out, err);
    if (rc < 0)
        return rc;
    dataset_filter_bind(filter, *out);
    statement_bind_str(*out, 5, facets);
    return 0;
}

int
sqlite_filter(struct dataset_repo *self, const struct dataset_filter *filter, struct arena *arena,
              const int64_t **out_row_ids, size_t *out_n, struct error *err)
{
    CLEANUP(buf_fini) struct buf buf = BUF_INIT(EXPRESSION_BYTES);
    CLEANUP(dataset_ids_fini) struct dataset_ids ids = {0};
    struct statement *statement;
    struct str facets;
    int64_t *items;
    int rc = format_facets(filter, &buf, &facets, err);

    if (rc == 0)
        rc = prepare_filtered(sqlite_repo_of(self), filter, facets, filter_sql, filter_facets_sql,
                              &statement, err);
    if (rc == 0)
        rc = dataset_ids_collect(&ids, statement, err);
    if (rc < 0)
        return rc;
    items = arena_alloc(arena, ids.n_items * sizeof(*items));
    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for %zu row ids", ids.n_items);
    if (ids.n_items)
        (void)memcpy(items, ids.items, ids.n_items * sizeof(*items));
    *out_row_ids = items;
    *out_n = ids.n_items;
    return 0;
}

static int
choose_top_sql(struct sqlite_repo *repo, struct str facets, const char **out, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(repo->database, probe_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, facets);
    statement_bind_i64(statement, 2, FEW_ROWS + 1);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    *out = statement_i64(statement, 0) <= FEW_ROWS ? top_few_sql : top_many_sql;
    statement_reset(statement);
    return 0;
}

int
sqlite_find_top(struct dataset_repo *self, const struct dataset_filter *filter, size_t limit,
                struct arena *arena, struct dataset_list *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf buf = BUF_INIT(EXPRESSION_BYTES);
    CLEANUP(dataset_ids_fini) struct dataset_ids ids = {0};
    struct sqlite_repo *repo = sqlite_repo_of(self);
    struct statement *statement;
    struct str facets;
    const char *facets_sql = top_few_sql;
    int rc = format_facets(filter, &buf, &facets, err);

    if (rc == 0 && facets.len)
        rc = choose_top_sql(repo, facets, &facets_sql, err);
    if (rc == 0)
        rc = prepare_filtered(repo, filter, facets, top_sql, facets_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 6, limit < (size_t)TOP_MAX ? (int64_t)limit : TOP_MAX);
    rc = dataset_ids_collect(&ids, statement, err);
    return rc < 0 ? rc : sqlite_find_rows(self, ids.items, ids.n_items, arena, out, err);
}

int
sqlite_each(struct dataset_repo *self, const struct dataset_filter *filter, dataset_row_fn fn,
            void *context, struct error *err)
{
    CLEANUP(buf_fini) struct buf buf = BUF_INIT(EXPRESSION_BYTES);
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ROW_BYTES);
    struct statement *statement;
    struct dataset row;
    struct str facets;
    int rc = format_facets(filter, &buf, &facets, err);

    if (rc == 0)
        rc = prepare_filtered(sqlite_repo_of(self), filter, facets, each_sql, each_facets_sql,
                              &statement, err);
    if (rc < 0)
        return rc;
    while ((rc = statement_step(statement, err)) == 1) {
        arena_reset(&arena);
        rc = dataset_row_read(statement, &arena, &row, err);
        if (rc == 0)
            rc = fn(context, &row, err);
        if (rc < 0)
            break;
    }
    statement_reset(statement);
    return rc;
}

static void
add_count(struct dataset_source_counts *counts, enum dataset_status status, bool is_active,
          bool is_embedded, int64_t n)
{
    counts->n_rows += n;
    counts->n_active += is_active ? n : 0;
    counts->n_embedded += is_embedded ? n : 0;
    counts->n_minimal += status == DATASET_MINIMAL ? n : 0;
    counts->n_enriched += status == DATASET_ENRICHED ? n : 0;
    counts->n_pending += status == DATASET_PENDING ? n : 0;
    counts->n_failed += status == DATASET_FAILED ? n : 0;
    counts->n_ready += is_active && is_embedded && status == DATASET_ENRICHED ? n : 0;
}

/* One group of rows; groups come ordered by source, so its source is the last one or a new one. */
static int
read_group(const struct statement *statement, struct arena *arena,
           struct dataset_source_counts *items, size_t *n_items, struct error *err)
{
    struct str source_name = statement_str(statement, 0);
    enum dataset_status status = DATASET_MINIMAL;
    bool ok = true;
    int rc = dataset_parse_status(statement_str(statement, 1), &status, err);

    if (rc < 0)
        return rc;
    if (*n_items == 0 || !str_equal(items[*n_items - 1].source_name, source_name)) {
        if (*n_items == SOURCES_MAX)
            return error_set(err, ERR_TOO_LARGE, "more than %zu sources", SOURCES_MAX);
        items[*n_items] =
            (struct dataset_source_counts){.source_name = arena_dup(arena, source_name, &ok)};
        ++*n_items;
    }
    add_count(&items[*n_items - 1], status, statement_i64(statement, 2) == 1,
              statement_i64(statement, 3) == 1, statement_i64(statement, 4));
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for counts");
}

int
sqlite_count(struct dataset_repo *self, struct arena *arena, struct dataset_counts *out,
             struct error *err)
{
    struct dataset_source_counts *items = arena_calloc(arena, SOURCES_MAX, sizeof(*items));
    struct statement *statement;
    size_t n_items = 0;
    int rc;

    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for counts");
    rc = database_prepare(sqlite_repo_of(self)->database, count_sql, &statement, err);
    if (rc < 0)
        return rc;
    while ((rc = statement_step(statement, err)) == 1) {
        rc = read_group(statement, arena, items, &n_items, err);
        if (rc < 0)
            break;
    }
    statement_reset(statement);
    if (rc == 0)
        *out = (struct dataset_counts){items, n_items};
    return rc;
}
