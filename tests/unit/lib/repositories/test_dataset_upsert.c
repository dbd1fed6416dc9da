/* lib/repositories/dataset_repository.h: inserting and merging. */

#include "tests/unit/lib/repositories/repo_fixture.h"

static struct str some_tags[] = {STR_INIT("food"), STR_INIT("a \"quoted\" \xE2\x82\xAC tag")};
static struct str some_formats[] = {STR_INIT("csv")};

static struct dataset
full_row(void)
{
    struct dataset row = make_row("1", "owner/wine");

    row.title = STR("Wine");
    row.url = STR("https://www.kaggle.com/datasets/owner/wine");
    row.description = STR("Bottles");
    row.license = STR("CC0-1.0");
    row.tags = (struct str_list){some_tags, COUNT_OF(some_tags)};
    row.file_formats = (struct str_list){some_formats, 1};
    row.column_names = (struct str_list){some_tags, 1};
    row.total_size_bytes = 5;
    row.row_count = 6;
    row.download_count = 7;
    row.view_count = 8;
    row.like_count = 9;
    row.source_created_at_us = 10;
    row.source_updated_at_us = 11;
    row.source_meta = STR("{\"a\":1,\"b\":[2]}");
    row.status = DATASET_ENRICHED;
    return row;
}

static void
test_insert_and_read_back(void **state)
{
    struct repo_fixture fixture;
    struct dataset sent = full_row();
    struct dataset row;

    (void)state;
    repo_fixture_init(&fixture);
    assert_int_equal(put_row(&fixture, &sent, 100), UPSERT_INSERTED);
    row = get_row(&fixture, "owner/wine");
    assert_true(row.row_id > 0);
    assert_int_equal(row.id.len, 36);
    assert_str_equal(get_row(&fixture, row.id.ptr).source_key, "1");
    assert_str_equal(row.source_name, "kaggle");
    assert_str_equal(row.title, "Wine");
    assert_str_equal(row.url, sent.url.ptr);
    assert_str_equal(row.description, "Bottles");
    assert_str_equal(row.license, "CC0-1.0");
    assert_int_equal(row.tags.n_items, 2);
    assert_str_equal(row.tags.items[1], some_tags[1].ptr);
    assert_int_equal(row.file_formats.n_items, 1);
    assert_str_equal(row.column_names.items[0], "food");
    assert_int_equal(row.total_size_bytes, 5);
    assert_int_equal(row.row_count, 6);
    assert_int_equal(row.download_count, 7);
    assert_int_equal(row.view_count, 8);
    assert_int_equal(row.like_count, 9);
    assert_int_equal(row.source_created_at_us, 10);
    assert_int_equal(row.source_updated_at_us, 11);
    assert_str_equal(row.source_meta, "{\"a\":1,\"b\":[2]}");
    assert_int_equal(row.status, DATASET_ENRICHED);
    assert_true(row.is_active);
    assert_false(row.is_embedded);
    assert_int_equal(row.last_enriched_at_us, 100);
    assert_int_equal(row.created_at_us, 100);
    assert_int_equal(row.updated_at_us, 100);
    assert_int_equal(row.last_checked_at_us, DATASET_UNKNOWN);
    assert_null(row.link_state.ptr);
    repo_fixture_fini(&fixture);
}

/* What is not sent stays; sending the same again touches nothing. */
static void
test_absent_keeps(void **state)
{
    struct repo_fixture fixture;
    struct dataset sent = full_row();
    struct dataset bare = make_row("1", "owner/wine");
    struct dataset row;

    (void)state;
    repo_fixture_init(&fixture);
    (void)put_row(&fixture, &sent, 100);
    assert_int_equal(put_row(&fixture, &sent, 200), UPSERT_UNCHANGED);
    assert_int_equal(put_row(&fixture, &bare, 300), UPSERT_UNCHANGED);
    row = get_row(&fixture, "owner/wine");
    assert_str_equal(row.title, "Wine");
    assert_int_equal(row.tags.n_items, 2);
    assert_int_equal(row.download_count, 7);
    assert_int_equal(row.status, DATASET_ENRICHED);
    assert_int_equal(row.updated_at_us, 100);
    repo_fixture_fini(&fixture);
}

