/* Loading order is also the fingerprint's order, so it must not change: embeddings, then layer by
 * layer.  One block holds all small arrays, sized before anything is read; matrices go through a
 * temporary copy only where they are joined, scaled or not f32. */

#include "encoder/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ARENA_BYTES      ((size_t)64 << 20)
#define NAME_BYTES       160
#define BUCKET_DISTANCES 128 /* from here on all distances share a bucket */

/* Names below the prefix; %zu is the layer. */
/* clang-format off */
struct tensor_names {
    const char *prefix; /* optional in files */
    const char *query, *key, *value, *attention_out, *attention_norm;
};

static const struct tensor_names names_of[] = {
    [MODEL_BERT] = {
        "bert.", "attention.self.query", "attention.self.key", "attention.self.value",
        "attention.output.dense", "attention.output.LayerNorm",
    },
    [MODEL_MPNET] = {
        "mpnet.", "attention.attn.q", "attention.attn.k", "attention.attn.v",
        "attention.attn.o", "attention.LayerNorm",
    },
};
/* clang-format on */

struct loader {
    struct model *model;
    const struct tensor_names *names;
    struct safetensors file;
    const char *prefix; /* the file's: names->prefix or "" */
    struct fingerprint *fingerprint;
    float *next;    /* free part of the model's block */
    float *weights; /* temporary, for the largest matrix */
    float *bias;
    struct error *err;
};

/* -- Single tensors ------------------------------------------------------------------------ */

static const struct tensor *
find_tensor(const struct loader *loader, const char *name, const char *suffix)
{
    char full[NAME_BYTES];
    int n = snprintf(full, sizeof(full), "%s%s%s", loader->prefix, name, suffix);

    return safetensors_find(&loader->file, (struct str){full, (size_t)n});
}

/* As above; .gamma and .beta are older names of a LayerNorm's .weight and .bias. */
static const struct tensor *
find_renamed(const struct loader *loader, const char *name, const char *suffix, const char *older)
{
    const struct tensor *tensor = find_tensor(loader, name, suffix);

    return tensor || !older ? tensor : find_tensor(loader, name, older);
}

/* Check type, shape and values, and count the tensor into the fingerprint. */
static int
admit_tensor(struct loader *loader, const struct tensor *tensor, const char *name,
             const char *suffix, size_t n_rows, size_t n_columns)
{
    size_t rank = n_columns ? 2 : 1;
    const char *type;

    if (!tensor)
        return error_set(loader->err, ERR_INVALID, "the tensor '%s%s%s' is missing", loader->prefix,
                         name, suffix);
    if (tensor->rank != rank || tensor->shape[0] != n_rows ||
        (rank == 2 && tensor->shape[1] != n_columns))
        return error_set(loader->err, ERR_INVALID,
                         "the tensor '%.*s' has not the shape that "
                         "config.json asks for: [%zu, %zu]",
                         STR_ARG(tensor->name), n_rows, n_columns);
    if (tensor_value_bytes(tensor->type) == 0)
        return error_set(loader->err, ERR_UNSUPPORTED,
                         "the tensor '%.*s' is of type %.*s; "
                         "supported are F32, F16 and BF16",
                         STR_ARG(tensor->name), STR_ARG(tensor->type_name));
    if (!fingerprint_add_tensor(loader->fingerprint, tensor))
        return error_set(loader->err, ERR_INVALID,
                         "the tensor '%.*s' holds a value that is not "
                         "finite",
                         STR_ARG(tensor->name));
    type = tensor->type == TENSOR_F32 ? "F32" : tensor->type == TENSOR_F16 ? "F16" : "BF16";
    if (loader->model->weights_type && strcmp(loader->model->weights_type, type) != 0)
        type = "mixed";
    loader->model->weights_type = type;
    loader->model->n_parameters += tensor->n_values;
    return 0;
}

/* A whole tensor into the model's block. */
static int
load_array(struct loader *loader, const char *name, const char *suffix, const char *older,
           size_t n_rows, size_t n_columns, float **out)
{
    const struct tensor *tensor = find_renamed(loader, name, suffix, older);
    int rc = admit_tensor(loader, tensor, name, suffix, n_rows, n_columns);

    if (rc < 0)
        return rc;
    *out = loader->next;
    loader->next += tensor->n_values;
    tensor_read_f32(tensor, 0, tensor->n_values, *out);
    return 0;
}

