/* The whole encoder against the original implementation: tests/fixtures/encoder, 2,084 texts. */

#include "tests/unit/encoder/data.h"

#include <math.h>

#include <trawl/encoder.h>

#define ARENA_BYTES ((size_t)256 << 20)
#define DIM         384
#define COSINE_MIN  0.99999

struct fixture {
    struct arena arena;
    struct str lines;
    struct str ids;     /* u16 count, u16 ids, per text */
    struct str vectors; /* f32 [n_texts, DIM] */
    struct str *texts;
    const char **kinds;
    size_t n_texts;
};

static struct str
read_fixture(const char *name)
{
    char path[2 * PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/tests/fixtures/encoder/%s", source_root(), name);
    return read_all(path);
}

static int
hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* {"text"}, or {"hex"} for bytes that JSON cannot hold. */
static struct str
text_of(const struct json *row, struct arena *arena)
{
    struct str hex = json_get_str(row, STR("hex"));
    char *bytes;

    if (!hex.ptr)
        return json_get_str(row, STR("text"));
    bytes = arena_alloc(arena, hex.len / 2);
    assert_non_null(bytes);
    for (size_t i = 0; i < hex.len / 2; i++)
        bytes[i] = (char)(hex_digit(hex.ptr[2 * i]) << 4 | hex_digit(hex.ptr[2 * i + 1]));
    return (struct str){bytes, hex.len / 2};
}

static void
open_fixture(struct fixture *self)
{
    struct str rest;
    struct str line;

    *self = (struct fixture){.arena = ARENA_INIT(ARENA_BYTES)};
    self->lines = read_fixture("texts.jsonl.gz");
    self->ids = read_fixture("ids.bin.gz");
    self->vectors = read_fixture("vectors.bin.gz");
    self->n_texts = self->vectors.len / (DIM * sizeof(float));
    self->texts = arena_calloc(&self->arena, self->n_texts, sizeof(*self->texts));
    self->kinds = arena_calloc(&self->arena, self->n_texts, sizeof(*self->kinds));
    assert_true(self->texts && self->kinds && self->n_texts >= 2000);
    rest = self->lines;
    for (size_t i = 0; i < self->n_texts; i++) {
        struct json row;

        assert_true(str_split(&rest, '\n', &line));
        row = parse_json(line, &self->arena);
        self->texts[i] = text_of(&row, &self->arena);
        self->kinds[i] =
            arena_printf(&self->arena, "%.*s", STR_ARG(json_get_str(&row, STR("kind"))));
    }
}

static void
close_fixture(struct fixture *self)
{
    free_text(self->lines);
    free_text(self->ids);
    free_text(self->vectors);
    arena_fini(&self->arena);
}

static uint16_t
read_u16(struct str bytes, size_t at)
{
    assert_true(at + 2 <= bytes.len);
    return (uint16_t)((unsigned char)bytes.ptr[at] | (unsigned char)bytes.ptr[at + 1] << 8);
}

static void
test_ids(void **state)
{
    const char *dir = real_model_dir();
    CLEANUP(encoder_closep) struct encoder *encoder = NULL;
    struct fixture fixture;
    struct error err = {0};
    size_t n_truncated = 0;
    size_t n_invalid = 0;
    size_t at = 0;

    (void)state;
    open_fixture(&fixture);
    assert_ok(encoder_open(dir, NULL, &encoder, &err), err);
    for (size_t i = 0; i < fixture.n_texts; i++) {
        size_t n_ids = read_u16(fixture.ids, at);
        struct encoder_ids got;
        uint8_t flags;

        assert_ok(encoder_tokenize(encoder, fixture.texts[i], &fixture.arena, &got, &flags, &err),
                  err);
        assert_int_equal(got.n_ids, n_ids);
        for (size_t k = 0; k < n_ids; k++)
            assert_int_equal(got.ids[k], read_u16(fixture.ids, at + 2 + 2 * k));
        at += 2 + 2 * n_ids;
        n_truncated += (flags & ENCODER_TRUNCATED) != 0;
        n_invalid += (flags & ENCODER_INVALID_UTF8) != 0;
        if ((flags & ENCODER_INVALID_UTF8) != 0)
            assert_string_equal(fixture.kinds[i], "broken");
    }
    assert_int_equal(at, fixture.ids.len);
    assert_true(n_truncated > 10 && n_invalid >= 40);
    print_message("# %zu texts, %zu truncated, %zu not UTF-8: ids equal\n", fixture.n_texts,
                  n_truncated, n_invalid);
    close_fixture(&fixture);
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

/* The bounds are what was measured (f32 1.000000000, bf16 0.99995, int8 0.9910), rounded down. */
static const struct {
    const char *name;
    enum encoder_precision precision;
    double cosine_min;
    double cosine_mean;
} precisions[] = {
    {"f32", ENCODER_PRECISION_F32, COSINE_MIN, COSINE_MIN},
    {"bf16", ENCODER_PRECISION_BF16, 0.9998, 0.99997},
    {"int8", ENCODER_PRECISION_INT8, 0.99, 0.998},
};

static void
check_vectors(const char *dir, const struct fixture *fixture, size_t idx, float *vectors)
{
    const struct encoder_options options = {.precision = precisions[idx].precision};
    CLEANUP(encoder_closep) struct encoder *encoder = NULL;
    struct error err = {0};
    double min = 1;
    double sum = 0;
    double max_difference = 0;

    assert_ok(encoder_open(dir, &options, &encoder, &err), err);
    assert_int_equal(encoder_dim(encoder), DIM);
    assert_ok(encoder_embed(encoder, fixture->texts, fixture->n_texts, vectors, NULL, &err), err);
    for (size_t i = 0; i < fixture->n_texts; i++) {
        float expected[DIM];
        double value;

        (void)memcpy(expected, fixture->vectors.ptr + i * sizeof(expected), sizeof(expected));
        value = cosine(vectors + i * DIM, expected);
        if (value < precisions[idx].cosine_min || isnan(value))
            fail_msg("%s, text %zu (%s): cosine %.8f", precisions[idx].name, i, fixture->kinds[i],
                     value);
        min = fmin(min, value);
        sum += value;
        for (size_t k = 0; k < DIM; k++)
            max_difference =
                fmax(max_difference, fabs((double)vectors[i * DIM + k] - (double)expected[k]));
    }
    print_message("# %s, %zu texts: cosine min %.9f, mean %.9f; max abs %.2g\n",
                  precisions[idx].name, fixture->n_texts, min, sum / (double)fixture->n_texts,
                  max_difference);
    assert_true(sum / (double)fixture->n_texts >= precisions[idx].cosine_mean);
}

static void
test_vectors(void **state)
{
    const char *dir = real_model_dir();
    struct fixture fixture;
    float *vectors;

    (void)state;
    open_fixture(&fixture);
    vectors = calloc(fixture.n_texts * DIM, sizeof(float));
    assert_non_null(vectors);
    for (size_t i = 0; i < COUNT_OF(precisions); i++) {
        if (encoder_precision_is_available(precisions[i].precision))
            check_vectors(dir, &fixture, i, vectors);
        else
            print_message("# %s needs another CPU\n", precisions[i].name);
    }
    free(vectors);
    close_fixture(&fixture);
}

int
main(void)
{
    static const struct data_test tests[] = {
        DATA_TEST(test_ids, NEED_MODEL),
        DATA_TEST(test_vectors, NEED_MODEL),
    };

    return run_data_tests("encoder/reference", tests, COUNT_OF(tests));
}
