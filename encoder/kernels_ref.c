/* The oracle: each kernel as its formula reads, sums in double, nothing packed. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <trawl/attributes.h>

#include "encoder/kernels.h"

#define LINEARS_MAX 1024

struct linear {
    float *weights; /* [n_out, n_in] */
    float *bias;    /* [n_out] */
    size_t n_in;
    size_t n_out;
    enum activation_fn activation;
};

struct kernels {
    struct kernels_sizes sizes;
    double *scores; /* [n_workers, max_text] */
    struct linear linears[LINEARS_MAX];
    size_t n_linears;
};

static void
free_kernels(struct kernels *self)
{
    if (!self)
        return;
    for (size_t i = 0; i < self->n_linears; i++) {
        free(self->linears[i].weights);
        free(self->linears[i].bias);
    }
    free(self->scores);
    free(self);
}

static int
create(const struct kernels_sizes *sizes, struct kernels **out, struct error *err)
{
    struct kernels *self = calloc(1, sizeof(*self));

    if (self)
        self->scores = calloc(sizes->n_workers * sizes->max_text, sizeof(*self->scores));
    if (!self || !self->scores) {
        free_kernels(self);
        return error_set(err, ERR_NOMEM, "cannot hold the reference kernels");
    }
    self->sizes = *sizes;
    *out = self;
    return 0;
}

static size_t
activation_bytes(const struct kernels *self, size_t width)
{
    return self->sizes.max_rows * width * sizeof(float);
}

static size_t
qkv_value_bytes(const struct kernels *self)
{
    (void)self;
    return sizeof(float);
}

static int
pack(struct kernels *self, const struct linear_source *source, struct linear **out,
     struct error *err)
{
    size_t n_weights = source->n_in * source->n_out;
    struct linear *linear = &self->linears[self->n_linears];

    if (self->n_linears == LINEARS_MAX)
        return error_set(err, ERR_UNSUPPORTED, "more than %d linear layers", LINEARS_MAX);
    linear->weights = calloc(n_weights, sizeof(float));
    linear->bias = calloc(source->n_out, sizeof(float));
    self->n_linears++;
    if (!linear->weights || !linear->bias)
        return error_set(err, ERR_NOMEM, "cannot hold %zu weights", n_weights);
    (void)memcpy(linear->weights, source->weights, n_weights * sizeof(float));
    (void)memcpy(linear->bias, source->bias, source->n_out * sizeof(float));
    linear->n_in = source->n_in;
    linear->n_out = source->n_out;
    linear->activation = source->activation;
    *out = linear;
    return 0;
}

static int
prepare(struct kernels *self, size_t n_rows, struct error *err)
{
    if (n_rows > self->sizes.max_rows)
        return error_set(err, ERR_ARGS, "%zu rows, more than %zu", n_rows, self->sizes.max_rows);
    return 0;
}

double
kernels_activate(enum activation_fn fn, double x)
{
    switch (fn) {
    case ACTIVATION_GELU_ERF:
        return x * 0.5 * (1 + erf(x / sqrt(2)));
    case ACTIVATION_GELU_TANH:
        return x * 0.5 * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case ACTIVATION_RELU:
        return x > 0 ? x : 0;
    case ACTIVATION_TANH:
        return tanh(x);
    case ACTIVATION_NONE:
        break;
    }
    return x;
}

static int
apply(struct kernels *self, size_t worker, const struct linear *linear, const void *x_all,
      size_t n_rows, void *y_all, struct error *err)
{
    (void)self;
    (void)worker;
    (void)err;
    for (size_t t = 0; t < n_rows; t++) {
        const float *x = (const float *)x_all + t * linear->n_in; /* [n_in] */
        float *y = (float *)y_all + t * linear->n_out;            /* [n_out] */

        for (size_t o = 0; o < linear->n_out; o++) {
            const float *w = linear->weights + o * linear->n_in; /* [n_in] */
            double sum = (double)linear->bias[o];

            for (size_t i = 0; i < linear->n_in; i++)
                sum += (double)x[i] * (double)w[i];
            y[o] = (float)kernels_activate(linear->activation, sum);
        }
    }
    return 0;
}

