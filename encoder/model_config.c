/* config.json decides the architecture, never the directory's name: copies labelled as one model
 * that hold another are about. */

#include "encoder/model_config.h"

#include <math.h>

#include "encoder/config_json.h"
#include "encoder/sentence_modules.h"

#define HIDDEN_MAX    4096
#define LAYERS_MAX    128
#define INNER_MAX     32768
#define HEAD_SIZE_MAX 256
#define VOCAB_MAX     4000000
#define POSITIONS_MAX 8194
#define MPNET_OFFSET  2 /* position ids 0 and 1 are not used for text */

const char *
model_config_pooling_name(unsigned mode)
{
    switch (mode) {
    case POOLING_CLS:
        return "cls";
    case POOLING_MAX:
        return "max";
    case POOLING_MEAN:
        return "mean";
    case POOLING_MEAN_SQRT_LEN:
        return "mean_sqrt_len";
    case POOLING_WEIGHTED_MEAN:
        return "weightedmean";
    case POOLING_LAST_TOKEN:
        return "lasttoken";
    default:
        return "unknown";
    }
}

const char *
model_config_module_name(enum module_kind kind)
{
    static const char *const names[] = {"normalize", "dense", "layernorm"};

    return names[kind];
}

size_t
model_config_position_offset(const struct model_config *self)
{
    return self->type == MODEL_MPNET ? MPNET_OFFSET : 0;
}

int
model_config_find_activation(struct str name, enum activation_fn *out, struct error *err)
{
    static const struct {
        struct str name;
        enum activation_fn fn;
    } rows[] = {
        {STR_INIT("gelu"), ACTIVATION_GELU_ERF},
        {STR_INIT("gelu_new"), ACTIVATION_GELU_TANH},
        {STR_INIT("gelu_fast"), ACTIVATION_GELU_TANH},
        {STR_INIT("gelu_pytorch_tanh"), ACTIVATION_GELU_TANH},
        {STR_INIT("relu"), ACTIVATION_RELU},
        {STR_INIT("torch.nn.modules.activation.GELU"), ACTIVATION_GELU_ERF},
        {STR_INIT("torch.nn.modules.activation.ReLU"), ACTIVATION_RELU},
        {STR_INIT("torch.nn.modules.activation.Tanh"), ACTIVATION_TANH},
        {STR_INIT("torch.nn.modules.linear.Identity"), ACTIVATION_NONE},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (str_equal(rows[i].name, name)) {
            *out = rows[i].fn;
            return 0;
        }
    }
    return error_set(err, ERR_UNSUPPORTED,
                     "the activation '%.*s'; supported are gelu, gelu_new, "
                     "gelu_fast, gelu_pytorch_tanh and relu",
                     STR_ARG(name));
}

static int
load_type(const struct config_json *config, struct model_config *out, struct error *err)
{
    struct str type;
    struct str positions = json_get_str(&config->root, STR("position_embedding_type"));
    int rc = config_json_str(&config->root, config->path, STR("model_type"), &type, err);

    if (rc < 0)
        return rc;
    if (str_equal(type, STR("bert")))
        out->type = MODEL_BERT;
    else if (str_equal(type, STR("mpnet")))
        out->type = MODEL_MPNET;
    else
        return error_set(err, ERR_UNSUPPORTED,
                         "'%s': model_type is '%.*s'; supported are bert and "
                         "mpnet",
                         config->path, STR_ARG(type));
    if (positions.ptr && !str_equal(positions, STR("absolute")))
        return error_set(err, ERR_UNSUPPORTED,
                         "'%s': position_embedding_type is '%.*s', only "
                         "absolute is supported",
                         config->path, STR_ARG(positions));
    return 0;
}

static int
load_sizes(const struct config_json *config, struct model_config *out, struct error *err)
{
    const struct {
        struct str name;
        size_t max;
        size_t *out;
    } rows[] = {
        {STR("hidden_size"), HIDDEN_MAX, &out->hidden},
        {STR("num_hidden_layers"), LAYERS_MAX, &out->n_layers},
        {STR("num_attention_heads"), HIDDEN_MAX, &out->n_heads},
        {STR("intermediate_size"), INNER_MAX, &out->inner},
        {STR("vocab_size"), VOCAB_MAX, &out->vocab_size},
        {STR("max_position_embeddings"), POSITIONS_MAX, &out->n_positions},
    };
    size_t pad_id = out->type == MODEL_MPNET ? 1 : 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < COUNT_OF(rows); i++)
        rc = config_json_size(config, rows[i].name, 1, rows[i].max, rows[i].out, err);
    out->n_token_types = 2;
    out->n_buckets = 32;
    if (rc == 0)
        rc = config_json_optional_size(config, STR("type_vocab_size"), 1, 64, &out->n_token_types,
                                       err);
    if (rc == 0)
        rc = config_json_optional_size(config, STR("relative_attention_num_buckets"), 4, 1024,
                                       &out->n_buckets, err);
    if (rc == 0)
        rc = config_json_optional_size(config, STR("pad_token_id"), 0, INT32_MAX, &pad_id, err);
    out->pad_id = (int32_t)pad_id;
    if (rc < 0)
        return rc;
    if (out->hidden % out->n_heads != 0 || out->hidden / out->n_heads > HEAD_SIZE_MAX)
        return error_set(err, ERR_INVALID,
                         "'%s': hidden_size %zu does not divide into %zu "
                         "num_attention_heads of at most %d",
                         config->path, out->hidden, out->n_heads, HEAD_SIZE_MAX);
    return 0;
}

