/* lib/services/scoring/score_formula.h and open_license.h */

#include "tests/unit/check.h"

#include <math.h>

#include "base/clock.h"
#include "lib/models/dataset.h"
#include "lib/services/scoring/open_license.h"
#include "lib/services/scoring/score_formula.h"

#define DAY_US (INT64_C(86400) * US_PER_S)
#define NOW_US (INT64_C(20000) * DAY_US)

static struct score_inputs
blank_row(void)
{
    struct score_inputs row = {
        .source_name = STR("kaggle"),
        .external_id = STR("plain"),
        .created_at_us = DATASET_UNKNOWN,
        .updated_at_us = DATASET_UNKNOWN,
    };

    for (size_t i = 0; i < SCORE_N_COUNTERS; i++)
        row.counters[i] = DATASET_UNKNOWN;
    return row;
}

static struct static_score
compute(const struct score_inputs *row)
{
    static int64_t values[] = {1, 10, 100, 1000}; /* E: 0.25, 0.5, 0.75, 1 */
    struct score_table tables[SCORE_N_COUNTERS];
    struct static_score score = {0};
    struct error err;

    for (size_t i = 0; i < SCORE_N_COUNTERS; i++)
        score_table_build(&tables[i], values, COUNT_OF(values));
    assert_ok(score_compute(row, tables, NOW_US, &score, &err), err);
    return score;
}

static void
assert_near(double value, double wanted)
{
    assert_true(fabs(value - wanted) < 1e-12);
}

