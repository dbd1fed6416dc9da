/* encoder_embed: the same bits in any company, the edges of length, and known vectors of the real
 * model. */

#include "tests/unit/encoder/data.h"

#include <math.h>

#include <trawl/encoder.h>

#include "encoder/encoder_state.h"
#include "tests/unit/encoder/tiny_model.h"

#define DIM     384
#define N_TEXTS 1200 /* more than two windows */

/* -- Invariance, on the tiny model --------------------------------------------------------- */

/* Texts of 0 to 40 letters, many of them equal. */
static struct str *
make_texts(void)
{
    struct str *texts = calloc(N_TEXTS, sizeof(*texts));
    char *bytes = malloc(N_TEXTS * 100);
    uint32_t random = 11;

    assert_true(texts && bytes);
    for (size_t i = 0; i < N_TEXTS; i++) {
        size_t n_words;

        random = random * 1664525u + 1013904223u;
        n_words = (random >> 20) % 41;
        texts[i].ptr = bytes;
        for (size_t k = 0; k < n_words; k++) {
            random = random * 1664525u + 1013904223u;
            *bytes++ = (char)('a' + (random >> 24) % (n_words < 3 ? 2 : 26));
            *bytes++ = ' ';
        }
        texts[i].len = (size_t)(bytes - texts[i].ptr);
    }
    return texts;
}

static void
free_texts(struct str *texts)
{
    free((void *)(uintptr_t)texts[0].ptr);
    free(texts);
}

static void
embed_all(const char *dir, const struct encoder_options *options, const struct kernels_ops *ops,
          const struct str *texts, size_t n_texts, float *vectors, uint8_t *flags)
{
    struct encoder *encoder = NULL;
    struct error err = {0};

    assert_ok(encoder_open_with(dir, options, ops, &encoder, &err), err);
    assert_ok(encoder_embed(encoder, texts, n_texts, vectors, flags, &err), err);
    encoder_close(encoder);
}

static void
check_same_bits(const struct kernels_ops *ops)
{
    static const struct encoder_options rows[] = {
        {.n_threads = 1},
        {.n_threads = 2},
        {.n_threads = 5},
        {.n_threads = 1, .token_budget = 16},
        {.n_threads = 3, .token_budget = 100},
        {.n_threads = 2, .token_budget = 4096},
    };
    struct str *texts = make_texts();
    struct str *reversed = calloc(N_TEXTS, sizeof(*reversed));
    float *expected = calloc(N_TEXTS * TINY_HIDDEN, sizeof(float));
    float *got = calloc(N_TEXTS * TINY_HIDDEN, sizeof(float));
    struct encoder *encoder = NULL;
    struct tiny_model model;
    struct error err = {0};

    assert_true(reversed && expected && got);
    tiny_create(&model);
    embed_all(model.dir, &rows[0], ops, texts, N_TEXTS, expected, NULL);
    for (size_t i = 1; i < COUNT_OF(rows); i++) {
        embed_all(model.dir, &rows[i], ops, texts, N_TEXTS, got, NULL);
        assert_memory_equal(got, expected, N_TEXTS * TINY_HIDDEN * sizeof(float));
    }
    for (size_t i = 0; i < N_TEXTS; i++)
        reversed[i] = texts[N_TEXTS - 1 - i];
    assert_ok(encoder_open_with(model.dir, NULL, ops, &encoder, &err), err);
    assert_ok(encoder_embed(encoder, reversed, N_TEXTS, got, NULL, &err), err);
    for (size_t i = 0; i < N_TEXTS; i++)
        assert_memory_equal(got + i * TINY_HIDDEN, expected + (N_TEXTS - 1 - i) * TINY_HIDDEN,
                            TINY_HIDDEN * sizeof(float));
    for (size_t i = 0; i < N_TEXTS; i++) { /* alone */
        assert_ok(encoder_embed(encoder, &texts[i], 1, got, NULL, &err), err);
        assert_memory_equal(got, expected + i * TINY_HIDDEN, TINY_HIDDEN * sizeof(float));
    }
    encoder_close(encoder);
    tiny_destroy(&model);
    free(reversed);
    free(expected);
    free(got);
    free_texts(texts);
}

