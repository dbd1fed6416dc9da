/* lib/repositories/dataset_repository.h: keyword search, filters, lists, look-ups, query plans. */

#include "tests/unit/lib/repositories/repo_fixture.h"

#include <stdlib.h>

static struct str food_tags[] = {STR_INIT("food"), STR_INIT("text classification")};
static struct str odd_tags[] = {STR_INIT("a\",\"b"), STR_INIT("caf\xC3\xA9 \\ x")};
static struct str csv_formats[] = {STR_INIT("csv"), STR_INIT("json")};
static struct str wine_columns[] = {STR_INIT("alcohol_percent")};

static void
put_samples(struct repo_fixture *fixture)
{
    struct dataset row = make_row("1", "vinho/red-wine");

    row.title = STR("Wine quality");
    row.description = STR("Physicochemical tests of vinho verde");
    row.url = STR("https://www.kaggle.com/datasets/vinho/red-wine");
    row.license = STR("CC0-1.0");
    row.tags = (struct str_list){food_tags, COUNT_OF(food_tags)};
    row.file_formats = (struct str_list){csv_formats, COUNT_OF(csv_formats)};
    row.column_names = (struct str_list){wine_columns, 1};
    row.total_size_bytes = 100;
    row.download_count = 10;
    row.source_updated_at_us = 1000;
    row.status = DATASET_ENRICHED;
    (void)put_row(fixture, &row, 1);

    row = make_row("2", "someone/drinks");
    row.title = STR("Drinks of the world");
    row.description = STR("Beer, cider and wine; caf\xC3\xA9s too");
    row.license = STR("MIT");
    row.tags = (struct str_list){odd_tags, COUNT_OF(odd_tags)};
    row.total_size_bytes = 2000;
    row.download_count = 500;
    row.source_updated_at_us = 2000;
    row.status = DATASET_ENRICHED;
    (void)put_row(fixture, &row, 1);

    row = make_row("3", "lab/genes");
    row.source_name = STR("huggingface");
    row.title = STR("\xE6\x9C\xBA\xE5\x99\xA8\xE5\xAD\xA6\xE4\xB9\xA0 genomes");
    row.file_formats = (struct str_list){csv_formats, 1};
    row.url = STR("https://huggingface.co/datasets/lab/genes");
    (void)put_row(fixture, &row, 1);
}

static void
test_words(void **state)
{
    static const struct {
        const char *query;
        size_t n_hits;
        int64_t first; /* row_id, 0 = do not care */
    } rows[] = {
        {"wine", 2, 1},  /* the title before the description */
        {"wines", 2, 1}, /* stemmed */
        {"WINE", 2, 1},
        {"cafe", 1, 2},                     /* without diacritics */
        {"wine beer", 2, 2},                /* the row with all words before one with some */
        {"the wine of a beer", 2, 2},       /* words that tell nothing do not count */
        {"of", 2, 0},                       /* unless there are no others */
        {"wine genomes", 3, 0},             /* no row has all: any */
        {"vinho", 1, 1},                    /* owner and description */
        {"classification", 1, 1},           /* tag */
        {"alcohol", 1, 1},                  /* column, cut at its underscore */
        {"\xE6\x9C\xBA\xE5\x99\xA8", 1, 3}, /* the beginning of an unspaced run */
        {"zzzzz", 0, 0},
        {"6b6167676c65", 0, 0}, /* facets are no words */
        {"", 0, 0},
        {"!!! ---", 0, 0},
    };
    struct repo_fixture fixture;
    struct dataset_filter filter = no_filter();

    (void)state;
    repo_fixture_init(&fixture);
    put_samples(&fixture);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct dataset_hit_list hits = search(&fixture, str_from_cstr(rows[i].query), &filter);

        if (hits.n_items != rows[i].n_hits ||
            (rows[i].first && hits.items[0].row_id != rows[i].first))
            fail_msg("'%s': %zu hits", rows[i].query, hits.n_items);
        /* One word makes one list, sorted by score; several make two, one behind the other. */
        for (size_t j = 1; j < hits.n_items && !strchr(rows[i].query, ' '); j++)
            assert_true(hits.items[j - 1].score >= hits.items[j].score);
    }
    repo_fixture_fini(&fixture);
}