/* One field of each kind: it changes, the others do not. */
static void
test_each_change(void **state)
{
    static struct str no_tags[1];
    struct repo_fixture fixture;
    struct dataset sent = full_row();
    struct dataset row;

    (void)state;
    repo_fixture_init(&fixture);
    (void)put_row(&fixture, &sent, 100);

    sent.download_count = 70;
    assert_int_equal(put_row(&fixture, &sent, 200), UPSERT_UPDATED);
    sent.description = STR("");
    assert_int_equal(put_row(&fixture, &sent, 300), UPSERT_UPDATED);
    sent.tags = (struct str_list){no_tags, 0};
    assert_int_equal(put_row(&fixture, &sent, 400), UPSERT_UPDATED);
    assert_int_equal(put_row(&fixture, &sent, 500), UPSERT_UNCHANGED);

    row = get_row(&fixture, "owner/wine");
    assert_int_equal(row.download_count, 70);
    assert_non_null(row.description.ptr);
    assert_int_equal(row.description.len, 0);
    assert_non_null(row.tags.items);
    assert_int_equal(row.tags.n_items, 0);
    assert_str_equal(row.title, "Wine");
    assert_int_equal(row.file_formats.n_items, 1);
    assert_int_equal(row.updated_at_us, 400);
    assert_int_equal(row.created_at_us, 100);
    repo_fixture_fini(&fixture);
}

static void
test_meta_merges_by_key(void **state)
{
    static const struct {
        const char *sent;
        const char *stored;
        enum upsert_outcome outcome;
    } rows[] = {
        {"{\"dump\":1,\"both\":\"x\"}", "{\"dump\":1,\"both\":\"x\"}", UPSERT_INSERTED},
        {"{\"api\":[1, 2]}", "{\"dump\":1,\"both\":\"x\",\"api\":[1,2]}", UPSERT_UPDATED},
        {"{\"both\":\"x\",\"dump\":1}", "{\"dump\":1,\"both\":\"x\",\"api\":[1,2]}",
         UPSERT_UNCHANGED},
        {"{\"both\":{\"deep\":1}}", "{\"dump\":1,\"both\":{\"deep\":1},\"api\":[1,2]}",
         UPSERT_UPDATED},
        {"{\"both\":null,\"both\":2}", "{\"dump\":1,\"both\":2,\"api\":[1,2]}", UPSERT_UPDATED},
        {"{}", "{\"dump\":1,\"both\":2,\"api\":[1,2]}", UPSERT_UNCHANGED},
    };
    struct repo_fixture fixture;

    (void)state;
    repo_fixture_init(&fixture);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct dataset row = make_row("1", "o/n");

        row.source_meta = str_from_cstr(rows[i].sent);
        assert_int_equal(put_row(&fixture, &row, 1), rows[i].outcome);
        assert_str_equal(get_row(&fixture, "o/n").source_meta, rows[i].stored);
    }
    repo_fixture_fini(&fixture);
}

static void
test_refuse(void **state)
{
    static char long_text[DATASET_DESCRIPTION_BYTES + 1];
    static struct str many[DATASET_LIST_ITEMS + 1];
    struct repo_fixture fixture;
    struct dataset rows[9];
    static const int codes[] = {-ERR_INVALID,   -ERR_INVALID,   -ERR_INVALID,
                                -ERR_TOO_LARGE, -ERR_TOO_LARGE, -ERR_TOO_LARGE,
                                -ERR_INVALID,   -ERR_INVALID,   -ERR_INVALID};

    (void)state;
    repo_fixture_init(&fixture);
    (void)memset(long_text, 'x', sizeof(long_text));
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        rows[i] = full_row();
    rows[0].source_name = STR_NULL;
    rows[1].source_key = STR("");
    rows[2].external_id = STR_NULL;
    rows[3].description = (struct str){long_text, sizeof(long_text)};
    rows[4].tags = (struct str_list){many, COUNT_OF(many)};
    rows[5].external_id = (struct str){long_text, 401};
    rows[6].source_meta = STR("[1]");
    rows[7].source_meta = STR("{");
    rows[8].status = DATASET_ENRICHING;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum upsert_outcome outcome = UPSERT_UNCHANGED;
        struct error err;

        assert_int_equal(dataset_repo_upsert(fixture.repo, &rows[i], 1, &outcome, &err), codes[i]);
    }
    assert_int_equal(fixture_query(fixture.base.database, "SELECT count(*) FROM datasets"), 0);
    repo_fixture_fini(&fixture);
}