static void
test_same_bits(void **state)
{
    static const enum encoder_precision precisions[] = {
        ENCODER_PRECISION_F32, ENCODER_PRECISION_BF16, ENCODER_PRECISION_INT8};

    (void)state;
    check_same_bits(&kernels_loops);
    for (size_t i = 0; i < COUNT_OF(precisions); i++) {
        if (encoder_precision_is_available(precisions[i]))
            check_same_bits(kernels_find(precisions[i]));
        else
            print_message("# precision %d needs another CPU\n", (int)precisions[i]);
    }
}

static void
test_against_plain_kernels(void **state)
{
    struct str *texts = make_texts();
    float *exact = calloc(100 * TINY_HIDDEN, sizeof(float));
    float *fast = calloc(100 * TINY_HIDDEN, sizeof(float));
    struct tiny_model model;

    (void)state;
    assert_true(exact && fast);
    tiny_create(&model);
    embed_all(model.dir, NULL, &kernels_ref, texts, 100, exact, NULL);
    for (size_t k = 0; k < 2; k++) {
        embed_all(model.dir, NULL, k ? &kernels_loops : kernels_find(ENCODER_PRECISION_F32), texts,
                  100, fast, NULL);
        for (size_t i = 0; i < 100 * TINY_HIDDEN; i++)
            assert_true(fabsf(exact[i] - fast[i]) < 2e-6f);
    }
    tiny_destroy(&model);
    free(exact);
    free(fast);
    free_texts(texts);
}

static void
test_small_calls(void **state)
{
    const struct str texts[] = {STR(""), STR("a"), STR("\xFF"), STR("a"), STR_NULL};
    CLEANUP(encoder_closep) struct encoder *encoder = NULL;
    float vectors[COUNT_OF(texts)][TINY_HIDDEN] = {{0}};
    uint8_t flags[COUNT_OF(texts)] = {9, 9, 9, 9, 9};
    struct tiny_model model;
    struct error err = {0};

    (void)state;
    tiny_create(&model);
    assert_ok(encoder_open(model.dir, NULL, &encoder, &err), err);
    assert_ok(encoder_embed(encoder, NULL, 0, NULL, NULL, &err), err);
    assert_ok(encoder_embed(encoder, texts, COUNT_OF(texts), vectors[0], flags, &err), err);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        double norm = 0;

        for (size_t k = 0; k < TINY_HIDDEN; k++)
            norm += (double)vectors[i][k] * (double)vectors[i][k];
        assert_true(fabs(norm - 1) < 1e-6);
        assert_int_equal(flags[i], i == 2 ? ENCODER_INVALID_UTF8 : 0);
    }
    assert_memory_equal(vectors[1], vectors[3], sizeof(vectors[1]));
    assert_memory_equal(vectors[0], vectors[2], sizeof(vectors[0])); /* the bad byte vanished */
    assert_memory_equal(vectors[0], vectors[4], sizeof(vectors[0]));
    assert_memory_not_equal(vectors[0], vectors[1], sizeof(vectors[0]));
    tiny_destroy(&model);
}

/* -- Failures ------------------------------------------------------------------------------ */

static struct kernels_ops failing_ops;
static int applies_left;

static int
failing_apply(struct kernels *self, size_t worker, const struct linear *linear, const void *x,
              size_t n_rows, void *y, struct error *err)
{
    if (applies_left-- <= 0)
        return error_set(err, ERR_IO, "the matrix library is out of order");
    return kernels_ref.apply(self, worker, linear, x, n_rows, y, err);
}

static int
failing_prepare(struct kernels *self, size_t n_rows, struct error *err)
{
    (void)self;
    (void)n_rows;
    return error_set(err, ERR_NOMEM, "no memory for primitives");
}

