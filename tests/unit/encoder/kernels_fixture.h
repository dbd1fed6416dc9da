#pragma once

/* What the tests of the kernels share: random operands, and one linear layer run alone. */

#include <math.h>
#include <stdlib.h>

#include "encoder/kernels.h"
#include "tests/unit/check.h"

static inline double
max_difference(const float *a, const float *b, size_t n)
{
    double max = 0;

    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);

        max = difference > max || isnan(difference) ? difference : max;
    }
    return max;
}

static uint32_t random_state = 1;

/* Uniform in [-1, 1), the same in every run. */
static inline float
random_float(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / 8388608.0f - 1.0f;
}

static inline float *
random_floats(size_t n)
{
    float *values = aligned_alloc(64, (n * sizeof(float) + 64) / 64 * 64);

    assert_non_null(values);
    for (size_t i = 0; i < n; i++)
        values[i] = random_float();
    return values;
}

static inline struct kernels *
create_kernels(const struct kernels_ops *ops, size_t max_text, size_t head_size)
{
    const struct kernels_sizes sizes = {1, 64, max_text, head_size};
    struct kernels *kernels = NULL;
    struct error err = {0};

    assert_ok(ops->create(&sizes, &kernels, &err), err);
    return kernels;
}

static inline void
run_linear(const struct kernels_ops *ops, const struct linear_source *source, const void *x,
           size_t n_rows, void *y)
{
    struct kernels *kernels = create_kernels(ops, 16, 16);
    struct linear *linear = NULL;
    struct error err = {0};
    int previous = ops->enter_thread();

    assert_ok(ops->pack(kernels, source, &linear, &err), err);
    assert_ok(ops->prepare(kernels, n_rows, &err), err);
    assert_ok(ops->apply(kernels, 0, linear, x, n_rows, y, &err), err);
    ops->leave_thread(previous);
    ops->free(kernels);
}
