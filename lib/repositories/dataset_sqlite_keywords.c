/* The full-text index, kept in step at the commit.
 *
 * A temporary table, which savepoints undo like any other, remembers for each touched row the words
 * that the index still holds for it: an index without a copy of its text can only forget what it is
 * told word by word.  At the commit all old words go out and all new ones in, in ascending order of
 * rows, which FTS5 gathers in memory and writes once. */

#include "lib/repositories/dataset_sqlite.h"

static const char create_sql[] =
    "CREATE TEMP TABLE IF NOT EXISTS keyword_pending (row_id INTEGER PRIMARY KEY, is_indexed,"
    " title, description, owner, tags, columns, facets)";

static const char note_insert_sql[] =
    "INSERT OR IGNORE INTO temp.keyword_pending (row_id, is_indexed) VALUES ($1, 0)";

static const char note_change_sql[] =
    "INSERT OR IGNORE INTO temp.keyword_pending"
    " SELECT row_id, 1, title, description, owner, tags, columns, facets"
    " FROM dataset_texts WHERE row_id = $1";

static const char has_pending_sql[] = "SELECT EXISTS (SELECT 1 FROM temp.keyword_pending)";

static const char *const flush_sql[] = {
    "INSERT INTO datasets_fts"
    " (datasets_fts, rowid, title, description, owner, tags, columns, facets)"
    " SELECT 'delete', row_id, title, description, owner, tags, columns, facets"
    " FROM temp.keyword_pending WHERE is_indexed ORDER BY row_id",

    "INSERT INTO datasets_fts (rowid, title, description, owner, tags, columns, facets)"
    " SELECT t.row_id, t.title, t.description, t.owner, t.tags, t.columns, t.facets"
    " FROM temp.keyword_pending p CROSS JOIN dataset_texts t ON t.row_id = p.row_id"
    " ORDER BY p.row_id",

    "DELETE FROM temp.keyword_pending",
};

int
keyword_index_init(struct database *database, struct error *err)
{
    int rc = database_execute(database, create_sql, err);

    if (rc == 0)
        database_set_commit_hook(database, keyword_index_flush, database);
    return rc;
}

static int
note(struct database *database, const char *sql, int64_t row_id, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    return statement_run(statement, NULL, err);
}

int
keyword_index_note_change(struct database *database, int64_t row_id, struct error *err)
{
    return note(database, note_change_sql, row_id, err);
}

int
keyword_index_note_insert(struct database *database, int64_t row_id, struct error *err)
{
    return note(database, note_insert_sql, row_id, err);
}

int
keyword_index_flush(void *context, struct error *err)
{
    struct database *database = context;
    struct statement *statement;
    bool has_pending = false;
    int rc = database_prepare(database, has_pending_sql, &statement, err);

    if (rc == 0)
        rc = statement_step(statement, err);
    if (rc < 0)
        return error_wrap(err, rc, "keyword index");
    has_pending = rc == 1 && statement_i64(statement, 0) == 1;
    statement_reset(statement);
    rc = 0;
    for (size_t i = 0; rc == 0 && has_pending && i < COUNT_OF(flush_sql); i++)
        rc = database_execute(database, flush_sql[i], err);
    return rc < 0 ? error_wrap(err, rc, "keyword index") : 0;
}