/* Whatever is typed is words, never syntax. */
static void
test_hostile_queries(void **state)
{
    static const struct str rows[] = {
        STR_INIT("wine AND"),
        STR_INIT("OR NOT AND"),
        STR_INIT("NEAR(wine beer, 2)"),
        STR_INIT("wine*"),
        STR_INIT("^wine"),
        STR_INIT("title:wine"),
        STR_INIT("{title} : wine"),
        STR_INIT("-wine +beer"),
        STR_INIT("\"wine"),
        STR_INIT("\"\"\"\""),
        STR_INIT("'; DROP TABLE datasets; --"),
        STR_INIT("wine\0beer"),
        STR_INIT("\xE3\x80\x82"), /* an ideographic full stop: no token at all */
        STR_INIT("wine \xE3\x80\x82"),
        STR_INIT("\xE2\x80\x94 wine"),
        STR_INIT("\xFF\xFE wine"),
        STR_INIT("\xE6\x9C"),
        STR_INIT("((((("),
        STR_INIT("\\ % _ ? $1 :a @b"),
    };
    struct repo_fixture fixture;
    struct dataset_filter filter = no_filter();
    static char big[10240];

    (void)state;
    repo_fixture_init(&fixture);
    put_samples(&fixture);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        (void)search(&fixture, rows[i], &filter);
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = "ab \"*("[i * 7 % 6];
    (void)search(&fixture, (struct str){big, sizeof(big)}, &filter);
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)(i % 3 ? 'a' + (char)(i * 31 % 26) : ' ');
    (void)search(&fixture, (struct str){big, sizeof(big)}, &filter);
    (void)memset(big, 'x', sizeof(big));
    (void)search(&fixture, (struct str){big, sizeof(big)}, &filter);
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)(i * 2654435761U >> 13);
    for (size_t i = 0; i + 40 < sizeof(big); i += 40)
        (void)search(&fixture, (struct str){big + i, 40}, &filter);
    assert_int_equal(search(&fixture, STR("beer AND"), &filter).n_items, 1); /* "and" is a word */
    assert_int_equal(search(&fixture, STR("wine\0beer"), &filter).n_items, 2);
    assert_int_equal(search(&fixture, STR("wine \xE3\x80\x82"), &filter).n_items, 2);
    repo_fixture_fini(&fixture);
}

static void
test_ties_by_number(void **state)
{
    struct repo_fixture fixture;
    struct dataset_filter filter = no_filter();
    struct dataset_hit_list hits;

    (void)state;
    repo_fixture_init(&fixture);
    for (int i = 0; i < 20; i++) {
        char key[8];

        (void)snprintf(key, sizeof(key), "%d", i);
        put_text(&fixture, key, key, "same words", "");
    }
    hits = search(&fixture, STR("same"), &filter);
    assert_int_equal(hits.n_items, 20);
    for (size_t i = 0; i < hits.n_items; i++)
        assert_int_equal(hits.items[i].row_id, i + 1);
    repo_fixture_fini(&fixture);
}

static int
sum_rows(void *context, const struct dataset *row, struct error *err)
{
    (void)err;
    *(int64_t *)context = *(int64_t *)context * 10 + row->row_id;
    return 0;
}

