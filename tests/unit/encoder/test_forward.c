/* encoder/forward.h, kernels.h and pooling.h: small random models against float64 results, and the
 * fast kernels against the plain ones. */

#include "tests/unit/encoder/data.h"

#include <math.h>

#include "encoder/forward.h"
#include "encoder/pooling.h"
#include "encoder/vector_ops.h"
#include "tests/unit/encoder/kernels_fixture.h"

#define ARENA_BYTES ((size_t)64 << 20)
#define HIDDEN_MAX  64
#define TOKENS_MAX  128
#define TOLERANCE   2e-5 /* f32 sums over 256 terms of size 1, two layers */

struct opened {
    struct arena arena;
    struct model model;
    struct forward_buffers buffers;
};

static void
open_model(struct opened *self, const char *dir, const struct kernels_ops *ops)
{
    struct model_config config;
    struct fingerprint fingerprint;
    struct kernels_sizes sizes;
    struct error err = {0};

    self->arena = (struct arena)ARENA_INIT(ARENA_BYTES);
    assert_ok(model_config_load(dir, &self->arena, &config, &err), err);
    sizes = (struct kernels_sizes){1, 160, config.max_tokens, config.hidden / config.n_heads};
    fingerprint_init(&fingerprint);
    assert_ok(model_init(&self->model, &config, ops, &sizes, &fingerprint, &err), err);
    assert_ok(forward_buffers_init(&self->buffers, &self->model, 160, &err), err);
}

static void
close_model(struct opened *self)
{
    forward_buffers_fini(&self->buffers);
    model_fini(&self->model);
    arena_fini(&self->arena);
}

static void
run_ids(struct opened *self, const int32_t *ids, size_t n_ids)
{
    const struct forward_text text = {ids, n_ids};
    struct error err = {0};
    int previous = self->model.ops->enter_thread();

    assert_ok(
        self->model.ops->prepare(self->model.kernels, forward_rows(&self->model, n_ids), &err),
        err);
    assert_ok(forward_run(&self->model, &self->buffers, 0, &text, 1, &err), err);
    self->model.ops->leave_thread(previous);
}

/* Divide by the norm, as the Normalize module does. */
static void
normalize(float *vector, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)vector[i] * (double)vector[i];
    for (size_t i = 0; i < n; i++)
        vector[i] = (float)((double)vector[i] / sqrt(sum));
}

/* One case of expected.json; returns the largest difference. */
static double
check_case(struct opened *self, const struct json *row)
{
    static const struct {
        struct str name;
        unsigned mode;
        bool is_normalized;
    } poolings[] = {
        {STR_INIT("mean"), POOLING_MEAN, false},
        {STR_INIT("mean_normalized"), POOLING_MEAN, true},
        {STR_INIT("cls"), POOLING_CLS, false},
        {STR_INIT("cls_normalized"), POOLING_CLS, true},
        {STR_INIT("max"), POOLING_MAX, false},
        {STR_INIT("mean_sqrt_len"), POOLING_MEAN_SQRT_LEN, false},
    };
    size_t hidden = self->model.config.hidden;
    float expected[HIDDEN_MAX];
    float got[HIDDEN_MAX];
    int32_t ids[TOKENS_MAX];
    size_t n_ids = read_ids(json_get(row, STR("ids")), ids, TOKENS_MAX);
    const struct json *last = json_get(row, STR("last_hidden_state"));
    double worst = 0;

    run_ids(self, ids, n_ids);
    for (size_t i = 0; i < COUNT_OF(poolings); i++) {
        assert_int_equal(read_floats(json_get(row, poolings[i].name), expected, HIDDEN_MAX),
                         hidden);
        pooling_run(poolings[i].mode, self->buffers.x, n_ids, 0, hidden, got);
        if (poolings[i].is_normalized)
            normalize(got, hidden);
        worst = fmax(worst, max_difference(got, expected, hidden));
    }
    for (size_t t = 0; last && t < last->array.n_items; t++) {
        assert_int_equal(read_floats(&last->array.items[t], expected, HIDDEN_MAX), hidden);
        worst = fmax(worst, max_difference(self->buffers.x + t * hidden, expected, hidden));
    }
    return worst;
}

