/* Opening reads everything once and packs it; from then on sizes are fixed. */

#include <stdio.h>
#include <stdlib.h>

#include "encoder/cpu_count.h"
#include "encoder/cpu_level.h"
#include "encoder/encoder_state.h"
#include "encoder/parallel.h"
#include "encoder/prompts.h"
#include "encoder/tokenizer_load.h"

#define ARENA_BYTES    ((size_t)64 << 20)
#define BUDGET_DEFAULT 384
#define BUDGET_MAX     4096
#define BUDGET_MIN     16
#define ENGINE_VERSION 1 /* raise when the same input gives other vectors */
#define SETTINGS_BYTES 4096
#define THREADS_MAX    PARALLEL_THREADS_MAX

static int
check_options(const struct encoder_options *options, struct error *err)
{
    if (options->n_threads > THREADS_MAX)
        return error_set(err, ERR_ARGS, "n_threads is %zu, more than %d", options->n_threads,
                         THREADS_MAX);
    if (options->token_budget != 0 &&
        (options->token_budget < BUDGET_MIN || options->token_budget > BUDGET_MAX))
        return error_set(err, ERR_ARGS, "token_budget is %zu, not within %d and %d",
                         options->token_budget, BUDGET_MIN, BUDGET_MAX);
    return 0;
}

/* The model's limit and the caller's. */
static int
limit_tokens(struct model_config *config, size_t wanted, const struct tokenizer *tokenizer,
             struct error *err)
{
    size_t n_specials = tokenizer_n_specials(tokenizer);

    if (wanted != 0 && wanted < config->max_tokens)
        config->max_tokens = wanted;
    if (n_specials == 0)
        return error_set(err, ERR_UNSUPPORTED,
                         "the tokenizer adds no special tokens, so an empty "
                         "text would have no vector");
    if (config->max_tokens <= n_specials)
        return error_set(err, ERR_ARGS,
                         "a limit of %zu tokens leaves no room beside %zu special "
                         "ones",
                         config->max_tokens, n_specials);
    return 0;
}

/* "mean+max", "dense+normalize". */
static void
describe_chain(struct encoder *self)
{
    const struct model_config *config = &self->model.config;
    size_t n = 0;

    for (unsigned bit = 0; bit < POOLING_N_MODES; bit++) {
        if ((config->pooling & 1u << bit) != 0)
            n += (size_t)snprintf(self->pooling + n, sizeof(self->pooling) - n, "%s%s",
                                  n ? "+" : "", model_config_pooling_name(1u << bit));
    }
    n = 0;
    for (size_t i = 0; i < config->n_modules; i++)
        n += (size_t)snprintf(self->modules_text + n, sizeof(self->modules_text) - n, "%s%s",
                              n ? "+" : "", model_config_module_name(config->modules[i].kind));
    self->model.ops->describe(self->model.kernels, self->kernels_text, sizeof(self->kernels_text));
}

static const char *
type_name(const struct model_config *config)
{
    return config->type == MODEL_MPNET ? "mpnet" : "bert";
}

/* What decides vectors besides the weights. */
static int
make_fingerprint(struct encoder *self, const struct fingerprint *weights, struct error *err)
{
    CLEANUP(buf_fini) struct buf settings = BUF_INIT(SETTINGS_BYTES);
    const struct model_config *config = &self->model.config;
    char hash[17];
    int rc;

    buf_append_bytes(&settings, tokenizer_digest(self->tokenizer), SHA256_BYTES);
    buf_printf(&settings, "%s L%zu H%zu A%zu I%zu act%d eps%a pad%d buckets%zu max%zu pool%u",
               type_name(config), config->n_layers, config->hidden, config->n_heads, config->inner,
               (int)config->activation, (double)config->layer_norm_eps, config->pad_id,
               config->n_buckets, config->max_tokens, config->pooling);
    for (size_t i = 0; i < config->n_modules; i++)
        buf_printf(&settings, " %s", model_config_module_name(config->modules[i].kind));
    if (config->skips_prompt)
        buf_append(&settings, STR(" skips_prompt"));
    rc = buf_status(&settings, err);
    if (rc == 0)
        rc = fingerprint_finish(weights, buf_str(&settings), hash, err);
    if (rc < 0)
        return rc;
    (void)snprintf(self->fingerprint, sizeof(self->fingerprint), "%s-l%zu-h%zu-%s/%s/%s-%d",
                   type_name(config), config->n_layers, config->hidden, self->pooling, hash,
                   self->model.ops->precision, ENGINE_VERSION);
    return 0;
}

static int
load(struct encoder *self, const char *dir, const struct encoder_options *options,
     const struct kernels_ops *ops, struct error *err)
{
    struct model_config config;
    struct fingerprint weights;
    struct kernels_sizes sizes;
    int rc = model_config_load(dir, &self->arena, &config, err);

    if (rc == 0)
        rc = tokenizer_load(config.dir, config.type == MODEL_MPNET, &self->tokenizer,
                            &self->tokenizer_source, err);
    if (rc == 0)
        rc = limit_tokens(&config, options->max_tokens, self->tokenizer, err);
    if (rc < 0)
        return rc;
    if ((size_t)tokenizer_max_id(self->tokenizer) >= config.vocab_size)
        return error_set(err, ERR_INVALID, "%s gives ids up to %d, config.json's vocab_size is %zu",
                         self->tokenizer_source, tokenizer_max_id(self->tokenizer),
                         config.vocab_size);
    self->token_budget = options->token_budget ? options->token_budget : BUDGET_DEFAULT;
    sizes = (struct kernels_sizes){
        .n_workers = self->n_threads,
        .max_rows = config.max_tokens > self->token_budget ? config.max_tokens : self->token_budget,
        .max_text = config.max_tokens,
        .head_size = config.hidden / config.n_heads,
    };
    fingerprint_init(&weights);
    rc = model_init(&self->model, &config, ops, &sizes, &weights, err);
    self->dim = pooling_dim(config.pooling, config.hidden);
    if (rc == 0)
        rc = module_chain_load(&config, &weights, &self->dim, &self->modules, err);
    if (rc < 0)
        return rc;
    describe_chain(self);
    rc = prompts_load(dir, &self->model.config, &self->arena, &self->prompts, err);
    if (rc < 0)
        return rc;
    return make_fingerprint(self, &weights, err);
}

