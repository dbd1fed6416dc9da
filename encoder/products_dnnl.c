/* Matrix products on oneDNN 2.6, with bias and activation fused.
 *
 * A "shape" is what a primitive depends on besides the number of rows; all layers share its
 * primitives, one per number of rows that was asked for.  Weights are packed once: the blocked
 * layout that oneDNN chooses for the largest number of rows is then demanded for all others, and
 * brgemm's rows do not depend on their number.
 *
 * Each worker runs single-threaded (products_enter_thread): parallelism is one micro-batch per
 * worker, without OpenMP teams and their barriers.  libgomp keeps the setting per thread. */

#include "encoder/products.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/onednn.h"

#define ALIGNMENT    64
#define ROW_MULTIPLE PRODUCTS_ROW_MULTIPLE
#define SHAPES_MAX   16
#define PRODUCTS_MAX 1024

/* A shape made ready for one number of rows. */
struct ready {
    dnnl_primitive_t primitive;
    dnnl_memory_t *buffers; /* [n_workers, 3]: source, destination, scratchpad */
};

struct shape {
    enum product_type type;
    enum product_out out;
    size_t n_in;
    size_t n_out;
    bool has_bias;
    enum activation_fn activation;
    dnnl_memory_desc_t weights; /* packed; format any until the first primitive chose */
    struct ready *ready;        /* [max_rows / ROW_MULTIPLE], by rows */
};

struct product {
    struct shape *shape;
    dnnl_memory_t weights;
    dnnl_memory_t bias; /* NULL = none */
    void *weights_bytes;
    void *bias_bytes;
};

struct products {
    size_t n_workers;
    size_t max_rows;
    dnnl_engine_t engine;
    dnnl_stream_t *streams; /* [n_workers] */
    void **scratchpads;     /* [n_workers], scratchpad_bytes each */
    size_t scratchpad_bytes;
    struct shape shapes[SHAPES_MAX];
    size_t n_shapes;
    struct product products[PRODUCTS_MAX];
    size_t n_products;
    char implementation[64]; /* oneDNN's name of what multiplies */
};

static int
fail_dnnl(struct error *err, dnnl_status_t status, const char *what)
{
    return error_set(err, status == dnnl_out_of_memory ? ERR_NOMEM : ERR_IO, "oneDNN cannot %s: %s",
                     what, onednn->status2str(status));
}

static void *
alloc_aligned(size_t n_bytes)
{
    return aligned_alloc(ALIGNMENT, (n_bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT);
}

/* -- Life ---------------------------------------------------------------------------------- */

enum cpu_level
products_level(void)
{
    static const struct {
        unsigned isa;
        enum cpu_level level;
    } known[] = {
        {dnnl_cpu_isa_avx512_core_bf16, CPU_LEVEL_BF16},
        {dnnl_cpu_isa_avx512_core_vnni, CPU_LEVEL_VNNI},
        {dnnl_cpu_isa_avx512_core, CPU_LEVEL_AVX512},
        {dnnl_cpu_isa_avx2, CPU_LEVEL_AVX2},
    };
    enum cpu_level ceiling = cpu_level();
    unsigned isa;

    if (onednn_load(NULL) < 0)
        return CPU_LEVEL_BASELINE; /* products_create says why it cannot be used */
    isa = (unsigned)onednn->get_effective_cpu_isa();

    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if ((isa & known[i].isa) == known[i].isa)
            return known[i].level < ceiling ? known[i].level : ceiling;
    }
    return CPU_LEVEL_BASELINE;
}

static void
free_ready(struct ready *ready, size_t n_workers)
{
    for (size_t i = 0; ready->buffers && i < n_workers * 3; i++)
        (void)onednn->memory_destroy(ready->buffers[i]);
    free(ready->buffers);
    (void)onednn->primitive_destroy(ready->primitive);
    *ready = (struct ready){0};
}

static void
free_shape(const struct products *self, struct shape *shape)
{
    for (size_t i = 0; shape->ready && i < self->max_rows / ROW_MULTIPLE; i++)
        free_ready(&shape->ready[i], self->n_workers);
    free(shape->ready);
}