static void
test_small_models(void **state)
{
    static const char *const names[] = {"bert_gelu", "bert_gelu_new_prefixed_gammabeta",
                                        "bert_gelu_f16", "bert_gelu_bf16", "mpnet_gelu"};
    static const struct {
        const struct kernels_ops *ops;
        const char *name;
    } all_ops[] = {{&kernels_ref, "reference"}, {NULL, "best"}, {&kernels_loops, "loops"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names) * COUNT_OF(all_ops); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        char dir[2 * PATH_BYTES];
        char name[PATH_BYTES];
        const struct kernels_ops *ops;
        struct opened opened;
        const struct json *cases;
        struct json expected;
        struct str text;
        double worst = 0;

        (void)snprintf(name, sizeof(name), "forward_small/%s/expected.json",
                       names[i / COUNT_OF(all_ops)]);
        (void)snprintf(dir, sizeof(dir), "%s", shared_path(name));
        text = read_all(dir);
        dir[strlen(dir) - strlen("/expected.json")] = '\0';
        expected = parse_json(text, &arena);
        ops = all_ops[i % COUNT_OF(all_ops)].ops;
        open_model(&opened, dir, ops ? ops : kernels_find(ENCODER_PRECISION_F32));
        cases = json_get(&expected, STR("cases"));
        assert_true(cases->array.n_items >= 16);
        for (size_t k = 0; k < cases->array.n_items; k++)
            worst = fmax(worst, check_case(&opened, &cases->array.items[k]));
        print_message("# %s, %s: %zu cases, max abs %.2g\n", names[i / COUNT_OF(all_ops)],
                      all_ops[i % COUNT_OF(all_ops)].name, cases->array.n_items, worst);
        assert_true(worst <= TOLERANCE);
        close_model(&opened);
        arena_fini(&arena);
        free_text(text);
    }
}

static void
test_relative_buckets(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct str text = read_all(shared_path("forward_small/mpnet_buckets.json"));
    struct json root = parse_json(text, &arena);
    int32_t distances[1201];
    int32_t buckets[1201];

    (void)state;
    assert_int_equal(root.object.n_members, 2); /* distances, then their buckets */
    assert_int_equal(read_ids(&root.object.members[0].value, distances, 1201), 1201);
    assert_int_equal(read_ids(&root.object.members[1].value, buckets, 1201), 1201);
    for (size_t i = 0; i < COUNT_OF(buckets); i++)
        assert_int_equal(model_relative_bucket(distances[i], 32), buckets[i]);
    arena_fini(&arena);
    free_text(text);
}

/* -- Kernels ------------------------------------------------------------------------------- */

static void
test_linear_kernels(void **state)
{
    static const struct {
        size_t n_in;
        size_t n_out;
        enum activation_fn activation;
    } rows[] = {
        {384, 1152, ACTIVATION_NONE},      {384, 384, ACTIVATION_NONE},
        {384, 1536, ACTIVATION_GELU_ERF},  {1536, 384, ACTIVATION_NONE},
        {768, 3072, ACTIVATION_GELU_TANH}, {312, 1200, ACTIVATION_RELU},
        {7, 5, ACTIVATION_TANH},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t n_in = rows[i].n_in;
        size_t n_out = rows[i].n_out;
        float *weights = random_floats(n_in * n_out);
        float *bias = random_floats(n_out);
        float *x = random_floats(64 * n_in);
        float *fast = random_floats(64 * n_out);
        float *alone = random_floats(64 * n_out);
        float *exact = random_floats(64 * n_out);
        const struct linear_source source = {.weights = weights,
                                             .bias = bias,
                                             .n_in = n_in,
                                             .n_out = n_out,
                                             .activation = rows[i].activation,
                                             .role = LINEAR_OUT};

        run_linear(&kernels_ref, &source, x, 64, exact);
        for (size_t k = 0; k < 2; k++) {
            const struct kernels_ops *ops =
                k ? &kernels_loops : kernels_find(ENCODER_PRECISION_F32);

            run_linear(ops, &source, x, 64, fast);
            run_linear(ops, &source, x, 16, alone);
            assert_true(max_difference(fast, exact, 64 * n_out) <= 2e-7 * (double)n_in + 5e-6);
            /* a row does not depend on how many there are */
            assert_memory_equal(fast, alone, 16 * n_out * sizeof(float));
        }
        free(weights);
        free(bias);
        free(x);
        free(fast);
        free(alone);
        free(exact);
    }
}

