/* The int8 kernels: rows to 8 bits and back, and linear layers against the plain kernels within the
 * error that 8 bits allow. */

#include "tests/unit/encoder/kernels_fixture.h"

#include <trawl/attributes.h>

#include "encoder/vector_ops.h"

#define N_ROWS 112 /* a block and a rest */

static void
skip_without_int8(void)
{
    if (encoder_precision_is_available(ENCODER_PRECISION_INT8))
        return;
    print_message("# int8 needs a CPU with AVX512_VNNI\n");
    skip();
}

static void
check_row(const struct vector_u8_ops *u8, const float *x, size_t n)
{
    uint8_t got[80];
    struct row_scale scale;

    (void)memset(got, 0x5A, sizeof(got));
    u8->quantize(x, n, got, &scale);
    for (size_t i = 0; i < n; i++) {
        float back = scale.low + scale.scale * (float)got[i];

        if (!(fabsf(back - x[i]) <= 0.501f * scale.scale + 1e-6f * fabsf(scale.low)))
            fail_msg("%zu values, the %zu-th: %g became %g", n, i, (double)x[i], (double)back);
    }
    assert_int_equal(got[n], 0x5A); /* nothing is written behind the row */
}

static void
test_quantize(void **state)
{
    const struct vector_ops *levels[VECTOR_LEVELS_MAX];
    size_t n_levels = vector_ops_list(levels);

    skip_without_int8();
    (void)state;
    for (size_t level = 0; level < n_levels; level++) {
        for (size_t n = 1; levels[level]->u8 && n < 80; n++) {
            float *x = random_floats(n);

            check_row(levels[level]->u8, x, n);
            for (size_t i = 0; i < n; i++)
                x[i] = x[i] * 30 + 1000; /* far from zero, all of one sign */
            check_row(levels[level]->u8, x, n);
            for (size_t i = 0; i < n; i++)
                x[i] = -2.5f; /* no range at all */
            check_row(levels[level]->u8, x, n);
            free(x);
        }
    }
}

/* Rows as activations: a LayerNorm that does nothing but store, with rows of mean 0 and variance 1.
 */
static void
store_rows(struct kernels *kernels, float *x, size_t n_rows, size_t width,
           const struct linear *reader, void *out)
{
    float *ones = random_floats(width);
    float *zeros = random_floats(width);
    struct norm_args args = {.x = x,
                             .gamma = ones,
                             .beta = zeros,
                             .n_rows = n_rows,
                             .hidden = width,
                             .out = out,
                             .reader = reader};

    for (size_t i = 0; i < width; i++) {
        ones[i] = 1;
        zeros[i] = 0;
    }
    kernels_int8.norm(kernels, &args);
    free(ones);
    free(zeros);
}

/* One linear on N_ROWS rows and on the first 16 of them; *x becomes what was multiplied. */
static void
run_int8(const struct linear_source *source, float *x, float *y, float *alone)
{
    const struct kernels_sizes sizes = {1, N_ROWS, 16, 16};
    struct kernels *kernels = NULL;
    struct linear *linear = NULL;
    struct error err = {0};
    void *stored;
    int previous = kernels_int8.enter_thread();

    assert_ok(kernels_int8.create(&sizes, &kernels, &err), err);
    assert_ok(kernels_int8.pack(kernels, source, &linear, &err), err);
    stored =
        aligned_alloc(64, (kernels_int8.activation_bytes(kernels, source->n_in) + 63) / 64 * 64);
    assert_non_null(stored);
    store_rows(kernels, x, N_ROWS, source->n_in, linear, stored);
    assert_ok(kernels_int8.prepare(kernels, N_ROWS, &err), err);
    assert_ok(kernels_int8.prepare(kernels, 16, &err), err);
    assert_ok(kernels_int8.apply(kernels, 0, linear, stored, N_ROWS, y, &err), err);
    assert_ok(kernels_int8.apply(kernels, 0, linear, stored, 16, alone, &err), err);
    kernels_int8.leave_thread(previous);
    kernels_int8.free(kernels);
    free(stored);
}

