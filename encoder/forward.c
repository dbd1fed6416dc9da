/* All linear layers run on the concatenated tokens [T, H]; only positions, attention and pooling
 * see where a text begins.
 *
 *     x = LN(word + position)
 *     per layer:  x = LN(x + attention(x W_qkv) W_o)
 *                 x = LN(x + act(x W_1) W_2) */

#include "encoder/forward.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT ((size_t)64)

static size_t
align_up(size_t n_bytes)
{
    return (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

int
forward_buffers_init(struct forward_buffers *self, const struct model *model, size_t max_rows,
                     struct error *err)
{
    const struct kernels_ops *ops = model->ops;
    size_t n_rows = forward_rows(model, max_rows);
    size_t hidden = model->config.hidden;
    size_t x_bytes = align_up(n_rows * hidden * sizeof(float));
    size_t in_bytes = align_up(ops->activation_bytes(model->kernels, hidden));
    size_t qkv_bytes = align_up(n_rows * 3 * hidden * ops->qkv_value_bytes(model->kernels));
    size_t inner_bytes = align_up(ops->activation_bytes(model->kernels, model->config.inner));
    size_t n_bytes = 2 * x_bytes + 2 * in_bytes + qkv_bytes + inner_bytes;
    char *at = aligned_alloc(ALIGNMENT, n_bytes);

    if (!at)
        return error_set(err, ERR_NOMEM, "cannot hold %zu bytes of activations", n_bytes);
    (void)memset(at, 0, n_bytes); /* what padding rows hold until they are written */
    self->block = at;
    self->x = (float *)at;
    self->delta = (float *)(at += x_bytes);
    self->qkv = at += x_bytes;
    self->context = at += qkv_bytes;
    self->inner = at += in_bytes;
    self->x_in = ops->reads_x ? (void *)self->x : at + inner_bytes;
    return 0;
}

void
forward_buffers_fini(struct forward_buffers *self)
{
    free(self->block);
    *self = (struct forward_buffers){0};
}

size_t
forward_rows(const struct model *model, size_t n_tokens)
{
    size_t multiple = model->ops->row_multiple;

    return (n_tokens + multiple - 1) / multiple * multiple;
}

/* x_t = word[id] + position[p].  MPNet's positions count the tokens that are not padding; a literal
 * padding token in a text gets the padding's position, as in the reference. */
static void
embed_text(const struct model *model, const struct forward_text *text, float *x)
{
    const struct model_config *config = &model->config;
    size_t hidden = config->hidden;
    size_t offset = model_config_position_offset(config);
    size_t next = offset;

    for (size_t i = 0; i < text->n_ids; i++) {
        bool is_pad = offset > 0 && text->ids[i] == config->pad_id;
        size_t position = is_pad ? (size_t)config->pad_id : next++;
        const float *row = model->positions + position * hidden; /* [H] */

        tensor_read_f32(&model->words, (size_t)text->ids[i] * hidden, hidden, x);
        for (size_t k = 0; k < hidden; k++)
            x[k] += row[k];
        x += hidden;
    }
}

static void
run_norm(const struct model *model, struct forward_buffers *buffers, const struct layer_norm *norm,
         const float *delta, size_t n_rows, const struct linear *reader)
{
    const struct norm_args args = {
        .x = buffers->x,
        .delta = delta,
        .gamma = norm->gamma,
        .beta = norm->beta,
        .eps = model->config.layer_norm_eps,
        .n_rows = n_rows,
        .hidden = model->config.hidden,
        .out = buffers->x_in,
        .reader = reader,
    };

    model->ops->norm(model->kernels, &args);
}

static void
run_attention(const struct model *model, struct forward_buffers *buffers, size_t worker,
              const struct layer *layer, const struct forward_text *texts, size_t n_texts)
{
    const struct model_config *config = &model->config;
    size_t row_bytes = 3 * config->hidden * model->ops->qkv_value_bytes(model->kernels);
    size_t row = 0;

    for (size_t i = 0; i < n_texts; i++) {
        const struct attention_args args = {
            .qkv = (const char *)buffers->qkv + row * row_bytes, /* [S, 3H] */
            .n_tokens = texts[i].n_ids,
            .n_heads = config->n_heads,
            .head_size = config->hidden / config->n_heads,
            .position_bias = model->position_bias,
            .out = buffers->context,
            .first_row = row,
            .reader = layer->out,
        };

        model->ops->attend(model->kernels, worker, &args);
        row += texts[i].n_ids;
    }
}

/* next  the linear that reads the layer's output; NULL behind the last one */
static int
run_layer(const struct model *model, struct forward_buffers *buffers, size_t worker,
          const struct layer *layer, const struct linear *next, const struct forward_text *texts,
          size_t n_texts, size_t n_rows, struct error *err)
{
    const struct kernels_ops *ops = model->ops;
    struct kernels *kernels = model->kernels;
    int rc = ops->apply(kernels, worker, layer->qkv, buffers->x_in, n_rows, buffers->qkv, err);

    if (rc < 0)
        return rc;
    run_attention(model, buffers, worker, layer, texts, n_texts);
    rc = ops->apply(kernels, worker, layer->out, buffers->context, n_rows, buffers->delta, err);
    if (rc < 0)
        return rc;
    run_norm(model, buffers, &layer->attention_norm, buffers->delta, n_rows, layer->up);
    rc = ops->apply(kernels, worker, layer->up, buffers->x_in, n_rows, buffers->inner, err);
    if (rc == 0)
        rc = ops->apply(kernels, worker, layer->down, buffers->inner, n_rows, buffers->delta, err);
    if (rc == 0)
        run_norm(model, buffers, &layer->output_norm, buffers->delta, n_rows, next);
    return rc;
}

int
forward_run(const struct model *model, struct forward_buffers *buffers, size_t worker,
            const struct forward_text *texts, size_t n_texts, struct error *err)
{
    size_t hidden = model->config.hidden;
    size_t n_layers = model->config.n_layers;
    size_t n_tokens = 0;
    size_t n_rows;
    int rc = 0;

    for (size_t i = 0; i < n_texts; i++) {
        embed_text(model, &texts[i], buffers->x + n_tokens * hidden);
        n_tokens += texts[i].n_ids;
    }
    n_rows = forward_rows(model, n_tokens);
    /* Padding rows: their values reach no other row, but must not be what they were long ago. */
    (void)memset(buffers->x + n_tokens * hidden, 0, (n_rows - n_tokens) * hidden * sizeof(float));
    run_norm(model, buffers, &model->embedding_norm, NULL, n_rows, model->layers[0].qkv);
    for (size_t i = 0; rc == 0 && i < n_layers; i++)
        rc = run_layer(model, buffers, worker, &model->layers[i],
                       i + 1 < n_layers ? model->layers[i + 1].qkv : NULL, texts, n_texts, n_rows,
                       err);
    return rc;
}
