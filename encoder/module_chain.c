/* Normalize, Dense and LayerNorm: a few vectors' worth of work per text, so plain loops in double.
 */

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "encoder/config_json.h"
#include "encoder/fingerprint.h"
#include "encoder/pooling.h"
#include "encoder/safetensors.h"

#define ARENA_BYTES    ((size_t)16 << 20)
#define WIDTH_MAX      ((size_t)65536)
#define NORM_MIN       1e-12
#define LAYER_NORM_EPS 1e-5 /* PyTorch's default; the module stores none */

struct module {
    enum module_kind kind;
    size_t n_in;
    size_t n_out;
    float *weights; /* Dense [n_out, n_in]; LayerNorm [n_in] */
    float *bias;    /* [n_out] */
    enum activation_fn activation;
};

struct module_chain {
    struct module modules[MODULES_MAX];
    size_t n_modules;
    size_t width;
    size_t dim;
};

struct loader {
    struct arena arena;
    struct safetensors file; /* the module's that is being loaded */
    struct fingerprint *fingerprint;
};

/* A tensor of the given shape (columns 0: a vector), as f32 on the heap. */
static int
read_tensor(struct loader *loader, struct str name, size_t n_rows, size_t n_columns, float **out,
            struct error *err)
{
    const struct tensor *tensor = safetensors_find(&loader->file, name);
    size_t rank = n_columns ? 2 : 1;
    float *values;

    if (!tensor || tensor->rank != rank || tensor->shape[0] != n_rows ||
        (rank == 2 && tensor->shape[1] != n_columns) || tensor_value_bytes(tensor->type) == 0)
        return error_set(err, ERR_INVALID,
                         "the tensor '%.*s' is missing or not F32, F16 or BF16 "
                         "[%zu, %zu]",
                         STR_ARG(name), n_rows, n_columns);
    if (!fingerprint_add_tensor(loader->fingerprint, tensor))
        return error_set(err, ERR_INVALID, "the tensor '%.*s' holds a value that is not finite",
                         STR_ARG(name));
    values = calloc(tensor->n_values + 1, sizeof(*values));
    if (!values)
        return error_set(err, ERR_NOMEM, "cannot hold the tensor '%.*s'", STR_ARG(name));
    tensor_read_f32(tensor, 0, tensor->n_values, values);
    *out = values;
    return 0;
}

/* {"in_features", "out_features", "bias", "activation_function"} */
static int
load_dense(struct loader *loader, const char *dir, struct module *module, struct error *err)
{
    struct config_json config;
    struct str activation = STR("torch.nn.modules.activation.Tanh");
    bool has_bias = true;
    size_t n_in;
    int rc = config_json_load(dir, "config.json", &loader->arena, &config, err);

    if (rc == 0)
        rc = config_json_size(&config, STR("in_features"), 1, WIDTH_MAX, &n_in, err);
    if (rc == 0)
        rc = config_json_size(&config, STR("out_features"), 1, WIDTH_MAX, &module->n_out, err);
    if (rc == 0)
        rc = config_json_optional_bool(&config.root, config.path, STR("bias"), &has_bias, err);
    if (rc == 0 && json_get(&config.root, STR("activation_function")))
        rc = config_json_str(&config.root, config.path, STR("activation_function"), &activation,
                             err);
    if (rc == 0)
        rc = model_config_find_activation(activation, &module->activation, err);
    if (rc < 0)
        return rc;
    if (n_in != module->n_in)
        return error_set(err, ERR_INVALID, "'%s': in_features is %zu, the vector has %zu",
                         config.path, n_in, module->n_in);
    rc = read_tensor(loader, STR("linear.weight"), module->n_out, n_in, &module->weights, err);
    if (rc == 0 && has_bias)
        rc = read_tensor(loader, STR("linear.bias"), module->n_out, 0, &module->bias, err);
    return rc;
}

static int
load_weights(struct loader *loader, const struct module_config *config, struct module *module,
             struct error *err)
{
    CLEANUP(file_map_close) struct file_map map = {STR_NULL};
    const char *path = arena_printf(&loader->arena, "%s/model.safetensors", config->dir);
    int rc;

