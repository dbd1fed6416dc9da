/* lib/services/scoring/score_table.h */

#include "tests/unit/check.h"

#include <math.h>

#include "lib/services/scoring/score_table.h"

static void
assert_near(double value, double wanted)
{
    assert_true(fabs(value - wanted) < 1e-12);
}

/* By hand: of 8 values, 3 are at most 1, 4 at most 3, 6 at most 10, 8 at most 100. */
static void
test_percentiles(void **state)
{
    int64_t values[] = {10, 1, 100, 1, 3, 10, 1, 100};
    struct score_table table;

    (void)state;
    score_table_build(&table, values, 8);
    assert_int_equal(table.n_knots, 4);
    assert_near(score_table_percentile(&table, 1), 0.375);
    assert_near(score_table_percentile(&table, 3), 0.5);
    assert_near(score_table_percentile(&table, 10), 0.75);
    assert_near(score_table_percentile(&table, 100), 1);
    assert_near(score_table_percentile(&table, 1000000), 1);
    assert_near(score_table_percentile(&table, 0), 0);
    assert_near(score_table_percentile(&table, -5), 0);
    /* between 3 and 10: log1p(3) = 2 log 2, log1p(10) = log 11; at 5 log 6 */
    assert_near(score_table_percentile(&table, 5),
                0.5 + 0.25 * (log(6) - log(4)) / (log(11) - log(4)));
}

static void
test_empty(void **state)
{
    int64_t values[] = {4};
    struct score_table empty;
    struct score_table one;

    (void)state;
    score_table_build(&empty, values, 0);
    score_table_build(&one, values, 1);
    assert_near(score_table_percentile(&empty, 4), 0);
    assert_near(score_table_percentile(&one, 4), 1);
    assert_near(score_table_distance(&empty, &empty), 0);
    assert_near(score_table_distance(&empty, &one), 1);
}

static void
test_distance(void **state)
{
    int64_t before[] = {1, 2, 3, 4};
    int64_t after[] = {1, 1, 3, 4};
    struct score_table a;
    struct score_table b;

    (void)state;
    score_table_build(&a, before, 4);
    score_table_build(&b, after, 4);
    assert_near(score_table_distance(&a, &b), 0.25); /* at 1: a quarter, a half */
    assert_near(score_table_distance(&b, &a), 0.25);
}

/* 10,000 distinct values are cut to knots; no percentile is far off. */
static void
test_many_values(void **state)
{
    static int64_t values[10000];
    struct score_table table;
    double worst = 0;

    (void)state;
    for (int64_t i = 0; i < 10000; i++)
        values[i] = (i + 1) * (i + 1);
    score_table_build(&table, values, 10000);
    assert_true(table.n_knots > SCORE_KNOTS_MAX / 2 && table.n_knots <= SCORE_KNOTS_MAX);
    assert_near(table.knots[table.n_knots - 1].share, 1);
    assert_int_equal(table.knots[table.n_knots - 1].value, 100000000);
    for (int64_t i = 0; i < 10000; i++)
        worst = fmax(worst, fabs(score_table_percentile(&table, (i + 1) * (i + 1)) -
                                 (double)(i + 1) / 10000));
    assert_true(worst < 1.0 / 256);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_many_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
