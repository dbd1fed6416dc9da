/* The fast kernels on AVX-512: linear layers by products.h, attention and LayerNorm by vector_ops;
 * in f32, or with bf16 activations (kernels_bf16).
 *
 * In bf16 everything that a product or the attention reads is bf16; sums, softmax, LayerNorm and
 * the residual stream stay f32. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/products.h"
#include "encoder/vector_ops.h"

#define ALIGNMENT   64
#define NORM_ROWS   ((size_t)16) /* normalized, then converted while they are in cache */
#define LINEARS_MAX 1024

struct linear {
    const struct product *product;
};

struct kernels {
    struct kernels_sizes sizes;
    const struct vector_ops *vector;
    const struct vector_bf16_ops *bf16; /* NULL = f32 */
    struct products *products;
    void **attention; /* [n_workers] scratch */
    struct linear linears[LINEARS_MAX];
    size_t n_linears;
};

static void
free_kernels(struct kernels *self)
{
    if (!self)
        return;
    products_free(self->products);
    for (size_t i = 0; self->attention && i < self->sizes.n_workers; i++)
        free(self->attention[i]);
    free(self->attention);
    free(self);
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
alloc_scratch(struct kernels *self, struct error *err)
{
    size_t n_workers = self->sizes.n_workers;
    size_t n_bytes = (scratch_bytes(self) + ALIGNMENT) / ALIGNMENT * ALIGNMENT;

    self->attention = calloc(n_workers, sizeof(*self->attention));
    for (size_t i = 0; self->attention && i < n_workers; i++) {
        self->attention[i] = aligned_alloc(ALIGNMENT, n_bytes);
        if (!self->attention[i])
            return error_set(err, ERR_NOMEM, "cannot hold %zu bytes of a worker", n_bytes);
    }
    return self->attention ? 0 : error_set(err, ERR_NOMEM, "cannot hold %zu workers", n_workers);
}

static int
create(const struct kernels_sizes *sizes, const struct vector_bf16_ops *bf16, struct kernels **out,
       struct error *err)
{
    struct kernels *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "cannot hold the kernels");
    self->sizes = *sizes;
    self->sizes.max_rows = (sizes->max_rows + PRODUCTS_ROW_MULTIPLE - 1) / PRODUCTS_ROW_MULTIPLE *
                           PRODUCTS_ROW_MULTIPLE;
    self->vector = vector_ops_get();
    self->bf16 = bf16;
    rc = alloc_scratch(self, err);
    if (rc == 0)
        rc = products_create(sizes->n_workers, sizes->max_rows, &self->products, err);
    if (rc < 0) {
        free_kernels(self);
        return rc;
    }
    *out = self;
    return 0;
}

static int
create_f32(const struct kernels_sizes *sizes, struct kernels **out, struct error *err)
{
    return create(sizes, NULL, out, err);
}

static int
create_bf16(const struct kernels_sizes *sizes, struct kernels **out, struct error *err)
{
    const struct vector_ops *vector = vector_ops_get();

    if (!vector->bf16)
        return error_set(err, ERR_UNSUPPORTED, "bf16 needs a CPU with AVX512_BF16");
    if (sizes->head_size % 2 != 0)
        return error_set(err, ERR_UNSUPPORTED, "bf16 works on pairs, and heads of %zu are odd",
                         sizes->head_size);
    return create(sizes, vector->bf16, out, err);
}

static size_t
value_bytes(const struct kernels *self)
{
    return self->bf16 ? sizeof(uint16_t) : sizeof(float);
}

static size_t
activation_bytes(const struct kernels *self, size_t width)
{
    return self->sizes.max_rows * width * value_bytes(self);
}

static int
pack(struct kernels *self, const struct linear_source *source, struct linear **out,
     struct error *err)
{
    bool is_summed = source->role == LINEAR_OUT || source->role == LINEAR_DOWN;
    const struct product_source product_source = {
        .type = self->bf16 ? PRODUCT_BF16 : PRODUCT_F32,
        .out = self->bf16 && !is_summed ? PRODUCT_OUT_BF16 : PRODUCT_OUT_F32,
        .n_in = source->n_in,
        .n_out = source->n_out,
        .weights = source->weights,
        .bias = source->bias,
        .activation = source->activation,
    };
    struct linear *linear = &self->linears[self->n_linears];
    struct product *product;
    int rc;

