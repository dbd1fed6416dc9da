/* SQL of the static scores. */

#include "lib/repositories/score_repository.h"

#include "lib/models/dataset.h"
#include "lib/repositories/row_list.h"

/* Notebooks or models that use it, where the source counts no views: source_meta's own key. Looking
 * for its name first spares most rows the parsing. */
#define USES_SQL                                                                                   \
    "CASE WHEN d.view_count IS NULL AND instr(d.source_meta, '\"kernel_count\":')"                 \
    " AND json_valid(d.source_meta) THEN json_extract(d.source_meta, '$.kernel_count') END"

static const char each_counters_sql[] =
    "SELECT d.source_name, d.source_created_at, d.download_count, d.like_count, d.view_count,"
    " " USES_SQL " FROM datasets d WHERE d.is_active";

static const char each_knot_sql[] = "SELECT source_name, age_class, counter, value, share"
                                    " FROM score_knots"
                                    " ORDER BY source_name, age_class, counter, value";

static const char remove_table_sql[] =
    "DELETE FROM score_knots WHERE source_name = $1 AND age_class = $2 AND counter = $3";
static const char add_knot_sql[] =
    "INSERT INTO score_knots (source_name, age_class, counter, value, share)"
    " VALUES ($1, $2, $3, $4, $5)";

static const char queue_unscored_sql[] =
    "INSERT OR IGNORE INTO score_queue (row_id) SELECT d.row_id"
    " FROM datasets d INDEXED BY datasets_scan"
    " WHERE NOT EXISTS (SELECT 1 FROM dataset_scores s WHERE s.row_id = d.row_id) ORDER BY "
    "d.row_id";
static const char queue_aged_sql[] =
    "INSERT OR IGNORE INTO score_queue (row_id) SELECT row_id FROM dataset_scores"
    " WHERE formula <> $1 OR next_at <= $2 ORDER BY row_id";
static const char queue_class_sql[] =
    "INSERT OR IGNORE INTO score_queue (row_id) SELECT row_id FROM dataset_scores"
    " WHERE source_name = $1 AND age_class = $2 ORDER BY row_id";

static const char count_sql[] = "SELECT count(*) FROM score_queue";

/* A list is a JSON array: longer than "[]" where it has items. */
static const char list_sql[] =
    "SELECT q.row_id, d.source_name, d.external_id, d.title, d.license, d.link_state,"
    " d.download_count, d.like_count, d.view_count, " USES_SQL ","
    " d.source_created_at, d.source_updated_at, length(d.description), length(d.tags) > 2,"
    " length(d.file_formats) > 2, d.total_size_bytes IS NOT NULL OR d.row_count IS NOT NULL,"
    " length(d.column_names) > 2,"
    " instr(d.source_meta, '\"arxiv\":') OR instr(d.source_meta, '\"doi\":')"
    " FROM score_queue q CROSS JOIN datasets d ON d.row_id = q.row_id"
    " WHERE q.row_id > $1 ORDER BY q.row_id LIMIT $2";

static const char save_sql[] =
    "INSERT OR REPLACE INTO dataset_scores (row_id, static_score, popularity, quality, freshness,"
    " gate, formula, computed_at, next_at, source_name, age_class)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
static const char save_value_sql[] =
    "UPDATE datasets SET static_score = $1 WHERE row_id = $2 AND static_score IS NOT $1";
static const char remove_queued_sql[] = "DELETE FROM score_queue WHERE row_id = $1";

static const char find_sql[] =
    "SELECT static_score, popularity, quality, freshness, gate, formula, computed_at"
    " FROM dataset_scores WHERE row_id = $1";

int
score_repo_each_counters(struct database *database, score_counters_fn fn, void *context,
                         struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, each_counters_sql, &statement, err);

    if (rc < 0)
        return rc;
    while ((rc = statement_step(statement, err)) == 1) {
        struct score_counters row = {
            .source_name = statement_str(statement, 0),
            .created_at_us = statement_i64(statement, 1),
        };

        for (int i = 0; i < SCORE_N_COUNTERS; i++)
            row.values[i] = statement_i64(statement, 2 + i);
        rc = fn(context, &row, err);
        if (rc < 0)
            break;
    }
    statement_reset(statement);
    return rc;
}

static int
read_knot(const struct statement *statement, score_knot_fn fn, void *context, struct error *err)
{
    int64_t age = statement_i64(statement, 1);
    int64_t counter = statement_i64(statement, 2);
    struct score_knot knot = {statement_i64(statement, 3), statement_f64(statement, 4)};
    struct score_table_key key;

    if (age < 0 || age >= SCORE_N_AGES || counter < 0 || counter >= SCORE_N_COUNTERS)
        return error_set(err, ERR_CORRUPT,
                         "score_knots has age class %lld and counter %lld: empty the table, the "
                         "next scoring makes it anew",
                         (long long)age, (long long)counter);
    key = (struct score_table_key){statement_str(statement, 0), (enum score_age)age,
                                   (enum score_counter)counter};
    return fn(context, &key, &knot, err);
}

int
score_repo_each_knot(struct database *database, score_knot_fn fn, void *context, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, each_knot_sql, &statement, err);

    if (rc < 0)
        return rc;
    while ((rc = statement_step(statement, err)) == 1) {
        rc = read_knot(statement, fn, context, err);
        if (rc < 0)
            break;
    }
    statement_reset(statement);
    return rc;
}

