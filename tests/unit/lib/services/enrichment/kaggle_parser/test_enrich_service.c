/* kaggle_parser/enrich_service.h: a fake Kaggle, a real catalogue. */

#include "tests/unit/lib/services/enrichment/kaggle_parser/kaggle_fixture.h"

#include <stdio.h>

#include "lib/repositories/enrichment_log_repository.h"
#include "lib/services/enrichment/kaggle_parser/enrich_service.h"

#define HOUR_US (INT64_C(3600) * US_PER_S)

#define FULL(id, ref)                                                                              \
    "{\"id\":" id ",\"ref\":\"" ref "\",\"title\":\"T " id "\",\"subtitle\":\"Sub\","              \
    "\"description\":\"Text of " id "\",\"licenseName\":\"CC0: Public Domain\","                   \
    "\"files\":[{\"name\":\"a.csv\",\"columns\":[{\"name\":\"x\"}]}]}"

static struct kaggle_enrich_service
service_of(struct fixture *self)
{
    return (struct kaggle_enrich_service){.database = self->database,
                                          .datasets = self->datasets,
                                          .client = &self->client,
                                          .clock = &self->clock};
}

static struct kaggle_enrich_counts
run(struct fixture *self, int64_t batch_size)
{
    struct kaggle_enrich_service service = service_of(self);
    struct kaggle_enrich_counts counts;
    struct error err;

    assert_ok(kaggle_enrich_run(&service, batch_size, &self->ctx, &counts, &err), err);
    return counts;
}

static struct enrichment_log
newest_log(struct fixture *self, const char *ref)
{
    struct dataset row = fixture_find(self, ref);
    const struct enrichment_log *entries;
    struct error err;
    size_t n;

    assert_ok(
        enrichment_log_repo_find(self->database, row.row_id, 1, &self->arena, &entries, &n, &err),
        err);
    assert_int_equal(n, 1);
    return entries[0];
}

static void
test_view_makes_a_row_whole(void **state)
{
    static const struct fixture_answer views[] = {{"a/b", 0, KAGGLE_FOUND, FULL("5", "A/b")}};
    struct fixture *self = *state;
    struct kaggle_enrich_counts counts;
    struct enrichment_log entry;
    struct dataset row;

    self->views = views;
    self->n_views = COUNT_OF(views);
    fixture_add(self, "a/b", "5", DATASET_MINIMAL);
    counts = run(self, 50);
    assert_int_equal(counts.n_enriched, 1);
    assert_int_equal(counts.n_failed, 0);
    assert_int_equal(self->n_calls, 1); /* the view was not thin: no metadata */
    row = fixture_find(self, "A/b");
    assert_int_equal(row.status, DATASET_ENRICHED);
    assert_str_equal(row.description, "Sub\n\nText of 5");
    assert_str_equal(row.license, "CC0-1.0");
    assert_str_equal(row.column_names.items[0], "x");
    entry = newest_log(self, "A/b");
    assert_int_equal(entry.stage, STAGE_API_METADATA);
    assert_int_equal(entry.outcome, OUTCOME_SUCCESS);
    assert_int_equal(entry.attempt, 1);
    assert_str_equal(entry.worker_id, "host:1:1");
    assert_null(entry.error_type.ptr);
    assert_int_equal(run(self, 50).n_enriched, 0); /* nothing waits any more */
}

