/* lib/repositories/dataset_repository.h: leases for enrichment and embedding, vectors. */

#include "tests/unit/lib/repositories/repo_fixture.h"

#include <math.h>

static const struct lease lease_a = {STR_INIT("a"), 1000};
static const struct lease lease_b = {STR_INIT("b"), 2000};

static struct dataset_list
claim(struct repo_fixture *fixture, const struct lease *lease, int64_t limit, int64_t now_us)
{
    struct dataset_list list = {0};
    struct error err;

    assert_ok(dataset_repo_claim_unenriched(fixture->repo, STR("kaggle"), limit, lease, now_us,
                                            &fixture->arena, &list, &err),
              err);
    return list;
}

static struct dataset_list
claim_text(struct repo_fixture *fixture, const char *model, const struct lease *lease,
           int64_t limit, int64_t now_us)
{
    struct dataset_list list = {0};
    struct error err;

    assert_ok(dataset_repo_claim_unembedded(fixture->repo, str_from_cstr(model), limit, lease,
                                            now_us, &fixture->arena, &list, &err),
              err);
    return list;
}

static int
finish(struct repo_fixture *fixture, int64_t row_id, const char *owner,
       enum enrichment_result result, const struct dataset *row, int64_t next_us)
{
    struct error err;

    return dataset_repo_finish_enrichment(fixture->repo, row_id, str_from_cstr(owner), result, row,
                                          next_us, STR("why"), 500, &err);
}

static void
put_minimal(struct repo_fixture *fixture, size_t n_rows)
{
    for (size_t i = 1; i <= n_rows; i++) {
        char key[16];
        char name[16];
        struct dataset row;

        (void)snprintf(key, sizeof(key), "%zu", i);
        (void)snprintf(name, sizeof(name), "o/%zu", i);
        row = make_row(key, name);
        (void)put_row(fixture, &row, 1);
    }
}

static void
test_claims_are_disjoint_and_come_back(void **state)
{
    struct repo_fixture fixture;
    struct dataset_list first;
    struct dataset_list second;

    (void)state;
    repo_fixture_init(&fixture);
    put_minimal(&fixture, 5);
    first = claim(&fixture, &lease_a, 3, 10);
    second = claim(&fixture, &lease_b, 3, 10);
    assert_int_equal(first.n_items, 3);
    assert_int_equal(second.n_items, 2);
    for (size_t i = 0; i < first.n_items; i++) {
        assert_int_equal(first.items[i].status, DATASET_ENRICHING);
        for (size_t j = 0; j < second.n_items; j++)
            assert_int_not_equal(first.items[i].row_id, second.items[j].row_id);
    }
    assert_int_equal(claim(&fixture, &lease_b, 9, 999).n_items, 0);
    assert_int_equal(claim(&fixture, &lease_b, 9, 1000).n_items, 3); /* a's have run out */

    /* a is back too late. */
    assert_int_equal(finish(&fixture, first.items[0].row_id, "a", ENRICHMENT_SUCCESS, NULL, 0),
                     -ERR_NOT_FOUND);
    assert_int_equal(finish(&fixture, first.items[0].row_id, "a", ENRICHMENT_GIVE_UP, NULL, 0),
                     -ERR_NOT_FOUND);
    assert_int_equal(get_by_number(&fixture, first.items[0].row_id).status, DATASET_ENRICHING);
    assert_int_equal(get_by_number(&fixture, first.items[0].row_id).enrichment_attempts, 0);
    repo_fixture_fini(&fixture);
}

