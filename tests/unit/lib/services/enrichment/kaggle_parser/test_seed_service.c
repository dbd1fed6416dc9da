/* kaggle_parser/seed_service.h: small dumps in a directory, a real catalogue. */

#include "tests/unit/lib/services/enrichment/kaggle_parser/kaggle_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "lib/repositories/run_repository.h"
#include "lib/repositories/source_state_repository.h"
#include "lib/services/enrichment/kaggle_parser/seed_service.h"

#define DATASETS_HEAD                                                                              \
    "Id,CreatorUserId,OwnerUserId,OwnerOrganizationId,CurrentDatasetVersionId,"                    \
    "CurrentDatasourceVersionId,ForumId,Type,CreationDate,LastActivityDate,TotalViews,"            \
    "TotalDownloads,TotalVotes,TotalKernels\n"
#define VERSIONS_HEAD                                                                              \
    "Id,DatasetId,DatasourceVersionId,CreatorUserId,LicenseName,CreationDate,VersionNumber,Title," \
    "Slug,Subtitle,Description,VersionNotes,TotalCompressedBytes,TotalUncompressedBytes\n"

/* Five datasets: whole, of an organisation, of an unknown owner, without title, without version;
 * and two records that are unusable. */
static void
write_dump(struct fixture *self)
{
    fixture_write(self, "dump/Datasets.csv",
                  DATASETS_HEAD "1,7,7,,11,0,1,1,01/02/2020 03:04:05,02/03/2020,100,10,5,2\n"
                                "2,7,,3,12,0,1,1,01/02/2020 03:04:05,02/03/2020,200,20,6,3\n"
                                "3,7,99,,13,0,1,1,01/02/2020 03:04:05,02/03/2020,300,30,7,4\n"
                                "4,7,7,,14,0,1,1,01/02/2020 03:04:05,02/03/2020,400,40,8,5\n"
                                "x,7,7,,15,0,1,1,01/02/2020 03:04:05,02/03/2020,400,40,8,5\n"
                                "5,7,7,,15,0,1,1,01/02/2020 03:04:05,02/03/2020,500,50,9,6\n");
    fixture_write(self, "dump/DatasetVersions.csv",
                  VERSIONS_HEAD
                  "11,1,0,7,CC0: Public Domain,05/06/2021 00:00:00,2,One,one-slug,Sub,"
                  "\"Text\nof <b>one</b>\",,5,50\n"
                  "12,2,0,7,Unknown,05/06/2021 00:00:00,1,Two,two-slug,,,,,\n"
                  "13,3,0,7,Unknown,05/06/2021 00:00:00,1,Three,three-slug,,D,,,\n"
                  "14,4,0,7,Unknown,05/06/2021 00:00:00,1,,four-slug,,,,,\n"
                  "y,4,0,7,Unknown,05/06/2021 00:00:00,1,,four-slug,,,,,\n");
    fixture_write(self, "dump/Users.csv",
                  "Id,UserName,DisplayName,RegisterDate,PerformanceTier\n"
                  "7,anna,Anna,01/01/2015,1\n");
    fixture_write(self, "dump/Organizations.csv",
                  "Id,Name,Slug,CreationDate,Description\n3,Org,the-org,01/01/2015,\n");
    fixture_write(self, "dump/Tags.csv",
                  "Id,ParentTagId,Name,Slug,FullPath,Description,DatasetCount,CompetitionCount,"
                  "KernelCount\n50,,nlp,nlp,technique > nlp,,1,1,1\n");
    fixture_write(self, "dump/DatasetTags.csv", "Id,DatasetId,TagId\n1,1,50\n");
}

static int
run(struct fixture *self, int64_t batch_size, struct str path, struct kaggle_dump_fetcher dumps,
    struct ledger *ledger, struct error *err)
{
    struct kaggle_seed_service service = {.database = self->database,
                                          .datasets = self->datasets,
                                          .dumps = dumps,
                                          .clock = &self->clock};

    return kaggle_seed_run(&service, batch_size, false, path, &self->ctx, ledger, err);
}

static struct ledger
seed(struct fixture *self, int64_t batch_size)
{
    struct ledger ledger;
    struct error err;

    assert_ok(run(self, batch_size, fixture_path(self, "dump"),
                  (struct kaggle_dump_fetcher){NULL, NULL}, &ledger, &err),
              err);
    assert_true(ledger_is_balanced(&ledger));
    return ledger;
}

static struct source_state
load_state(struct fixture *self)
{
    struct source_state state;
    struct error err;

    assert_ok(source_state_repo_find(self->database, STR("kaggle"), STR("meta_kaggle"),
                                     &self->arena, &state, &err),
              err);
    return state;
}

