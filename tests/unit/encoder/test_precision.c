/* The choice of a precision: what AUTO takes, what is noted down, and which CPU may do what. */

#include "tests/unit/encoder/data.h"

#include <trawl/encoder.h>

#include "encoder/cpu_level.h"
#include "tests/unit/encoder/tiny_model.h"

/* One note, and how often it was asked for and written. */
struct notebook {
    char key[320];
    double value;
    size_t n_found;
    size_t n_saved;
};

static bool
find_note(void *context, struct str key, double *min_cosine)
{
    struct notebook *self = context;

    if (!str_equal(key, str_from_cstr(self->key)))
        return false;
    *min_cosine = self->value;
    self->n_found++;
    return true;
}

static void
save_note(void *context, struct str key, double min_cosine)
{
    struct notebook *self = context;

    assert_true(key.len < sizeof(self->key));
    assert_true(str_find(key, STR("\n")) == key.len);
    (void)snprintf(self->key, sizeof(self->key), "%.*s", STR_ARG(key));
    self->value = min_cosine;
    self->n_saved++;
}

static bool
has_bf16(void)
{
    return encoder_precision_is_available(ENCODER_PRECISION_BF16);
}

static void
assert_opens_as(const char *dir, const struct encoder_options *options, const char *precision)
{
    CLEANUP(encoder_closep) struct encoder *encoder = NULL;
    struct encoder_description description;
    struct error err = {0};

    assert_ok(encoder_open(dir, options, &encoder, &err), err);
    encoder_describe(encoder, &description);
    assert_str_equal(description.precision, precision);
}

static void
test_parse(void **state)
{
    static const struct {
        struct str text;
        int rc;
        enum encoder_precision precision;
    } rows[] = {
        {STR_INIT("auto"), 0, ENCODER_PRECISION_AUTO},
        {STR_INIT("f32"), 0, ENCODER_PRECISION_F32},
        {STR_INIT("bf16"), 0, ENCODER_PRECISION_BF16},
        {STR_INIT("int8"), 0, ENCODER_PRECISION_INT8},
        {STR_INIT("f16"), -ERR_ARGS, (enum encoder_precision)9},
        {STR_INIT(""), -ERR_ARGS, (enum encoder_precision)9},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum encoder_precision precision = (enum encoder_precision)9;

        assert_int_equal(encoder_precision_parse(rows[i].text, &precision, NULL), rows[i].rc);
        assert_int_equal(precision, rows[i].precision);
    }
}

static void
test_auto(void **state)
{
    const char *fast = has_bf16() ? "bf16" : "f32";
    struct notebook notebook = {0};
    const struct encoder_notes notes = {&notebook, find_note, save_note};
    struct encoder_options options = {.notes = &notes};
    struct tiny_model model;

    (void)state;
    tiny_create(&model);
    assert_opens_as(model.dir, NULL, fast);
    assert_opens_as(model.dir, &options, fast);
    assert_int_equal(notebook.n_saved, has_bf16());
    assert_opens_as(model.dir, &options, fast); /* the second time it is known */
    assert_int_equal(notebook.n_saved, has_bf16());
    assert_int_equal(notebook.n_found, has_bf16());
    options.min_cosine = 1;
    assert_opens_as(model.dir, &options, "f32");
    options.min_cosine = 0.9999999;
    assert_opens_as(model.dir, &options, "f32");
    notebook.value = 0.9;
    options.min_cosine = 0;
    assert_opens_as(model.dir, &options, "f32"); /* 0.999 is asked for */
    options.min_cosine = 0.89;
    assert_opens_as(model.dir, &options, fast);
    tiny_destroy(&model);
}