/* Each filter, in all that takes one: rows as digits, in order. */
static void
test_filters(void **state)
{
    struct {
        struct dataset_filter filter;
        int64_t rows;
        int64_t top;
        size_t n_hits; /* of "wine" */
    } rows[13];
    struct repo_fixture fixture;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        rows[i].filter = no_filter();
#define ROW(i, r, t, h) (rows[i].rows = (r), rows[i].top = (t), rows[i].n_hits = (h))
    ROW(0, 12, 21, 2); /* the third is inactive */
    rows[1].filter.source_name = STR("kaggle");
    ROW(1, 12, 21, 2);
    rows[2].filter.license = STR("cc0-1.0");
    ROW(2, 1, 1, 1);
    rows[3].filter.file_format = STR("json");
    ROW(3, 1, 1, 1);
    rows[4].filter.tag = STR("text classification");
    ROW(4, 1, 1, 1);
    rows[5].filter.tag = STR("text");
    ROW(5, 0, 0, 0);
    rows[6].filter.tag = STR("a\",\"b");
    ROW(6, 2, 2, 1);
    rows[7].filter.tag = STR("caf\xC3\xA9 \\ x");
    ROW(7, 2, 2, 1);
    rows[8].filter.min_size_bytes = 101;
    ROW(8, 2, 2, 1);
    rows[9].filter.max_size_bytes = 100;
    ROW(9, 1, 1, 1);
    rows[10].filter.updated_since_us = 2000;
    ROW(10, 2, 2, 1);
    rows[11].filter.with_inactive = true;
    ROW(11, 123, 213, 2);
    rows[12].filter.with_inactive = true;
    rows[12].filter.file_format = STR("csv");
    ROW(12, 13, 13, 1);
#undef ROW
    repo_fixture_init(&fixture);
    put_samples(&fixture);
    fixture_execute(fixture.base.database, "UPDATE datasets SET is_active = 0 WHERE row_id = 3");
    fixture_execute(fixture.base.database, /* the third has no score, and comes last */
                    "UPDATE datasets SET static_score = row_id / 10.0 WHERE row_id < 3");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const int64_t *ids;
        size_t n_ids;
        struct dataset_list top;
        struct error err;
        int64_t filtered = 0;
        int64_t walked = 0;
        int64_t topped = 0;

        assert_ok(
            dataset_repo_filter(fixture.repo, &rows[i].filter, &fixture.arena, &ids, &n_ids, &err),
            err);
        assert_ok(dataset_repo_each(fixture.repo, &rows[i].filter, sum_rows, &walked, &err), err);
        assert_ok(
            dataset_repo_find_top(fixture.repo, &rows[i].filter, 10, &fixture.arena, &top, &err),
            err);
        for (size_t j = 0; j < n_ids; j++)
            filtered = filtered * 10 + ids[j];
        for (size_t j = 0; j < top.n_items; j++)
            topped = topped * 10 + top.items[j].row_id;
        if (filtered != rows[i].rows || walked != rows[i].rows || topped != rows[i].top)
            fail_msg("filter %zu: %lld %lld %lld", i, (long long)filtered, (long long)walked,
                     (long long)topped);
        assert_int_equal(search(&fixture, STR("wine"), &rows[i].filter).n_items, rows[i].n_hits);
    }
    repo_fixture_fini(&fixture);
}

static void
test_index_follows(void **state)
{
    struct repo_fixture fixture;
    struct dataset_filter filter = no_filter();
    struct dataset row = make_row("1", "o/n");

    (void)state;
    repo_fixture_init(&fixture);
    put_text(&fixture, "1", "o/n", "alpha", "beta");
    row.description = STR("gamma");
    row.tags = (struct str_list){food_tags, 1};
    (void)put_row(&fixture, &row, 2);
    assert_int_equal(count_hits(&fixture, "beta"), 0);
    assert_int_equal(count_hits(&fixture, "gamma"), 1);
    assert_int_equal(count_hits(&fixture, "alpha"), 1);
    filter.tag = STR("food");
    assert_int_equal(search(&fixture, STR("alpha"), &filter).n_items, 1);
    row.tags = (struct str_list){odd_tags, 1};
    (void)put_row(&fixture, &row, 3);
    assert_int_equal(search(&fixture, STR("alpha"), &filter).n_items, 0);
    repo_fixture_fini(&fixture);
}

