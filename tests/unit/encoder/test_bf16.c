/* The bf16 kernels against the plain ones, on operands that are exact in bf16. */

#include "tests/unit/encoder/kernels_fixture.h"

#include <trawl/attributes.h>

#include "encoder/vector_ops.h"

/* To nearest, ties to even. */
static uint16_t
to_bf16(float value)
{
    uint32_t bits;

    (void)memcpy(&bits, &value, sizeof(bits));
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static float
from_bf16(uint16_t value)
{
    uint32_t bits = (uint32_t)value << 16;
    float out;

    (void)memcpy(&out, &bits, sizeof(out));
    return out;
}

/* Round values in place, and copy them as bf16. */
static uint16_t *
round_to_bf16(float *values, size_t n)
{
    uint16_t *rounded = aligned_alloc(64, (n * sizeof(*rounded) + 64) / 64 * 64);

    assert_non_null(rounded);
    for (size_t i = 0; i < n; i++) {
        rounded[i] = to_bf16(values[i]);
        values[i] = from_bf16(rounded[i]);
    }
    return rounded;
}

static const struct vector_bf16_ops *
bf16_or_skip(void)
{
    if (!encoder_precision_is_available(ENCODER_PRECISION_BF16)) {
        print_message("# bf16 needs a CPU with AVX512_BF16\n");
        skip();
    }
    return vector_ops_get()->bf16;
}

static void
test_bf16_convert(void **state)
{
    enum { N = 131 };
    const struct vector_bf16_ops *bf16 = bf16_or_skip();
    uint16_t got[N + 1];
    float values[N];

    (void)state;
    for (size_t i = 0; i < N; i++)
        values[i] = random_float() * 1000;
    values[0] = 0;
    values[1] = 1.00390625f; /* half way: to even, down */
    values[2] = 1.01171875f; /* half way: to even, up */
    for (size_t n = 0; n <= N; n++) {
        (void)memset(got, 0x7A, sizeof(got));
        bf16->convert(values, n, got);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(got[i], to_bf16(values[i]));
        assert_int_equal(got[n], 0x7A7A);
    }
}

/* The same rounded operands in the oracle: what is left is the order of f32 sums. */
static void
test_bf16_linear(void **state)
{
    static const struct {
        size_t n_in;
        size_t n_out;
        enum activation_fn activation;
        enum linear_role role;
    } rows[] = {
        {384, 1152, ACTIVATION_NONE, LINEAR_QKV},    {384, 384, ACTIVATION_NONE, LINEAR_OUT},
        {384, 1536, ACTIVATION_GELU_ERF, LINEAR_UP}, {1536, 384, ACTIVATION_NONE, LINEAR_DOWN},
        {312, 1200, ACTIVATION_RELU, LINEAR_UP},     {7, 5, ACTIVATION_NONE, LINEAR_OUT},
    };

    (void)bf16_or_skip();
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t n_in = rows[i].n_in;
        size_t n_out = rows[i].n_out;
        bool is_f32 = rows[i].role == LINEAR_OUT || rows[i].role == LINEAR_DOWN;
        float *weights = random_floats(n_in * n_out);
        float *bias = random_floats(n_out);
        float *x = random_floats(64 * n_in);
        float *fast = random_floats(64 * n_out);
        float *alone = random_floats(64 * n_out);
        float *exact = random_floats(64 * n_out);
        uint16_t *x_bf16 = round_to_bf16(x, 64 * n_in);
        uint16_t *w_bf16 = round_to_bf16(weights, n_in * n_out);
        const struct linear_source source = {.weights = weights,
                                             .bias = bias,
                                             .n_in = n_in,
                                             .n_out = n_out,
                                             .activation = rows[i].activation,
                                             .role = rows[i].role};

        run_linear(&kernels_ref, &source, x, 64, exact);
        run_linear(&kernels_bf16, &source, x_bf16, 64, fast);
        run_linear(&kernels_bf16, &source, x_bf16, 16, alone);
        for (size_t k = 0; k < 64 * n_out; k++) {
            double got = (double)(is_f32 ? fast[k] : from_bf16(((uint16_t *)fast)[k]));
            double rounding = is_f32 ? 0 : fabs((double)exact[k]) / 256;

            if (!(fabs(got - (double)exact[k]) <= rounding + 1e-6 * (double)n_in))
                fail_msg("row %zu, value %zu: %g instead of %g", i, k, got, (double)exact[k]);
        }
        assert_memory_equal(fast, alone, 16 * n_out * (is_f32 ? sizeof(float) : sizeof(uint16_t)));
        free(weights);
        free(bias);
        free(x);
        free(fast);
        free(alone);
        free(exact);
        free(x_bf16);
        free(w_bf16);
    }
}