static int
load_norm(struct loader *loader, const char *name, struct layer_norm *out)
{
    size_t hidden = loader->model->config.hidden;
    float *gamma = NULL;
    float *beta = NULL;
    int rc = load_array(loader, name, ".weight", ".gamma", hidden, 0, &gamma);

    if (rc == 0)
        rc = load_array(loader, name, ".bias", ".beta", hidden, 0, &beta);
    *out = (struct layer_norm){gamma, beta};
    return rc;
}

/* -- Linear layers ------------------------------------------------------------------------- */

/* Read a layer's matrix and bias behind the n_before rows that are already in the temporaries. */
static int
read_linear(struct loader *loader, const char *name, size_t n_before, size_t n_out, size_t n_in,
            float scale)
{
    const struct tensor *weight = find_tensor(loader, name, ".weight");
    const struct tensor *bias = find_tensor(loader, name, ".bias");
    float *rows = loader->weights + n_before * n_in; /* [n_out, n_in] */
    int rc = admit_tensor(loader, weight, name, ".weight", n_out, n_in);

    if (rc == 0)
        rc = admit_tensor(loader, bias, name, ".bias", n_out, 0);
    if (rc < 0)
        return rc;
    tensor_read_f32(weight, 0, weight->n_values, rows);
    tensor_read_f32(bias, 0, n_out, loader->bias + n_before);
    if (scale < 1.0f) {
        for (size_t i = 0; i < weight->n_values; i++)
            rows[i] *= scale;
        for (size_t i = 0; i < n_out; i++)
            loader->bias[n_before + i] *= scale;
    }
    return 0;
}

/* kind  activation and role */
static int
pack_linear(struct loader *loader, size_t n_out, size_t n_in, const struct linear_source *kind,
            struct linear **out)
{
    const struct linear_source source = {
        .weights = loader->weights,
        .bias = loader->bias,
        .n_in = n_in,
        .n_out = n_out,
        .activation = kind->activation,
        .role = kind->role,
    };

    return loader->model->ops->pack(loader->model->kernels, &source, out, loader->err);
}

static int
load_linear(struct loader *loader, const char *name, size_t n_out, size_t n_in,
            const struct linear_source *kind, struct linear **out)
{
    int rc = read_linear(loader, name, 0, n_out, n_in, 1.0f);

    return rc < 0 ? rc : pack_linear(loader, n_out, n_in, kind, out);
}

/* -- Layers -------------------------------------------------------------------------------- */

/* "encoder.layer.<i>.<part>", NUL-terminated. */
static const char *
layer_name(char out[NAME_BYTES], size_t layer, const char *part)
{
    (void)snprintf(out, NAME_BYTES, "encoder.layer.%zu.%s", layer, part);
    return out;
}

static int
load_qkv(struct loader *loader, size_t idx, struct layer *layer)
{
    const struct model_config *config = &loader->model->config;
    const struct linear_source kind = {.role = LINEAR_QKV};
    const char *parts[] = {loader->names->query, loader->names->key, loader->names->value};
    size_t hidden = config->hidden;
    float scale = 1.0f / sqrtf((float)(hidden / config->n_heads));
    char name[NAME_BYTES];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < COUNT_OF(parts); i++)
        rc = read_linear(loader, layer_name(name, idx, parts[i]), i * hidden, hidden, hidden,
                         i == 0 ? scale : 1.0f);
    return rc < 0 ? rc : pack_linear(loader, 3 * hidden, hidden, &kind, &layer->qkv);
}