static void
test_read_only_connection(void **state)
{
    static const struct database_options read_only = {
        .schema = &catalogue_schema, .is_read_only = true, .must_be_current = true};
    struct repo_fixture fixture;
    struct dataset_repo *repo = NULL;
    struct database *database = NULL;
    struct dataset_filter filter = no_filter();
    struct dataset_hit_list hits;
    enum upsert_outcome outcome;
    struct dataset row = make_row("9", "o/n");
    struct error err;

    (void)state;
    repo_fixture_init(&fixture);
    put_samples(&fixture);
    assert_ok(database_open(str_from_cstr(fixture.base.path), &read_only, &database, &err), err);
    assert_ok(dataset_repo_create(database, &repo, &err), err);
    assert_ok(dataset_repo_search(repo, STR("wine"), &filter, 9, &fixture.arena, &hits, &err), err);
    assert_int_equal(hits.n_items, 2);
    assert_int_equal(dataset_repo_upsert(repo, &row, 1, &outcome, &err), -ERR_IO);
    dataset_repo_free(repo);
    database_close(database);
    repo_fixture_fini(&fixture);
}

static void
test_find(void **state)
{
    static const struct {
        const char *ref;
        int64_t row_id; /* 0 = not found */
    } rows[] = {
        {"vinho/red-wine", 1},
        {"  VINHO/Red-Wine ", 1},
        {"kaggle:vinho/red-wine", 1},
        {"huggingface:vinho/red-wine", 0},
        {"https://www.kaggle.com/datasets/vinho/red-wine", 1},
        {"http://kaggle.com/datasets/vinho/red-wine/", 1},
        {"https://www.kaggle.com/datasets/Vinho/red-wine/data?select=x#y", 1},
        {"https://huggingface.co/datasets/lab/genes/tree/main", 3},
        {"https://huggingface.co/datasets/vinho/red-wine", 0},
        {"https://evil.example/vinho/red-wine", 0},
        {"https://", 0},
        {"", 0},
        {":", 0},
        {"00000000-0000-0000-0000-000000000000", 0},
        {"nothing/here", 0},
    };
    struct repo_fixture fixture;

    (void)state;
    repo_fixture_init(&fixture);
    put_samples(&fixture);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct dataset row = {.row_id = 0};
        struct error err;
        int rc =
            dataset_repo_find(fixture.repo, str_from_cstr(rows[i].ref), &fixture.arena, &row, &err);

        if (rc != (rows[i].row_id ? 0 : -ERR_NOT_FOUND) || row.row_id != rows[i].row_id)
            fail_msg("'%s': %d, row %lld", rows[i].ref, rc, (long long)row.row_id);
    }
    repo_fixture_fini(&fixture);
}

static void
test_find_rows_in_order(void **state)
{
    static const int64_t row_ids[] = {3, 99, 1, 3};
    struct repo_fixture fixture;
    struct dataset_list list;
    struct error err;

    (void)state;
    repo_fixture_init(&fixture);
    put_samples(&fixture);
    assert_ok(dataset_repo_find_rows(fixture.repo, row_ids, COUNT_OF(row_ids), &fixture.arena,
                                     &list, &err),
              err);
    assert_int_equal(list.n_items, 3);
    assert_int_equal(list.items[0].row_id, 3);
    assert_int_equal(list.items[1].row_id, 1);
    assert_int_equal(list.items[2].row_id, 3);
    repo_fixture_fini(&fixture);
}

static void
test_counts(void **state)
{
    struct repo_fixture fixture;
    struct dataset_counts counts;
    struct error err;

    (void)state;
    repo_fixture_init(&fixture);
    assert_ok(dataset_repo_count(fixture.repo, &fixture.arena, &counts, &err), err);
    assert_int_equal(counts.n_items, 0);
    put_samples(&fixture);
    put_text(&fixture, "4", "o/4", "x", "");
    put_text(&fixture, "5", "o/5", "x", "");
    put_text(&fixture, "6", "o/6", "x", "");
    fixture_execute(fixture.base.database,
                    "UPDATE datasets SET embedded_hash = text_hash WHERE row_id IN (1, 4)");
    fixture_execute(fixture.base.database, "UPDATE datasets SET is_active = 0 WHERE row_id = 4");
    fixture_execute(fixture.base.database,
                    "UPDATE datasets SET enrichment_status = 'failed' WHERE row_id = 5");
    fixture_execute(fixture.base.database,
                    "UPDATE datasets SET enrichment_status = 'pending' WHERE row_id = 6");
    assert_ok(dataset_repo_count(fixture.repo, &fixture.arena, &counts, &err), err);
    assert_int_equal(counts.n_items, 2);
    assert_str_equal(counts.items[0].source_name, "huggingface");
    assert_int_equal(counts.items[0].n_rows, 1);
    assert_int_equal(counts.items[0].n_minimal, 1);
    assert_str_equal(counts.items[1].source_name, "kaggle");
    assert_int_equal(counts.items[1].n_rows, 5);
    assert_int_equal(counts.items[1].n_active, 4);
    assert_int_equal(counts.items[1].n_enriched, 3);
    assert_int_equal(counts.items[1].n_failed, 1);
    assert_int_equal(counts.items[1].n_pending, 1);
    assert_int_equal(counts.items[1].n_embedded, 2);
    assert_int_equal(counts.items[1].n_ready, 1);
    repo_fixture_fini(&fixture);
}

