/* Sorted values to knots, and back from a value to its percentile. */

#include "lib/services/scoring/score_table.h"

#include <math.h>
#include <stdlib.h>

static int
compare_values(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static size_t
count_distinct(const int64_t *values, size_t n_values)
{
    size_t n = n_values > 0;

    for (size_t i = 1; i < n_values; i++)
        n += values[i] != values[i - 1];
    return n;
}

/* A knot for each distinct value where these fit; else for the smallest, the greatest, and those
 * that evenly spaced ranks fall on. */
void
score_table_build(struct score_table *self, int64_t *values, size_t n_values)
{
    bool is_whole;
    size_t n_passed = 0; /* of the SCORE_KNOTS_MAX - 1 steps */

    self->n_knots = 0;
    qsort(values, n_values, sizeof(*values), compare_values);
    is_whole = count_distinct(values, n_values) <= SCORE_KNOTS_MAX;
    for (size_t i = 0; i < n_values; i++) {
        double share = (double)(i + 1) / (double)n_values;
        size_t step = (size_t)(share * (double)(SCORE_KNOTS_MAX - 1));

        if (i + 1 < n_values && values[i + 1] == values[i])
            continue; /* not the last of its kind */
        if (!is_whole && self->n_knots > 0 && step <= n_passed && i + 1 < n_values)
            continue;
        if (self->n_knots == SCORE_KNOTS_MAX)
            self->n_knots--; /* the greatest value takes the last place */
        n_passed = step;
        self->knots[self->n_knots++] = (struct score_knot){values[i], share};
    }
}

/* The number of knots up to value. */
static size_t
count_up_to(const struct score_table *self, int64_t value)
{
    size_t low = 0;
    size_t high = self->n_knots;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (self->knots[middle].value <= value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

double
score_table_percentile(const struct score_table *self, int64_t value)
{
    static const struct score_knot zero = {0, 0};
    size_t n = count_up_to(self, value);
    const struct score_knot *left = n ? &self->knots[n - 1] : &zero;
    double from;
    double to;

    if (value <= 0 || self->n_knots == 0)
        return 0;
    if (n == self->n_knots || left->value == value)
        return left->share;
    from = log1p((double)left->value);
    to = log1p((double)self->knots[n].value);
    return left->share +
           (self->knots[n].share - left->share) * (log1p((double)value) - from) / (to - from);
}

static double
distance_at(const struct score_table *knots, const struct score_table *other)
{
    double distance = 0;

    for (size_t i = 0; i < knots->n_knots; i++)
        distance = fmax(distance, fabs(knots->knots[i].share -
                                       score_table_percentile(other, knots->knots[i].value)));
    return distance;
}

double
score_table_distance(const struct score_table *a, const struct score_table *b)
{
    return fmax(distance_at(a, b), distance_at(b, a));
}