static void
test_bf16_attention(void **state)
{
    static const struct {
        size_t n_tokens;
        size_t n_heads;
        size_t head_size;
        bool has_bias;
        float scale; /* of q, k and v */
    } rows[] = {
        {1, 2, 32, false, 1},   {2, 2, 32, false, 1},   {7, 3, 32, true, 1},
        {8, 1, 64, false, 1},   {17, 2, 16, true, 1},   {33, 2, 26, false, 1},
        {100, 2, 32, false, 5}, {128, 1, 80, true, 1},  {128, 2, 64, false, 9},
        {31, 4, 2, false, 1},   {127, 1, 128, true, 2}, {65, 1, 36, false, 1},
    };
    enum { MAX_TEXT = 128, FIRST_ROW = 3 };
    const struct vector_bf16_ops *bf16 = bf16_or_skip();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t hidden = rows[i].n_heads * rows[i].head_size;
        size_t n_out = rows[i].n_tokens * hidden;
        float *qkv = random_floats(rows[i].n_tokens * 3 * hidden);
        float *bias = random_floats(rows[i].n_heads * (2 * MAX_TEXT - 1));
        float *exact = random_floats(n_out);
        float *wide = random_floats(n_out);
        float *narrow = random_floats(n_out + FIRST_ROW * hidden);
        size_t scratch_bytes = bf16->attend_scratch_bytes(MAX_TEXT, rows[i].head_size);
        float *scratch = random_floats(scratch_bytes / sizeof(float) + 1);
        struct attention_args args = {.n_tokens = rows[i].n_tokens,
                                      .n_heads = rows[i].n_heads,
                                      .head_size = rows[i].head_size,
                                      .position_bias = rows[i].has_bias ? bias : NULL};
        struct kernels *reference = create_kernels(&kernels_ref, MAX_TEXT, rows[i].head_size);
        uint16_t *qkv_bf16;

        for (size_t k = 0; k < rows[i].n_tokens * 3 * hidden; k++)
            qkv[k] *= rows[i].scale;
        qkv_bf16 = round_to_bf16(qkv, rows[i].n_tokens * 3 * hidden);
        args.qkv = qkv;
        args.out = exact;
        kernels_ref.attend(reference, 0, &args);
        args.qkv = qkv_bf16;
        args.out = narrow;
        args.first_row = FIRST_ROW;
        bf16->attend(&args, MAX_TEXT, scratch, NULL);
        bf16->attend(&args, MAX_TEXT, scratch, wide);
        for (size_t k = 0; k < n_out; k++) {
            double error = fabs((double)wide[k] - (double)exact[k]);

            /* weights are rounded to 9 bits; their errors average out over the values */
            if (!(error <= (double)rows[i].scale / 256))
                fail_msg("row %zu, value %zu: %g off", i, k, error);
            assert_int_equal(((uint16_t *)narrow)[FIRST_ROW * hidden + k], to_bf16(wide[k]));
        }
        kernels_ref.free(reference);
        free(qkv);
        free(bias);
        free(exact);
        free(wide);
        free(narrow);
        free(scratch);
        free(qkv_bf16);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16_convert),
        cmocka_unit_test(test_bf16_linear),
        cmocka_unit_test(test_bf16_attention),
    };

    return cmocka_run_group_tests_name("encoder/bf16", tests, NULL, NULL);
}