static void
test_all_rows_or_none(void **state)
{
    static const struct encoder_options options = {.n_threads = 1};
    struct str *texts = make_texts();
    float *vectors = calloc(N_TEXTS * TINY_HIDDEN, sizeof(float));
    struct encoder *encoder = NULL;
    struct tiny_model model;
    struct error err = {0};

    (void)state;
    assert_non_null(vectors);
    tiny_create(&model);
    failing_ops = kernels_ref;
    failing_ops.apply = failing_apply;
    assert_ok(encoder_open_with(model.dir, &options, &failing_ops, &encoder, &err), err);
    for (int n = 0; n < 400; n = n * 3 + 1) { /* in the first window, and behind it */
        applies_left = n;
        for (size_t i = 0; i < N_TEXTS * TINY_HIDDEN; i++)
            vectors[i] = 7;
        assert_int_equal(encoder_embed(encoder, texts, N_TEXTS, vectors, NULL, &err), -ERR_IO);
        assert_string_equal(err.message, "the matrix library is out of order");
        for (size_t i = 0; i < N_TEXTS * TINY_HIDDEN; i++)
            assert_true(fabsf(vectors[i]) < 1e-30f);
    }
    applies_left = 1 << 30; /* and it works again */
    assert_ok(encoder_embed(encoder, texts, N_TEXTS, vectors, NULL, &err), err);
    encoder_close(encoder);

    failing_ops = kernels_ref;
    failing_ops.prepare = failing_prepare;
    assert_ok(encoder_open_with(model.dir, &options, &failing_ops, &encoder, &err), err);
    vectors[0] = 7;
    assert_int_equal(encoder_embed(encoder, texts, N_TEXTS, vectors, NULL, &err), -ERR_NOMEM);
    assert_true(fabsf(vectors[0] - 7) < 1e-6f); /* untouched: nothing had been written */
    encoder_close(encoder);
    tiny_destroy(&model);
    free(vectors);
    free_texts(texts);
}

/* -- The real model ------------------------------------------------------------------------ */

static struct encoder *
open_real(enum encoder_precision precision, size_t n_threads)
{
    const struct encoder_options options = {.precision = precision, .n_threads = n_threads};
    struct encoder *encoder = NULL;
    struct error err = {0};

    assert_ok(encoder_open(real_model_dir(), &options, &encoder, &err), err);
    return encoder;
}

static void
test_hello_world(void **state)
{
    /* Quoted from fastembed's tests, which allow 1e-3. */
    static const float expected[] = {-0.034478f, 0.03102f, 0.00673f, 0.02611f, -0.039362f};
    const struct str text = STR("hello world");
    struct encoder *encoder = open_real(ENCODER_PRECISION_F32, 0);
    float vector[DIM];
    struct error err = {0};

    (void)state;
    assert_ok(encoder_embed(encoder, &text, 1, vector, NULL, &err), err);
    for (size_t i = 0; i < COUNT_OF(expected); i++)
        assert_true(fabsf(vector[i] - expected[i]) < 1e-5f);
    encoder_close(encoder);
}

/* "data data ..." of so many tokens; for free(). */
static struct str
repeat(const char *word, size_t n)
{
    struct buf text = BUF_INIT((size_t)4 << 20);

    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%s ", word);
    buf_append(&text, STR(""));
    assert_int_equal(buf_status(&text, NULL), 0);
    return text.ptr ? buf_str(&text) : (struct str){strdup(""), 0};
}

