/* Each part of the score as a table of its own. */

#include "lib/services/scoring/score_formula.h"

#include <math.h>

#include "base/clock.h"
#include "lib/models/dataset.h"
#include "lib/models/link.h"
#include "lib/services/scoring/open_license.h"

#define DAY_US         (INT64_C(86400) * US_PER_S)
#define HALF_LIFE_DAYS 730.0
#define SHORT_TEXT     INT64_C(50) /* characters of a description that says something */
#define LONG_TEXT      INT64_C(300)

/* The oldest of each class, in days. */
static const int64_t age_limits_days[] = {90, 365, 3 * 365};

static const double gates[] = {
    [LINK_UNCHECKED] = 1.0, [LINK_ALIVE] = 1.0,       [LINK_RESTRICTED] = 1.0,
    [LINK_SUSPECT] = 0.9,   [LINK_UNREACHABLE] = 0.6, [LINK_GONE] = 0.0,
};

/* A name that a person gave it, not the reference once more. */
static bool
has_real_title(const struct score_inputs *row)
{
    struct str title = str_trim(row->title);
    size_t slash = str_find_char(row->external_id, '/');

    return title.len > 0 && !str_equal(title, row->external_id) &&
           !str_equal(title, str_slice(row->external_id, slash + 1, row->external_id.len));
}

static bool
has_short_text(const struct score_inputs *row)
{
    return row->n_description_chars >= SHORT_TEXT;
}

static bool
has_long_text(const struct score_inputs *row)
{
    return row->n_description_chars >= LONG_TEXT;
}

static bool
has_license(const struct score_inputs *row)
{
    return license_is_known(row->license);
}

static bool
has_open_license(const struct score_inputs *row)
{
    return license_is_open(row->license);
}

static bool
has_tags(const struct score_inputs *row)
{
    return row->has_tags;
}

static bool
has_formats(const struct score_inputs *row)
{
    return row->has_formats;
}

static bool
has_extent(const struct score_inputs *row)
{
    return row->has_extent;
}

static bool
has_columns(const struct score_inputs *row)
{
    return row->has_columns;
}

static bool
has_owner(const struct score_inputs *row)
{
    size_t slash = str_find_char(row->external_id, '/');

    return slash > 0 && slash < row->external_id.len;
}

static bool
has_reference(const struct score_inputs *row)
{
    return row->has_reference;
}

static bool
has_dates(const struct score_inputs *row)
{
    return row->created_at_us != DATASET_UNKNOWN && row->updated_at_us != DATASET_UNKNOWN;
}

/* 100 points in all. */
static const struct {
    int points;
    bool (*is_met)(const struct score_inputs *row);
} criteria[] = {
    {10, has_real_title},  {10, has_short_text}, {10, has_long_text}, {10, has_license},
    {5, has_open_license}, {10, has_tags},       {10, has_formats},   {10, has_extent},
    {10, has_columns},     {5, has_owner},       {5, has_reference},  {5, has_dates},
};

double
score_quality(const struct score_inputs *inputs)
{
    int points = 0;

    for (size_t i = 0; i < COUNT_OF(criteria); i++)
        points += criteria[i].is_met(inputs) ? criteria[i].points : 0;
    return points / 100.0;
}

static double
compute_popularity(const struct score_inputs *inputs, const struct score_table *tables)
{
    enum score_counter third =
        inputs->counters[SCORE_VIEWS] != DATASET_UNKNOWN ? SCORE_VIEWS : SCORE_USES;
    const struct {
        enum score_counter counter;
        double weight;
    } terms[] = {{SCORE_DOWNLOADS, 0.5}, {SCORE_LIKES, 0.3}, {third, 0.2}};
    double sum = 0;
    double weights = 0;

    for (size_t i = 0; i < COUNT_OF(terms); i++) {
        int64_t value = inputs->counters[terms[i].counter];

        if (value == DATASET_UNKNOWN)
            continue;
        sum += terms[i].weight * score_table_percentile(&tables[terms[i].counter], value);
        weights += terms[i].weight;
    }
    return weights > 0 ? sum / weights : 0;
}

/* By the last update, else by the creation; the floor where neither is known. */
static double
compute_freshness(const struct score_inputs *inputs, int64_t now_us)
{
    int64_t at_us =
        inputs->updated_at_us != DATASET_UNKNOWN ? inputs->updated_at_us : inputs->created_at_us;
    double days;

    if (at_us == DATASET_UNKNOWN)
        return 0.25;
    days = ((double)now_us - (double)at_us) / (double)DAY_US;
    return 0.25 + 0.75 * exp2(-fmax(days, 0) / HALF_LIFE_DAYS);
}

int
score_compute(const struct score_inputs *inputs, const struct score_table *tables, int64_t now_us,
              struct static_score *out, struct error *err)
{
    enum link_state state;
    struct static_score score = {.formula = SCORE_FORMULA, .computed_at_us = now_us};
    int rc = link_parse_state(inputs->link_state, &state, err);

    if (rc < 0)
        return rc;
    score.popularity = compute_popularity(inputs, tables);
    score.quality = score_quality(inputs);
    score.freshness = compute_freshness(inputs, now_us);
    score.gate = gates[state];
    score.value = score.gate *
                  (SCORE_POPULARITY_WEIGHT * score.popularity +
                   SCORE_QUALITY_WEIGHT * score.quality + SCORE_FRESHNESS_WEIGHT * score.freshness);
    *out = score;
    return 0;
}

/* In days; negative for what is dated in the future. */
static double
age_days(int64_t created_at_us, int64_t now_us)
{
    return ((double)now_us - (double)created_at_us) / (double)DAY_US;
}

enum score_age
score_age_of(int64_t created_at_us, int64_t now_us)
{
    size_t i = 0;

    if (created_at_us == DATASET_UNKNOWN)
        return SCORE_AGE_UNKNOWN;
    while (i < COUNT_OF(age_limits_days) &&
           age_days(created_at_us, now_us) > (double)age_limits_days[i])
        i++;
    return (enum score_age)i;
}

int64_t
score_next_at(int64_t created_at_us, int64_t now_us)
{
    int64_t next_us = now_us + SCORE_REFRESH_DAYS * DAY_US;
    enum score_age age = score_age_of(created_at_us, now_us);

    if ((size_t)age < COUNT_OF(age_limits_days)) {
        /* The moment after the limit, which still belongs to the class. */
        int64_t limit_us = created_at_us + age_limits_days[age] * DAY_US + 1;

        next_us = limit_us < next_us ? limit_us : next_us;
    }
    return next_us;
}