void
products_free(struct products *self)
{
    if (!self)
        return;
    for (size_t i = 0; i < self->n_products; i++) {
        (void)onednn->memory_destroy(self->products[i].weights);
        (void)onednn->memory_destroy(self->products[i].bias);
        free(self->products[i].weights_bytes);
        free(self->products[i].bias_bytes);
    }
    for (size_t i = 0; i < self->n_shapes; i++)
        free_shape(self, &self->shapes[i]);
    for (size_t i = 0; i < self->n_workers; i++) {
        if (self->streams)
            (void)onednn->stream_destroy(self->streams[i]);
        if (self->scratchpads)
            free(self->scratchpads[i]);
    }
    free(self->streams);
    free(self->scratchpads);
    (void)onednn->engine_destroy(self->engine);
    free(self);
}

static int
create_workers(struct products *self, struct error *err)
{
    dnnl_status_t status = dnnl_success;

    self->streams = calloc(self->n_workers, sizeof(*self->streams));
    self->scratchpads = calloc(self->n_workers, sizeof(*self->scratchpads));
    if (!self->streams || !self->scratchpads)
        return error_set(err, ERR_NOMEM, "cannot hold %zu workers", self->n_workers);
    for (size_t i = 0; status == dnnl_success && i < self->n_workers; i++)
        status = onednn->stream_create(&self->streams[i], self->engine, dnnl_stream_default_flags);
    return status == dnnl_success ? 0 : fail_dnnl(err, status, "start a worker");
}

int
products_create(size_t n_workers, size_t max_rows, struct products **out, struct error *err)
{
    struct products *self;
    dnnl_status_t status;
    int rc = onednn_load(err);

    if (rc < 0)
        return rc;
    self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(err, ERR_NOMEM, "cannot hold the matrix products");
    self->n_workers = n_workers;
    self->max_rows = (max_rows + ROW_MULTIPLE - 1) / ROW_MULTIPLE * ROW_MULTIPLE;
    status = onednn->engine_create(&self->engine, dnnl_cpu, 0);
    rc =
        status == dnnl_success ? create_workers(self, err) : fail_dnnl(err, status, "open the CPU");
    if (rc < 0) {
        products_free(self);
        return rc;
    }
    *out = self;
    return 0;
}

/* -- Primitives ---------------------------------------------------------------------------- */

static dnnl_alg_kind_t
eltwise_of(enum activation_fn fn)
{
    switch (fn) {
    case ACTIVATION_GELU_ERF:
        return dnnl_eltwise_gelu_erf;
    case ACTIVATION_GELU_TANH:
        return dnnl_eltwise_gelu_tanh;
    case ACTIVATION_RELU:
        return dnnl_eltwise_relu;
    case ACTIVATION_TANH:
        return dnnl_eltwise_tanh;
    case ACTIVATION_NONE:
        break;
    }
    return dnnl_alg_kind_undef;
}

/* Scratchpad from us, activation fused. */
static dnnl_status_t
create_attributes(enum activation_fn fn, dnnl_primitive_attr_t *out)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t post_ops = NULL;
    dnnl_status_t status = onednn->primitive_attr_create(&attributes);

    if (status == dnnl_success)
        status = onednn->primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success && fn != ACTIVATION_NONE) {
        status = onednn->post_ops_create(&post_ops);
        if (status == dnnl_success)
            status = onednn->post_ops_append_eltwise(post_ops, 1.0f, eltwise_of(fn), 0, 0);
        if (status == dnnl_success)
            status = onednn->primitive_attr_set_post_ops(attributes, post_ops);
        (void)onednn->post_ops_destroy(post_ops);
    }
    if (status != dnnl_success) {
        (void)onednn->primitive_attr_destroy(attributes);
        return status;
    }
    *out = attributes;
    return dnnl_success;
}