/* Plans that may scan, with their reason; everything else must search. */
static const char *const allowed_scans[] = {
    "SCAN d USING COVERING INDEX datasets_scan", /* filter: narrow, in row order */
    "SCAN d USING COVERING INDEX datasets_top",  /* top: ends at its limit */
    "SCAN d USING INDEX datasets_top",
    "SCAN d",                                    /* each: every row is wanted */
    "SCAN datasets USING INDEX datasets_status", /* counts: reads the index alone */
    "VIRTUAL TABLE INDEX",                       /* FTS5 with MATCH */
    "SCAN temp.keyword_pending",                 /* one batch */
    "SCAN p",
    "SCAN c",                      /* the changed rows */
    "SCAN dataset_vectors_before", /* ends at its limit */
    "SCAN CONSTANT ROW",
    "SCAN (subquery-", /* ends at its limit */
};

static bool
is_plan_fine(const char *sql, struct str detail)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(detail));
    if (strstr(text, "USE TEMP B-TREE"))
        return strstr(sql, "bm25") || strstr(sql, "FROM vector_changes") ||
               /* few: numbers */ strstr(sql, "ORDER BY CAST(d.static_score") ||
               strstr(sql, "external_id = $1 COLLATE NOCASE"); /* a handful of namesakes */
    if (!strstr(text, "SCAN"))
        return true;
    for (size_t i = 0; i < COUNT_OF(allowed_scans); i++) {
        const char *found = strstr(text, allowed_scans[i]);

        if (found && (strcmp(found, allowed_scans[i]) == 0 || allowed_scans[i][0] == 'V' ||
                      strstr(allowed_scans[i], "subquery")))
            return true;
    }
    return false;
}

/* explain must live as long as the connection, whose cache goes by its address. */
static void
check_plan(struct database *database, const char *explain)
{
    const char *sql = explain + strlen("EXPLAIN QUERY PLAN ");
    struct statement *statement;
    struct error err;

    assert_ok(database_prepare(database, explain, &statement, &err), err);
    while (statement_step(statement, &err) == 1)
        if (!is_plan_fine(sql, statement_str(statement, 3)))
            fail_msg("%s\n  -> %.*s", sql, STR_ARG(statement_str(statement, 3)));
}

/* Run everything once; then ask SQLite for all statements that the connection has prepared. */
static int
pass_vector(void *context, const struct dataset_vector *vector, struct error *err)
{
    (void)context;
    (void)vector;
    (void)err;
    return 0;
}

static int
pass_change(void *context, const struct dataset_vector_change *change, struct error *err)
{
    (void)context;
    (void)change;
    (void)err;
    return 0;
}