static void
test_metadata_fills_a_thin_view(void **state)
{
    static const struct fixture_answer views[] = {
        {"a/b", 0, KAGGLE_FOUND, "{\"id\":5,\"ref\":\"a/b\",\"title\":\"T\",\"description\":null}"},
        {"a/c", 0, KAGGLE_FOUND, "{\"id\":6,\"ref\":\"a/c\",\"title\":\"T\",\"subtitle\":\"S\"}"},
        {"a/d", 0, KAGGLE_FOUND, "{\"id\":7,\"ref\":\"a/d\",\"title\":\"T\",\"subtitle\":\"S\"}"}};
    static const struct fixture_answer metadata[] = {
        {"a/b", 0, KAGGLE_FOUND,
         "{\"info\":{\"description\":\"From metadata\",\"licenses\":[{\"name\":\"MIT\"}]}}"},
        {"a/c", 0, KAGGLE_UNDECIDABLE, NULL},
        {"a/d", -ERR_AUTH, KAGGLE_FOUND, NULL}};
    struct fixture *self = *state;

    self->views = views;
    self->n_views = COUNT_OF(views);
    self->metadata = metadata;
    self->n_metadata = COUNT_OF(metadata);
    fixture_add(self, "a/b", "5", DATASET_MINIMAL);
    fixture_add(self, "a/c", "6", DATASET_MINIMAL);
    fixture_add(self, "a/d", "7", DATASET_MINIMAL);
    assert_int_equal(run(self, 50).n_enriched, 3);
    assert_str_equal(fixture_find(self, "a/b").description, "From metadata");
    assert_str_equal(fixture_find(self, "a/b").license, "MIT");
    assert_str_equal(fixture_find(self, "a/c").description, "S");
    assert_int_equal(fixture_find(self, "a/d").status, DATASET_ENRICHED);
}

static void
test_gone_is_given_up_at_once(void **state)
{
    static const struct fixture_answer views[] = {{"a/b", 0, KAGGLE_GONE, NULL}};
    struct fixture *self = *state;
    struct dataset row;

    self->views = views;
    self->n_views = COUNT_OF(views);
    fixture_add(self, "a/b", "5", DATASET_MINIMAL);
    assert_int_equal(run(self, 50).n_failed, 1);
    row = fixture_find(self, "a/b");
    assert_int_equal(row.status, DATASET_FAILED);
    assert_int_equal(row.enrichment_attempts, 1);
    assert_str_equal(newest_log(self, "a/b").error_type, "LookupError");
}

/* 403 and foreign ids: now, after an hour, after six more, and then no more. */
static void
test_three_attempts_and_no_more(void **state)
{
    static const struct fixture_answer views[] = {{"a/b", 0, KAGGLE_UNDECIDABLE, NULL},
                                                  {"a/c", 0, KAGGLE_FOUND, FULL("999", "a/c")},
                                                  {"a/d", -ERR_INVALID, KAGGLE_FOUND, NULL}};
    static const int64_t waits[] = {HOUR_US, 6 * HOUR_US};
    struct fixture *self = *state;

    self->views = views;
    self->n_views = COUNT_OF(views);
    fixture_add(self, "a/b", "5", DATASET_MINIMAL);
    fixture_add(self, "a/c", "6", DATASET_MINIMAL);
    fixture_add(self, "a/d", "7", DATASET_MINIMAL);
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        assert_int_equal(run(self, 50).n_failed, 3);
        assert_int_equal(fixture_count_status(self, DATASET_PENDING), 3);
        assert_int_equal(fixture_find(self, "a/b").next_attempt_at_us, fixture_now_us + waits[i]);
        fixture_now_us += waits[i] - 1;
        assert_int_equal(run(self, 50).n_failed, 0); /* not due yet */
        fixture_now_us += 1;
    }
    assert_int_equal(run(self, 50).n_failed, 3);
    assert_int_equal(fixture_count_status(self, DATASET_FAILED), 3);
    assert_int_equal(fixture_find(self, "a/c").enrichment_attempts, 3);
    assert_false(fixture_has(self, "a/999"));
    fixture_now_us += 1000 * HOUR_US;
    assert_int_equal(run(self, 50).n_failed, 0);
}

static void
test_transient_failures_never_give_up(void **state)
{
    static const struct fixture_answer views[] = {{"a/b", -ERR_NETWORK, KAGGLE_FOUND, NULL}};
    struct fixture *self = *state;

    self->views = views;
    self->n_views = COUNT_OF(views);
    fixture_add(self, "a/b", "5", DATASET_MINIMAL);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(run(self, 50).n_failed, 1);
        fixture_now_us += 24 * HOUR_US;
    }
    assert_int_equal(fixture_find(self, "a/b").status, DATASET_PENDING);
    assert_str_equal(newest_log(self, "a/b").error_type, "ConnectionError");
}

