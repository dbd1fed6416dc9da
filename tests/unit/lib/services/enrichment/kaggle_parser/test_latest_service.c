/* kaggle_parser/latest_service.h: a fake Kaggle, a real catalogue. */

#include "tests/unit/lib/services/enrichment/kaggle_parser/kaggle_fixture.h"

#include <stdio.h>

#include "lib/repositories/run_repository.h"
#include "lib/repositories/source_state_repository.h"
#include "lib/services/enrichment/kaggle_parser/latest_service.h"

static const char first_page[] =
    "[{\"id\":1,\"ref\":\"a/one\",\"title\":\"One\",\"subtitle\":\"First\",\"viewCount\":5,"
    "\"lastUpdated\":\"2025-01-02T00:00:00Z\"},"
    "{\"id\":2,\"ref\":\"a/two\",\"title\":\"Two\",\"subtitle\":\"Second\","
    "\"lastUpdated\":\"2025-01-01T00:00:00Z\"},"
    "{\"ref\":\"a/no-id\"},"
    "{\"id\":3,\"ref\":\"not a ref\",\"title\":\"Three\"}]";

static int
run(struct fixture *self, int64_t limit, struct ledger *ledger, struct error *err)
{
    struct kaggle_latest_service service = {.database = self->database,
                                            .datasets = self->datasets,
                                            .client = &self->client,
                                            .clock = &self->clock};

    return kaggle_fetch_latest_run(&service, limit, STR("updated"), &self->ctx, ledger, err);
}

static struct source_state
load_state(struct fixture *self)
{
    struct source_state state;
    struct error err;

    assert_ok(source_state_repo_find(self->database, STR("kaggle"), STR("latest"), &self->arena,
                                     &state, &err),
              err);
    return state;
}

static void
test_new_and_known_rows(void **state)
{
    static const struct fixture_page pages[] = {{0, first_page}};
    struct fixture *self = *state;
    const struct run_reject *rejects;
    struct ledger ledger;
    struct dataset row;
    struct error err;
    size_t n_rejects;

    self->pages = pages;
    self->n_pages = COUNT_OF(pages);
    assert_ok(run(self, 100, &ledger, &err), err);
    assert_true(ledger_is_balanced(&ledger));
    assert_int_equal(ledger.n_fetched, 4);
    assert_int_equal(ledger.n_inserted, 2);
    assert_int_equal(ledger.n_rejected, 2);
    assert_int_equal(self->n_calls, 2); /* the second page was empty */
    row = fixture_find(self, "a/one");
    assert_int_equal(row.status, DATASET_MINIMAL);
    assert_str_equal(row.description, "First");
    assert_int_equal(row.view_count, 5);
    assert_ok(run_repo_list_rejects(self->database, self->ctx.run_id, 10, &self->arena, &rejects,
                                    &n_rejects, &err),
              err);
    assert_int_equal(n_rejects, 2);
    assert_int_equal(load_state(self).watermark_us, INT64_C(1735776000000000));
    assert_str_equal(load_state(self).detail, "{\"sort_by\":\"updated\",\"pages\":1}");

    assert_ok(run(self, 100, &ledger, &err), err);
    assert_int_equal(ledger.n_unchanged, 2);
    assert_int_equal(ledger.n_inserted, 0);
}

/* The list has no description: a row that has one keeps it, and its status. */
static void
test_a_known_row_loses_nothing(void **state)
{
    static const struct fixture_page pages[] = {{0, first_page}};
    struct fixture *self = *state;
    enum upsert_outcome outcome;
    struct ledger ledger;
    struct dataset row;
    struct error err;

    dataset_init(&row);
    row.source_name = STR("kaggle");
    row.external_id = STR("a/old-name");
    row.source_key = STR("1");
    row.title = STR("Old");
    row.description = STR("A long text");
    row.source_meta = STR("{\"file_count\":3}");
    row.status = DATASET_ENRICHED;
    assert_ok(database_begin(self->database, &err), err);
    assert_ok(dataset_repo_upsert(self->datasets, &row, fixture_now_us, &outcome, &err), err);
    assert_ok(database_commit(self->database, &err), err);

    self->pages = pages;
    self->n_pages = COUNT_OF(pages);
    assert_ok(run(self, 100, &ledger, &err), err);
    assert_int_equal(ledger.n_updated, 1);
    assert_int_equal(ledger.n_inserted, 1);
    row = fixture_find(self, "a/one"); /* renamed, not doubled */
    assert_str_equal(row.source_key, "1");
    assert_str_equal(row.title, "One");
    assert_str_equal(row.description, "A long text");
    assert_int_equal(row.status, DATASET_ENRICHED);
    assert_non_null(strstr(row.source_meta.ptr, "\"file_count\":3"));
    assert_int_equal(fixture_count(self), 2);
}