/* What of each status is claimable, from the only row. */
static void
test_who_waits(void **state)
{
    static const struct {
        const char *sql;
        size_t n_claimed; /* at 100 */
    } rows[] = {
        {"UPDATE datasets SET enrichment_status = 'minimal'", 1},
        {"UPDATE datasets SET enrichment_status = 'minimal', is_active = 0", 0},
        {"UPDATE datasets SET enrichment_status = 'pending', next_attempt_at = 100", 1},
        {"UPDATE datasets SET enrichment_status = 'pending', next_attempt_at = 101", 0},
        {"UPDATE datasets SET enrichment_status = 'enriching', lease_until = 100", 1},
        {"UPDATE datasets SET enrichment_status = 'enriching', lease_until = 101", 0},
        {"UPDATE datasets SET enrichment_status = 'enriched'", 0},
        {"UPDATE datasets SET enrichment_status = 'failed'", 0},
        {"UPDATE datasets SET enrichment_status = 'skipped'", 0},
        {"UPDATE datasets SET source_name = 'huggingface'", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct repo_fixture fixture;

        repo_fixture_init(&fixture);
        put_minimal(&fixture, 1);
        /* The index holds the source's name; a test that changes it behind its back rebuilds. */
        fixture_execute(fixture.base.database, rows[i].sql);
        fixture_execute(fixture.base.database,
                        "INSERT INTO datasets_fts (datasets_fts) VALUES ('rebuild')");
        assert_int_equal(claim(&fixture, &lease_a, 9, 100).n_items, rows[i].n_claimed);
        repo_fixture_fini(&fixture);
    }
}

static void
test_oldest_first(void **state)
{
    struct repo_fixture fixture;
    struct dataset_list list;

    (void)state;
    repo_fixture_init(&fixture);
    put_minimal(&fixture, 3);
    fixture_execute(
        fixture.base.database,
        "UPDATE datasets SET enrichment_status = 'pending', next_attempt_at = 50 - row_id"
        " WHERE row_id < 3");
    list = claim(&fixture, &lease_a, 9, 100);
    assert_int_equal(list.n_items, 3);
    assert_int_equal(list.items[0].row_id, 3);
    assert_int_equal(list.items[1].row_id, 2);
    assert_int_equal(list.items[2].row_id, 1);
    repo_fixture_fini(&fixture);
}

static void
test_finish(void **state)
{
    struct repo_fixture fixture;
    struct dataset fetched = make_row("1", "o/renamed");
    struct dataset_list list;
    struct dataset row;

    (void)state;
    repo_fixture_init(&fixture);
    put_minimal(&fixture, 3);
    list = claim(&fixture, &lease_a, 3, 10);

    fetched.title = STR("A title");
    assert_int_equal(finish(&fixture, list.items[0].row_id, "a", ENRICHMENT_SUCCESS, &fetched, 0),
                     0);
    row = get_by_number(&fixture, list.items[0].row_id);
    assert_int_equal(row.status, DATASET_ENRICHED);
    assert_str_equal(row.external_id, "o/renamed");
    assert_int_equal(row.enrichment_attempts, 0);
    assert_int_equal(row.last_enriched_at_us, 500);
    assert_int_equal(count_hits(&fixture, "title"), 1);
    assert_int_equal(finish(&fixture, row.row_id, "a", ENRICHMENT_SUCCESS, NULL, 0),
                     -ERR_NOT_FOUND); /* once */

    /* Another dataset under the name: nothing is merged, the lease stays. */
    assert_int_equal(finish(&fixture, list.items[1].row_id, "a", ENRICHMENT_SUCCESS, &fetched, 0),
                     -ERR_INVALID);
    assert_int_equal(finish(&fixture, list.items[1].row_id, "a", ENRICHMENT_RETRY, NULL, 700), 0);
    row = get_by_number(&fixture, list.items[1].row_id);
    assert_int_equal(row.status, DATASET_PENDING);
    assert_int_equal(row.enrichment_attempts, 1);
    assert_int_equal(row.next_attempt_at_us, 700);
    assert_str_equal(row.last_enrichment_error, "why");
    assert_int_equal(claim(&fixture, &lease_b, 9, 699).n_items, 0);
    assert_int_equal(claim(&fixture, &lease_b, 9, 700).n_items, 1);

    assert_int_equal(finish(&fixture, list.items[2].row_id, "a", ENRICHMENT_GIVE_UP, NULL, 0), 0);
    row = get_by_number(&fixture, list.items[2].row_id);
    assert_int_equal(row.status, DATASET_FAILED);
    assert_int_equal(row.enrichment_attempts, 1);
    assert_int_equal(claim(&fixture, &lease_a, 9, 5000).n_items, 1); /* b's, run out */
    repo_fixture_fini(&fixture);
}

/* An enrichment is no listing: it does not revive. */
static void
test_finish_does_not_revive(void **state)
{
    struct repo_fixture fixture;
    struct dataset fetched = make_row("1", "o/1");
    struct dataset_list list;

    (void)state;
    repo_fixture_init(&fixture);
    put_minimal(&fixture, 1);
    list = claim(&fixture, &lease_a, 1, 10);
    fixture_execute(fixture.base.database,
                    "UPDATE datasets SET is_active = 0, link_state = 'gone'");
    assert_int_equal(finish(&fixture, list.items[0].row_id, "a", ENRICHMENT_SUCCESS, &fetched, 0),
                     0);
    assert_false(get_by_number(&fixture, list.items[0].row_id).is_active);
    repo_fixture_fini(&fixture);
}

static void
test_release(void **state)
{
    struct repo_fixture fixture;
    struct dataset_list list;
    struct error err;
    int64_t n_released = 0;

    (void)state;
    repo_fixture_init(&fixture);
    put_minimal(&fixture, 3);
    fixture_execute(fixture.base.database,
                    "UPDATE datasets SET enrichment_status = 'pending', enrichment_attempts = 2,"
                    " next_attempt_at = 7 WHERE row_id = 2");
    list = claim(&fixture, &lease_a, 2, 10);
    assert_int_equal(list.n_items, 2);
    assert_int_equal(claim(&fixture, &lease_b, 1, 10).n_items, 1);
    assert_ok(dataset_repo_release(fixture.repo, STR("a"), 20, &n_released, &err), err);
    assert_int_equal(n_released, 2);
    assert_int_equal(get_by_number(&fixture, 1).status, DATASET_MINIMAL);
    assert_int_equal(get_by_number(&fixture, 3).status, DATASET_MINIMAL);
    assert_int_equal(get_by_number(&fixture, 2).status, DATASET_ENRICHING); /* b's */
    assert_ok(dataset_repo_release(fixture.repo, STR("b"), 20, NULL, &err), err);
    assert_int_equal(get_by_number(&fixture, 2).status, DATASET_PENDING);
    assert_int_equal(get_by_number(&fixture, 2).enrichment_attempts, 2);
    assert_int_equal(claim(&fixture, &lease_a, 9, 20).n_items, 3);
    repo_fixture_fini(&fixture);
}

static const float some_vector[3] = {0.5F, -1.0F, 0.25F};

static int
save(struct repo_fixture *fixture, const struct dataset *claimed, const char *owner,
     const char *model)
{
    unsigned char hash[DATASET_HASH_BYTES];
    struct error err;

    assert_ok(dataset_text_hash(claimed, hash, &err), err);
    return dataset_repo_save_embedding(fixture->repo, claimed->row_id, str_from_cstr(owner),
                                       str_from_cstr(model), hash, some_vector,
                                       COUNT_OF(some_vector), 600, &err);
}

static int64_t
count_unembedded(struct repo_fixture *fixture, const char *model)
{
    struct error err;
    int64_t n = -1;

    assert_ok(dataset_repo_count_unembedded(fixture->repo, str_from_cstr(model), &n, &err), err);
    return n;
}

/* Embedded again exactly when the text or the model changes. */
static void
test_embedding_life(void **state)
{
    struct repo_fixture fixture;
    struct dataset_list list;
    struct dataset row;

    (void)state;
    repo_fixture_init(&fixture);
    put_minimal(&fixture, 1); /* no text yet: not to be embedded */
    put_text(&fixture, "10", "o/x", "alpha", "beta");
    assert_int_equal(count_unembedded(&fixture, "m1"), 1);
    list = claim_text(&fixture, "m1", &lease_a, 9, 10);
    assert_int_equal(list.n_items, 1);
    assert_str_equal(list.items[0].title, "alpha");
    assert_str_equal(list.items[0].description, "beta");
    assert_str_equal(list.items[0].source_name, "kaggle");
    assert_int_equal(count_unembedded(&fixture, "m1"), 1); /* leased ones count */
    assert_int_equal(claim_text(&fixture, "m1", &lease_b, 9, 10).n_items, 0);
    assert_int_equal(save(&fixture, &list.items[0], "b", "m1"), -ERR_NOT_FOUND);
    assert_int_equal(save(&fixture, &list.items[0], "a", "m1"), 0);
    assert_int_equal(save(&fixture, &list.items[0], "a", "m1"), -ERR_NOT_FOUND);
    assert_true(get_row(&fixture, "o/x").is_embedded);
    assert_int_equal(count_unembedded(&fixture, "m1"), 0);
    assert_int_equal(claim_text(&fixture, "m1", &lease_a, 9, 5000).n_items, 0);

    /* A counter is no text. */
    row = make_row("10", "o/x");
    row.download_count = 5;
    row.license = STR("mit");
    (void)put_row(&fixture, &row, 2);
    assert_int_equal(count_unembedded(&fixture, "m1"), 0);

    /* Another model, then another text. */
    assert_int_equal(count_unembedded(&fixture, "m2"), 1);
    list = claim_text(&fixture, "m2", &lease_a, 9, 10);
    assert_int_equal(save(&fixture, &list.items[0], "a", "m2"), 0);
    assert_int_equal(count_unembedded(&fixture, "m2"), 0);
    assert_int_equal(count_unembedded(&fixture, "m1"), 1);
    put_text(&fixture, "10", "o/x", "alpha", "gamma");
    assert_false(get_row(&fixture, "o/x").is_embedded);
    assert_int_equal(count_unembedded(&fixture, "m2"), 1);
    /* The text that was embedded is back: its vector is still there. */
    put_text(&fixture, "10", "o/x", "alpha", "beta");
    assert_int_equal(count_unembedded(&fixture, "m2"), 0);
    repo_fixture_fini(&fixture);
}

static int
gather_vector(void *context, const struct dataset_vector *vector, struct error *err)
{
    int64_t *sums = context;

    if (vector->row_id <= sums[1])
        return error_set(err, ERR_INVALID, "row %lld is out of order", (long long)vector->row_id);
    assert_int_equal(vector->dim, COUNT_OF(some_vector));
    assert_memory_equal(vector->vector, some_vector, sizeof(some_vector));
    sums[0]++;
    sums[1] = vector->row_id;
    return sums[0] == sums[2] ? error_set(err, ERR_CANCELLED, "enough") : 0;
}

static int64_t
count_vectors(struct repo_fixture *fixture, const char *model)
{
    int64_t sums[3] = {0, 0, -1};
    struct error err;

    assert_ok(
        dataset_repo_each_vector(fixture->repo, str_from_cstr(model), gather_vector, sums, &err),
        err);
    return sums[0];
}

static void
test_text_changes_while_embedding(void **state)
{
    struct repo_fixture fixture;
    struct dataset_list list;

    (void)state;
    repo_fixture_init(&fixture);
    put_text(&fixture, "1", "o/x", "alpha", "beta");
    list = claim_text(&fixture, "m", &lease_a, 9, 10);
    put_text(&fixture, "1", "o/x", "alpha", "changed");
    assert_int_equal(save(&fixture, &list.items[0], "a", "m"), 0); /* stored, but stale */
    assert_int_equal(fixture_query(fixture.base.database, "SELECT count(*) FROM dataset_vectors"),
                     1);
    assert_false(get_row(&fixture, "o/x").is_embedded);
    assert_int_equal(count_vectors(&fixture, "m"), 0);
    list = claim_text(&fixture, "m", &lease_b, 9, 10);
    assert_int_equal(list.n_items, 1);
    assert_str_equal(list.items[0].description, "changed");
    repo_fixture_fini(&fixture);
}

static void
test_each_vector(void **state)
{
    struct repo_fixture fixture;
    struct dataset_list list;
    struct error err;
    int64_t sums[3] = {0, 0, 2};

    (void)state;
    repo_fixture_init(&fixture);
    for (int i = 0; i < 5; i++) {
        char key[8];

        (void)snprintf(key, sizeof(key), "%d", i);
        put_text(&fixture, key, key, key, "");
    }
    list = claim_text(&fixture, "m", &lease_a, 9, 10);
    assert_int_equal(list.n_items, 5);
    for (size_t i = list.n_items; i > 0; i--)
        assert_int_equal(save(&fixture, &list.items[i - 1], "a", "m"), 0);
    assert_int_equal(count_vectors(&fixture, "m"), 5);
    assert_int_equal(count_vectors(&fixture, "other"), 0);
    fixture_execute(fixture.base.database, "UPDATE datasets SET is_active = 0 WHERE row_id = 2");
    assert_int_equal(count_vectors(&fixture, "m"), 4);
    assert_int_equal(dataset_repo_each_vector(fixture.repo, STR("m"), gather_vector, sums, &err),
                     -ERR_CANCELLED);
    fixture_execute(fixture.base.database, "UPDATE dataset_vectors SET vector = x'00'");
    assert_int_equal(dataset_repo_each_vector(fixture.repo, STR("m"), gather_vector, sums, &err),
                     -ERR_CORRUPT);
    repo_fixture_fini(&fixture);
}

static void
test_refused_vectors(void **state)
{
    static const float infinite[1] = {INFINITY};
    static const unsigned char hash[DATASET_HASH_BYTES];
    struct repo_fixture fixture;
    struct error err;

    (void)state;
    repo_fixture_init(&fixture);
    assert_int_equal(dataset_repo_save_embedding(fixture.repo, 1, STR("a"), STR("m"), hash,
                                                 infinite, 1, 1, &err),
                     -ERR_INVALID);
    assert_int_equal(dataset_repo_save_embedding(fixture.repo, 1, STR("a"), STR(""), hash,
                                                 some_vector, 3, 1, &err),
                     -ERR_INVALID);
    assert_int_equal(dataset_repo_save_embedding(fixture.repo, 1, STR("a"), STR("m"), hash,
                                                 some_vector, 0, 1, &err),
                     -ERR_INVALID);
    repo_fixture_fini(&fixture);
}

/* Too little memory for the answer: nothing is leased. */
static void
test_claim_without_memory(void **state)
{
    struct repo_fixture fixture;
    struct arena small = ARENA_INIT(4096);
    struct dataset_list list = {0};
    struct error err;

    (void)state;
    repo_fixture_init(&fixture);
    put_minimal(&fixture, 50);
    assert_int_equal(dataset_repo_claim_unenriched(fixture.repo, STR("kaggle"), 50, &lease_a, 10,
                                                   &small, &list, &err),
                     -ERR_NOMEM);
    arena_fini(&small);
    assert_int_equal(claim(&fixture, &lease_b, 50, 10).n_items, 50);
    repo_fixture_fini(&fixture);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims_are_disjoint_and_come_back),
        cmocka_unit_test(test_who_waits),
        cmocka_unit_test(test_oldest_first),
        cmocka_unit_test(test_finish),
        cmocka_unit_test(test_finish_does_not_revive),
        cmocka_unit_test(test_release),
        cmocka_unit_test(test_embedding_life),
        cmocka_unit_test(test_text_changes_while_embedding),
        cmocka_unit_test(test_each_vector),
        cmocka_unit_test(test_refused_vectors),
        cmocka_unit_test(test_claim_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