/* scores[j] = e^(q[i] . k[j] + bias - max); returns their sum */
static double
weigh_row(const struct attention_args *args, size_t max_text, size_t head, size_t i, double *scores)
{
    size_t d = args->head_size;
    size_t hidden = args->n_heads * d;
    const float *q = (const float *)args->qkv + i * 3 * hidden + head * d; /* [d] */
    double highest = -INFINITY;
    double sum = 0;

    for (size_t j = 0; j < args->n_tokens; j++) {
        const float *k = (const float *)args->qkv + j * 3 * hidden + hidden + head * d; /* [d] */

        scores[j] = 0;
        for (size_t c = 0; c < d; c++)
            scores[j] += (double)q[c] * (double)k[c];
        if (args->position_bias)
            scores[j] +=
                (double)args->position_bias[head * (2 * max_text - 1) + j + max_text - 1 - i];
        highest = scores[j] > highest ? scores[j] : highest;
    }
    for (size_t j = 0; j < args->n_tokens; j++) {
        scores[j] = exp(scores[j] - highest);
        sum += scores[j];
    }
    return sum;
}

static void
attend(struct kernels *self, size_t worker, const struct attention_args *args)
{
    size_t d = args->head_size;
    size_t hidden = args->n_heads * d;
    double *scores = self->scores + worker * self->sizes.max_text;

    for (size_t head = 0; head < args->n_heads; head++) {
        for (size_t i = 0; i < args->n_tokens; i++) {
            float *out = (float *)args->out + (args->first_row + i) * hidden + head * d; /* [d] */
            double total = weigh_row(args, self->sizes.max_text, head, i, scores);

            for (size_t c = 0; c < d; c++) {
                const float *v = (const float *)args->qkv + 2 * hidden + head * d + c;
                double sum = 0;

                for (size_t j = 0; j < args->n_tokens; j++)
                    sum += scores[j] * (double)v[j * 3 * hidden];
                out[c] = (float)(sum / total);
            }
        }
    }
}

static void
norm(struct kernels *self, const struct norm_args *args)
{
    size_t hidden = args->hidden;

    (void)self;
    for (size_t t = 0; t < args->n_rows; t++) {
        float *x = args->x + t * hidden; /* [H] */
        double mean = 0;
        double variance = 0;

        for (size_t i = 0; i < hidden; i++) {
            if (args->delta)
                x[i] += args->delta[t * hidden + i];
            mean += (double)x[i] / (double)hidden;
        }
        for (size_t i = 0; i < hidden; i++)
            variance += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)hidden;
        for (size_t i = 0; i < hidden; i++)
            x[i] = (float)(((double)x[i] - mean) / sqrt(variance + (double)args->eps) *
                               (double)args->gamma[i] +
                           (double)args->beta[i]);
    }
    if (args->reader && args->out != args->x)
        (void)memcpy(args->out, args->x, args->n_rows * hidden * sizeof(float));
}

static int
enter_thread(void)
{
    return 0;
}

static void
leave_thread(int previous)
{
    (void)previous;
}

static void
describe(const struct kernels *self, char *out, size_t n_bytes)
{
    (void)self;
    (void)snprintf(out, n_bytes, "reference");
}

const struct kernels_ops kernels_ref = {
    .precision = "f32",
    .row_multiple = 1,
    .reads_x = true,
    .create = create,
    .free = free_kernels,
    .activation_bytes = activation_bytes,
    .qkv_value_bytes = qkv_value_bytes,
    .pack = pack,
    .prepare = prepare,
    .apply = apply,
    .attend = attend,
    .norm = norm,
    .enter_thread = enter_thread,
    .leave_thread = leave_thread,
    .describe = describe,
};