static void
test_query_plans(void **state)
{
    static const struct lease lease = {STR_INIT("w"), 100};
    static const unsigned char hash[DATASET_HASH_BYTES];
    static const float vector[1] = {1};
    static char *sqls[200];
    struct repo_fixture fixture;
    struct dataset_filter filter = no_filter();
    struct statement *statement;
    struct dataset_list list;
    struct dataset_counts counts;
    struct dataset_vector_state vectors;
    const int64_t *ids;
    struct error err;
    size_t n_ids;
    size_t n_sqls = 0;
    int64_t n = 0;

    (void)state;
    repo_fixture_init(&fixture);
    put_samples(&fixture);
    put_text(&fixture, "1", "vinho/white-wine", "changed", "");
    (void)get_row(&fixture, "kaggle:vinho/white-wine");
    (void)get_row(&fixture, get_row(&fixture, "lab/genes").id.ptr);
    for (int pass = 0; pass < 2; pass++) {
        filter.tag = pass ? STR("food") : STR_NULL;
        (void)search(&fixture, STR("wine"), &filter);
        assert_ok(dataset_repo_filter(fixture.repo, &filter, &fixture.arena, &ids, &n_ids, &err),
                  err);
        assert_ok(dataset_repo_each(fixture.repo, &filter, sum_rows, &n, &err), err);
        assert_ok(dataset_repo_find_top(fixture.repo, &filter, 1, &fixture.arena, &list, &err),
                  err);
    }
    assert_ok(dataset_repo_count(fixture.repo, &fixture.arena, &counts, &err), err);
    assert_ok(dataset_repo_count_unembedded(fixture.repo, STR("m"), &n, &err), err);
    assert_ok(dataset_repo_claim_unembedded(fixture.repo, STR("m"), 1, &lease, 1, &fixture.arena,
                                            &list, &err),
              err);
    assert_ok(dataset_repo_save_embedding(fixture.repo, list.items[0].row_id, STR("w"), STR("m"),
                                          hash, vector, 1, 1, &err),
              err);
    assert_ok(dataset_repo_begin_vectors(fixture.repo, STR("m"), STR("l"), &err), err);
    assert_ok(dataset_repo_switch_vectors(fixture.repo, STR("m"), NULL, &err), err);
    assert_ok(dataset_repo_clear_vectors(fixture.repo, 10, &n, &err), err);
    assert_ok(dataset_repo_vector_state(fixture.repo, &fixture.arena, &vectors, &err), err);
    assert_ok(dataset_repo_each_vector(fixture.repo, STR("m"), pass_vector, NULL, &err), err);
    assert_ok(dataset_repo_each_vector_change(fixture.repo, STR("m"), 0, pass_change, NULL, &err),
              err);
    assert_ok(dataset_repo_claim_unenriched(fixture.repo, STR("huggingface"), 1, &lease, 1,
                                            &fixture.arena, &list, &err),
              err);
    assert_ok(dataset_repo_finish_enrichment(fixture.repo, list.items[0].row_id, STR("w"),
                                             ENRICHMENT_RETRY, NULL, 5, STR(""), 1, &err),
              err);
    assert_ok(dataset_repo_release(fixture.repo, STR("w"), 1, &n, &err), err);

    assert_ok(database_prepare(fixture.base.database,
                               "SELECT sql FROM sqlite_stmt WHERE sql GLOB 'SELECT*'"
                               " OR sql GLOB 'INSERT*' OR sql GLOB 'UPDATE*' OR sql GLOB 'DELETE*'",
                               &statement, &err),
              err);
    while (statement_step(statement, &err) == 1 && n_sqls < COUNT_OF(sqls))
        if (!strstr(statement_str(statement, 0).ptr, "sqlite_stmt") &&
            !strstr(statement_str(statement, 0).ptr, "'main'."))
            assert_true(asprintf(&sqls[n_sqls++], "EXPLAIN QUERY PLAN %s",
                                 statement_str(statement, 0).ptr) > 0);
    statement_reset(statement);
    assert_true(n_sqls >= 25);
    for (size_t i = 0; i < n_sqls; i++)
        check_plan(fixture.base.database, sqls[i]);
    repo_fixture_fini(&fixture);
    for (size_t i = 0; i < n_sqls; i++)
        free(sqls[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),          cmocka_unit_test(test_hostile_queries),
        cmocka_unit_test(test_ties_by_number), cmocka_unit_test(test_filters),
        cmocka_unit_test(test_index_follows),  cmocka_unit_test(test_read_only_connection),
        cmocka_unit_test(test_find),           cmocka_unit_test(test_find_rows_in_order),
        cmocka_unit_test(test_counts),         cmocka_unit_test(test_query_plans),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