/* given: what the caller's weights are before they are packed. */
static const struct {
    dnnl_data_type_t source;
    dnnl_data_type_t weights;
    dnnl_data_type_t given;
} types[] = {
    [PRODUCT_F32] = {dnnl_f32, dnnl_f32, dnnl_f32},
    [PRODUCT_BF16] = {dnnl_bf16, dnnl_bf16, dnnl_f32},
    [PRODUCT_U8S8] = {dnnl_u8, dnnl_s8, dnnl_s8},
};

static const dnnl_data_type_t out_types[] = {
    [PRODUCT_OUT_F32] = dnnl_f32, [PRODUCT_OUT_BF16] = dnnl_bf16, [PRODUCT_OUT_S32] = dnnl_s32};

static dnnl_memory_desc_t
describe_matrix(size_t n_rows, size_t n_columns, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    dnnl_dims_t dims = {(dnnl_dim_t)n_rows, (dnnl_dim_t)n_columns};
    dnnl_memory_desc_t md = {0};
    dnnl_status_t status = onednn->memory_desc_init_by_tag(&md, 2, dims, type, tag);

    (void)status; /* fails for a rank or a tag that does not exist */
    return md;
}

/* [n_rows, n_in] x [n_in, n_out] + [1, n_out], activated. */
static dnnl_status_t
create_matmul(const struct products *self, const struct shape *shape, size_t n_rows,
              dnnl_primitive_desc_t *out)
{
    dnnl_memory_desc_t source =
        describe_matrix(n_rows, shape->n_in, types[shape->type].source, dnnl_ab);
    dnnl_memory_desc_t bias = describe_matrix(1, shape->n_out, dnnl_f32, dnnl_ab);
    dnnl_memory_desc_t destination =
        describe_matrix(n_rows, shape->n_out, out_types[shape->out], dnnl_ab);
    dnnl_primitive_attr_t attributes;
    dnnl_matmul_desc_t matmul;
    dnnl_status_t status = onednn->matmul_desc_init(&matmul, &source, &shape->weights,
                                                    shape->has_bias ? &bias : NULL, &destination);

    if (status == dnnl_success)
        status = create_attributes(shape->activation, &attributes);
    if (status != dnnl_success)
        return status;
    status = onednn->primitive_desc_create(out, &matmul, attributes, self->engine, NULL);
    (void)onednn->primitive_attr_destroy(attributes);
    return status;
}

/* The workers' views of their source, destination and scratchpad; storage comes with each call. */
static dnnl_status_t
create_buffers(const struct products *self, const struct shape *shape, size_t n_rows,
               const dnnl_memory_desc_t *scratchpad, struct ready *ready)
{
    dnnl_memory_desc_t source =
        describe_matrix(n_rows, shape->n_in, types[shape->type].source, dnnl_ab);
    dnnl_memory_desc_t destination =
        describe_matrix(n_rows, shape->n_out, out_types[shape->out], dnnl_ab);
    const dnnl_memory_desc_t *mds[3] = {&source, &destination, scratchpad};
    dnnl_status_t status = dnnl_success;

    ready->buffers = calloc(self->n_workers * 3, sizeof(*ready->buffers));
    if (!ready->buffers)
        return dnnl_out_of_memory;
    for (size_t i = 0; status == dnnl_success && i < self->n_workers * 3; i++)
        status =
            onednn->memory_create(&ready->buffers[i], mds[i % 3], self->engine, DNNL_MEMORY_NONE);
    return status;
}

static dnnl_status_t
grow_scratchpads(struct products *self, size_t n_bytes)
{
    if (n_bytes <= self->scratchpad_bytes)
        return dnnl_success;
    for (size_t i = 0; i < self->n_workers; i++) {
        void *bytes = alloc_aligned(n_bytes);

        if (!bytes)
            return dnnl_out_of_memory;
        free(self->scratchpads[i]);
        self->scratchpads[i] = bytes;
    }
    self->scratchpad_bytes = n_bytes;
    return dnnl_success;
}

static dnnl_status_t
fill_ready(struct products *self, struct shape *shape, size_t n_rows, dnnl_primitive_desc_t pd,
           struct ready *ready)
{
    const dnnl_memory_desc_t *scratchpad =
        onednn->primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    dnnl_status_t status = grow_scratchpads(self, onednn->memory_desc_get_size(scratchpad));

