/* lib/services/search/ranking_metrics.h and judgements.h */

#include "tests/unit/check.h"

#include <math.h>

#include "lib/services/search/judgements.h"
#include "lib/services/search/ranking_metrics.h"

static void
assert_near(double value, double wanted)
{
    assert_true(fabs(value - wanted) < 1e-12);
}

/* By hand: gains 0, 2, 0, 1 at ranks 1 to 4; ideal 2, 1, 1. */
static void
test_metrics(void **state)
{
    static const double grades[] = {0, 2, 0, 1};
    double relevant[] = {1, 2, 1};
    double none[101] = {0};
    struct ranking_metrics metrics = ranking_metrics_compute(grades, 4, relevant, 3);

    (void)state;
    assert_near(metrics.ndcg_10, (2 / log2(3) + 1 / log2(5)) / (2 + 1 / log2(3) + 1 / log2(4)));
    assert_near(metrics.mrr_10, 0.5);
    assert_near(metrics.recall_100, 2.0 / 3);
    none[10] = 1;  /* rank 11: too late for all but recall */
    none[100] = 1; /* rank 101: too late */
    metrics = ranking_metrics_compute(none, 101, relevant, 3);
    assert_near(metrics.ndcg_10, 0);
    assert_near(metrics.mrr_10, 0);
    assert_near(metrics.recall_100, 1.0 / 3);
    metrics = ranking_metrics_compute(grades, 4, relevant, 0);
    assert_near(metrics.recall_100, 0);
}

static void
test_judgements(void **state)
{
    struct arena arena = ARENA_INIT(1 << 20);
    struct judgements parsed;
    const struct judgement *items;
    size_t n_items;
    struct error err;

    (void)state;
    assert_ok(judgements_parse(STR("q1\tair quality\r\n\n{\"_id\": \"q2\", \"text\": \"a b\"}\n"),
                               STR("query-id corpus-id score\nq2 0 d9 1\nq1 0 d2 2\nq1\td1\t0\n"),
                               &arena, &parsed, &err),
              err);
    assert_int_equal(parsed.n_queries, 2);
    assert_str_equal(parsed.queries[0].text, "air quality");
    assert_str_equal(parsed.queries[1].id, "q2");
    items = judgements_find_query(&parsed, STR("q1"), &n_items);
    assert_int_equal(n_items, 2);
    assert_near(judgements_grade(items, n_items, STR("d2")), 2);
    assert_near(judgements_grade(items, n_items, STR("d1")), 0);
    assert_near(judgements_grade(items, n_items, STR("d9")), 0); /* another query's */
    (void)judgements_find_query(&parsed, STR("q3"), &n_items);
    assert_int_equal(n_items, 0);
    assert_int_equal(judgements_parse(STR("q1"), STR(""), &arena, &parsed, NULL), -ERR_INVALID);
    assert_int_equal(judgements_parse(STR("q1\tx"), STR("q1 0 d1 high\n"), &arena, &parsed, NULL),
                     -ERR_INVALID);
    arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_judgements),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