static void
test_length_edges(void **state)
{
    static const struct {
        const char *word;
        size_t n_words;
        size_t n_ids;
        uint8_t flags;
    } rows[] = {
        {"data", 0, 2, 0},
        {"data", 1, 3, 0},
        {"data", 253, 255, 0},
        {"data", 254, 256, 0},
        {"data", 255, 256, ENCODER_TRUNCATED},
        {"data", 10000, 256, ENCODER_TRUNCATED},
        {"[SEP]", 254, 256, 0},        /* only specials */
        {"\xE2\x9F\x81", 254, 256, 0}, /* all unknown */
        {"\xE2\x9F\x81", 255, 256, ENCODER_TRUNCATED},
        {"\xFF", 3, 2, ENCODER_INVALID_UTF8},
        {"x\xFF", 300, 256, ENCODER_INVALID_UTF8 | ENCODER_TRUNCATED},
    };
    struct encoder *encoder = open_real(ENCODER_PRECISION_F32, 1);
    float vector[DIM];
    float full[DIM];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT((size_t)1 << 20);
        struct str text = repeat(rows[i].word, rows[i].n_words);
        struct encoder_ids ids;
        struct error err = {0};
        uint8_t flags = 0xFF;
        double norm = 0;

        assert_ok(encoder_tokenize(encoder, text, &arena, &ids, &flags, &err), err);
        if (ids.n_ids != rows[i].n_ids || flags != rows[i].flags)
            fail_msg("row %zu: %zu ids, flags %d", i, ids.n_ids, flags);
        assert_int_equal(ids.ids[0], 101);
        assert_int_equal(ids.ids[ids.n_ids - 1], 102);
        assert_ok(encoder_embed(encoder, &text, 1, vector, &flags, &err), err);
        assert_int_equal(flags, rows[i].flags);
        for (size_t k = 0; k < DIM; k++)
            norm += (double)vector[k] * (double)vector[k];
        assert_true(fabs(norm - 1) < 1e-6);
        if (i == 3)
            (void)memcpy(full, vector, sizeof(full));
        if (i == 4 || i == 5) /* what is cut off does not count */
            assert_memory_equal(full, vector, sizeof(full));
        arena_fini(&arena);
        free_text(text);
    }
    encoder_close(encoder);
}

/* Real texts of all lengths: one thread or three, any order, alone. */
static void
check_same_bits_real(enum encoder_precision precision)
{
    enum { N = 60 };
    struct encoder *one = open_real(precision, 1);
    struct encoder *three = open_real(precision, 3);
    struct str texts[N];
    struct str reversed[N];
    float *expected = calloc(N * DIM, sizeof(float));
    float *got = calloc(N * DIM, sizeof(float));
    struct error err = {0};

    assert_true(expected && got);
    for (size_t i = 0; i < N; i++) {
        char word[32];

        (void)snprintf(word, sizeof(word), "weather %zu", i);
        texts[i] = repeat(word, i * i % 90);
        reversed[N - 1 - i] = texts[i];
    }
    assert_ok(encoder_embed(one, texts, N, expected, NULL, &err), err);
    assert_ok(encoder_embed(three, texts, N, got, NULL, &err), err);
    assert_memory_equal(got, expected, N * DIM * sizeof(float));
    assert_ok(encoder_embed(three, reversed, N, got, NULL, &err), err);
    for (size_t i = 0; i < N; i++)
        assert_memory_equal(got + (N - 1 - i) * DIM, expected + i * DIM, DIM * sizeof(float));
    for (size_t i = 0; i < N; i += 7) {
        assert_ok(encoder_embed(one, &texts[i], 1, got, NULL, &err), err);
        assert_memory_equal(got, expected + i * DIM, DIM * sizeof(float));
    }
    for (size_t i = 0; i < N; i++)
        free_text(texts[i]);
    free(expected);
    free(got);
    encoder_close(one);
    encoder_close(three);
}

static void
test_same_bits_real(void **state)
{
    (void)state;
    check_same_bits_real(ENCODER_PRECISION_F32);
    if (encoder_precision_is_available(ENCODER_PRECISION_BF16))
        check_same_bits_real(ENCODER_PRECISION_BF16);
    if (encoder_precision_is_available(ENCODER_PRECISION_INT8))
        check_same_bits_real(ENCODER_PRECISION_INT8);
}

/* -- Snapshots ----------------------------------------------------------------------------- */