static void
test_levels(void **state)
{
    static const struct {
        const char *level;
        enum cpu_level ceiling;
    } rows[] = {
        {"baseline", CPU_LEVEL_BASELINE}, {"avx2", CPU_LEVEL_AVX2}, {"avx512", CPU_LEVEL_AVX512},
        {"vnni", CPU_LEVEL_VNNI},         {"bf16", CPU_LEVEL_BF16}, {"", CPU_LEVEL_BF16},
    };
    enum cpu_level here;
    struct tiny_model model;

    (void)state;
    assert_int_equal(unsetenv(CPU_LEVEL_ENV), 0);
    here = cpu_level();
    tiny_create(&model);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum cpu_level level = here < rows[i].ceiling ? here : rows[i].ceiling;
        const struct encoder_options bf16 = {.precision = ENCODER_PRECISION_BF16};
        const struct encoder_options int8 = {.precision = ENCODER_PRECISION_INT8};
        struct encoder *encoder = NULL;
        struct error err = {0};

        assert_int_equal(setenv(CPU_LEVEL_ENV, rows[i].level, 1), 0);
        assert_int_equal(cpu_level(), level);
        assert_int_equal(encoder_precision_is_available(ENCODER_PRECISION_F32), true);
        assert_int_equal(encoder_precision_is_available(ENCODER_PRECISION_INT8),
                         level >= CPU_LEVEL_VNNI);
        assert_int_equal(has_bf16(), level >= CPU_LEVEL_BF16);
        assert_opens_as(model.dir, NULL, level >= CPU_LEVEL_BF16 ? "bf16" : "f32");
        if (level < CPU_LEVEL_BF16) {
            assert_int_equal(encoder_open(model.dir, &bf16, &encoder, &err), -ERR_UNSUPPORTED);
            assert_non_null(strstr(err.message, "bf16 needs AVX512_BF16"));
        }
        if (level < CPU_LEVEL_VNNI) {
            assert_int_equal(encoder_open(model.dir, &int8, &encoder, &err), -ERR_UNSUPPORTED);
            assert_non_null(strstr(err.message, "int8 needs AVX512_VNNI"));
        } else {
            assert_opens_as(model.dir, &int8, "int8");
        }
    }
    assert_int_equal(setenv(CPU_LEVEL_ENV, "sse9", 1), 0);
    {
        struct encoder *encoder = NULL;
        struct error err = {0};

        assert_int_equal(encoder_open(model.dir, NULL, &encoder, &err), -ERR_CONFIG);
        assert_non_null(strstr(err.message, "sse9"));
    }
    assert_int_equal(unsetenv(CPU_LEVEL_ENV), 0);
    tiny_destroy(&model);
}

/* On the real weights; the bounds are what was measured, rounded down. */
static void
test_measure(void **state)
{
    static const struct {
        enum encoder_precision precision;
        double min;
        double max;
    } rows[] = {
        {ENCODER_PRECISION_F32, 1 - 1e-12, 1 + 1e-12},
        {ENCODER_PRECISION_BF16, 0.9998, 0.999999},
        {ENCODER_PRECISION_INT8, 0.99, 0.9999},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct encoder_options options = {.precision = rows[i].precision};
        CLEANUP(encoder_closep) struct encoder *encoder = NULL;
        struct encoder_accuracy accuracy;
        struct error err = {0};

        if (!encoder_precision_is_available(rows[i].precision))
            continue;
        assert_ok(encoder_open(real_model_dir(), &options, &encoder, &err), err);
        assert_ok(encoder_measure(encoder, &accuracy, &err), err);
        print_message("# precision %d: %zu texts, cosine min %.7f, mean %.7f\n",
                      (int)rows[i].precision, accuracy.n_texts, accuracy.min_cosine,
                      accuracy.mean_cosine);
        assert_true(accuracy.n_texts >= 40);
        assert_true(accuracy.min_cosine >= rows[i].min && accuracy.min_cosine <= rows[i].max);
        assert_true(accuracy.mean_cosine >= accuracy.min_cosine);
    }
}

int
main(void)
{
    static const struct data_test tests[] = {
        DATA_TEST(test_parse, NEED_NOTHING),
        DATA_TEST(test_auto, NEED_NOTHING),
        DATA_TEST(test_levels, NEED_NOTHING),
        DATA_TEST(test_measure, NEED_MODEL),
    };

    return run_data_tests("encoder/precision", tests, COUNT_OF(tests));
}
