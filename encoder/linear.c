/* y = activation(x W^T + b) without a library, for CPUs where oneDNN's rows are not independent.
 *
 * W is packed as panels of PANEL outputs, [n_in, PANEL] each.  A block of ROWS rows keeps its sums
 * in registers while it walks down a panel; every row adds its n_in products in order, so its bits
 * depend on nothing else. */

#include "encoder/vector_activation.h"
#include "encoder/vector_float.h"
#include "encoder/vector_ops.h"

#define PANEL VECTOR_PANEL
#define PARTS (PANEL / LANES)
#define ROWS  (12 / PARTS) /* 12 sums in registers */

void VECTOR_FN(multiply)(const struct multiply_args *args, float *y);

VECTOR_INLINE void
multiply_block(const struct multiply_args *args, const float *panel, const float *bias, size_t row,
               size_t n_columns, float *y)
{
    const float *x = args->x + row * args->n_in;
    vfloat sums[ROWS][PARTS] = {0};

    for (size_t k = 0; k < args->n_in; k++) {
        vfloat w[PARTS];

        for (size_t p = 0; p < PARTS; p++)
            w[p] = vfloat_load(panel + k * PANEL + p * LANES);
        for (size_t r = 0; r < ROWS; r++) {
            float value = x[r * args->n_in + k];

            for (size_t p = 0; p < PARTS; p++)
                sums[r][p] += value * w[p];
        }
    }
    for (size_t r = 0; r < ROWS; r++) {
        float out[PANEL];

        for (size_t p = 0; p < PARTS; p++)
            vfloat_store(out + p * LANES, sums[r][p] + vfloat_load(bias + p * LANES));
        (void)memcpy(y + (row + r) * args->n_out, out, n_columns * sizeof(*out));
    }
}

/* The last register reaches back over values that are already activated, so it goes through a copy.
 */
VECTOR_INLINE void
activate_row(enum activation_fn fn, float *y, size_t n)
{
    float tail[LANES] = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        vfloat_store(y + i, vfloat_activate(fn, vfloat_load(y + i)));
    (void)memcpy(tail, y + i, (n - i) * sizeof(*y));
    vfloat_store(tail, vfloat_activate(fn, vfloat_load(tail)));
    (void)memcpy(y + i, tail, (n - i) * sizeof(*y));
}

void
VECTOR_FN(multiply)(const struct multiply_args *args, float *y)
{
    for (size_t o = 0; o < args->n_out; o += PANEL) {
        const float *panel = args->panels + o * args->n_in; /* [n_in, PANEL] */
        size_t n_columns = args->n_out - o < PANEL ? args->n_out - o : PANEL;

        for (size_t row = 0; row < args->n_rows; row += ROWS) {
            size_t first = row + ROWS > args->n_rows ? args->n_rows - ROWS : row;

            multiply_block(args, panel, args->bias + o, first, n_columns, y + o);
        }
    }
    for (size_t row = 0; args->activation != ACTIVATION_NONE && row < args->n_rows; row++)
        activate_row(args->activation, y + row * args->n_out, args->n_out);
}
