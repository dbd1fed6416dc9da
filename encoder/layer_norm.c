/* Row by row: add, mean, variance around it, scale.  Two passes over a row that stays in the
 * first-level cache; the variance is the biased one. */

#include <math.h>

#include "encoder/vector_float.h"
#include "encoder/vector_ops.h"

void VECTOR_FN(norm)(const struct norm_args *args);

/* x += delta; returns the sum of x. */
VECTOR_INLINE float
add_and_sum(float *x, const float *delta, size_t hidden)
{
    vfloat sums = {0};
    float tail = 0;
    size_t i = 0;

    for (; i + LANES <= hidden; i += LANES) {
        vfloat value = vfloat_load(x + i);

        if (delta) {
            value += vfloat_load(delta + i);
            vfloat_store(x + i, value);
        }
        sums += value;
    }
    for (; i < hidden; i++) {
        if (delta)
            x[i] += delta[i];
        tail += x[i];
    }
    return vfloat_sum(sums) + tail;
}

VECTOR_INLINE float
sum_squares_around(const float *x, float mean, size_t hidden)
{
    vfloat sums = {0};
    float tail = 0;
    size_t i = 0;

    for (; i + LANES <= hidden; i += LANES) {
        vfloat value = vfloat_load(x + i) - mean;

        sums += value * value;
    }
    for (; i < hidden; i++)
        tail += (x[i] - mean) * (x[i] - mean);
    return vfloat_sum(sums) + tail;
}

void
VECTOR_FN(norm)(const struct norm_args *args)
{
    size_t hidden = args->hidden;

    for (size_t t = 0; t < args->n_rows; t++) {
        float *x = args->x + t * hidden; /* [H] */
        const float *delta = args->delta ? args->delta + t * hidden : NULL;
        float mean = add_and_sum(x, delta, hidden) / (float)hidden;
        float variance = sum_squares_around(x, mean, hidden) / (float)hidden;
        float scale = 1.0f / sqrtf(variance + args->eps);
        size_t i = 0;

        for (; i + LANES <= hidden; i += LANES)
            vfloat_store(x + i, (vfloat_load(x + i) - mean) * scale * vfloat_load(args->gamma + i) +
                                    vfloat_load(args->beta + i));
        for (; i < hidden; i++)
            x[i] = (x[i] - mean) * scale * args->gamma[i] + args->beta[i];
    }
}