    if (self->n_linears == LINEARS_MAX)
        return error_set(err, ERR_UNSUPPORTED, "more than %d linear layers", LINEARS_MAX);
    rc = products_pack(self->products, &product_source, &product, err);
    if (rc < 0)
        return rc;
    self->n_linears++;
    linear->product = product;
    *out = linear;
    return 0;
}

static int
prepare(struct kernels *self, size_t n_rows, struct error *err)
{
    return products_prepare(self->products, n_rows, err);
}

static int
apply(struct kernels *self, size_t worker, const struct linear *linear, const void *x,
      size_t n_rows, void *y, struct error *err)
{
    return products_apply(self->products, worker, linear->product, x, n_rows, y, err);
}

static void
attend(struct kernels *self, size_t worker, const struct attention_args *args)
{
    if (self->bf16)
        self->bf16->attend(args, self->sizes.max_text, self->attention[worker], NULL);
    else
        self->vector->attend(args, self->sizes.max_text, self->attention[worker]);
}

static void
norm_bf16(struct kernels *self, const struct norm_args *args)
{
    for (size_t row = 0; row < args->n_rows; row += NORM_ROWS) {
        size_t n_rows = args->n_rows - row < NORM_ROWS ? args->n_rows - row : NORM_ROWS;
        size_t at = row * args->hidden;
        struct norm_args some = *args;

        some.x = args->x + at;
        some.delta = args->delta ? args->delta + at : NULL;
        some.n_rows = n_rows;
        self->vector->norm(&some);
        if (args->reader)
            self->bf16->convert(some.x, n_rows * args->hidden, (uint16_t *)args->out + at);
    }
}

static void
norm(struct kernels *self, const struct norm_args *args)
{
    if (self->bf16) {
        norm_bf16(self, args);
        return;
    }
    self->vector->norm(args);
    if (args->reader && args->out != args->x)
        (void)memcpy(args->out, args->x, args->n_rows * args->hidden * sizeof(float));
}

static void
describe(const struct kernels *self, char *out, size_t n_bytes)
{
    (void)snprintf(out, n_bytes, "oneDNN %s, loops %s", products_implementation(self->products),
                   self->vector->name);
}

const struct kernels_ops *
kernels_find(enum encoder_precision precision)
{
    enum cpu_level level = products_level();

    switch (precision) {
    case ENCODER_PRECISION_F32:
        return level >= CPU_LEVEL_AVX512 ? &kernels_f32 : &kernels_loops;
    case ENCODER_PRECISION_BF16:
        return level >= CPU_LEVEL_BF16 ? &kernels_bf16 : NULL;
    case ENCODER_PRECISION_INT8:
        return level >= CPU_LEVEL_VNNI ? &kernels_int8 : NULL;
    case ENCODER_PRECISION_AUTO:
        break;
    }
    return NULL;
}

const struct kernels_ops kernels_f32 = {
    .precision = "f32",
    .row_multiple = PRODUCTS_ROW_MULTIPLE,
    .reads_x = true,
    .create = create_f32,
    .free = free_kernels,
    .activation_bytes = activation_bytes,
    .qkv_value_bytes = value_bytes,
    .pack = pack,
    .prepare = prepare,
    .apply = apply,
    .attend = attend,
    .norm = norm,
    .enter_thread = products_enter_thread,
    .leave_thread = products_leave_thread,
    .describe = describe,
};

const struct kernels_ops kernels_bf16 = {
    .precision = "bf16",
    .row_multiple = PRODUCTS_ROW_MULTIPLE,
    .create = create_bf16,
    .free = free_kernels,
    .activation_bytes = activation_bytes,
    .qkv_value_bytes = value_bytes,
    .pack = pack,
    .prepare = prepare,
    .apply = apply,
    .attend = attend,
    .norm = norm,
    .enter_thread = products_enter_thread,
    .leave_thread = products_leave_thread,
    .describe = describe,
};