static void
test_status_rises_and_never_falls(void **state)
{
    static const struct {
        const char *stored;
        enum dataset_status sent;
        enum dataset_status expected;
    } rows[] = {
        {"minimal", DATASET_MINIMAL, DATASET_MINIMAL},
        {"minimal", DATASET_ENRICHED, DATASET_ENRICHED},
        {"pending", DATASET_MINIMAL, DATASET_PENDING},
        {"pending", DATASET_ENRICHED, DATASET_ENRICHED},
        {"failed", DATASET_MINIMAL, DATASET_FAILED},
        {"failed", DATASET_ENRICHED, DATASET_ENRICHED},
        {"enriching", DATASET_ENRICHED, DATASET_ENRICHING},
        {"enriching", DATASET_MINIMAL, DATASET_ENRICHING},
        {"skipped", DATASET_ENRICHED, DATASET_SKIPPED},
        {"enriched", DATASET_MINIMAL, DATASET_ENRICHED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct repo_fixture fixture;
        struct dataset row = make_row("1", "o/n");
        struct statement *statement;
        struct error err;

        repo_fixture_init(&fixture);
        (void)put_row(&fixture, &row, 1);
        assert_ok(database_prepare(fixture.base.database,
                                   "UPDATE datasets SET enrichment_status = $1,"
                                   " last_enrichment_error = 'e', next_attempt_at = 5",
                                   &statement, &err),
                  err);
        statement_bind_str(statement, 1, str_from_cstr(rows[i].stored));
        assert_ok(statement_run(statement, NULL, &err), err);
        row.status = rows[i].sent;
        row.title = STR("t");
        assert_int_equal(put_row(&fixture, &row, 9), UPSERT_UPDATED);
        row = get_row(&fixture, "o/n");
        assert_int_equal(row.status, rows[i].expected);
        if (rows[i].sent == DATASET_ENRICHED && rows[i].expected == DATASET_ENRICHED) {
            assert_null(row.last_enrichment_error.ptr);
            assert_int_equal(row.next_attempt_at_us, DATASET_UNKNOWN);
            assert_int_equal(row.last_enriched_at_us, 9);
        }
        repo_fixture_fini(&fixture);
    }
}

/* What we derived is no business of an upsert's. */
static void
test_derived_stays(void **state)
{
    static const char derived_sql[] =
        "SELECT count(*) FROM datasets WHERE static_score = 0.5 AND link_state = 'alive'"
        " AND last_checked_at = 3 AND enrichment_attempts = 2 AND is_embedded";
    struct repo_fixture fixture;
    struct dataset row = full_row();

    (void)state;
    repo_fixture_init(&fixture);
    (void)put_row(&fixture, &row, 1);
    fixture_execute(fixture.base.database,
                    "UPDATE datasets SET static_score = 0.5, link_state = 'alive',"
                    " last_checked_at = 3, enrichment_attempts = 2, embedded_hash = text_hash");
    row.download_count++;
    row.license = STR("mit");
    row.external_id = STR("owner/renamed");
    assert_int_equal(put_row(&fixture, &row, 2), UPSERT_UPDATED);
    assert_int_equal(fixture_query(fixture.base.database, derived_sql), 1);
    repo_fixture_fini(&fixture);
}

static void
test_rename(void **state)
{
    struct repo_fixture fixture;
    struct dataset row = make_row("1", "old/name");
    struct dataset before;
    struct dataset after;

    (void)state;
    repo_fixture_init(&fixture);
    (void)put_row(&fixture, &row, 1);
    before = get_row(&fixture, "old/name");
    row.external_id = STR("new/name");
    assert_int_equal(put_row(&fixture, &row, 2), UPSERT_UPDATED);
    after = get_row(&fixture, "new/name");
    assert_int_equal(after.row_id, before.row_id);
    assert_true(str_equal(after.id, before.id));
    assert_int_equal(fixture_query(fixture.base.database, "SELECT count(*) FROM datasets"), 1);
    assert_int_equal(count_hits(&fixture, "old"), 0);
    assert_int_equal(count_hits(&fixture, "new"), 1);
    repo_fixture_fini(&fixture);
}

/* A name passes to another dataset: who held it is gone, and comes back when it is listed again. */
static void
test_name_collision(void **state)
{
    struct repo_fixture fixture;
    struct dataset first = make_row("1", "o/a");
    struct dataset second = make_row("2", "o/a");
    struct dataset row;
    int64_t first_id;

    (void)state;
    repo_fixture_init(&fixture);
    (void)put_row(&fixture, &first, 1);
    first_id = get_row(&fixture, "o/a").row_id;
    assert_int_equal(put_row(&fixture, &second, 2), UPSERT_INSERTED);
    row = get_by_number(&fixture, first_id);
    assert_false(row.is_active);
    assert_str_equal(row.link_state, "gone");
    assert_str_equal(row.external_id, "o/a");
    assert_str_equal(get_row(&fixture, "o/a").source_key, "2"); /* the active one is found */

    first.external_id = STR("o/b");
    assert_int_equal(put_row(&fixture, &first, 3), UPSERT_UPDATED);
    row = get_by_number(&fixture, first_id);
    assert_true(row.is_active);
    assert_null(row.link_state.ptr);
    assert_true(get_row(&fixture, "o/a").is_active);
    repo_fixture_fini(&fixture);
}

static void
test_swapped_names(void **state)
{
    struct repo_fixture fixture;
    struct dataset first = make_row("1", "o/a");
    struct dataset second = make_row("2", "o/b");
    struct error err;

    (void)state;
    repo_fixture_init(&fixture);
    (void)put_row(&fixture, &first, 1);
    (void)put_row(&fixture, &second, 1);
    first.external_id = STR("o/b");
    second.external_id = STR("o/a");
    assert_ok(database_begin(fixture.base.database, &err), err);
    (void)put_row(&fixture, &first, 2);
    (void)put_row(&fixture, &second, 2);
    assert_ok(database_commit(fixture.base.database, &err), err);
    assert_str_equal(get_row(&fixture, "o/a").source_key, "2");
    assert_str_equal(get_row(&fixture, "o/b").source_key, "1");
    assert_true(get_row(&fixture, "o/a").is_active);
    assert_true(get_row(&fixture, "o/b").is_active);
    assert_int_equal(fixture_query(fixture.base.database, "SELECT count(*) FROM datasets"), 2);
    repo_fixture_fini(&fixture);
}

/* Names that differ in case alone are two names; a look-up prefers the exact one. */
static void
test_names_in_another_case(void **state)
{
    struct repo_fixture fixture;
    struct dataset lower = make_row("1", "o/name");
    struct dataset upper = make_row("2", "o/NAME");

    (void)state;
    repo_fixture_init(&fixture);
    (void)put_row(&fixture, &lower, 1);
    (void)put_row(&fixture, &upper, 1);
    assert_str_equal(get_row(&fixture, "o/name").source_key, "1");
    assert_str_equal(get_row(&fixture, "o/NAME").source_key, "2");
    assert_str_equal(get_row(&fixture, "O/Name").source_key, "1");
    repo_fixture_fini(&fixture);
}

static void
test_gone_revives_when_listed(void **state)
{
    struct repo_fixture fixture;
    struct dataset row = make_row("1", "o/a");

    (void)state;
    repo_fixture_init(&fixture);
    (void)put_row(&fixture, &row, 1);
    fixture_execute(fixture.base.database,
                    "UPDATE datasets SET is_active = 0, link_state = 'gone'");
    row.is_active = false; /* known, but not listed */
    assert_int_equal(put_row(&fixture, &row, 2), UPSERT_UNCHANGED);
    assert_false(get_row(&fixture, "o/a").is_active);
    row.is_active = true;
    assert_int_equal(put_row(&fixture, &row, 3), UPSERT_UPDATED);
    assert_true(get_row(&fixture, "o/a").is_active);
    assert_null(get_row(&fixture, "o/a").link_state.ptr);
    row.is_active = false; /* disabled at the source */
    assert_int_equal(put_row(&fixture, &row, 4), UPSERT_UPDATED);
    assert_false(get_row(&fixture, "o/a").is_active);
    repo_fixture_fini(&fixture);
}

/* A page is one transaction, a row within it a savepoint; the keyword index follows both. */
static void
test_rollback_and_undo(void **state)
{
    struct repo_fixture fixture;
    struct error err;

    (void)state;
    repo_fixture_init(&fixture);
    put_text(&fixture, "1", "o/a", "alpha", "");
    assert_ok(database_begin(fixture.base.database, &err), err);
    put_text(&fixture, "1", "o/a", "gamma", "");
    put_text(&fixture, "2", "o/b", "beta", "");
    database_rollback(fixture.base.database);
    assert_int_equal(count_hits(&fixture, "alpha"), 1);
    assert_int_equal(count_hits(&fixture, "beta"), 0);

    assert_ok(database_begin(fixture.base.database, &err), err);
    assert_ok(database_savepoint(fixture.base.database, &err), err);
    put_text(&fixture, "2", "o/b", "beta", "");
    assert_ok(database_release(fixture.base.database, &err), err);
    assert_ok(database_savepoint(fixture.base.database, &err), err);
    put_text(&fixture, "1", "o/a", "gamma", "");
    put_text(&fixture, "3", "o/c", "delta", "");
    database_undo(fixture.base.database);
    assert_int_equal(count_hits(&fixture, "beta"), 1); /* within the transaction, too */
    assert_ok(database_commit(fixture.base.database, &err), err);
    assert_int_equal(count_hits(&fixture, "alpha"), 1);
    assert_int_equal(count_hits(&fixture, "beta"), 1);
    assert_int_equal(count_hits(&fixture, "gamma"), 0);
    assert_int_equal(count_hits(&fixture, "delta"), 0);
    repo_fixture_fini(&fixture);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_insert_and_read_back),
        cmocka_unit_test(test_absent_keeps),
        cmocka_unit_test(test_each_change),
        cmocka_unit_test(test_meta_merges_by_key),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_status_rises_and_never_falls),
        cmocka_unit_test(test_derived_stays),
        cmocka_unit_test(test_rename),
        cmocka_unit_test(test_name_collision),
        cmocka_unit_test(test_swapped_names),
        cmocka_unit_test(test_names_in_another_case),
        cmocka_unit_test(test_gone_revives_when_listed),
        cmocka_unit_test(test_rollback_and_undo),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