/* The numbers of a YAML list of lists, flat; returns how many. */
static size_t
read_snapshot(const char *name, float *out, size_t max_n)
{
    char path[PATH_BYTES];
    struct str all;
    struct str rest;
    struct str line;
    size_t n = 0;

    (void)snprintf(path, sizeof(path), "tei_snapshots/test_bert__%s.snap", name);
    all = read_all(shared_path(path));
    rest = all;
    for (size_t n_marks = 0; n_marks < 2;) { /* the front matter stands between two marks */
        assert_true(str_split(&rest, '\n', &line));
        n_marks += str_equal(line, STR("---"));
    }
    while (str_split(&rest, '\n', &line)) {
        size_t dash = str_find_last(line, STR("- "));

        if (dash == line.len)
            continue;
        assert_true(n < max_n);
        out[n++] = strtof(line.ptr + dash + 2, NULL);
    }
    free_text(all);
    return n;
}

static double
cosine(const float *a, const float *b)
{
    double dot = 0;
    double aa = 0;
    double bb = 0;

    for (size_t i = 0; i < DIM; i++) {
        dot += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return dot / sqrt(aa * bb);
}

/* Token vectors of the three texts, as text-embeddings-inference stored them (with GELU's tanh
 * form, so not to the last digit). */
static void
test_snapshots(void **state)
{
    static const struct str texts[] = {STR_INIT("What is Deep Learning?"),
                                       STR_INIT("Deep Learning is...")};
    static const struct {
        const char *name;
        unsigned pooling; /* 0: token vectors */
        size_t order[3];
        size_t n_texts;
    } rows[] = {
        {"bert_batch", POOLING_MEAN, {0, 1, 0}, 3},
        {"bert_single", POOLING_MEAN, {0}, 1},
        {"bert_batch_pooled", POOLING_CLS, {0, 1, 0}, 3},
        {"bert_single_pooled", POOLING_CLS, {0}, 1},
        {"bert_batch_raw", 0, {0, 1, 0}, 3},
        {"bert_single_raw", 0, {0}, 1},
    };
    static float expected[22 * DIM];
    struct encoder *encoder = open_real(ENCODER_PRECISION_F32, 1);
    const struct model *model = &encoder->model;
    struct forward_buffers *buffers = &encoder->workers[0].buffers;
    double worst = 1;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t n_vectors = read_snapshot(rows[i].name, expected, COUNT_OF(expected)) / DIM;
        size_t at = 0;

        for (size_t k = 0; k < rows[i].n_texts; k++) {
            struct arena arena = ARENA_INIT((size_t)1 << 16);
            float pooled[DIM];
            struct encoder_ids ids;
            struct forward_text text;
            struct error err = {0};

            assert_ok(encoder_tokenize(encoder, texts[rows[i].order[k]], &arena, &ids, NULL, &err),
                      err);
            text = (struct forward_text){ids.ids, ids.n_ids};
            assert_ok(model->ops->prepare(model->kernels, 16, &err), err);
            assert_ok(forward_run(model, buffers, 0, &text, 1, &err), err);
            if (rows[i].pooling)
                pooling_run(rows[i].pooling, buffers->x, ids.n_ids, 0, DIM, pooled);
            for (size_t t = 0; t < (rows[i].pooling ? 1 : ids.n_ids); t++, at++) {
                assert_true(at < n_vectors);
                worst = fmin(worst, cosine(expected + at * DIM,
                                           rows[i].pooling ? pooled : buffers->x + t * DIM));
            }
            arena_fini(&arena);
        }
        assert_int_equal(at, n_vectors);
    }
    print_message("# worst cosine %.7f\n", worst);
    assert_true(worst > 0.9999);
    encoder_close(encoder);
}

int
main(void)
{
    static const struct data_test tests[] = {
        DATA_TEST(test_small_calls, NEED_NOTHING),
        DATA_TEST(test_same_bits, NEED_NOTHING),
        DATA_TEST(test_against_plain_kernels, NEED_NOTHING),
        DATA_TEST(test_all_rows_or_none, NEED_NOTHING),
        DATA_TEST(test_hello_world, NEED_MODEL),
        DATA_TEST(test_length_edges, NEED_MODEL),
        DATA_TEST(test_same_bits_real, NEED_MODEL),
        DATA_TEST(test_snapshots, NEED_MODEL | NEED_SHARED),
    };

    return run_data_tests("encoder/embed", tests, COUNT_OF(tests));
}