/* All rows of the catalogue as text, for comparing two of them. */
static int
append_row(void *context, const struct dataset *row, struct error *err)
{
    struct buf *out = context;

    buf_printf(out, "%.*s|%.*s|%.*s|%.*s|%.*s|%d|%d|%.*s\n", STR_ARG(row->external_id),
               STR_ARG(row->source_key), STR_ARG(row->title), STR_ARG(row->description),
               STR_ARG(row->url), (int)row->status, (int)row->tags.n_items,
               STR_ARG(row->source_meta));
    return buf_status(out, err);
}

static void
dump_rows(struct fixture *self, struct buf *out)
{
    struct dataset_filter filter = {.min_size_bytes = DATASET_UNKNOWN,
                                    .max_size_bytes = DATASET_UNKNOWN,
                                    .updated_since_us = DATASET_UNKNOWN,
                                    .with_inactive = true};
    struct error err;

    assert_ok(dataset_repo_each(self->datasets, &filter, append_row, out, &err), err);
}

static void
test_rows_of_every_kind(void **state)
{
    struct fixture *self = *state;
    const struct run_reject *rejects;
    struct source_state stored;
    struct ledger ledger;
    struct dataset row;
    struct error err;
    size_t n_rejects;

    write_dump(self);
    ledger = seed(self, 1000);
    assert_int_equal(ledger.n_fetched, 7);
    assert_int_equal(ledger.n_inserted, 5);
    assert_int_equal(ledger.n_rejected, 2);

    row = fixture_find(self, "anna/one-slug");
    assert_int_equal(row.status, DATASET_ENRICHED);
    assert_str_equal(row.source_key, "1");
    assert_str_equal(row.description, "Sub\n\nText\nof one");
    assert_str_equal(row.license, "CC0-1.0");
    assert_str_equal(row.tags.items[0], "nlp");
    assert_int_equal(row.total_size_bytes, 50);
    assert_int_equal(row.view_count, 100);
    assert_str_equal(row.url, "https://www.kaggle.com/datasets/anna/one-slug");
    assert_int_equal(fixture_find(self, "the-org/two-slug").status, DATASET_ENRICHED);
    row = fixture_find(self, "kaggle:id:3");
    assert_int_equal(row.status, DATASET_MINIMAL);
    assert_str_equal(row.title, "Three");
    assert_null(row.url.ptr);
    assert_int_equal(fixture_find(self, "anna/four-slug").status, DATASET_MINIMAL);
    assert_int_equal(fixture_find(self, "kaggle:id:5").status, DATASET_MINIMAL);

    assert_ok(run_repo_list_rejects(self->database, self->ctx.run_id, 10, &self->arena, &rejects,
                                    &n_rejects, &err),
              err);
    assert_int_equal(n_rejects, 2);
    assert_str_equal(rejects[0].source, "Datasets.csv");
    assert_int_equal(rejects[0].record, 5);
    assert_true(rejects[0].byte_offset > 0);
    assert_str_equal(rejects[1].source, "DatasetVersions.csv");

    stored = load_state(self);
    assert_null(stored.cursor.ptr);
    assert_non_null(strstr(stored.detail.ptr, "\"rows\":5"));
    assert_int_equal(self->progress_done, self->progress_total);
}

static void
test_again_changes_nothing(void **state)
{
    struct fixture *self = *state;
    struct ledger ledger;

    write_dump(self);
    (void)seed(self, 2);
    ledger = seed(self, 1000);
    assert_int_equal(ledger.n_fetched, 7);
    assert_int_equal(ledger.n_unchanged, 5);
    assert_int_equal(ledger.n_rejected, 2);
}

/* Stopped at any question, then run again: the same catalogue as in one go, and no row twice. */
static void
test_interrupted_anywhere_ends_the_same(void **state)
{
    struct fixture *whole = *state;
    struct buf expected = BUF_INIT(100000);
    size_t n_stopped = 0;
    bool is_done = false;

    write_dump(whole);
    (void)seed(whole, 1000);
    dump_rows(whole, &expected);
    for (size_t stop_at = 1; !is_done; stop_at++) {
        struct buf rows = BUF_INIT(100000);
        struct kaggle_dump_fetcher none = {NULL, NULL};
        struct ledger first;
        struct ledger second = {.n_fetched = 0};
        struct error err;
        void *other;
        struct fixture *self;
        int rc;

        assert_int_equal(fixture_open(&other), 0);
        self = other;
        write_dump(self);
        self->n_until_cancel = stop_at;
        rc = run(self, 1, fixture_path(self, "dump"), none, &first, &err);
        is_done = rc == 0;
        n_stopped += rc == -ERR_CANCELLED;
        assert_true(ledger_is_balanced(&first));
        self->n_until_cancel = 0;
        assert_ok(run(self, 1, fixture_path(self, "dump"), none, &second, &err), err);
        if (!is_done) {
            assert_int_equal(first.n_inserted + second.n_inserted, 5);
            assert_int_equal(second.n_unchanged, 0); /* it went on, it did not start over */
        }
        dump_rows(self, &rows);
        assert_str_equal(buf_str(&rows), buf_cstr(&expected));
        buf_fini(&rows);
        assert_int_equal(fixture_close(&other), 0);
    }
    assert_true(n_stopped >= 5);
    buf_fini(&expected);
}