static void
test_linear(void **state)
{
    static const struct {
        size_t n_in;
        size_t n_out;
        enum activation_fn activation;
    } rows[] = {
        {384, 384, ACTIVATION_NONE},     {384, 1152, ACTIVATION_NONE},
        {1536, 384, ACTIVATION_NONE},    {312, 1200, ACTIVATION_GELU_ERF},
        {384, 96, ACTIVATION_GELU_TANH}, {64, 5, ACTIVATION_RELU},
        {33, 47, ACTIVATION_TANH},
    };

    skip_without_int8();
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t n_in = rows[i].n_in;
        size_t n_out = rows[i].n_out;
        float *weights = random_floats(n_in * n_out);
        float *bias = random_floats(n_out);
        float *x = random_floats(N_ROWS * n_in);
        float *exact = random_floats(N_ROWS * n_out);
        float *fast = random_floats(N_ROWS * n_out);
        float *alone = random_floats(16 * n_out);
        const struct linear_source source = {.weights = weights,
                                             .bias = bias,
                                             .n_in = n_in,
                                             .n_out = n_out,
                                             .activation = rows[i].activation,
                                             .role = LINEAR_OUT};
        double squares = 0;
        double worst = 0;

        run_int8(&source, x, fast, alone);
        {
            struct kernels *reference = NULL;
            const struct kernels_sizes sizes = {1, N_ROWS, 16, 16};
            struct linear *linear = NULL;
            struct error err = {0};

            assert_ok(kernels_ref.create(&sizes, &reference, &err), err);
            assert_ok(kernels_ref.pack(reference, &source, &linear, &err), err);
            assert_ok(kernels_ref.apply(reference, 0, linear, x, N_ROWS, exact, &err), err);
            kernels_ref.free(reference);
        }
        for (size_t k = 0; k < N_ROWS * n_out; k++) {
            double error = fabs((double)fast[k] - (double)exact[k]);

            squares += error * error;
            worst = fmax(worst, error);
        }
        /* Rows of variance 1 and a range of about 7 (steps of 7/255), weights in [-1, 1] (steps of
         * 1/127): each term is off by about 0.01, and n_in of them add up like a random walk. */
        {
            double step = 0.012 * sqrt((double)n_in);

            if (!(sqrt(squares / (double)(N_ROWS * n_out)) <= step && worst <= 7 * step))
                fail_msg("row %zu: rms %g, worst %g, step %g", i,
                         sqrt(squares / (double)(N_ROWS * n_out)), worst, step);
        }
        assert_memory_equal(fast, alone, 16 * n_out * sizeof(float));
        free(weights);
        free(bias);
        free(x);
        free(exact);
        free(fast);
        free(alone);
    }
}

/* The two levels that have 8 bits give the same bits: sums are whole numbers. */
static void
test_dequantize(void **state)
{
    enum { N = 77 };
    static const enum activation_fn fns[] = {ACTIVATION_NONE, ACTIVATION_GELU_ERF,
                                             ACTIVATION_GELU_TANH, ACTIVATION_RELU,
                                             ACTIVATION_TANH};
    const struct vector_ops *levels[VECTOR_LEVELS_MAX];
    size_t n_levels = vector_ops_list(levels);
    float *scale = random_floats(N);
    float *sum = random_floats(N);
    float *bias = random_floats(N);
    const struct weight_scales weights = {scale, sum, bias};
    const struct row_scale row = {.scale = 0.01f, .low = -0.7f};
    int32_t sums[N];
    float y[N];

    skip_without_int8();
    (void)state;
    for (size_t i = 0; i < N; i++)
        sums[i] = (int32_t)(random_float() * 1000);
    for (size_t level = 0; level < n_levels; level++) {
        for (size_t f = 0; levels[level]->u8 && f < COUNT_OF(fns); f++) {
            levels[level]->u8->dequantize(sums, N, &row, &weights, fns[f], y);
            for (size_t i = 0; i < N; i++) {
                double value = (double)row.scale * (double)scale[i] * sums[i] +
                               (double)row.low * (double)sum[i] + (double)bias[i];

                assert_true(fabs((double)y[i] - kernels_activate(fns[f], value)) <= 1e-5);
            }
        }
    }
    free(scale);
    free(sum);
    free(bias);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantize),
        cmocka_unit_test(test_dequantize),
        cmocka_unit_test(test_linear),
    };

    return cmocka_run_group_tests_name("encoder/int8", tests, NULL, NULL);
}
