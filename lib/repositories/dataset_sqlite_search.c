/* Keyword search: BM25 over the five fields, all words first, then any where that finds few;
 * filters beside it. */

#include "lib/repositories/dataset_sqlite.h"

#define HITS_MAX ((size_t)1000000)

/* Below so many hits for all words, rows that have some of them are worth showing. */
#define FEW_HITS ((size_t)20)

/* Field weights: title, description, owner, tags, columns; facets select and do not score. */
static const char search_sql[] =
    "SELECT datasets_fts.rowid, -bm25(datasets_fts, 1.0, 0.9, 0.9, 0.6, 0.3, 0.0) AS score"
    " FROM datasets_fts CROSS JOIN datasets d INDEXED BY datasets_scan"
    " ON d.row_id = datasets_fts.rowid WHERE " DATASET_PASSES_SQL " AND datasets_fts MATCH $5"
    " ORDER BY score DESC, datasets_fts.rowid LIMIT $6";

static size_t
count_hits(const struct buf *hits)
{
    return hits->len / sizeof(struct dataset_hit);
}

/* Is the row among the first n hits, which are FEW_HITS at most? */
static bool
has_row(const struct buf *hits, size_t n, int64_t row_id)
{
    for (size_t i = 0; i < n; i++) {
        struct dataset_hit hit;

        (void)memcpy(&hit, hits->ptr + i * sizeof(hit), sizeof(hit));
        if (hit.row_id == row_id)
            return true;
    }
    return false;
}

/* Hits into a buffer that grows with them (limit is a ceiling, not a promise), behind those that a
 * stricter expression found. */
static int
collect_hits(struct statement *statement, size_t limit, struct buf *hits, struct error *err)
{
    size_t n_before = count_hits(hits);
    int rc = 0;

    while (count_hits(hits) < limit && (rc = statement_step(statement, err)) == 1) {
        struct dataset_hit hit = {statement_i64(statement, 0), statement_f64(statement, 1)};

        if (!has_row(hits, n_before, hit.row_id))
            buf_append_bytes(hits, &hit, sizeof(hit));
        if (hits->rc < 0)
            break;
    }
    return rc < 0 ? rc : buf_status(hits, err);
}

static int
search_once(struct sqlite_repo *repo, struct str expression, const struct dataset_filter *filter,
            size_t limit, struct buf *hits, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(repo->database, search_sql, &statement, err);

    if (rc < 0)
        return rc;
    dataset_filter_bind(filter, statement);
    statement_bind_str(statement, 5, expression);
    statement_bind_i64(statement, 6, (int64_t)limit);
    rc = collect_hits(statement, limit, hits, err);
    statement_reset(statement);
    return rc;
}

/* All words; and where that finds few and there are several, any of them. */
static int
search_words(struct sqlite_repo *repo, struct str query, const struct dataset_filter *filter,
             size_t limit, struct buf *hits, struct error *err)
{
    static const enum keyword_match matches[] = {MATCH_ALL_WORDS, MATCH_ANY_WORD};
    CLEANUP(buf_fini) struct buf expression = BUF_INIT(2 * EXPRESSION_BYTES);
    int rc = 0;

    for (size_t i = 0; rc == 0 && count_hits(hits) < FEW_HITS && i < COUNT_OF(matches); i++) {
        CLEANUP(buf_fini) struct buf facets = BUF_INIT(EXPRESSION_BYTES);
        size_t n_words;

        buf_clear(&expression);
        n_words = keyword_query_format(query, matches[i], &expression);
        if (n_words <= i)
            break;
        dataset_filter_format(filter, &facets);
        rc = buf_status(&facets, err);
        if (facets.len)
            buf_append(&expression, STR(" AND "));
        buf_append(&expression, buf_str(&facets));
        if (rc == 0)
            rc = buf_status(&expression, err);
        if (rc == 0)
            rc = search_once(repo, buf_str(&expression), filter, limit, hits, err);
    }
    return rc;
}

int
sqlite_search(struct dataset_repo *self, struct str query, const struct dataset_filter *filter,
              size_t limit, struct arena *arena, struct dataset_hit_list *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf hits = BUF_INIT(HITS_MAX * sizeof(struct dataset_hit));
    struct sqlite_repo *repo = sqlite_repo_of(self);
    struct dataset_hit *items;
    int rc = 0;

    if (database_in_transaction(repo->database))
        rc = keyword_index_flush(repo->database, err);
    if (rc == 0)
        rc = search_words(repo, query, filter, limit < HITS_MAX ? limit : HITS_MAX, &hits, err);
    if (rc < 0)
        return rc;
    items = arena_alloc(arena, hits.len);
    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for %zu bytes of hits", hits.len);
    if (hits.len)
        (void)memcpy(items, hits.ptr, hits.len);
    *out = (struct dataset_hit_list){items, count_hits(&hits)};
    return 0;
}