    if (!path)
        return error_set(err, ERR_NOMEM, "cannot hold a module's path");
    rc = file_map_open(path, &map, err);
    if (rc == 0)
        rc = safetensors_parse(map.bytes, &loader->arena, &loader->file, err);
    if (rc < 0)
        return error_wrap(err, rc, "'%s'", path);
    if (module->kind == MODULE_DENSE) {
        rc = load_dense(loader, config->dir, module, err);
    } else {
        rc = read_tensor(loader, STR("norm.weight"), module->n_in, 0, &module->weights, err);
        if (rc == 0)
            rc = read_tensor(loader, STR("norm.bias"), module->n_in, 0, &module->bias, err);
    }
    return rc < 0 ? error_wrap(err, rc, "'%s'", path) : 0;
}

int
module_chain_load(const struct model_config *config, struct fingerprint *fingerprint, size_t *dim,
                  struct module_chain **out, struct error *err)
{
    struct loader loader = {.arena = ARENA_INIT(ARENA_BYTES), .fingerprint = fingerprint};
    struct module_chain *self = calloc(1, sizeof(*self));
    int rc = 0;

    if (!self)
        return error_set(err, ERR_NOMEM, "cannot hold the modules");
    self->dim = *dim;
    self->width = *dim;
    for (size_t i = 0; rc == 0 && i < config->n_modules; i++) {
        struct module *module = &self->modules[self->n_modules++];

        module->kind = config->modules[i].kind;
        module->n_in = self->dim;
        module->n_out = self->dim;
        if (module->kind != MODULE_NORMALIZE)
            rc = load_weights(&loader, &config->modules[i], module, err);
        self->dim = module->n_out;
        self->width = self->dim > self->width ? self->dim : self->width;
    }
    arena_fini(&loader.arena);
    if (rc < 0) {
        module_chain_free(self);
        return rc;
    }
    *dim = self->dim;
    *out = self;
    return 0;
}

void
module_chain_free(struct module_chain *self)
{
    if (!self)
        return;
    for (size_t i = 0; i < self->n_modules; i++) {
        free(self->modules[i].weights);
        free(self->modules[i].bias);
    }
    free(self);
}

size_t
module_chain_width(const struct module_chain *self)
{
    return self->width;
}

/* x / max(|x|, 1e-12) */
static void
normalize(const struct module *module, float *x)
{
    double sum = 0;
    double norm;

    for (size_t i = 0; i < module->n_in; i++)
        sum += (double)x[i] * (double)x[i];
    norm = sqrt(sum) > NORM_MIN ? sqrt(sum) : NORM_MIN;
    for (size_t i = 0; i < module->n_in; i++)
        x[i] = (float)((double)x[i] / norm);
}

static void
run_dense(const struct module *module, float *x, float *y)
{
    for (size_t o = 0; o < module->n_out; o++) {
        const float *w = module->weights + o * module->n_in; /* [n_in] */
        double sum = module->bias ? (double)module->bias[o] : 0;

        for (size_t i = 0; i < module->n_in; i++)
            sum += (double)w[i] * (double)x[i];
        y[o] = (float)kernels_activate(module->activation, sum);
    }
    (void)memcpy(x, y, module->n_out * sizeof(*x));
}

static void
run_layer_norm(const struct module *module, float *x)
{
    double n = (double)module->n_in;
    double mean = 0;
    double variance = 0;

    for (size_t i = 0; i < module->n_in; i++)
        mean += (double)x[i] / n;
    for (size_t i = 0; i < module->n_in; i++)
        variance += ((double)x[i] - mean) * ((double)x[i] - mean) / n;
    for (size_t i = 0; i < module->n_in; i++)
        x[i] = (float)(((double)x[i] - mean) / sqrt(variance + LAYER_NORM_EPS) *
                           (double)module->weights[i] +
                       (double)module->bias[i]);
}

void
module_chain_run(const struct module_chain *self, float *vector, float *scratch, float *out)
{
    for (size_t i = 0; i < self->n_modules; i++) {
        const struct module *module = &self->modules[i];

        switch (module->kind) {
        case MODULE_NORMALIZE:
            normalize(module, vector);
            break;
        case MODULE_DENSE:
            run_dense(module, vector, scratch);
            break;
        case MODULE_LAYER_NORM:
            run_layer_norm(module, vector);
            break;
        }
    }
    (void)memcpy(out, vector, self->dim * sizeof(*out));
}