static void
test_popularity(void **state)
{
    static const struct {
        int64_t downloads, likes, views, uses;
        double wanted;
    } rows[] = {
        {1000, 100, 10, DATASET_UNKNOWN, 0.5 * 1 + 0.3 * 0.75 + 0.2 * 0.5},
        {0, 0, 0, 0, 0},
        {10, DATASET_UNKNOWN, DATASET_UNKNOWN, DATASET_UNKNOWN, 0.5}, /* weights grow to 1 */
        {10, 0, DATASET_UNKNOWN, DATASET_UNKNOWN, 0.5 * 0.5 / 0.8},
        {10, 10, DATASET_UNKNOWN, 1, 0.5 * 0.5 + 0.3 * 0.5 + 0.2 * 0.25}, /* uses for views */
        {10, 10, 1, 1000, 0.5 * 0.5 + 0.3 * 0.5 + 0.2 * 0.25},            /* views go first */
        {DATASET_UNKNOWN, DATASET_UNKNOWN, DATASET_UNKNOWN, DATASET_UNKNOWN, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct score_inputs row = blank_row();

        row.counters[SCORE_DOWNLOADS] = rows[i].downloads;
        row.counters[SCORE_LIKES] = rows[i].likes;
        row.counters[SCORE_VIEWS] = rows[i].views;
        row.counters[SCORE_USES] = rows[i].uses;
        assert_near(compute(&row).popularity, rows[i].wanted);
    }
}

static void
test_quality(void **state)
{
    struct score_inputs row = blank_row();

    (void)state;
    assert_near(score_quality(&row), 0);
    row.external_id = STR("owner/prices");
    assert_near(score_quality(&row), 0.05);
    row.title = STR("prices"); /* the name once more is no title */
    assert_near(score_quality(&row), 0.05);
    row.title = STR("House prices");
    assert_near(score_quality(&row), 0.15);
    row.n_description_chars = 49;
    assert_near(score_quality(&row), 0.15);
    row.n_description_chars = 50;
    assert_near(score_quality(&row), 0.25);
    row.n_description_chars = 300;
    assert_near(score_quality(&row), 0.35);
    row.license = STR("unknown");
    assert_near(score_quality(&row), 0.35);
    row.license = STR("cc-by-nc-4.0");
    assert_near(score_quality(&row), 0.45);
    row.license = STR("cc-by-4.0");
    assert_near(score_quality(&row), 0.5);
    row.has_tags = row.has_formats = row.has_extent = row.has_columns = true;
    assert_near(score_quality(&row), 0.9);
    row.has_reference = true;
    row.updated_at_us = NOW_US;
    assert_near(score_quality(&row), 0.95);
    row.created_at_us = NOW_US;
    assert_near(score_quality(&row), 1);
}

static void
test_freshness_and_gate(void **state)
{
    static const struct {
        const char *state;
        double gate;
    } gates[] = {{NULL, 1},        {"alive", 1},         {"restricted", 1},
                 {"suspect", 0.9}, {"unreachable", 0.6}, {"gone", 0}};
    struct score_inputs row = blank_row();
    struct static_score score;

    (void)state;
    assert_near(compute(&row).freshness, 0.25);
    row.created_at_us = NOW_US - 730 * DAY_US; /* stands in for an unknown update */
    assert_near(compute(&row).freshness, 0.25 + 0.375);
    row.updated_at_us = NOW_US + DAY_US; /* a clock ahead of ours */
    assert_near(compute(&row).freshness, 1);
    row.counters[SCORE_DOWNLOADS] = 10;
    for (size_t i = 0; i < COUNT_OF(gates); i++) {
        row.link_state = str_from_cstr(gates[i].state);
        score = compute(&row);
        assert_near(score.gate, gates[i].gate);
        assert_near(score.value, gates[i].gate * (0.5 * 0.5 + 0.35 * 0.05 + 0.15 * 1));
    }
    row.link_state = STR("lost");
    assert_int_equal(score_compute(&row, NULL, NOW_US, &score, NULL), -ERR_INVALID);
}

static void
test_ages(void **state)
{
    static const struct {
        int64_t days;
        enum score_age age;
        int64_t next_days; /* from now */
    } rows[] = {
        {-3, SCORE_AGE_QUARTER, 30},      {0, SCORE_AGE_QUARTER, 30},
        {80, SCORE_AGE_QUARTER, 10},      {90, SCORE_AGE_QUARTER, 0},
        {91, SCORE_AGE_YEAR, 30},         {365, SCORE_AGE_YEAR, 0},
        {366, SCORE_AGE_THREE_YEARS, 30}, {1095, SCORE_AGE_THREE_YEARS, 0},
        {1096, SCORE_AGE_OLDER, 30},
    };

    (void)state;
    assert_int_equal(score_age_of(DATASET_UNKNOWN, NOW_US), SCORE_AGE_UNKNOWN);
    assert_int_equal(score_next_at(DATASET_UNKNOWN, NOW_US), NOW_US + 30 * DAY_US);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t created_us = NOW_US - rows[i].days * DAY_US;
        int64_t next_us = score_next_at(created_us, NOW_US) - NOW_US;

        assert_int_equal(score_age_of(created_us, NOW_US), rows[i].age);
        assert_true(next_us >= rows[i].next_days * DAY_US &&
                    next_us <= rows[i].next_days * DAY_US + 1);
    }
}

static void
test_licenses(void **state)
{
    static const struct {
        const char *name;
        bool is_known, is_open;
    } rows[] = {
        {NULL, false, false},
        {"", false, false},
        {"Unknown", false, false},
        {"other", false, false},
        {"mit", true, true},
        {"mitre", true, false},
        {"CC0: Public Domain", true, true},
        {"CC BY-SA 4.0", true, true},
        {"cc-by-nc-sa-4.0", true, false},
        {"CC-BY-ND-4.0", true, false},
        {"odc-by", true, true},
        {"bsd-3-clause", true, true},
        {"openrail", true, false},
        {"World Bank Dataset Terms of Use", true, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(license_is_known(str_from_cstr(rows[i].name)), rows[i].is_known);
        assert_int_equal(license_is_open(str_from_cstr(rows[i].name)), rows[i].is_open);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_popularity),         cmocka_unit_test(test_quality),
        cmocka_unit_test(test_freshness_and_gate), cmocka_unit_test(test_ages),
        cmocka_unit_test(test_licenses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