    if (status == dnnl_success)
        status = create_buffers(self, shape, n_rows, scratchpad, ready);
    if (status == dnnl_success)
        status = onednn->primitive_create(&ready->primitive, pd);
    if (status == dnnl_success && shape->weights.format_kind == dnnl_format_kind_any)
        shape->weights = *onednn->primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    return status;
}

static int
prepare_shape(struct products *self, struct shape *shape, size_t n_rows, struct error *err)
{
    struct ready *ready = &shape->ready[n_rows / ROW_MULTIPLE - 1];
    dnnl_primitive_desc_t pd;
    dnnl_status_t status;

    if (ready->primitive)
        return 0;
    status = create_matmul(self, shape, n_rows, &pd);
    if (status == dnnl_success) {
        const char *name = "unknown";

        (void)onednn->primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
        (void)snprintf(self->implementation, sizeof(self->implementation), "%s", name);
        status = fill_ready(self, shape, n_rows, pd, ready);
        (void)onednn->primitive_desc_destroy(pd);
    }
    if (status == dnnl_success && strncmp(self->implementation, "brg", 3) != 0)
        return error_set(err, ERR_UNSUPPORTED,
                         "oneDNN multiplies by '%s', not by its brgemm, whose "
                         "rows do not depend on each other",
                         self->implementation);
    if (status == dnnl_success)
        return 0;
    free_ready(ready, self->n_workers);
    return fail_dnnl(err, status, "prepare a matrix product");
}

int
products_prepare(struct products *self, size_t n_rows, struct error *err)
{
    int rc = 0;

    if (n_rows == 0 || n_rows % ROW_MULTIPLE != 0 || n_rows > self->max_rows)
        return error_set(err, ERR_ARGS, "%zu rows: not a multiple of %zu up to %zu", n_rows,
                         ROW_MULTIPLE, self->max_rows);
    for (size_t i = 0; rc == 0 && i < self->n_shapes; i++)
        rc = prepare_shape(self, &self->shapes[i], n_rows, err);
    return rc;
}

/* -- Weights ------------------------------------------------------------------------------- */

static bool
is_shape_of(const struct shape *shape, const struct product_source *source)
{
    return shape->type == source->type && shape->out == source->out &&
           shape->n_in == source->n_in && shape->n_out == source->n_out &&
           shape->has_bias == (source->bias != NULL) && shape->activation == source->activation;
}

/* The shape of a source, made ready for the largest number of rows when it is new. */
static int
find_shape(struct products *self, const struct product_source *source, struct shape **out,
           struct error *err)
{
    struct shape *shape = self->shapes;
    int rc;

    for (; shape < self->shapes + self->n_shapes; shape++) {
        if (is_shape_of(shape, source)) {
            *out = shape;
            return 0;
        }
    }
    if (self->n_shapes == SHAPES_MAX)
        return error_set(err, ERR_UNSUPPORTED, "more than %d shapes of matrix products",
                         SHAPES_MAX);
    *shape = (struct shape){
        .type = source->type,
        .out = source->out,
        .n_in = source->n_in,
        .n_out = source->n_out,
        .has_bias = source->bias != NULL,
        .activation = source->activation,
        .weights = describe_matrix(source->n_in, source->n_out, types[source->type].weights,
                                   dnnl_format_tag_any),
        .ready = calloc(self->max_rows / ROW_MULTIPLE, sizeof(*shape->ready)),
    };
    if (!shape->ready)
        return error_set(err, ERR_NOMEM, "cannot hold a shape's primitives");
    self->n_shapes++;
    rc = prepare_shape(self, shape, self->max_rows, err);
    if (rc == 0)
        *out = shape;
    return rc;
}

