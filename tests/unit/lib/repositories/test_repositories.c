/* The small repositories, and the dataset repository as an interface. */

#include "tests/unit/lib/repositories/repo_fixture.h"

#include "lib/repositories/dataset_repository_ops.h"
#include "lib/repositories/enrichment_log_repository.h"
#include "lib/repositories/run_repository.h"
#include "lib/repositories/source_state_repository.h"

static void
test_source_state(void **state)
{
    struct repo_fixture fixture;
    struct source_state sent = {
        .source_name = STR("huggingface"),
        .stream = STR("listing"),
        .cursor = STR("https://huggingface.co/api/datasets?cursor=x"),
        .watermark_us = 5,
        .walk_started_at_us = DATABASE_NULL,
        .detail = STR("{\"n\":1}"),
        .updated_at_us = 6,
    };
    const struct source_state *list;
    struct source_state stored;
    struct error err;
    size_t n_items;

    (void)state;
    repo_fixture_init(&fixture);
    assert_int_equal(source_state_repo_find(fixture.base.database, STR("huggingface"),
                                            STR("listing"), &fixture.arena, &stored, &err),
                     -ERR_NOT_FOUND);
    assert_ok(source_state_repo_save(fixture.base.database, &sent, &err), err);
    sent.stream = STR("sweep");
    assert_ok(source_state_repo_save(fixture.base.database, &sent, &err), err);
    sent.stream = STR("listing");
    sent.cursor = STR_NULL; /* the whole row is replaced */
    sent.watermark_us = 7;
    assert_ok(source_state_repo_save(fixture.base.database, &sent, &err), err);
    assert_ok(source_state_repo_find(fixture.base.database, STR("huggingface"), STR("listing"),
                                     &fixture.arena, &stored, &err),
              err);
    assert_null(stored.cursor.ptr);
    assert_null(stored.etag.ptr);
    assert_int_equal(stored.watermark_us, 7);
    assert_int_equal(stored.walk_started_at_us, DATABASE_NULL);
    assert_str_equal(stored.detail, "{\"n\":1}");
    assert_ok(source_state_repo_list(fixture.base.database, &fixture.arena, &list, &n_items, &err),
              err);
    assert_int_equal(n_items, 2);
    assert_str_equal(list[0].stream, "listing");
    assert_str_equal(list[1].cursor, "https://huggingface.co/api/datasets?cursor=x");
    repo_fixture_fini(&fixture);
}

static void
test_runs(void **state)
{
    struct repo_fixture fixture;
    struct run run = {
        .task_id = STR("t"),
        .task_name = STR("enrich.fetch_hf_datasets"),
        .arguments = STR("{}"),
        .state = STR("STARTED"),
        .worker_id = STR("w"),
        .started_at_us = 5,
    };
    static const struct run_reject rejects[] = {
        {STR_INIT("Datasets.csv"), 3, 99, STR_INIT("no id")},
        {STR_INIT("api/datasets"), 1, DATABASE_NULL, STR_INIT("id is a list")},
    };
    const struct run_reject *stored_rejects;
    const struct run *list;
    struct error err;
    size_t n_items;
    int64_t run_ids[2];

    (void)state;
    repo_fixture_init(&fixture);
    assert_ok(run_repo_start(fixture.base.database, &run, &run_ids[0], &err), err);
    run.task_name = STR("kaggle.seed_initial");
    assert_ok(run_repo_start(fixture.base.database, &run, &run_ids[1], &err), err);
    run = (struct run){.run_id = run_ids[0],
                       .state = STR("SUCCESS"),
                       .result = STR("{\"total_fetched\":1}"),
                       .ended_at_us = 9};
    assert_ok(run_repo_finish(fixture.base.database, &run, &err), err);
    run.run_id = 99;
    assert_int_equal(run_repo_finish(fixture.base.database, &run, &err), -ERR_NOT_FOUND);

    assert_ok(
        run_repo_list(fixture.base.database, STR_NULL, 10, &fixture.arena, &list, &n_items, &err),
        err);
    assert_int_equal(n_items, 2);
    assert_int_equal(list[0].run_id, run_ids[1]);
    assert_int_equal(list[0].ended_at_us, DATABASE_NULL);
    assert_str_equal(list[0].state, "STARTED");
    assert_str_equal(list[1].result, "{\"total_fetched\":1}");
    assert_int_equal(list[1].ended_at_us, 9);
    assert_str_equal(list[1].worker_id, "w");
    assert_ok(run_repo_list(fixture.base.database, STR("kaggle.seed_initial"), 10, &fixture.arena,
                            &list, &n_items, &err),
              err);
    assert_int_equal(n_items, 1);
    assert_int_equal(list[0].run_id, run_ids[1]);
    assert_ok(
        run_repo_list(fixture.base.database, STR_NULL, 1, &fixture.arena, &list, &n_items, &err),
        err);
    assert_int_equal(n_items, 1);

    for (size_t i = 0; i < COUNT_OF(rejects); i++)
        assert_ok(run_repo_add_reject(fixture.base.database, run_ids[0], &rejects[i], &err), err);
    assert_int_equal(run_repo_add_reject(fixture.base.database, 99, &rejects[0], &err),
                     -ERR_INVALID); /* of no run */
    assert_ok(run_repo_list_rejects(fixture.base.database, run_ids[0], 10, &fixture.arena,
                                    &stored_rejects, &n_items, &err),
              err);
    assert_int_equal(n_items, 2);
    assert_str_equal(stored_rejects[0].reason, "no id");
    assert_int_equal(stored_rejects[0].byte_offset, 99);
    assert_int_equal(stored_rejects[1].byte_offset, DATABASE_NULL);
    assert_int_equal(stored_rejects[1].record, 1);
    repo_fixture_fini(&fixture);
}