/* Given up as gone, and then listed: one view brings it back. */
static void
test_a_given_up_row_comes_back(void **state)
{
    static const struct fixture_page pages[] = {{0, first_page}};
    static const struct fixture_answer views[] = {
        {"a/one", 0, KAGGLE_FOUND,
         "{\"id\":1,\"ref\":\"a/one\",\"title\":\"One\",\"description\":\"Whole text\","
         "\"licenseName\":\"MIT\",\"files\":[{\"name\":\"a.csv\"}]}"},
        {"a/two", 0, KAGGLE_GONE, NULL}};
    struct lease lease = {STR_INIT("host:1:1"), FIXTURE_NOW_US + US_PER_S};
    struct fixture *self = *state;
    struct dataset_list claimed;
    struct ledger ledger;
    struct error err;

    fixture_add(self, "id:1", "1", DATASET_MINIMAL);
    fixture_add(self, "a/two", "2", DATASET_MINIMAL);
    assert_ok(database_begin(self->database, &err), err);
    assert_ok(dataset_repo_claim_unenriched(self->datasets, STR("kaggle"), 2, &lease,
                                            fixture_now_us, &self->arena, &claimed, &err),
              err);
    assert_int_equal(claimed.n_items, 2);
    for (size_t i = 0; i < claimed.n_items; i++)
        assert_ok(dataset_repo_finish_enrichment(self->datasets, claimed.items[i].row_id,
                                                 lease.owner, ENRICHMENT_GIVE_UP, NULL, 0,
                                                 STR("gone"), fixture_now_us, &err),
                  err);
    assert_ok(database_commit(self->database, &err), err);
    assert_int_equal(fixture_count_status(self, DATASET_FAILED), 2);

    self->pages = pages;
    self->n_pages = COUNT_OF(pages);
    self->views = views;
    self->n_views = COUNT_OF(views);
    assert_ok(run(self, 100, &ledger, &err), err);
    assert_int_equal(ledger.n_updated, 2);
    assert_true(ledger_is_balanced(&ledger));
    assert_int_equal(fixture_find(self, "a/one").status, DATASET_ENRICHED);
    assert_str_equal(fixture_find(self, "a/one").description, "Whole text");
    assert_int_equal(fixture_find(self, "a/two").status, DATASET_FAILED);
}

static void
test_limit_and_pages(void **state)
{
    static char bodies[3][2000];
    static struct fixture_page pages[3];
    struct fixture *self = *state;
    struct ledger ledger;
    struct error err;

    for (size_t page = 0; page < COUNT_OF(pages); page++) {
        size_t n = 0;

        for (size_t i = 0; i < 20; i++)
            n += (size_t)snprintf(bodies[page] + n, sizeof(bodies[0]) - n,
                                  "%c{\"id\":%zu,\"ref\":\"a/r%zu\",\"title\":\"T\"}",
                                  i ? ',' : '[', 1 + page * 20 + i, page * 20 + i);
        (void)snprintf(bodies[page] + n, sizeof(bodies[0]) - n, "]");
        pages[page] = (struct fixture_page){0, bodies[page]};
    }
    self->pages = pages;
    self->n_pages = COUNT_OF(pages);
    assert_ok(run(self, 45, &ledger, &err), err);
    assert_int_equal(ledger.n_fetched, 45);
    assert_int_equal(ledger.n_inserted, 45);
    assert_int_equal(self->n_calls, 3);
    assert_int_equal(self->progress_done, 45);
    assert_int_equal(self->progress_total, 45);
}

/* What is committed stays, and is counted, when a later page fails. */
static void
test_a_failure_keeps_earlier_pages(void **state)
{
    static const struct fixture_page pages[] = {{0, first_page}, {-ERR_RATE_LIMIT, NULL}};
    struct fixture *self = *state;
    struct ledger ledger;
    struct error err;

    self->pages = pages;
    self->n_pages = COUNT_OF(pages);
    assert_int_equal(run(self, 100, &ledger, &err), -ERR_RATE_LIMIT);
    assert_int_equal(ledger.n_inserted, 2);
    assert_true(ledger_is_balanced(&ledger));
    assert_int_equal(fixture_count(self), 2);
}

static void
test_cancelled_between_pages(void **state)
{
    static const struct fixture_page pages[] = {{0, first_page}, {0, "[]"}};
    struct fixture *self = *state;
    struct ledger ledger;
    struct error err;

    self->pages = pages;
    self->n_pages = COUNT_OF(pages);
    self->n_until_cancel = 2;
    assert_int_equal(run(self, 100, &ledger, &err), -ERR_CANCELLED);
    assert_int_equal(ledger.n_inserted, 2);
    assert_int_equal(self->n_calls, 1);
}

static void
test_unknown_sort(void **state)
{
    struct fixture *self = *state;
    struct kaggle_latest_service service = {.database = self->database,
                                            .datasets = self->datasets,
                                            .client = &self->client,
                                            .clock = &self->clock};
    struct ledger ledger;
    struct error err;

    assert_int_equal(kaggle_fetch_latest_run(&service, 1, STR("newest"), &self->ctx, &ledger, &err),
                     -ERR_INVALID);
    assert_int_equal(self->n_calls, 0);
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_new_and_known_rows),
        FIXTURE_TEST(test_a_known_row_loses_nothing),
        FIXTURE_TEST(test_a_given_up_row_comes_back),
        FIXTURE_TEST(test_limit_and_pages),
        FIXTURE_TEST(test_a_failure_keeps_earlier_pages),
        FIXTURE_TEST(test_cancelled_between_pages),
        FIXTURE_TEST(test_unknown_sort),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