/* PyTorch's [n_out, n_in] is the transposed product's matrix: tag ba. */
static dnnl_status_t
reorder_weights(struct products *self, const struct product_source *source, struct product *product)
{
    dnnl_memory_desc_t plain =
        describe_matrix(source->n_in, source->n_out, types[source->type].given, dnnl_ba);
    void *handle = (void *)(uintptr_t)source->weights; /* only read */
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_memory_t from = NULL;
    dnnl_status_t status = onednn->reorder_primitive_desc_create(
        &pd, &plain, self->engine, &product->shape->weights, self->engine, NULL);

    if (status == dnnl_success)
        status = onednn->primitive_create(&reorder, pd);
    if (status == dnnl_success)
        status = onednn->memory_create(&from, &plain, self->engine, handle);
    if (status == dnnl_success) {
        dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, product->weights}};

        status = onednn->primitive_execute(reorder, self->streams[0], COUNT_OF(args), args);
    }
    (void)onednn->memory_destroy(from);
    (void)onednn->primitive_destroy(reorder);
    (void)onednn->primitive_desc_destroy(pd);
    return status;
}

int
products_pack(struct products *self, const struct product_source *source, struct product **out,
              struct error *err)
{
    struct product *product = &self->products[self->n_products];
    dnnl_memory_desc_t bias = describe_matrix(1, source->n_out, dnnl_f32, dnnl_ab);
    dnnl_status_t status;
    int rc;

    if (self->n_products == PRODUCTS_MAX)
        return error_set(err, ERR_UNSUPPORTED, "more than %d matrix products", PRODUCTS_MAX);
    rc = find_shape(self, source, &product->shape, err);
    if (rc < 0)
        return rc;
    self->n_products++;
    product->weights_bytes = alloc_aligned(onednn->memory_desc_get_size(&product->shape->weights));
    product->bias_bytes = alloc_aligned(source->n_out * sizeof(float));
    if (!product->weights_bytes || !product->bias_bytes)
        return error_set(err, ERR_NOMEM, "cannot hold %zu x %zu weights", source->n_out,
                         source->n_in);
    status = onednn->memory_create(&product->weights, &product->shape->weights, self->engine,
                                   product->weights_bytes);
    if (status == dnnl_success && source->bias) {
        (void)memcpy(product->bias_bytes, source->bias, source->n_out * sizeof(float));
        status = onednn->memory_create(&product->bias, &bias, self->engine, product->bias_bytes);
    }
    if (status == dnnl_success)
        status = reorder_weights(self, source, product);
    if (status != dnnl_success)
        return fail_dnnl(err, status, "pack weights");
    *out = product;
    return 0;
}

/* -- Running ------------------------------------------------------------------------------- */

int
products_apply(struct products *self, size_t worker, const struct product *product, const void *x,
               size_t n_rows, void *y, struct error *err)
{
    const struct ready *ready = &product->shape->ready[n_rows / ROW_MULTIPLE - 1];
    dnnl_memory_t *buffers = ready->buffers + worker * 3;
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, buffers[0]},     {DNNL_ARG_WEIGHTS, product->weights},
        {DNNL_ARG_DST, buffers[1]},     {DNNL_ARG_SCRATCHPAD, buffers[2]},
        {DNNL_ARG_BIAS, product->bias}, /* last: may be left out */
    };
    int n_args = product->bias ? COUNT_OF(args) : COUNT_OF(args) - 1;
    dnnl_status_t status = onednn->memory_set_data_handle(buffers[0], (void *)(uintptr_t)x);

    if (status == dnnl_success)
        status = onednn->memory_set_data_handle(buffers[1], y);
    if (status == dnnl_success)
        status = onednn->memory_set_data_handle(buffers[2], self->scratchpads[worker]);
    if (status == dnnl_success)
        status = onednn->primitive_execute(ready->primitive, self->streams[worker], n_args, args);
    return status == dnnl_success ? 0 : fail_dnnl(err, status, "multiply matrices");
}

int
products_enter_thread(void)
{
    int previous = onednn->omp_get_max_threads();

    onednn->omp_set_num_threads(1);
    return previous;
}

void
products_leave_thread(int previous)
{
    onednn->omp_set_num_threads(previous);
}

const char *
products_implementation(const struct products *self)
{
    return self->implementation;
}