static int
load_layer(struct loader *loader, size_t idx, struct layer *layer)
{
    const struct model_config *config = &loader->model->config;
    const struct tensor_names *names = loader->names;
    size_t hidden = config->hidden;
    const struct linear_source out = {.role = LINEAR_OUT};
    const struct linear_source up = {.role = LINEAR_UP, .activation = config->activation};
    const struct linear_source down = {.role = LINEAR_DOWN};
    char name[NAME_BYTES];
    int rc = load_qkv(loader, idx, layer);

    if (rc == 0)
        rc = load_linear(loader, layer_name(name, idx, names->attention_out), hidden, hidden, &out,
                         &layer->out);
    if (rc == 0)
        rc =
            load_norm(loader, layer_name(name, idx, names->attention_norm), &layer->attention_norm);
    if (rc == 0)
        rc = load_linear(loader, layer_name(name, idx, "intermediate.dense"), config->inner, hidden,
                         &up, &layer->up);
    if (rc == 0)
        rc = load_linear(loader, layer_name(name, idx, "output.dense"), hidden, config->inner,
                         &down, &layer->down);
    if (rc == 0)
        rc = load_norm(loader, layer_name(name, idx, "output.LayerNorm"), &layer->output_norm);
    return rc;
}

/* -- Embeddings ---------------------------------------------------------------------------- */

static int
load_embeddings(struct loader *loader)
{
    struct model *model = loader->model;
    const struct model_config *config = &model->config;
    const char *words = "embeddings.word_embeddings";
    const struct tensor *tensor = find_tensor(loader, words, ".weight");
    float *positions = NULL;
    float *types = NULL;
    int rc = admit_tensor(loader, tensor, words, ".weight", config->vocab_size, config->hidden);

    if (rc == 0) {
        model->words = *tensor;
        rc = load_array(loader, "embeddings.position_embeddings", ".weight", NULL,
                        config->n_positions, config->hidden, &positions);
    }
    if (rc == 0 && config->type == MODEL_BERT)
        rc = load_array(loader, "embeddings.token_type_embeddings", ".weight", NULL,
                        config->n_token_types, config->hidden, &types);
    if (rc == 0)
        rc = load_norm(loader, "embeddings.LayerNorm", &model->embedding_norm);
    if (rc < 0)
        return rc;
    for (size_t p = 0; types && p < config->n_positions; p++) {
        for (size_t i = 0; i < config->hidden; i++)
            positions[p * config->hidden + i] += types[i];
    }
    model->positions = positions;
    return 0;
}

size_t
model_relative_bucket(long distance, size_t n_buckets)
{
    size_t half = n_buckets / 2;
    size_t exact = half / 2;
    size_t side = distance > 0 ? half : 0;
    size_t n = (size_t)labs(distance);
    size_t bucket = n;

    if (n >= exact) {
        float ratio = logf((float)n / (float)exact) / logf((float)BUCKET_DISTANCES / (float)exact);

        bucket = exact + (size_t)(ratio * (float)(half - exact));
        bucket = bucket < half ? bucket : half - 1;
    }
    return side + bucket;
}

/* MPNet's table [n_buckets, A], spread over all distances of one text. */
static int
load_position_bias(struct loader *loader)
{
    const struct model_config *config = &loader->model->config;
    const char *name = "encoder.relative_attention_bias";
    long max = (long)config->max_tokens;
    float *table = NULL;
    float *bias;
    int rc;

    if (config->type != MODEL_MPNET)
        return 0;
    rc = load_array(loader, name, ".weight", NULL, config->n_buckets, config->n_heads, &table);
    if (rc < 0)
        return rc;
    bias = loader->next;
    loader->next += config->n_heads * (size_t)(2 * max - 1);
    loader->model->position_bias = bias;
    for (size_t a = 0; a < config->n_heads; a++) {
        for (long distance = 1 - max; distance < max; distance++)
            *bias++ =
                table[model_relative_bucket(distance, config->n_buckets) * config->n_heads + a];
    }
    return 0;
}

/* Give the file's pages back; what is needed again comes back row by row.  Keeps the peak at the
 * packed weights and one layer. */
static void
drop_pages(const struct model *model)
{
    (void)madvise((void *)(uintptr_t)model->file.bytes.ptr, model->file.bytes.len, MADV_DONTNEED);
}

/* -- The whole model ----------------------------------------------------------------------- */

/* Floats of everything that load_array and load_position_bias put into the block; sizes are capped
 * by model_config, so nothing overflows. */