static void
test_attention_kernels(void **state)
{
    static const struct {
        size_t n_tokens;
        size_t n_heads;
        size_t head_size;
        bool has_bias;
        float scale; /* of the logits */
    } rows[] = {
        {1, 2, 32, false, 1},   {2, 2, 32, false, 1},    {5, 3, 32, true, 1},
        {6, 1, 64, false, 1},   {17, 2, 16, true, 1},    {33, 2, 26, false, 1},
        {100, 2, 32, false, 9}, {128, 1, 80, true, 1},   {128, 2, 64, false, 30},
        {31, 4, 1, false, 1},   {127, 1, 128, false, 2},
    };
    enum { MAX_TEXT = 128 };
    const struct vector_ops *levels[VECTOR_LEVELS_MAX];
    size_t n_levels = vector_ops_list(levels);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t hidden = rows[i].n_heads * rows[i].head_size;
        size_t n_out = rows[i].n_tokens * hidden;
        float *qkv = random_floats(rows[i].n_tokens * 3 * hidden);
        float *bias = random_floats(rows[i].n_heads * (2 * MAX_TEXT - 1));
        float *exact = random_floats(n_out);
        float *fast = random_floats(n_out);
        struct attention_args args = {qkv,
                                      rows[i].n_tokens,
                                      rows[i].n_heads,
                                      rows[i].head_size,
                                      rows[i].has_bias ? bias : NULL,
                                      exact,
                                      0,
                                      NULL};
        struct kernels *reference = create_kernels(&kernels_ref, MAX_TEXT, rows[i].head_size);

        for (size_t k = 0; k < rows[i].n_tokens * 3 * hidden; k++)
            qkv[k] *= rows[i].scale;
        kernels_ref.attend(reference, 0, &args);
        args.out = fast;
        for (size_t level = 0; level < n_levels; level++) {
            float *scratch =
                random_floats(levels[level]->attend_scratch_floats(MAX_TEXT, rows[i].head_size));

            levels[level]->attend(&args, MAX_TEXT, scratch);
            /* logits grow with the square of the scale, and f32's rounding with them */
            if (max_difference(exact, fast, n_out) > 5e-6 * pow((double)rows[i].scale, 3))
                fail_msg("row %zu, %s: %g", i, levels[level]->name,
                         max_difference(exact, fast, n_out));
            free(scratch);
        }
        kernels_ref.free(reference);
        free(qkv);
        free(bias);
        free(exact);
        free(fast);
    }
}

static void
test_norm_kernels(void **state)
{
    static const size_t widths[] = {1, 15, 16, 64, 312, 384, 768, 1000};
    const struct vector_ops *levels[VECTOR_LEVELS_MAX];
    size_t n_levels = vector_ops_list(levels);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(widths) * 2; i++) {
        size_t hidden = widths[i / 2];
        float *x = random_floats(3 * hidden);
        float *start = random_floats(3 * hidden);
        float *same = random_floats(3 * hidden);
        float *delta = random_floats(3 * hidden);
        float *gamma = random_floats(hidden);
        float *beta = random_floats(hidden);
        struct norm_args args = {x, i % 2 ? delta : NULL, gamma, beta, 1e-5f, 3, hidden, x, NULL};
        struct kernels *reference = create_kernels(&kernels_ref, 16, 16);

        (void)memcpy(start, x, 3 * hidden * sizeof(float));
        kernels_ref.norm(reference, &args);
        args.x = same;
        args.out = same;
        for (size_t level = 0; level < n_levels; level++) {
            (void)memcpy(same, start, 3 * hidden * sizeof(float));
            levels[level]->norm(&args);
            assert_true(max_difference(x, same, 3 * hidden) <= 2e-6);
        }
        kernels_ref.free(reference);
        free(x);
        free(start);
        free(same);
        free(delta);
        free(gamma);
        free(beta);
    }
}

