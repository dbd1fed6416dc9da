/* The fast kernels without a library: everything by vector_ops.
 *
 * For CPUs without AVX-512: there oneDNN 2.6 multiplies by a general GEMM whose rows depend on how
 * many there are, and a text's vector must not. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <trawl/attributes.h>

#include "encoder/kernels.h"
#include "encoder/vector_ops.h"

#define ALIGNMENT    64
#define ROW_MULTIPLE 16
#define LINEARS_MAX  1024

struct linear {
    float
        *panels; /* [ceil(n_out / VECTOR_PANEL), n_in, VECTOR_PANEL], then the bias; zero-padded */
    float *bias;
    size_t n_in;
    size_t n_out;
    enum activation_fn activation;
};

struct kernels {
    struct kernels_sizes sizes;
    const struct vector_ops *vector;
    float **attention; /* [n_workers] scratch */
    struct linear linears[LINEARS_MAX];
    size_t n_linears;
};

static float *
alloc_floats(size_t n)
{
    size_t n_bytes = (n * sizeof(float) + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    float *values = aligned_alloc(ALIGNMENT, n_bytes);

    return values ? memset(values, 0, n_bytes) : NULL;
}

static void
free_kernels(struct kernels *self)
{
    if (!self)
        return;
    for (size_t i = 0; i < self->n_linears; i++)
        free(self->linears[i].panels);
    for (size_t i = 0; self->attention && i < self->sizes.n_workers; i++)
        free(self->attention[i]);
    free(self->attention);
    free(self);
}

static int
create(const struct kernels_sizes *sizes, struct kernels **out, struct error *err)
{
    struct kernels *self = calloc(1, sizeof(*self));
    bool is_complete;

    if (!self)
        return error_set(err, ERR_NOMEM, "cannot hold the kernels");
    self->sizes = *sizes;
    self->sizes.max_rows = (sizes->max_rows + ROW_MULTIPLE - 1) / ROW_MULTIPLE * ROW_MULTIPLE;
    self->vector = vector_ops_get();
    self->attention = calloc(sizes->n_workers, sizeof(*self->attention));
    is_complete = self->attention != NULL;
    for (size_t i = 0; is_complete && i < sizes->n_workers; i++) {
        self->attention[i] =
            alloc_floats(self->vector->attend_scratch_floats(sizes->max_text, sizes->head_size));
        is_complete = self->attention[i] != NULL;
    }
    if (!is_complete) {
        free_kernels(self);
        return error_set(err, ERR_NOMEM, "cannot hold %zu workers", sizes->n_workers);
    }
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
    struct linear *linear = &self->linears[self->n_linears];
    size_t n_padded = (source->n_out + VECTOR_PANEL - 1) / VECTOR_PANEL * VECTOR_PANEL;

    if (self->n_linears == LINEARS_MAX)
        return error_set(err, ERR_UNSUPPORTED, "more than %d linear layers", LINEARS_MAX);
    linear->panels = alloc_floats(n_padded * (source->n_in + 1));
    if (!linear->panels)
        return error_set(err, ERR_NOMEM, "cannot hold %zu x %zu weights", source->n_out,
                         source->n_in);
    self->n_linears++;
    linear->bias = linear->panels + n_padded * source->n_in;
    linear->n_in = source->n_in;
    linear->n_out = source->n_out;
    linear->activation = source->activation;
    (void)memcpy(linear->bias, source->bias, source->n_out * sizeof(float));
    for (size_t o = 0; o < source->n_out; o++) {
        const float *row = source->weights + o * source->n_in; /* [n_in] */
        float *column = linear->panels + o / VECTOR_PANEL * VECTOR_PANEL * source->n_in +
                        o % VECTOR_PANEL; /* a panel's column, VECTOR_PANEL apart */

        for (size_t k = 0; k < source->n_in; k++)
            column[k * VECTOR_PANEL] = row[k];
    }
    *out = linear;
    return 0;
}

static int
prepare(struct kernels *self, size_t n_rows, struct error *err)
{
    if (n_rows == 0 || n_rows % ROW_MULTIPLE != 0)
        return error_set(err, ERR_ARGS, "%zu rows: not a multiple of %d", n_rows, ROW_MULTIPLE);
    (void)self;
    return 0;
}

static int
apply(struct kernels *self, size_t worker, const struct linear *linear, const void *x,
      size_t n_rows, void *y, struct error *err)
{
    const struct multiply_args args = {
        .x = x,
        .n_rows = n_rows,
        .n_in = linear->n_in,
        .n_out = linear->n_out,
        .panels = linear->panels,
        .bias = linear->bias,
        .activation = linear->activation,
    };

    (void)worker;
    (void)err;
    self->vector->multiply(&args, y);
    return 0;
}

static void
attend(struct kernels *self, size_t worker, const struct attention_args *args)
{
    self->vector->attend(args, self->sizes.max_text, self->attention[worker]);
}

static void
norm(struct kernels *self, const struct norm_args *args)
{
    self->vector->norm(args);
    if (args->reader && args->out != args->x)
        (void)memcpy(args->out, args->x, args->n_rows * args->hidden * sizeof(float));
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
    (void)snprintf(out, n_bytes, "loops %s", self->vector->name);
}

const struct kernels_ops kernels_loops = {
    .precision = "f32",
    .row_multiple = ROW_MULTIPLE,
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