static void
test_enrichment_logs(void **state)
{
    struct repo_fixture fixture;
    struct enrichment_log entry = {
        .row_id = 1,
        .stage = STAGE_LINK,
        .outcome = OUTCOME_RATE_LIMITED,
        .attempt = 2,
        .error_type = STR("ConnectionError"),
        .error_message = STR("no answer"),
        .duration_ms = 30,
        .worker_id = STR("w"),
        .task_id = STR("t"),
    };
    const struct enrichment_log *list;
    struct error err;
    size_t n_items;
    int64_t n_removed = 0;

    (void)state;
    repo_fixture_init(&fixture);
    assert_int_equal(enrichment_log_repo_append(fixture.base.database, &entry, &err),
                     -ERR_INVALID); /* of no dataset */
    put_text(&fixture, "1", "o/n", "x", "");
    for (entry.at_us = 1; entry.at_us <= 5; entry.at_us++)
        assert_ok(enrichment_log_repo_append(fixture.base.database, &entry, &err), err);
    assert_ok(enrichment_log_repo_find(fixture.base.database, 1, 3, &fixture.arena, &list, &n_items,
                                       &err),
              err);
    assert_int_equal(n_items, 3);
    assert_int_equal(list[0].at_us, 5);
    assert_int_equal(list[2].at_us, 3);
    assert_int_equal(list[0].stage, STAGE_LINK);
    assert_int_equal(list[0].outcome, OUTCOME_RATE_LIMITED);
    assert_int_equal(list[0].attempt, 2);
    assert_int_equal(list[0].duration_ms, 30);
    assert_str_equal(list[0].error_type, "ConnectionError");
    assert_str_equal(list[0].error_message, "no answer");
    assert_ok(enrichment_log_repo_prune(fixture.base.database, 5, 3, &n_removed, &err), err);
    assert_int_equal(n_removed, 3); /* the oldest */
    assert_ok(enrichment_log_repo_prune(fixture.base.database, 5, 3, &n_removed, &err), err);
    assert_int_equal(n_removed, 1);
    assert_ok(enrichment_log_repo_find(fixture.base.database, 1, 9, &fixture.arena, &list, &n_items,
                                       &err),
              err);
    assert_int_equal(n_items, 1);
    assert_int_equal(list[0].at_us, 5);
    repo_fixture_fini(&fixture);
}

struct fake_repo {
    struct dataset_repo base;
    int n_calls;
};

static int
fake_count_unembedded(struct dataset_repo *self, struct str model, int64_t *out, struct error *err)
{
    (void)err;
    ((struct fake_repo *)self)->n_calls++;
    *out = (int64_t)model.len;
    return 0;
}

static void
test_fake(void **state)
{
    static const struct dataset_repo_ops ops = {.count_unembedded = fake_count_unembedded};
    struct fake_repo fake = {.base = {&ops}};
    struct error err;
    int64_t n = 0;

    (void)state;
    assert_ok(dataset_repo_count_unembedded(&fake.base, STR("four"), &n, &err), err);
    assert_int_equal(n, 4);
    assert_int_equal(fake.n_calls, 1);
    dataset_repo_free(NULL);
}

/* Lists that do not fit into the arena are an error, not a shorter list. */
static void
test_without_memory(void **state)
{
    struct repo_fixture fixture;
    struct arena small = ARENA_INIT(2000);
    const struct source_state *states;
    const struct run *runs;
    struct dataset_counts counts;
    struct dataset row;
    struct error err;
    size_t n_items;

    (void)state;
    repo_fixture_init(&fixture);
    put_text(&fixture, "1", "o/n", "x", "");
    assert_int_equal(
        run_repo_list(fixture.base.database, STR_NULL, 1000, &small, &runs, &n_items, &err),
        -ERR_NOMEM);
    assert_int_equal(source_state_repo_list(fixture.base.database, &small, &states, &n_items, &err),
                     -ERR_NOMEM);
    assert_int_equal(dataset_repo_count(fixture.repo, &small, &counts, &err), -ERR_NOMEM);
    arena_fini(&small);
    small.max_bytes = 16;
    assert_int_equal(dataset_repo_find(fixture.repo, STR("o/n"), &small, &row, &err), -ERR_NOMEM);
    arena_fini(&small);
    repo_fixture_fini(&fixture);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_state),    cmocka_unit_test(test_runs),
        cmocka_unit_test(test_enrichment_logs), cmocka_unit_test(test_fake),
        cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
