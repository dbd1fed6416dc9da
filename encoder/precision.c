/* The choice of a precision, and the measurement behind it: the built-in texts in the precision and
 * in f32, by the same model directory.
 *
 * The outcome depends on weights, engine and CPU only, so it can be noted down: the fingerprint and
 * the kernels' description are its name. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "encoder/cpu_level.h"
#include "encoder/encoder_state.h"

#define CHECK_VERSION      1 /* of check_texts.c */
#define MIN_COSINE_DEFAULT 0.999
#define KEY_BYTES          320

static const struct {
    struct str name;
    enum encoder_precision precision;
    const char *needs; /* instructions */
} precisions[] = {
    {STR_INIT("auto"), ENCODER_PRECISION_AUTO, ""},
    {STR_INIT("f32"), ENCODER_PRECISION_F32, ""},
    {STR_INIT("bf16"), ENCODER_PRECISION_BF16, "AVX512_BF16"},
    {STR_INIT("int8"), ENCODER_PRECISION_INT8, "AVX512_VNNI"},
};

int
encoder_precision_parse(struct str text, enum encoder_precision *out, struct error *err)
{
    for (size_t i = 0; i < COUNT_OF(precisions); i++) {
        if (str_equal(text, precisions[i].name)) {
            *out = precisions[i].precision;
            return 0;
        }
    }
    return error_set(err, ERR_ARGS, "the precision '%.*s' is unknown: use auto, f32, bf16 or int8",
                     STR_ARG(str_slice(text, 0, 32)));
}

bool
encoder_precision_is_available(enum encoder_precision precision)
{
    return precision == ENCODER_PRECISION_AUTO || kernels_find(precision) != NULL;
}

static int
open_precision(const char *dir, const struct encoder_options *options,
               enum encoder_precision precision, struct encoder **out, struct error *err)
{
    const struct kernels_ops *ops;

    if ((size_t)precision >= COUNT_OF(precisions))
        return error_set(err, ERR_ARGS, "the precision %d does not exist", (int)precision);
    ops = kernels_find(precision);
    if (!ops)
        return error_set(err, ERR_UNSUPPORTED,
                         "the precision %s needs %s, and this CPU's level is %s: use f32 or auto",
                         precisions[precision].name.ptr, precisions[precision].needs,
                         cpu_level_name(cpu_level()));
    return encoder_open_with(dir, options, ops, out, err);
}

/* -- Measuring ----------------------------------------------------------------------------- */

static double
cosine(const float *a, const float *b, size_t n)
{
    double product = 0;
    double squares_a = 0;
    double squares_b = 0;

    for (size_t i = 0; i < n; i++) {
        product += (double)a[i] * (double)b[i];
        squares_a += (double)a[i] * (double)a[i];
        squares_b += (double)b[i] * (double)b[i];
    }
    return product / sqrt(squares_a * squares_b);
}

/* A vector that is not finite has cosine NaN, which must not pass for the smallest. */
static void
compare_vectors(const float *got, const float *expected, size_t n_texts, size_t dim,
                struct encoder_accuracy *out)
{
    *out = (struct encoder_accuracy){.n_texts = n_texts, .min_cosine = 1};
    for (size_t i = 0; i < n_texts; i++) {
        double value = cosine(got + i * dim, expected + i * dim, dim);

        value = isfinite(value) ? value : -1;
        out->mean_cosine += value / (double)n_texts;
        out->min_cosine = value < out->min_cosine ? value : out->min_cosine;
    }
}

int
encoder_measure(struct encoder *encoder, struct encoder_accuracy *out, struct error *err)
{
    CLEANUP(encoder_closep) struct encoder *exact = NULL;
    size_t n_texts;
    const struct str *texts = encoder_check_texts(&n_texts);
    size_t dim = encoder->dim;
    float *vectors = calloc(2 * n_texts * dim, sizeof(*vectors));
    int rc;

    if (!vectors)
        return error_set(err, ERR_NOMEM, "cannot hold %zu vectors", 2 * n_texts);
    rc = open_precision(encoder->model.config.dir, &encoder->options, ENCODER_PRECISION_F32, &exact,
                        err);
    if (rc == 0)
        rc = encoder_embed(encoder, texts, n_texts, vectors, NULL, err);
    if (rc == 0)
        rc = encoder_embed(exact, texts, n_texts, vectors + n_texts * dim, NULL, err);
    if (rc == 0)
        compare_vectors(vectors, vectors + n_texts * dim, n_texts, dim, out);
    free(vectors);
    return rc;
}

/* -- Choosing ------------------------------------------------------------------------------ */

/* The smallest cosine of the check: as noted, else measured and noted. */
static int
find_min_cosine(struct encoder *encoder, const struct encoder_notes *notes, double *out,
                struct error *err)
{
    struct encoder_accuracy accuracy;
    char key[KEY_BYTES];
    int n = snprintf(key, sizeof(key), "%s %s check %d", encoder->fingerprint,
                     encoder->kernels_text, CHECK_VERSION);
    struct str name = {key, (size_t)n};
    int rc;

    if (notes && notes->find(notes->context, name, out))
        return 0;
    rc = encoder_measure(encoder, &accuracy, err);
    if (rc < 0)
        return rc;
    *out = accuracy.min_cosine;
    if (notes)
        notes->save(notes->context, name, *out);
    return 0;
}

/* The fastest that is near enough to f32.  int8 is not among them: who wants it asks for it. */
static int
open_auto(const char *dir, const struct encoder_options *options, struct encoder **out,
          struct error *err)
{
    double bound = options->min_cosine > 0 ? options->min_cosine : MIN_COSINE_DEFAULT;
    CLEANUP(encoder_closep) struct encoder *fast = NULL;
    double found = 0;
    int rc;

    if (bound >= 1 || !encoder_precision_is_available(ENCODER_PRECISION_BF16))
        return open_precision(dir, options, ENCODER_PRECISION_F32, out, err);
    rc = open_precision(dir, options, ENCODER_PRECISION_BF16, &fast, err);
    if (rc == -ERR_UNSUPPORTED) /* the model's shape; or the model, then f32 says so again */
        return open_precision(dir, options, ENCODER_PRECISION_F32, out, err);
    if (rc == 0)
        rc = find_min_cosine(fast, options->notes, &found, err);
    if (rc < 0)
        return rc;
    if (found < bound)
        return open_precision(dir, options, ENCODER_PRECISION_F32, out, err);
    *out = TAKE(fast);
    return 0;
}

int
encoder_open(const char *dir, const struct encoder_options *options, struct encoder **out,
             struct error *err)
{
    static const struct encoder_options defaults = {0};
    const struct encoder_options *chosen = options ? options : &defaults;

    if (!(chosen->min_cosine >= 0 && chosen->min_cosine <= 1)) /* nor NaN */
        return error_set(err, ERR_ARGS, "min_cosine is %g, not within 0 and 1", chosen->min_cosine);
    if (chosen->precision == ENCODER_PRECISION_AUTO)
        return open_auto(dir, chosen, out, err);
    return open_precision(dir, chosen, chosen->precision, out, err);
}