static void
test_an_outage_ends_the_run(void **state)
{
    static const struct fixture_answer views[] = {{"a/1", -ERR_NETWORK, KAGGLE_FOUND, NULL},
                                                  {"a/2", -ERR_TIMEOUT, KAGGLE_FOUND, NULL},
                                                  {"a/3", -ERR_NETWORK, KAGGLE_FOUND, NULL},
                                                  {"a/4", -ERR_NETWORK, KAGGLE_FOUND, NULL},
                                                  {"a/5", -ERR_NETWORK, KAGGLE_FOUND, NULL}};
    struct fixture *self = *state;
    struct kaggle_enrich_service service = service_of(self);
    struct kaggle_enrich_counts counts;
    struct error err;

    self->views = views;
    self->n_views = COUNT_OF(views);
    for (size_t i = 0; i < COUNT_OF(views); i++)
        fixture_add(self, views[i].ref, views[i].ref + 2, DATASET_MINIMAL);
    assert_int_equal(kaggle_enrich_run(&service, 50, &self->ctx, &counts, &err), -ERR_NETWORK);
    assert_int_equal(counts.n_failed, 3);
    assert_int_equal(fixture_count_status(self, DATASET_PENDING), 3);
    assert_int_equal(fixture_count_status(self, DATASET_MINIMAL), 2); /* given back, uncounted */
}

static void
test_a_limit_ends_the_run_quietly(void **state)
{
    static const struct fixture_answer views[] = {
        {"a/1", 0, KAGGLE_FOUND, FULL("1", "a/1")},
        {"a/2", -ERR_RATE_LIMIT, KAGGLE_FOUND, NULL},
    };
    struct fixture *self = *state;
    struct kaggle_enrich_counts counts;

    self->views = views;
    self->n_views = COUNT_OF(views);
    fixture_add(self, "a/1", "1", DATASET_MINIMAL);
    fixture_add(self, "a/2", "2", DATASET_MINIMAL);
    fixture_add(self, "a/3", "3", DATASET_MINIMAL);
    fixture_add(self, "a/4", "4", DATASET_MINIMAL);
    counts = run(self, 50);
    assert_int_equal(counts.n_enriched, 1);
    assert_int_equal(counts.n_failed, 0);
    assert_int_equal(counts.n_rate_limited, 3);
    assert_int_equal(fixture_count_status(self, DATASET_MINIMAL), 3);
    assert_int_equal(fixture_find(self, "a/2").enrichment_attempts, 0);
    assert_int_equal(newest_log(self, "a/2").outcome, OUTCOME_RATE_LIMITED);
}

static void
test_bad_credentials_give_everything_back(void **state)
{
    static const struct fixture_answer views[] = {{"a/1", -ERR_AUTH, KAGGLE_FOUND, NULL}};
    struct fixture *self = *state;
    struct kaggle_enrich_service service = service_of(self);
    struct kaggle_enrich_counts counts;
    struct error err;

    self->views = views;
    self->n_views = COUNT_OF(views);
    fixture_add(self, "a/1", "1", DATASET_MINIMAL);
    assert_int_equal(kaggle_enrich_run(&service, 50, &self->ctx, &counts, &err), -ERR_AUTH);
    assert_int_equal(fixture_find(self, "a/1").status, DATASET_MINIMAL);
    assert_int_equal(fixture_find(self, "a/1").enrichment_attempts, 0);
}