static void
bind_key(struct statement *statement, const struct score_table_key *key)
{
    statement_bind_str(statement, 1, key->source_name);
    statement_bind_i64(statement, 2, key->age);
    statement_bind_i64(statement, 3, key->counter);
}

int
score_repo_save_table(struct database *database, const struct score_table_key *key,
                      const struct score_knot *knots, size_t n_knots, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, remove_table_sql, &statement, err);

    if (rc < 0)
        return rc;
    bind_key(statement, key);
    rc = statement_run(statement, NULL, err);
    for (size_t i = 0; rc == 0 && i < n_knots; i++) {
        rc = database_prepare(database, add_knot_sql, &statement, err);
        if (rc < 0)
            return rc;
        bind_key(statement, key);
        statement_bind_i64(statement, 4, knots[i].value);
        statement_bind_f64(statement, 5, knots[i].share);
        rc = statement_run(statement, NULL, err);
    }
    return rc;
}

int
score_repo_queue_due(struct database *database, int64_t formula, int64_t now_us, struct error *err)
{
    struct statement *statement;
    int rc = database_execute(database, queue_unscored_sql, err);

    if (rc == 0)
        rc = database_prepare(database, queue_aged_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, formula);
    statement_bind_i64(statement, 2, now_us);
    return statement_run(statement, NULL, err);
}

int
score_repo_queue_class(struct database *database, struct str source_name, enum score_age age,
                       struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, queue_class_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, source_name);
    statement_bind_i64(statement, 2, age);
    return statement_run(statement, NULL, err);
}

int
score_repo_count_queue(struct database *database, int64_t *out, struct error *err)
{
    return database_query_i64(database, count_sql, out, err);
}

static int
read_inputs(const struct statement *statement, struct arena *arena, void *item, struct error *err)
{
    struct score_inputs *row = item;
    int64_t n_chars = statement_i64(statement, 12);
    bool ok = true;

    *row = (struct score_inputs){
        .row_id = statement_i64(statement, 0),
        .source_name = arena_dup(arena, statement_str(statement, 1), &ok),
        .external_id = arena_dup(arena, statement_str(statement, 2), &ok),
        .title = arena_dup(arena, statement_str(statement, 3), &ok),
        .license = arena_dup(arena, statement_str(statement, 4), &ok),
        .link_state = arena_dup(arena, statement_str(statement, 5), &ok),
        .created_at_us = statement_i64(statement, 10),
        .updated_at_us = statement_i64(statement, 11),
        .n_description_chars = n_chars == DATABASE_NULL ? 0 : n_chars,
        .has_tags = statement_i64(statement, 13) == 1,
        .has_formats = statement_i64(statement, 14) == 1,
        .has_extent = statement_i64(statement, 15) == 1,
        .has_columns = statement_i64(statement, 16) == 1,
        .has_reference = statement_i64(statement, 17) == 1,
    };
    for (int i = 0; i < SCORE_N_COUNTERS; i++)
        row->counters[i] = statement_i64(statement, 6 + i);
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for a batch of datasets to score");
}

int
score_repo_list_queue(struct database *database, int64_t after_row_id, int64_t limit,
                      struct arena *arena, struct score_inputs_list *out, struct error *err)
{
    const struct row_list_spec spec = {read_inputs, sizeof(struct score_inputs), (size_t)limit,
                                       "datasets to score"};
    struct statement *statement;
    void *items = NULL;
    size_t n_items = 0;
    int rc = database_prepare(database, list_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, after_row_id);
    statement_bind_i64(statement, 2, limit);
    rc = row_list_collect(statement, &spec, arena, &items, &n_items, err);
    if (rc == 0)
        *out = (struct score_inputs_list){items, n_items};
    return rc;
}

/* The row itself only where the number is another: its write is the dear one. */
static int
save_value(struct database *database, int64_t row_id, double value, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, save_value_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_f64(statement, 1, value);
    statement_bind_i64(statement, 2, row_id);
    return statement_run(statement, NULL, err);
}

int
score_repo_save(struct database *database, const struct score_inputs *row, enum score_age age,
                const struct static_score *score, int64_t next_at_us, struct error *err)
{
    struct statement *statement;
    int rc = save_value(database, row->row_id, score->value, err);

    if (rc == 0)
        rc = database_prepare(database, save_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row->row_id);
    statement_bind_f64(statement, 2, score->value);
    statement_bind_f64(statement, 3, score->popularity);
    statement_bind_f64(statement, 4, score->quality);
    statement_bind_f64(statement, 5, score->freshness);
    statement_bind_f64(statement, 6, score->gate);
    statement_bind_i64(statement, 7, score->formula);
    statement_bind_i64(statement, 8, score->computed_at_us);
    statement_bind_i64(statement, 9, next_at_us);
    statement_bind_str(statement, 10, row->source_name);
    statement_bind_i64(statement, 11, age);
    rc = statement_run(statement, NULL, err);
    if (rc == 0)
        rc = database_prepare(database, remove_queued_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row->row_id);
    return statement_run(statement, NULL, err);
}

int
score_repo_find(struct database *database, int64_t row_id, struct static_score *out,
                struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, find_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    *out = (struct static_score){0};
    if (rc == 1)
        *out = (struct static_score){
            .value = statement_f64(statement, 0),
            .popularity = statement_f64(statement, 1),
            .quality = statement_f64(statement, 2),
            .freshness = statement_f64(statement, 3),
            .gate = statement_f64(statement, 4),
            .formula = statement_i64(statement, 5),
            .computed_at_us = statement_i64(statement, 6),
        };
    statement_reset(statement);
    return 0;
}
