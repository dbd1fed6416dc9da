/* The opt-in kernels: linear layers in 8 bits (AVX-512 VNNI), everything else as high as elsewhere.
 *
 * Weights are s8, symmetric, one scale per output.  Activations are u8 with a scale and a lowest
 * value per token, found when the token's row is written, so that a row depends on nothing but
 * itself; sums are s32 and exact.  What comes out is f32 (or bf16 for the attention, where the CPU
 * has it) at once: LayerNorm, softmax, attention, GELU and the residual stream see no 8 bits.
 *
 * All four layers are 8-bit, by measurement on all-MiniLM-L6-v2 (mean cosine to f32 0.9991): with
 * QKV or DOWN in bf16 it is 0.9994 for a quarter to a third more time in products, with OUT, or any
 * one layer of the model, 0.9990 to 0.9992.  Moving the range from a LayerNorm's large channels
 * into the weights (Xiao et al. 2023, "SmoothQuant") gave 0.9989.
 *
 * Sums of a block of rows stay in the second-level cache until they are turned back. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/products.h"
#include "encoder/vector_ops.h"

#define ALIGNMENT   ((size_t)64)
#define BLOCK_ROWS  ((size_t)96)
#define LINEARS_MAX 1024
#define LEVELS      127.0f /* of a weight, on each side */
#define NORM_ROWS   ((size_t)16)

struct linear {
    struct product *product;
    enum linear_role role;
    enum activation_fn activation;
    size_t n_in;
    size_t n_out;
    struct weight_scales scales;
    float *block; /* owns the scales */
};

/* One worker's. */
struct worker {
    void *attention;      /* scratch */
    float *attention_out; /* [max_text, H] */
    int32_t *sums;        /* [BLOCK_ROWS, widest] */
};

struct kernels {
    struct kernels_sizes sizes;
    const struct vector_ops *vector;
    const struct vector_bf16_ops *bf16; /* the attention's; NULL = f32 */
    struct products *products;
    struct worker *workers; /* [n_workers] */
    size_t widest;          /* n_out of the linears so far */
    size_t hidden;          /* their widest n_in, which is at least H */
    struct linear linears[LINEARS_MAX];
    size_t n_linears;
};

/* -- Life ---------------------------------------------------------------------------------- */

static void
free_kernels(struct kernels *self)
{
    if (!self)
        return;
    products_free(self->products);
    for (size_t i = 0; self->workers && i < self->sizes.n_workers; i++) {
        free(self->workers[i].attention);
        free(self->workers[i].attention_out);
        free(self->workers[i].sums);
    }
    for (size_t i = 0; i < self->n_linears; i++)
        free(self->linears[i].block);
    free(self->workers);
    free(self);
}