static void
test_cancelled_between_rows(void **state)
{
    static const struct fixture_answer views[] = {{"a/1", 0, KAGGLE_FOUND, FULL("1", "a/1")}};
    struct fixture *self = *state;
    struct kaggle_enrich_service service = service_of(self);
    struct kaggle_enrich_counts counts;
    struct error err;

    self->views = views;
    self->n_views = COUNT_OF(views);
    fixture_add(self, "a/1", "1", DATASET_MINIMAL);
    fixture_add(self, "a/2", "2", DATASET_MINIMAL);
    self->n_until_cancel = 2;
    assert_int_equal(kaggle_enrich_run(&service, 50, &self->ctx, &counts, &err), -ERR_CANCELLED);
    assert_int_equal(counts.n_enriched, 1);
    assert_int_equal(fixture_count_status(self, DATASET_MINIMAL), 1);
}

/* A row without reference is looked for by its title and known by its id. */
static void
test_placeholders_find_their_reference(void **state)
{
    static const struct fixture_page pages[] = {
        {0, "[{\"id\":8,\"ref\":\"x/other\"},{\"id\":5,\"ref\":\"a/b\"}]"}};
    static const struct fixture_answer views[] = {{"a/b", 0, KAGGLE_FOUND, FULL("5", "a/b")}};
    struct fixture *self = *state;
    struct dataset row;

    self->pages = pages;
    self->n_pages = COUNT_OF(pages);
    self->views = views;
    self->n_views = COUNT_OF(views);
    fixture_add(self, "id:5", "5", DATASET_MINIMAL);
    fixture_add(self, "id:6", "6", DATASET_MINIMAL);
    assert_int_equal(run(self, 1).n_enriched, 1);
    assert_string_equal(self->calls[0], "list 1 hottest A title");
    assert_string_equal(self->calls[1], "view a/b");
    row = fixture_find(self, "a/b");
    assert_str_equal(row.source_key, "5");
    assert_str_equal(row.url, "https://www.kaggle.com/datasets/a/b");
    assert_int_equal(fixture_count(self), 2);

    assert_int_equal(run(self, 1).n_failed, 1); /* not among the hits: an attempt */
    assert_int_equal(fixture_count_status(self, DATASET_PENDING), 1);
}

static void
test_a_batch_is_claimed_in_small_steps(void **state)
{
    static struct fixture_answer views[25];
    static char refs[25][8];
    static char bodies[25][400];
    struct fixture *self = *state;

    for (size_t i = 0; i < COUNT_OF(views); i++) {
        (void)snprintf(refs[i], sizeof(refs[i]), "a/%d", (int)i + 1);
        (void)snprintf(bodies[i], sizeof(bodies[i]),
                       "{\"id\":%d,\"ref\":\"%s\",\"title\":\"T\",\"description\":\"D\","
                       "\"licenseName\":\"MIT\",\"files\":[{\"name\":\"a.csv\"}]}",
                       (int)i + 1, refs[i]);
        views[i] = (struct fixture_answer){refs[i], 0, KAGGLE_FOUND, bodies[i]};
        fixture_add(self, refs[i], refs[i] + 2, DATASET_MINIMAL);
    }
    self->views = views;
    self->n_views = COUNT_OF(views);
    assert_int_equal(run(self, 23).n_enriched, 23);
    assert_int_equal(fixture_count_status(self, DATASET_MINIMAL), 2);
    assert_int_equal(self->progress_done, 23);
    assert_int_equal(self->progress_total, 23);
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_view_makes_a_row_whole),
        FIXTURE_TEST(test_metadata_fills_a_thin_view),
        FIXTURE_TEST(test_gone_is_given_up_at_once),
        FIXTURE_TEST(test_three_attempts_and_no_more),
        FIXTURE_TEST(test_transient_failures_never_give_up),
        FIXTURE_TEST(test_an_outage_ends_the_run),
        FIXTURE_TEST(test_a_limit_ends_the_run_quietly),
        FIXTURE_TEST(test_bad_credentials_give_everything_back),
        FIXTURE_TEST(test_cancelled_between_rows),
        FIXTURE_TEST(test_placeholders_find_their_reference),
        FIXTURE_TEST(test_a_batch_is_claimed_in_small_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