static void
test_a_known_reference_outlives_a_poorer_dump(void **state)
{
    struct fixture *self = *state;
    struct dataset row;

    write_dump(self);
    (void)seed(self, 1000);
    fixture_write(self, "dump/Users.csv", "Id,UserName,DisplayName,RegisterDate,PerformanceTier\n");
    (void)seed(self, 1000);
    row = fixture_find(self, "anna/one-slug");
    assert_str_equal(row.source_key, "1");
    assert_int_equal(row.status, DATASET_ENRICHED);
    assert_str_equal(row.url, "https://www.kaggle.com/datasets/anna/one-slug");
    assert_int_equal(fixture_count(self), 5);
}

static void
test_a_richer_dump_names_the_placeholder(void **state)
{
    struct fixture *self = *state;
    struct dataset row;
    struct ledger ledger;

    write_dump(self);
    (void)seed(self, 1000);
    fixture_write(self, "dump/Users.csv",
                  "Id,UserName,DisplayName,RegisterDate,PerformanceTier\n"
                  "7,anna,Anna,01/01/2015,1\n99,zoe,Zoe,01/01/2015,1\n");
    ledger = seed(self, 1000);
    assert_int_equal(ledger.n_updated, 1);
    row = fixture_find(self, "zoe/three-slug");
    assert_str_equal(row.source_key, "3");
    assert_int_equal(row.status, DATASET_ENRICHED);
    assert_int_equal(fixture_count(self), 5);
}

static int
fetch_dump(void *context, bool force_redownload, const struct progress *progress,
           struct arena *arena, struct kaggle_dump *out, struct error *err)
{
    struct fixture *self = context;

    (void)progress;
    (void)arena;
    (void)err;
    assert_false(force_redownload);
    *out = (struct kaggle_dump){.path = fixture_path(self, "dump").ptr, .version = STR("77")};
    return 0;
}

static void
test_where_the_dump_comes_from(void **state)
{
    struct fixture *self = *state;
    struct kaggle_dump_fetcher none = {NULL, NULL};
    struct kaggle_dump_fetcher fetcher = {fetch_dump, self};
    struct ledger ledger;
    struct error err;

    write_dump(self);
    assert_int_equal(run(self, 10, STR_NULL, none, &ledger, &err), -ERR_CONFIG);
    assert_int_equal(run(self, 10, fixture_path(self, "nowhere"), none, &ledger, &err),
                     -ERR_NOT_FOUND);
    assert_int_equal(ledger.n_fetched, 0);
    assert_ok(run(self, 10, STR(""), fetcher, &ledger, &err), err);
    assert_int_equal(ledger.n_inserted, 5);
    assert_str_equal(load_state(self).etag, "77");
    assert_non_null(strstr(load_state(self).detail.ptr, "\"version\":\"77\""));
}

/* The dump of 2017 has no owners: 47 rows with their text, and placeholders for references. */
static void
test_dump_of_2017(void **state)
{
    const char *data = getenv("TRAWL_SHARED_DATA");
    struct kaggle_dump_fetcher none = {NULL, NULL};
    struct fixture *self = *state;
    struct ledger ledger;
    struct dataset row;
    struct error err;
    char path[400];

    (void)snprintf(path, sizeof(path), "%s/meta-kaggle-2017", data ? data : "../shared/data");
    if (run(self, 10, str_from_cstr(path), none, &ledger, &err) == -ERR_NOT_FOUND) {
        print_message("# skipped: '%s' is not there\n", path);
        skip();
    }
    assert_int_equal(ledger.n_fetched, 47);
    assert_int_equal(ledger.n_inserted, 47);
    assert_int_equal(fixture_count_status(self, DATASET_MINIMAL), 47);
    row = fixture_find(self, "kaggle:id:6");
    assert_str_equal(row.title, "2013 American Community Survey");
    assert_non_null(strstr(row.description.ptr, "We're publishing this data on scripts"));
    assert_null(strstr(row.description.ptr, "<br />"));
    assert_non_null(strstr(row.source_meta.ptr, "\"slug\":\"2013-american-community-survey\""));
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_rows_of_every_kind),
        FIXTURE_TEST(test_again_changes_nothing),
        FIXTURE_TEST(test_interrupted_anywhere_ends_the_same),
        FIXTURE_TEST(test_a_known_reference_outlives_a_poorer_dump),
        FIXTURE_TEST(test_a_richer_dump_names_the_placeholder),
        FIXTURE_TEST(test_where_the_dump_comes_from),
        FIXTURE_TEST(test_dump_of_2017),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