static void *
alloc_aligned(size_t n_bytes)
{
    return aligned_alloc(ALIGNMENT, (n_bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT);
}

static size_t
scratch_bytes(const struct kernels *self)
{
    size_t max_text = self->sizes.max_text;
    size_t head_size = self->sizes.head_size;

    return self->bf16 ? self->bf16->attend_scratch_bytes(max_text, head_size)
                      : self->vector->attend_scratch_floats(max_text, head_size) * sizeof(float);
}

static int
alloc_workers(struct kernels *self, struct error *err)
{
    size_t n_workers = self->sizes.n_workers;

    self->workers = calloc(n_workers, sizeof(*self->workers));
    for (size_t i = 0; self->workers && i < n_workers; i++) {
        self->workers[i].attention = alloc_aligned(scratch_bytes(self));
        if (!self->workers[i].attention)
            return error_set(err, ERR_NOMEM, "cannot hold a worker's attention");
    }
    return self->workers ? 0 : error_set(err, ERR_NOMEM, "cannot hold %zu workers", n_workers);
}

static int
create(const struct kernels_sizes *sizes, struct kernels **out, struct error *err)
{
    const struct vector_ops *vector = vector_ops_get();
    struct kernels *self;
    int rc;

    if (!vector->u8)
        return error_set(err, ERR_UNSUPPORTED, "int8 needs a CPU with AVX512_VNNI");
    self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(err, ERR_NOMEM, "cannot hold the kernels");
    self->sizes = *sizes;
    self->sizes.max_rows = (sizes->max_rows + PRODUCTS_ROW_MULTIPLE - 1) / PRODUCTS_ROW_MULTIPLE *
                           PRODUCTS_ROW_MULTIPLE;
    self->vector = vector;
    self->bf16 =
        products_level() >= CPU_LEVEL_BF16 && sizes->head_size % 2 == 0 ? vector->bf16 : NULL;
    rc = alloc_workers(self, err);
    if (rc == 0)
        rc = products_create(sizes->n_workers, BLOCK_ROWS, &self->products, err);
    if (rc < 0) {
        free_kernels(self);
        return rc;
    }
    *out = self;
    return 0;
}

/* -- Activations --------------------------------------------------------------------------- */

/* The rows' scales stand before their values. */
static size_t
header_bytes(const struct kernels *self)
{
    size_t n_bytes = self->sizes.max_rows * sizeof(struct row_scale);

    return (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t
activation_bytes(const struct kernels *self, size_t width)
{
    return header_bytes(self) + self->sizes.max_rows * width;
}

static size_t
qkv_value_bytes(const struct kernels *self)
{
    return self->bf16 ? sizeof(uint16_t) : sizeof(float);
}

static void
store_row(const struct kernels *self, const float *x, size_t width, size_t row, void *activations)
{
    struct row_scale *scales = activations;
    uint8_t *values = (uint8_t *)activations + header_bytes(self); /* [max_rows, width] */

    self->vector->u8->quantize(x, width, values + row * width, &scales[row]);
}

/* -- Weights ------------------------------------------------------------------------------- */

/* One output's weights [n_in] in 8 bits; returns their sum. */
static int32_t
round_weights(const float *weights, size_t n_in, float *scale, int8_t *out)
{
    float largest = 0;
    int32_t sum = 0;

    for (size_t j = 0; j < n_in; j++)
        largest = fmaxf(largest, fabsf(weights[j]));
    *scale = largest / LEVELS;
    for (size_t j = 0; j < n_in; j++) {
        out[j] = (int8_t)(largest > 0 ? lrintf(weights[j] / *scale) : 0);
        sum += out[j];
    }
    return sum;
}

/* Scales, sums and bias [n_out]. */
static int
quantize_weights(struct linear *linear, const struct linear_source *source, int8_t *weights,
                 struct error *err)
{
    size_t n_in = source->n_in;
    size_t n_out = source->n_out;
    float *scales = calloc(3 * n_out, sizeof(*scales));
    float *sums = scales + n_out;
    float *bias = scales + 2 * n_out;

    if (!scales)
        return error_set(err, ERR_NOMEM, "cannot hold the scales of %zu outputs", n_out);
    linear->block = scales;
    linear->scales = (struct weight_scales){scales, sums, bias};
    for (size_t o = 0; o < n_out; o++) {
        const float *row = source->weights + o * n_in; /* [n_in] */
        int32_t sum = round_weights(row, n_in, &scales[o], weights + o * n_in);

        sums[o] = (float)sum * scales[o];
    }
    (void)memcpy(bias, source->bias, n_out * sizeof(*bias));
    return 0;
}

/* Make room for sums of this width, and for attention of this hidden size. */
static int
grow_workers(struct kernels *self, size_t widest, size_t hidden, struct error *err)
{
    for (size_t i = 0; i < self->sizes.n_workers; i++) {
        struct worker *worker = &self->workers[i];

        if (widest > self->widest) {
            free(worker->sums);
            worker->sums = alloc_aligned(BLOCK_ROWS * widest * sizeof(*worker->sums));
        }
        if (hidden > self->hidden) {
            free(worker->attention_out);
            worker->attention_out = alloc_aligned(self->sizes.max_text * hidden * sizeof(float));
        }
        if (!worker->sums || !worker->attention_out)
            return error_set(err, ERR_NOMEM, "cannot hold a worker's sums of width %zu", widest);
    }
    self->widest = widest > self->widest ? widest : self->widest;
    self->hidden = hidden > self->hidden ? hidden : self->hidden;
    return 0;
}

static int
pack_weights(struct kernels *self, const struct linear_source *source, struct linear *linear,
             struct error *err)
{
    int8_t *weights = calloc(source->n_in * source->n_out, sizeof(*weights));
    const struct product_source product_source = {
        .type = PRODUCT_U8S8,
        .out = PRODUCT_OUT_S32,
        .n_in = source->n_in,
        .n_out = source->n_out,
        .weights = weights,
    };
    int rc;

    if (!weights)
        return error_set(err, ERR_NOMEM, "cannot hold %zu x %zu weights", source->n_out,
                         source->n_in);
    rc = quantize_weights(linear, source, weights, err);
    if (rc == 0)
        rc = products_pack(self->products, &product_source, &linear->product, err);
    free(weights);
    return rc;
}

static int
pack(struct kernels *self, const struct linear_source *source, struct linear **out,
     struct error *err)
{
    struct linear *linear = &self->linears[self->n_linears];
    int rc;

    if (self->n_linears == LINEARS_MAX)
        return error_set(err, ERR_UNSUPPORTED, "more than %d linear layers", LINEARS_MAX);
    *linear = (struct linear){
        .role = source->role,
        .activation = source->activation,
        .n_in = source->n_in,
        .n_out = source->n_out,
    };
    self->n_linears++;
    rc = pack_weights(self, source, linear, err);
    if (rc == 0)
        rc = grow_workers(self, source->n_out, source->n_in, err);
    if (rc == 0)
        *out = linear;
    return rc;
}

/* -- Running ------------------------------------------------------------------------------- */

static int
prepare(struct kernels *self, size_t n_rows, struct error *err)
{
    size_t n_left = n_rows % BLOCK_ROWS;

    if (n_rows == 0 || n_rows > self->sizes.max_rows)
        return error_set(err, ERR_ARGS, "%zu rows: not within 1 and %zu", n_rows,
                         self->sizes.max_rows);
    return n_left == 0 ? 0 : products_prepare(self->products, n_left, err);
}

/* The sums of row block_row of a block to what the linear's reader wants, in row row of y. */
static void
finish_row(const struct kernels *self, const struct linear *linear, const struct row_scale *scale,
           int32_t *sums, size_t row, void *y)
{
    size_t n_out = linear->n_out;
    float *in_place = (float *)sums;
    bool is_summed = linear->role == LINEAR_OUT || linear->role == LINEAR_DOWN;
    bool is_f32 = is_summed || (linear->role == LINEAR_QKV && !self->bf16);
    float *to = is_f32 ? (float *)y + row * n_out : in_place;

    self->vector->u8->dequantize(sums, n_out, scale, &linear->scales, linear->activation, to);
    if (is_f32)
        return;
    if (linear->role == LINEAR_UP)
        store_row(self, in_place, n_out, row, y);
    else
        self->bf16->convert(in_place, n_out, (uint16_t *)y + row * n_out);
}

static int
apply(struct kernels *self, size_t worker, const struct linear *linear, const void *x,
      size_t n_rows, void *y, struct error *err)
{
    const struct row_scale *scales = x;
    const uint8_t *values = (const uint8_t *)x + header_bytes(self); /* [max_rows, n_in] */
    int32_t *sums = self->workers[worker].sums;                      /* [BLOCK_ROWS, n_out] */

    for (size_t row = 0; row < n_rows; row += BLOCK_ROWS) {
        size_t n = n_rows - row < BLOCK_ROWS ? n_rows - row : BLOCK_ROWS;
        int rc = products_apply(self->products, worker, linear->product,
                                values + row * linear->n_in, n, sums, err);

        if (rc < 0)
            return rc;
        for (size_t i = 0; i < n; i++)
            finish_row(self, linear, &scales[row + i], sums + i * linear->n_out, row + i, y);
    }
    return 0;
}

static void
attend(struct kernels *self, size_t worker, const struct attention_args *args)
{
    float *rows = self->workers[worker].attention_out; /* [S, H] */
    size_t hidden = args->n_heads * args->head_size;
    struct attention_args own = *args;

    if (self->bf16) {
        self->bf16->attend(args, self->sizes.max_text, self->workers[worker].attention, rows);
    } else {
        own.out = rows;
        own.first_row = 0;
        self->vector->attend(&own, self->sizes.max_text, self->workers[worker].attention);
    }
    for (size_t i = 0; i < args->n_tokens; i++)
        store_row(self, rows + i * hidden, hidden, args->first_row + i, args->out);
}

static void
norm(struct kernels *self, const struct norm_args *args)
{
    for (size_t row = 0; row < args->n_rows; row += NORM_ROWS) {
        size_t n_rows = args->n_rows - row < NORM_ROWS ? args->n_rows - row : NORM_ROWS;
        struct norm_args some = *args;

        some.x = args->x + row * args->hidden;
        some.delta = args->delta ? args->delta + row * args->hidden : NULL;
        some.n_rows = n_rows;
        self->vector->norm(&some);
        for (size_t i = 0; args->reader && i < n_rows; i++)
            store_row(self, some.x + i * args->hidden, args->hidden, row + i, args->out);
    }
}

static void
describe(const struct kernels *self, char *out, size_t n_bytes)
{
    (void)snprintf(out, n_bytes, "oneDNN %s, loops %s, attention %s",
                   products_implementation(self->products), self->vector->name,
                   self->bf16 ? "bf16" : "f32");
}

const struct kernels_ops kernels_int8 = {
    .precision = "int8",
    .row_multiple = PRODUCTS_ROW_MULTIPLE,
    .create = create,
    .free = free_kernels,
    .activation_bytes = activation_bytes,
    .qkv_value_bytes = qkv_value_bytes,
    .pack = pack,
    .prepare = prepare,
    .apply = apply,
    .attend = attend,
    .norm = norm,
    .enter_thread = products_enter_thread,
    .leave_thread = products_leave_thread,
    .describe = describe,
};
