/* lib/services/enrichment/hf_parser/coverage.h. */

#include "tests/unit/check.h"

#include "lib/services/enrichment/hf_parser/coverage.h"

/* Days since 1970, for readable rows; the overlap is taken off the result before it is compared. */
#define DAY(n)  ((n)*US_PER_DAY)
#define NOTHING TIME_UNKNOWN
#define OVERLAP HF_OVERLAP_US

static void
test_bound(void **state)
{
    static const struct {
        struct hf_coverage coverage;
        int64_t now_us;
        int64_t days_back;
        int64_t bound_us;
    } rows[] = {
        /* nothing covered: the window */
        {{0, NOTHING}, DAY(100), 1, DAY(99)},
        {{0, NOTHING}, DAY(100), 30, DAY(70)},
        /* the window is covered: the watermark, though the window reaches farther back */
        {{DAY(90), DAY(99)}, DAY(100), 5, DAY(99) - OVERLAP},
        {{0, DAY(99)}, DAY(100), 1000, DAY(99) - OVERLAP},
        /* the machine slept: the watermark, though the window is shorter */
        {{DAY(50), DAY(60)}, DAY(100), 1, DAY(60) - OVERLAP},
        /* the window begins before what is covered: the window */
        {{DAY(95), DAY(99)}, DAY(100), 7, DAY(93)},
        {{DAY(95), DAY(99)}, DAY(100), 5, DAY(99) - OVERLAP},
        /* ... but the overlap is kept */
        {{DAY(99) - 3, DAY(99) - 1}, DAY(100) - 5, 1, DAY(99) - 1 - OVERLAP},
        /* never before 1970, whatever is asked for */
        {{0, NOTHING}, DAY(100), 101, 0},
        {{0, NOTHING}, DAY(100), INT64_MAX, 0},
        {{0, 5}, DAY(100), 1, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(hf_coverage_bound(&rows[i].coverage, rows[i].now_us, rows[i].days_back),
                         rows[i].bound_us);
}

static void
test_add(void **state)
{
    static const struct {
        struct hf_coverage before;
        struct hf_coverage added;
        struct hf_coverage after;
    } rows[] = {
        {{0, NOTHING}, {5, 9}, {5, 9}},
        /* the usual walk: on top of what there is, with an overlap */
        {{5, 9}, {8, 12}, {5, 12}},
        {{5, 9}, {9, 12}, {5, 12}},
        /* a longer window, a sweep */
        {{5, 9}, {2, 12}, {2, 12}},
        {{5, 9}, {0, 7}, {0, 9}},
        {{5, 9}, {6, 7}, {5, 9}},
        /* a hole between: what reaches farther back counts */
        {{5, 9}, {11, 12}, {5, 9}},
        {{5, 9}, {0, 3}, {0, 3}},
        /* nothing at all */
        {{5, 9}, {12, 11}, {5, 9}},
        {{0, NOTHING}, {12, 11}, {0, NOTHING}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct hf_coverage coverage = rows[i].before;

        hf_coverage_add(&coverage, rows[i].added.since_us, rows[i].added.until_us);
        assert_int_equal(coverage.since_us, rows[i].after.since_us);
        assert_int_equal(coverage.until_us, rows[i].after.until_us);
    }
}

static void
test_has(void **state)
{
    static const struct hf_coverage nothing = {0, NOTHING};
    static const struct hf_coverage some = {5, 9};

    (void)state;
    assert_false(hf_coverage_has(&nothing, 0, 0));
    assert_true(hf_coverage_has(&some, 5, 9));
    assert_false(hf_coverage_has(&some, 4, 9));
    assert_false(hf_coverage_has(&some, 5, 10));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
