/* lib/services/scoring/static_score_calculator.h, on a real catalogue. */

#include "tests/unit/lib/repositories/repo_fixture.h"

#include <math.h>

#include "lib/repositories/score_repository.h"
#include "lib/services/scoring/static_score_calculator.h"

static struct score_counts
score_all(struct repo_fixture *fixture, int64_t batch_size)
{
    struct static_score_calculator calculator = {fixture->base.database, &clock_system};
    struct run_context run = {.task_id = STR("task"), .worker_id = STR("me")};
    struct score_counts counts;
    struct error err;

    assert_ok(static_score_calculator_run(&calculator, batch_size, &run, &counts, &err), err);
    return counts;
}

static struct static_score
score_of(struct repo_fixture *fixture, const char *ref)
{
    struct static_score score;
    struct error err;

    assert_ok(score_repo_find(fixture->base.database, get_row(fixture, ref).row_id, &score, &err),
              err);
    return score;
}

static void
put_downloads(struct repo_fixture *fixture, const char *key, const char *name, int64_t downloads)
{
    struct dataset row = make_row(key, name);

    row.download_count = downloads;
    (void)put_row(fixture, &row, 1);
}

static void
open_four(struct repo_fixture *fixture)
{
    repo_fixture_init(fixture);
    put_downloads(fixture, "1", "a/one", 1);
    put_downloads(fixture, "2", "a/ten", 10);
    put_downloads(fixture, "3", "a/hundred", 100);
    put_downloads(fixture, "4", "a/none", 0);
}

/* Shares among 1, 10, 100: a third each; no other counter is known, so P is E(downloads). */
static void
test_scores(void **state)
{
    struct repo_fixture fixture;
    struct static_score score;

    (void)state;
    open_four(&fixture);
    assert_int_equal(score_all(&fixture, 3).n_processed, 4);
    score = score_of(&fixture, "a/ten");
    assert_true(fabs(score.popularity - 2.0 / 3) < 1e-12);
    assert_true(fabs(score.quality - 0.05) < 1e-12); /* an owner */
    assert_true(fabs(score.freshness - 0.25) < 1e-12);
    assert_true(fabs(score.value - (0.5 * 2 / 3 + 0.35 * 0.05 + 0.15 * 0.25)) < 1e-12);
    assert_true(score_of(&fixture, "a/none").popularity <= 0);
    assert_true(score_of(&fixture, "a/hundred").popularity >= 1);
    assert_int_equal(fixture_query(fixture.base.database,
                                   "SELECT count(*) FROM dataset_enrichment_logs"
                                   " WHERE stage = 'static_score' AND result = 'success'"),
                     4);
    assert_int_equal(fixture_query(fixture.base.database,
                                   "SELECT count(*) FROM datasets d JOIN dataset_scores s"
                                   " USING (row_id) WHERE d.static_score = s.static_score"),
                     4);
    repo_fixture_fini(&fixture);
}

/* Only what moved: nothing, a row, a link, a table, another formula. */
static void
test_only_what_moved(void **state)
{
    struct repo_fixture fixture;
    struct database *database;

    (void)state;
    open_four(&fixture);
    database = fixture.base.database;
    assert_int_equal(score_all(&fixture, 100).n_processed, 4);
    assert_int_equal(score_all(&fixture, 100).n_processed, 0);

    put_text(&fixture, "4", "a/none", "A title", "words");
    assert_int_equal(score_all(&fixture, 100).n_processed, 1);
    assert_true(score_of(&fixture, "a/none").quality > 0.1);

    fixture_execute(database, "UPDATE datasets SET link_state = 'suspect' WHERE source_key = '1'");
    assert_int_equal(score_all(&fixture, 100).n_processed, 1);
    assert_true(fabs(score_of(&fixture, "a/one").gate - 0.9) < 1e-12);
    fixture_execute(database, "UPDATE datasets SET last_checked_at = 7");
    assert_int_equal(score_all(&fixture, 100).n_processed, 0);

    put_downloads(&fixture, "4", "a/none", 5); /* now four have some: the table moved for all */
    assert_int_equal(score_all(&fixture, 100).n_processed, 4);
    assert_true(fabs(score_of(&fixture, "a/one").popularity - 0.25) < 1e-12);

    fixture_execute(database, "UPDATE dataset_scores SET formula = 0 WHERE row_id = 2");
    fixture_execute(database, "UPDATE dataset_scores SET next_at = 1 WHERE row_id = 3");
    assert_int_equal(score_all(&fixture, 1).n_processed, 2);
    repo_fixture_fini(&fixture);
}

/* A row that cannot be scored stays in line, and holds nobody back. */
static void
test_bad_row(void **state)
{
    struct repo_fixture fixture;
    struct score_counts counts;

    (void)state;
    open_four(&fixture);
    fixture_execute(fixture.base.database,
                    "UPDATE datasets SET link_state = 'odd' WHERE source_key = '2'");
    counts = score_all(&fixture, 1);
    assert_int_equal(counts.n_processed, 3);
    assert_int_equal(counts.n_failed, 1);
    counts = score_all(&fixture, 100);
    assert_int_equal(counts.n_processed, 0);
    assert_int_equal(counts.n_failed, 1);
    fixture_execute(fixture.base.database,
                    "UPDATE datasets SET link_state = NULL WHERE source_key = '2'");
    assert_int_equal(score_all(&fixture, 100).n_processed, 1);
    repo_fixture_fini(&fixture);
}

static bool
is_cancelled(const struct progress *self)
{
    (void)self;
    return true;
}

/* Stopped after its first commit, a run leaves the rest in line. */
static void
test_goes_on(void **state)
{
    static const struct progress progress = {.is_cancelled = is_cancelled};
    struct repo_fixture fixture;
    struct static_score_calculator calculator = {.clock = &clock_system};
    struct run_context run = {.worker_id = STR("me"), .progress = &progress};
    struct score_counts counts;
    struct error err;

    (void)state;
    repo_fixture_init(&fixture);
    fixture_execute(fixture.base.database,
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10100)"
                    " INSERT INTO datasets (id, source_name, source_key, external_id,"
                    " enrichment_status, is_active, text_hash, created_at, updated_at)"
                    " SELECT randomblob(16), 's', i, 'o/' || i, 'minimal', 1, x'00', 1, 1 FROM n");
    fixture_execute(fixture.base.database,
                    "INSERT INTO datasets_fts (datasets_fts) VALUES ('rebuild')");
    calculator.database = fixture.base.database;
    assert_ok(static_score_calculator_run(&calculator, 100, &run, &counts, &err), err);
    assert_true(counts.n_processed > 0 && counts.n_processed <= 10000);
    assert_int_equal(counts.n_processed + score_all(&fixture, 1000).n_processed, 10100);
    repo_fixture_fini(&fixture);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_only_what_moved),
        cmocka_unit_test(test_bad_row),
        cmocka_unit_test(test_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