static int
load_numerics(const struct config_json *config, struct model_config *out, struct error *err)
{
    const struct json *eps = json_get(&config->root, STR("layer_norm_eps"));
    double value = 1e-12;
    int rc =
        config_json_str(&config->root, config->path, STR("hidden_act"), &out->activation_name, err);

    if (rc == 0)
        rc = model_config_find_activation(out->activation_name, &out->activation, err);
    if (rc < 0)
        return error_wrap(err, rc, "'%s': hidden_act", config->path);
    if (eps && (!json_is_f64(eps, &value) || value < 0 || value > 1))
        return error_set(err, ERR_INVALID, "'%s': layer_norm_eps is not within 0 and 1",
                         config->path);
    out->layer_norm_eps = (float)value;
    return 0;
}

/* sentence_bert_config.json, under one of the names it had. */
static int
load_limit(const struct model_config *config, struct arena *arena, size_t *limit, struct error *err)
{
    static const char *const names[] = {
        "sentence_bert_config.json",       "sentence_roberta_config.json",
        "sentence_distilbert_config.json", "sentence_camembert_config.json",
        "sentence_albert_config.json",     "sentence_xlm-roberta_config.json",
        "sentence_xlnet_config.json",
    };
    struct config_json sentence;
    bool is_found = false;
    bool lowers = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && !is_found && i < COUNT_OF(names); i++)
        rc = config_json_load_optional(config->dir, names[i], arena, &sentence, &is_found, err);
    if (rc < 0 || !is_found)
        return rc;
    rc = config_json_optional_bool(&sentence.root, sentence.path, STR("do_lower_case"), &lowers,
                                   err);
    if (rc < 0)
        return rc;
    if (lowers)
        return error_set(err, ERR_UNSUPPORTED,
                         "'%s': do_lower_case is true; only tokenizers that "
                         "lower-case by themselves are supported",
                         sentence.path);
    return config_json_optional_size(&sentence, STR("max_seq_length"), 1, INT32_MAX, limit, err);
}

/* tokenizer_config.json's limit; "very large integer" (1e30) means none. */
static int
load_tokenizer_limit(const struct model_config *config, struct arena *arena, size_t *limit,
                     struct error *err)
{
    struct config_json tokenizer;
    bool is_found;
    double value;
    int rc = config_json_load_optional(config->dir, "tokenizer_config.json", arena, &tokenizer,
                                       &is_found, err);

    if (rc == 0 && json_is_f64(json_get(&tokenizer.root, STR("model_max_length")), &value) &&
        value >= 1 && value < INT32_MAX)
        *limit = (size_t)value;
    return rc;
}

static int
load_max_tokens(struct model_config *config, struct arena *arena, struct error *err)
{
    size_t offset = model_config_position_offset(config);
    size_t limit = 0;
    int rc = load_limit(config, arena, &limit, err);

    if (rc == 0 && limit == 0)
        rc = load_tokenizer_limit(config, arena, &limit, err);
    if (rc < 0)
        return rc;
    if (config->n_positions <= offset)
        return error_set(err, ERR_INVALID, "config.json: max_position_embeddings is %zu",
                         config->n_positions);
    config->max_tokens = config->n_positions - offset;
    if (limit != 0 && limit < config->max_tokens)
        config->max_tokens = limit;
    return 0;
}

int
model_config_load(const char *dir, struct arena *arena, struct model_config *out, struct error *err)
{
    struct model_config config = {0};
    struct config_json json;
    int rc = sentence_modules_load(dir, arena, &config, err);

    if (rc == 0)
        rc = config_json_load(config.dir, "config.json", arena, &json, err);
    if (rc == 0)
        rc = load_type(&json, &config, err);
    if (rc == 0)
        rc = load_sizes(&json, &config, err);
    if (rc == 0)
        rc = load_numerics(&json, &config, err);
    if (rc == 0)
        rc = load_max_tokens(&config, arena, err);
    if (rc < 0)
        return rc;
    if (config.pooling_width != 0 && config.pooling_width != config.hidden)
        return error_set(err, ERR_INVALID,
                         "the pooling module's word_embedding_dimension is %zu, "
                         "config.json's hidden_size %zu",
                         config.pooling_width, config.hidden);
    *out = config;
    return 0;
}
