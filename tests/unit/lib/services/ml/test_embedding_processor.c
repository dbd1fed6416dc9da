/* lib/services/ml/embedding_processor.h, on a real repository and a fake embedder. */

#include "tests/unit/lib/repositories/repo_fixture.h"

#include <unistd.h>

#include "base/log.h"
#include "lib/repositories/enrichment_log_repository.h"
#include "lib/services/ml/embedding_processor.h"
#include "tests/unit/lib/services/ml/fake_embedder.h"

struct processor_fixture {
    struct repo_fixture repo;
    struct fake_embedder embedder;
    struct embedding_processor processor;
    struct run_context run;
    struct progress progress;
    bool cancel;
    int64_t last_done;
    int64_t last_total;
};

static struct processor_fixture *listening; /* whom the progress interface tells */

static void
on_report(const struct progress *self, int64_t done, int64_t total)
{
    (void)self;
    listening->last_done = done;
    listening->last_total = total;
}

static bool
on_cancel(const struct progress *self)
{
    (void)self;
    return listening->cancel;
}

static void
processor_open(struct processor_fixture *self, size_t n_rows)
{
    *self = (struct processor_fixture){0};
    repo_fixture_init(&self->repo);
    fake_embedder_init(&self->embedder, "fake-1");
    self->progress = (struct progress){on_report, on_cancel};
    self->run = (struct run_context){
        .task_id = STR("task"), .worker_id = STR("me"), .progress = &self->progress};
    self->processor = (struct embedding_processor){
        .database = self->repo.base.database,
        .datasets = self->repo.repo,
        .embedder = &self->embedder.base,
        .clock = &clock_system,
    };
    listening = self;
    for (size_t i = 0; i < n_rows; i++) {
        char key[32];
        char name[32];
        char title[32];

        (void)snprintf(key, sizeof(key), "%zu", i + 1);
        (void)snprintf(name, sizeof(name), "o/%zu", i + 1);
        (void)snprintf(title, sizeof(title), "title %zu", i + 1);
        put_text(&self->repo, key, name, title, i % 2 ? "cat" : "dog");
    }
}

static struct embedding_counts
run(struct processor_fixture *self, int64_t batch_size, bool drain)
{
    struct embedding_counts counts;
    struct error err;

    assert_ok(
        embedding_processor_run(&self->processor, batch_size, drain, &self->run, &counts, &err),
        err);
    return counts;
}

static void
test_one_batch_then_drain(void **state)
{
    struct processor_fixture fixture;
    struct embedding_counts counts;

    (void)state;
    processor_open(&fixture, 25);
    counts = run(&fixture, 10, false);
    assert_int_equal(counts.n_processed, 10);
    assert_int_equal(counts.n_remaining, 15);
    assert_int_equal(fixture.last_total, 10);
    counts = run(&fixture, 10, true);
    assert_int_equal(counts.n_processed, 15);
    assert_int_equal(counts.n_remaining, 0);
    assert_int_equal(fixture.last_done, 15);
    assert_int_equal(fixture.last_total, 15);
    assert_int_equal(fixture.embedder.n_calls, 3);
    counts = run(&fixture, 10, true);
    assert_int_equal(counts.n_processed + counts.n_failed + counts.n_remaining, 0);
    assert_int_equal(fixture.embedder.n_texts, 25); /* embedded / changed = 1.0 */
    repo_fixture_fini(&fixture.repo);
}

/* One text that cannot be encoded holds nobody else back, and does not turn a drain into a loop. */
static void
test_bad_row_costs_itself(void **state)
{
    struct processor_fixture fixture;
    struct embedding_counts counts;
    struct dataset row;
    const struct enrichment_log *entries;
    size_t n_entries;
    struct error err;

    (void)state;
    log_configure(STDERR_FILENO, LOG_NOTHING, LOG_TEXT);
    processor_open(&fixture, 12);
    put_text(&fixture.repo, "bad", "o/bad", "poison", "");
    fixture.embedder.refused = "poison";
    counts = run(&fixture, 5, true);
    assert_int_equal(counts.n_processed, 12);
    assert_int_equal(counts.n_failed, 1);
    assert_int_equal(counts.n_remaining, 1);
    row = get_row(&fixture.repo, "o/bad");
    assert_false(row.is_embedded);
    assert_ok(enrichment_log_repo_find(fixture.repo.base.database, row.row_id, 10,
                                       &fixture.repo.arena, &entries, &n_entries, &err),
              err);
    assert_int_equal(n_entries, 1);
    assert_int_equal(entries[0].outcome, OUTCOME_FAILED);
    assert_str_equal(entries[0].error_type, "ValueError");
    repo_fixture_fini(&fixture.repo);
}

/* Again exactly when the text or the model changes. */
static void
test_again_when_changed(void **state)
{
    struct processor_fixture fixture;

    (void)state;
    processor_open(&fixture, 4);
    assert_int_equal(run(&fixture, 10, true).n_processed, 4);
    put_text(&fixture.repo, "1", "o/1", "title 1", "another text");
    assert_false(get_row(&fixture.repo, "o/1").is_embedded);
    assert_int_equal(run(&fixture, 10, true).n_processed, 1);
    assert_true(get_row(&fixture.repo, "o/1").is_embedded);
    fake_embedder_init(&fixture.embedder, "fake-2");
    assert_int_equal(run(&fixture, 10, true).n_processed, 4);
    repo_fixture_fini(&fixture.repo);
}

static void
test_cancel_between_batches(void **state)
{
    struct processor_fixture fixture;
    struct embedding_counts counts;

    (void)state;
    processor_open(&fixture, 20);
    fixture.cancel = true;
    counts = run(&fixture, 5, true);
    assert_int_equal(counts.n_processed, 5);
    assert_int_equal(counts.n_remaining, 15);
    repo_fixture_fini(&fixture.repo);
}

/* Rows that another worker holds are not touched; they come back when its lease has run out. */
static void
test_leases_are_kept(void **state)
{
    struct processor_fixture fixture;
    struct dataset_list list;
    struct lease lease = {.owner = STR("other")};
    int64_t now_us = clock_now_us(&clock_system);
    struct error err;

    (void)state;
    processor_open(&fixture, 6);
    lease.until_us = now_us + US_PER_DAY;
    assert_ok(dataset_repo_claim_unembedded(fixture.repo.repo, STR("fake-1"), 4, &lease, now_us,
                                            &fixture.repo.arena, &list, &err),
              err);
    assert_int_equal(list.n_items, 4);
    assert_int_equal(run(&fixture, 10, true).n_processed, 2);
    fixture_execute(fixture.repo.base.database,
                    "UPDATE datasets SET lease_until = 1 WHERE lease_owner = 'other'");
    assert_int_equal(run(&fixture, 10, true).n_processed, 4);
    repo_fixture_fini(&fixture.repo);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_batch_then_drain), cmocka_unit_test(test_bad_row_costs_itself),
        cmocka_unit_test(test_again_when_changed),   cmocka_unit_test(test_cancel_between_batches),
        cmocka_unit_test(test_leases_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