static size_t
count_block_floats(const struct model_config *config)
{
    size_t n_rows = config->n_positions + 2 + 4 * config->n_layers;
    size_t n_bias = 0;

    if (config->type == MODEL_BERT)
        n_rows += config->n_token_types;
    else
        n_bias = config->n_heads * (config->n_buckets + 2 * config->max_tokens - 1);
    return n_rows * config->hidden + n_bias;
}

static int
alloc_arrays(struct loader *loader)
{
    struct model *model = loader->model;
    const struct model_config *config = &model->config;
    size_t widest = config->inner > 3 * config->hidden ? config->inner : 3 * config->hidden;

    model->block = calloc(count_block_floats(config), sizeof(float));
    model->layers = calloc(config->n_layers, sizeof(*model->layers));
    loader->next = model->block;
    loader->weights = calloc(widest * config->hidden, sizeof(float));
    loader->bias = calloc(widest, sizeof(float));
    if (!model->block || !model->layers || !loader->weights || !loader->bias)
        return error_set(loader->err, ERR_NOMEM, "cannot hold the weights");
    return 0;
}

static int
load_all(struct loader *loader)
{
    struct model *model = loader->model;
    int rc = alloc_arrays(loader);

    loader->names = &names_of[model->config.type];
    loader->prefix = loader->names->prefix;
    if (!find_tensor(loader, "embeddings.word_embeddings", ".weight"))
        loader->prefix = "";
    if (rc == 0)
        rc = load_embeddings(loader);
    if (rc == 0)
        rc = load_position_bias(loader);
    for (size_t i = 0; rc == 0 && i < model->config.n_layers; i++) {
        drop_pages(model);
        rc = load_layer(loader, i, &model->layers[i]);
    }
    free(loader->weights);
    free(loader->bias);
    return rc;
}

/* Open the weights' file, or say what stands there instead. */
static int
map_weights(const char *dir, struct arena *arena, struct file_map *out, struct error *err)
{
    static const struct {
        const char *name;
        const char *reason;
    } others[] = {
        {"model.safetensors.index.json", "weights in several files are not supported; join them "
                                         "into one model.safetensors"},
        {"pytorch_model.bin", "a pickle runs code when it is read; convert it to "
                              "model.safetensors"},
    };
    const char *path = arena_printf(arena, "%s/model.safetensors", dir);
    int rc;

    if (!path)
        return error_set(err, ERR_NOMEM, "cannot hold the path of the weights");
    rc = file_map_open(path, out, err);
    for (size_t i = 0; rc == -ERR_NOT_FOUND && i < COUNT_OF(others); i++) {
        path = arena_printf(arena, "%s/%s", dir, others[i].name);
        if (path && file_exists(path))
            return error_set(err, ERR_UNSUPPORTED, "'%s': %s", path, others[i].reason);
    }
    return rc;
}

static int
load_model(struct model *self, const struct kernels_sizes *sizes, struct fingerprint *fingerprint,
           struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct loader loader = {.model = self, .fingerprint = fingerprint, .err = err};
    int rc = map_weights(self->config.dir, &arena, &self->file, err);

    if (rc < 0)
        return rc;
    rc = safetensors_parse(self->file.bytes, &arena, &loader.file, err);
    if (rc == 0)
        rc = self->ops->create(sizes, &self->kernels, err);
    if (rc == 0)
        rc = load_all(&loader);
    if (rc < 0)
        return error_wrap(err, rc, "'%s/model.safetensors'", self->config.dir);
    self->words.name = STR_NULL; /* the arena's */
    self->words.type_name = STR_NULL;
    drop_pages(self);
    return 0;
}

int
model_init(struct model *out, const struct model_config *config, const struct kernels_ops *ops,
           const struct kernels_sizes *sizes, struct fingerprint *fingerprint, struct error *err)
{
    struct model self = {.config = *config, .ops = ops};
    int previous = ops->enter_thread();
    int rc = load_model(&self, sizes, fingerprint, err);

    ops->leave_thread(previous);
    if (rc < 0) {
        model_fini(&self);
        return rc;
    }
    *out = self;
    return 0;
}

void
model_fini(struct model *self)
{
    if (self->kernels)
        self->ops->free(self->kernels);
    free(self->layers);
    free(self->block);
    file_map_close(&self->file);
    *self = (struct model){0};
}