/* multiply and dot at every level; an activation far out, where exponentials end. */
static void
test_levels(void **state)
{
    enum { N_ROWS = 13, N_IN = 37, DIM = 75 };
    static const enum activation_fn fns[] = {ACTIVATION_NONE, ACTIVATION_GELU_ERF,
                                             ACTIVATION_GELU_TANH, ACTIVATION_RELU,
                                             ACTIVATION_TANH};
    const struct vector_ops *levels[VECTOR_LEVELS_MAX];
    size_t n_levels = vector_ops_list(levels);
    float *x = random_floats(N_ROWS * N_IN);
    float *panel = random_floats(N_IN * VECTOR_PANEL);
    float *bias = random_floats(VECTOR_PANEL);
    float y[N_ROWS * VECTOR_PANEL];

    (void)state;
    for (size_t i = 0; i < N_IN; i++)
        x[i] *= 40; /* the first row's sums reach some hundred */
    for (size_t i = 0; i < n_levels * COUNT_OF(fns); i++) {
        const struct multiply_args args = {
            x, N_ROWS, N_IN, VECTOR_PANEL, panel, bias, fns[i % COUNT_OF(fns)]};
        float scores[VECTOR_QUERIES_MAX];

        levels[i / COUNT_OF(fns)]->multiply(&args, y);
        for (size_t k = 0; k < N_ROWS * VECTOR_PANEL; k++) {
            double sum = (double)bias[k % VECTOR_PANEL];

            for (size_t j = 0; j < N_IN; j++)
                sum += (double)x[k / VECTOR_PANEL * N_IN + j] *
                       (double)panel[j * VECTOR_PANEL + k % VECTOR_PANEL];
            assert_true(fabs((double)y[k] - kernels_activate(args.activation, sum)) <=
                        (k < VECTOR_PANEL ? 2e-4 : 3e-6));
        }
        levels[i / COUNT_OF(fns)]->dot(panel, panel + DIM, VECTOR_QUERIES_MAX, DIM, scores);
        for (size_t q = 0; q < VECTOR_QUERIES_MAX; q++) {
            double sum = 0;

            for (size_t j = 0; j < DIM; j++)
                sum += (double)panel[j] * (double)panel[(q + 1) * DIM + j];
            assert_true(fabs((double)scores[q] - sum) < 1e-5);
        }
    }
    free(x);
    free(panel);
    free(bias);
}

static void
test_pooling(void **state)
{
    static const float tokens[] = {1, -2, 3, 4, -5, 10}; /* [3, 2] */
    static const struct {
        unsigned modes;
        size_t n_skip;
        float out[4];
    } rows[] = {
        {POOLING_CLS, 0, {1, -2}},
        {POOLING_LAST_TOKEN, 0, {-5, 10}},
        {POOLING_MAX, 0, {3, 10}},
        {POOLING_MEAN, 0, {-1.0f / 3, 4}},
        {POOLING_WEIGHTED_MEAN, 0, {-8.0f / 6, 6}},
        {POOLING_CLS | POOLING_MAX, 0, {1, -2, 3, 10}},
        {POOLING_LAST_TOKEN | POOLING_MEAN, 0, {-1.0f / 3, 4, -5, 10}},
        {POOLING_MEAN, 1, {-1, 7}},
        {POOLING_WEIGHTED_MEAN, 1, {-9.0f / 5, 38.0f / 5}}, /* weights stay 2 and 3 */
        {POOLING_MAX, 2, {-5, 10}},
        {POOLING_CLS, 1, {3, 4}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        float out[4] = {0};

        pooling_run(rows[i].modes, tokens, 3, rows[i].n_skip, 2, out);
        assert_int_equal(pooling_dim(rows[i].modes, 2), __builtin_popcount(rows[i].modes) * 2);
        assert_true(max_difference(out, rows[i].out, 4) < 1e-6);
    }
}

int
main(void)
{
    static const struct data_test tests[] = {
        DATA_TEST(test_pooling, NEED_NOTHING),
        DATA_TEST(test_levels, NEED_NOTHING),
        DATA_TEST(test_linear_kernels, NEED_NOTHING),
        DATA_TEST(test_attention_kernels, NEED_NOTHING),
        DATA_TEST(test_norm_kernels, NEED_NOTHING),
        DATA_TEST(test_relative_buckets, NEED_SHARED),
        DATA_TEST(test_small_models, NEED_SHARED),
    };

    return run_data_tests("encoder/forward", tests, COUNT_OF(tests));
}
