/* lib/services/search/fusion.h */

#include "tests/unit/check.h"

#include <math.h>

#include "lib/services/search/fusion.h"

static const struct fusion_weights weights = FUSION_WEIGHTS_DEFAULT;

static void
test_merge(void **state)
{
    static const struct fusion_entry keyword[] = {{7, 9.0}, {3, 5.0}, {5, 1.0}};
    static const struct fusion_entry dense[] = {{3, 0.9}, {8, 0.8}, {2, 0.7}};
    struct arena arena = ARENA_INIT(1 << 20);
    struct fused_hit *hits;
    size_t n_hits;
    struct error err;

    (void)state;
    assert_ok(fusion_merge((struct fusion_list){keyword, 3}, (struct fusion_list){dense, 3},
                           &weights, &arena, &hits, &n_hits, &err),
              err);
    assert_int_equal(n_hits, 5);
    assert_int_equal(hits[0].row_id, 3); /* second by keyword, first by meaning */
    assert_int_equal(hits[0].keyword_rank, 2);
    assert_int_equal(hits[0].dense_rank, 1);
    assert_true(fabs(hits[0].score - (1.0 / 62 + 0.5 / 61)) < 1e-12);
    assert_true(fabs(hits[0].cosine - 0.9) < 1e-12);
    assert_true(fabs(hits[0].keyword_score - 5.0) < 1e-12);
    assert_int_equal(hits[1].row_id, 7);
    assert_int_equal(hits[1].dense_rank, 0);
    assert_int_equal(hits[2].row_id, 5);
    assert_int_equal(hits[3].row_id, 8); /* meaning alone comes after every keyword hit */
    assert_int_equal(hits[4].row_id, 2);
    arena_fini(&arena);
}

static void
test_ties_and_empty_lists(void **state)
{
    static const struct fusion_entry only[] = {{9, 1.0}, {4, 1.0}};
    struct arena arena = ARENA_INIT(1 << 20);
    struct fusion_list none = {NULL, 0};
    struct fused_hit *hits;
    size_t n_hits = 7;
    struct error err;

    (void)state;
    assert_ok(fusion_merge(none, none, &weights, &arena, &hits, &n_hits, &err), err);
    assert_int_equal(n_hits, 0);
    assert_ok(
        fusion_merge(none, (struct fusion_list){only, 2}, &weights, &arena, &hits, &n_hits, &err),
        err);
    assert_int_equal(n_hits, 2);
    assert_int_equal(hits[0].row_id, 9); /* a list's own order stays */
    arena_fini(&arena);
}

/* By hand: 1/61 = 0.01639 and 1/62 = 0.01613; 1.3 times the second leads, 1.003 times does not. */
static void
test_prior(void **state)
{
    static const struct fusion_entry keyword[] = {{7, 9.0}, {3, 5.0}};
    static const double equal[] = {0, 0.01};
    static const double better[] = {0, 1};
    struct arena arena = ARENA_INIT(1 << 20);
    struct fused_hit *hits;
    size_t n_hits;
    struct error err;

    (void)state;
    assert_ok(fusion_merge((struct fusion_list){keyword, 2}, (struct fusion_list){NULL, 0},
                           &weights, &arena, &hits, &n_hits, &err),
              err);
    fusion_apply_prior(hits, n_hits, equal, weights.prior);
    assert_int_equal(hits[0].row_id, 7);
    assert_true(fabs(hits[1].score - 1.003 / 62) < 1e-12);
    fusion_apply_prior(hits, n_hits, better, weights.prior);
    assert_int_equal(hits[0].row_id, 3);
    assert_true(fabs(hits[0].score - 1.3 / 62) < 1e-12);
    assert_true(fabs(hits[0].fused - 1.0 / 62) < 1e-12);
    assert_true(hits[0].static_score >= 1);
    arena_fini(&arena);
}

static void
test_no_memory(void **state)
{
    static const struct fusion_entry one[] = {{1, 1.0}};
    struct arena arena = ARENA_INIT(8);
    struct fused_hit *hits;
    size_t n_hits;

    (void)state;
    assert_int_equal(fusion_merge((struct fusion_list){one, 1}, (struct fusion_list){one, 1},
                                  &weights, &arena, &hits, &n_hits, NULL),
                     -ERR_NOMEM);
    arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_ties_and_empty_lists),
        cmocka_unit_test(test_prior),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