static int
alloc_workers(struct encoder *self, struct error *err)
{
    const struct model_config *config = &self->model.config;
    size_t width = module_chain_width(self->modules);
    size_t max_rows =
        config->max_tokens > self->token_budget ? config->max_tokens : self->token_budget;
    int rc = 0;

    self->workers = calloc(self->n_threads, sizeof(*self->workers));
    self->window = calloc(1, sizeof(*self->window));
    if (self->window)
        self->window->ids = calloc(PACK_TEXTS_MAX * config->max_tokens, sizeof(int32_t));
    if (!self->workers || !self->window || !self->window->ids)
        return error_set(err, ERR_NOMEM, "cannot hold %zu workers", self->n_threads);
    for (size_t i = 0; rc == 0 && i < self->n_threads; i++) {
        struct encoder_worker *worker = &self->workers[i];

        tokenizer_scratch_init(&worker->scratch);
        buf_init(&worker->prompted, SIZE_MAX / 2); /* as long as the caller's text */
        worker->vector = calloc(width, sizeof(float));
        worker->vector_scratch = calloc(width, sizeof(float));
        if (!worker->vector || !worker->vector_scratch)
            return error_set(err, ERR_NOMEM, "cannot hold a worker's vectors");
        rc = forward_buffers_init(&worker->buffers, &self->model, max_rows, err);
    }
    return rc;
}

int
encoder_open_with(const char *dir, const struct encoder_options *options,
                  const struct kernels_ops *ops, struct encoder **out, struct error *err)
{
    static const struct encoder_options defaults = {0};
    const struct encoder_options *chosen = options ? options : &defaults;
    struct encoder *self;
    int rc = check_options(chosen, err);

    if (rc == 0)
        rc = cpu_level_check(err);
    if (rc < 0)
        return rc;
    self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(err, ERR_NOMEM, "cannot hold an encoder");
    self->arena = (struct arena)ARENA_INIT(ARENA_BYTES);
    self->options = *chosen;
    self->n_threads = chosen->n_threads ? chosen->n_threads : cpu_count();
    if (self->n_threads > THREADS_MAX)
        self->n_threads = THREADS_MAX;
    rc = load(self, dir, chosen, ops, err);
    if (rc == 0)
        rc = alloc_workers(self, err);
    if (rc < 0) {
        encoder_close(self);
        return error_wrap(err, rc, "cannot open the model '%s'", dir);
    }
    *out = self;
    return 0;
}

void
encoder_close(struct encoder *encoder)
{
    if (!encoder)
        return;
    for (size_t i = 0; encoder->workers && i < encoder->n_threads; i++) {
        forward_buffers_fini(&encoder->workers[i].buffers);
        tokenizer_scratch_fini(&encoder->workers[i].scratch);
        buf_fini(&encoder->workers[i].prompted);
        free(encoder->workers[i].vector);
        free(encoder->workers[i].vector_scratch);
    }
    if (encoder->window)
        free(encoder->window->ids);
    free(encoder->window);
    free(encoder->workers);
    module_chain_free(encoder->modules);
    model_fini(&encoder->model);
    tokenizer_free(encoder->tokenizer);
    arena_fini(&encoder->arena);
    free(encoder);
}

void
encoder_closep(struct encoder **encoder)
{
    encoder_close(*encoder);
}

size_t
encoder_dim(const struct encoder *encoder)
{
    return encoder->dim;
}

size_t
encoder_max_tokens(const struct encoder *encoder)
{
    return encoder->model.config.max_tokens;
}

struct str
encoder_fingerprint(const struct encoder *encoder)
{
    return str_from_cstr(encoder->fingerprint);
}

void
encoder_get_prompts(const struct encoder *encoder, struct encoder_prompts *out)
{
    *out = encoder->prompts;
}

void
encoder_describe(const struct encoder *encoder, struct encoder_description *out)
{
    const struct model_config *config = &encoder->model.config;

    *out = (struct encoder_description){
        .architecture = str_from_cstr(type_name(config)),
        .activation = config->activation_name,
        .pooling = str_from_cstr(encoder->pooling),
        .modules = str_from_cstr(encoder->modules_text),
        .tokenizer = str_from_cstr(encoder->tokenizer_source),
        .weights = str_from_cstr(encoder->model.weights_type),
        .precision = str_from_cstr(encoder->model.ops->precision),
        .kernels = str_from_cstr(encoder->kernels_text),
        .fingerprint = encoder_fingerprint(encoder),
        .hidden_size = config->hidden,
        .n_layers = config->n_layers,
        .n_heads = config->n_heads,
        .intermediate_size = config->inner,
        .vocab_size = config->vocab_size,
        .n_parameters = encoder->model.n_parameters,
        .max_tokens = config->max_tokens,
        .dim = encoder->dim,
        .n_threads = encoder->n_threads,
    };
}
