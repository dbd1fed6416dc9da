/* encoder_open: what directories are taken, and what is said about the others. */

#include "tests/unit/encoder/tiny_model.h"

#include <math.h>

#include <trawl/encoder.h>

#include "encoder/encoder_state.h"

static int
setup(void **state)
{
    struct tiny_model *model = calloc(1, sizeof(*model));

    assert_non_null(model);
    tiny_create(model);
    *state = model;
    return 0;
}

static int
teardown(void **state)
{
    tiny_destroy(*state);
    free(*state);
    return 0;
}

/* A fingerprint after a file was written; out holds 128. */
static const struct encoder_options f32_options = {.precision = ENCODER_PRECISION_F32};

static void
fingerprint_of(const struct tiny_model *model, const struct encoder_options *options, char *out)
{
    struct encoder *encoder = NULL;
    struct error err = {0};

    assert_ok(encoder_open(model->dir, options, &encoder, &err), err);
    (void)snprintf(out, 128, "%.*s", STR_ARG(encoder_fingerprint(encoder)));
    encoder_close(encoder);
}

static void
test_describe(void **state)
{
    const struct tiny_model *model = *state;
    CLEANUP(encoder_closep) struct encoder *encoder = NULL;
    struct encoder_description description;
    struct error err = {0};

    assert_ok(encoder_open(model->dir, &f32_options, &encoder, &err), err);
    encoder_describe(encoder, &description);
    assert_str_equal(description.architecture, "bert");
    assert_str_equal(description.activation, "gelu");
    assert_str_equal(description.pooling, "mean");
    assert_str_equal(description.modules, "normalize");
    assert_str_equal(description.tokenizer, "vocab.txt");
    assert_str_equal(description.weights, "F32");
    assert_str_equal(description.precision, "f32");
    assert_true(description.kernels.len > 0);
    assert_int_equal(description.hidden_size, 32);
    assert_int_equal(description.n_layers, 2);
    assert_int_equal(description.n_heads, 2);
    assert_int_equal(description.intermediate_size, 48);
    assert_int_equal(description.vocab_size, 30);
    assert_int_equal(description.n_parameters,
                     32 * (30 + 40 + 2 + 2) +
                         2 * (4 * (32 * 32 + 32) + 4 * 32 + 2 * 32 * 48 + 48 + 32));
    assert_int_equal(description.max_tokens, 32);
    assert_int_equal(encoder_max_tokens(encoder), 32);
    assert_int_equal(description.dim, 32);
    assert_int_equal(encoder_dim(encoder), 32);
    assert_true(description.n_threads >= 1);
    assert_true(str_starts_with(description.fingerprint, STR("bert-l2-h32-mean/")));
    assert_true(str_ends_with(description.fingerprint, STR("/f32-1")));
}

/* Every change of a file that must not open, and what the message names. */
static const struct {
    const char *file;
    const char *text; /* NULL: remove the file */
    int rc;
    const char *told;
} refusals[] = {
    {"config.json", NULL, -ERR_NOT_FOUND, "config.json"},
    {"config.json", "{", -ERR_INVALID, "config.json"},
    {"config.json", "{}", -ERR_INVALID, "model_type is missing"},
    {"config.json", "{\"model_type\": \"xlm-roberta\"}", -ERR_UNSUPPORTED, "'xlm-roberta'"},
    {"config.json", "{\"model_type\": \"roberta\"}", -ERR_UNSUPPORTED, "'roberta'"},
    {"config.json", "{\"model_type\": \"t5\"}", -ERR_UNSUPPORTED, "supported are bert and mpnet"},
    {"config.json", "{\"model_type\": \"distilbert\"}", -ERR_UNSUPPORTED, "'distilbert'"},
    {"config.json", "{\"model_type\": \"new\", \"auto_map\": {}}", -ERR_UNSUPPORTED, "'new'"},
    {"config.json",
     "{\"model_type\": \"bert\", \"hidden_size\": 32, \"num_hidden_layers\": 2,"
     " \"num_attention_heads\": 2, \"intermediate_size\": 48, \"hidden_act\": \"silu\","
     " \"max_position_embeddings\": 40, \"vocab_size\": 30}",
     -ERR_UNSUPPORTED, "'silu'"},
    {"config.json", "{\"model_type\": \"bert\", \"position_embedding_type\": \"relative_key\"}",
     -ERR_UNSUPPORTED, "'relative_key'"},
    {"config.json", "{\"model_type\": \"bert\"}", -ERR_INVALID, "hidden_size is missing"},
    {"config.json", "{\"model_type\": \"bert\", \"hidden_size\": 1e9}", -ERR_INVALID,
     "hidden_size is 1000000000"},
    {"modules.json", "[]", -ERR_INVALID, "at least two"},
    {"modules.json",
     "[{\"idx\": 0, \"path\": \"\", \"type\": \"a.Transformer\"}, {\"idx\": 1,"
     " \"path\": \"../x\", \"type\": \"a.Pooling\"}]",
     -ERR_INVALID, "leads out"},
    {"modules.json",
     "[{\"idx\": 0, \"path\": \"/etc\", \"type\": \"a.Transformer\"}, {\"idx\":"
     " 1, \"path\": \"x\", \"type\": \"a.Pooling\"}]",
     -ERR_INVALID, "'/etc'"},
    {"modules.json",
     "[{\"idx\": 0, \"path\": \"\", \"type\": \"a.Transformer\"}, {\"idx\": 1,"
     " \"path\": \"\", \"type\": \"a.WordWeights\"}]",
     -ERR_UNSUPPORTED, "WordWeights"},
    {"modules.json",
     "[{\"idx\": 0, \"path\": \"\", \"type\": \"a.Transformer\"}, {\"idx\": 1,"
     " \"path\": \"1_Pooling\", \"type\": \"a.Pooling\"}, {\"idx\": 2,"
     " \"path\": \"\", \"type\": \"a.LSTM\"}]",
     -ERR_UNSUPPORTED, "'LSTM'"},
    {"modules.json",
     "[{\"idx\": 0, \"path\": \"\", \"type\": \"a.Transformer\"}, {\"idx\": 5,"
     " \"path\": \"1_Pooling\", \"type\": \"a.Pooling\"}]",
     -ERR_INVALID, "idx 1"},
    {"1_Pooling/config.json", NULL, -ERR_NOT_FOUND, "1_Pooling"},
    {"1_Pooling/config.json", "{\"pooling_mode_mean_tokens\": false}", -ERR_INVALID,
     "no pooling mode"},
    {"1_Pooling/config.json", "{\"pooling_mode\": \"median\"}", -ERR_UNSUPPORTED, "cls, max, mean"},
    {"1_Pooling/config.json", "{\"pooling_mode\": [\"mean\", \"cls\"]}", -ERR_UNSUPPORTED,
     "'cls' out of the order"},
    {"1_Pooling/config.json", "{\"pooling_mode\": []}", -ERR_INVALID, "no pooling mode"},
    {"1_Pooling/config.json", "{\"include_prompt\": 1}", -ERR_INVALID, "include_prompt"},
    {"config_sentence_transformers.json", "{\"prompts\": {\"query\": 7}}", -ERR_INVALID,
     "prompts.query is not a string"},
    {"1_Pooling/config.json", "{\"word_embedding_dimension\": 64}", -ERR_INVALID, "64"},
    {"sentence_bert_config.json", "{\"max_seq_length\": \"32\"}", -ERR_INVALID, "max_seq_length"},
    {"sentence_bert_config.json", "{\"max_seq_length\": 2}", -ERR_ARGS, "2 tokens"},
    {"sentence_bert_config.json", "{\"do_lower_case\": true}", -ERR_UNSUPPORTED, "do_lower_case"},
    {"tokenizer.json", "{\"version\": \"1.0\", \"model\": {\"type\": \"Unigram\"}}",
     -ERR_UNSUPPORTED, "'Unigram'"},
    {"tokenizer.json", "{\"version\": \"1.0\", \"model\": {\"type\": \"BPE\"}}", -ERR_UNSUPPORTED,
     "'BPE'"},
    {"vocab.txt", NULL, -ERR_NOT_FOUND, "neither tokenizer.json nor vocab.txt"},
    {"vocab.txt", "[PAD]\n[UNK]\n[CLS]\n", -ERR_INVALID, "'[SEP]'"},
    {"tokenizer.json", "{\"version\": \"9\"}", -ERR_UNSUPPORTED, "version is '9'"},
    {"model.safetensors", NULL, -ERR_NOT_FOUND, "model.safetensors"},
    {"model.safetensors", "", -ERR_INVALID, "model.safetensors"},
    {"model.safetensors", "{\"a\": 1, and so on}", -ERR_INVALID, "model.safetensors"},
};

static void
test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        struct encoder *encoder = NULL;
        struct tiny_model model;
        struct error err = {0};
        int rc;

        tiny_create(&model);
        if (refusals[i].text)
            tiny_write_text(&model, refusals[i].file, refusals[i].text);
        else
            tiny_remove(&model, refusals[i].file);
        rc = encoder_open(model.dir, NULL, &encoder, &err);
        if (rc != refusals[i].rc || !strstr(err.message, refusals[i].told) || encoder)
            fail_msg("row %zu: %d, %s", i, rc, err.message);
        tiny_destroy(&model);
    }
}

/* Weights in another form are named, with the way out. */
static void
test_other_weights(void **state)
{
    static const struct {
        const char *file;
        const char *told;
    } rows[] = {
        {"pytorch_model.bin", "convert it to model.safetensors"},
        {"model.safetensors.index.json", "join them into one model.safetensors"},
    };
    const struct tiny_model *model = *state;

    tiny_remove(model, "model.safetensors");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct encoder *encoder = NULL;
        struct error err = {0};

        tiny_write_text(model, rows[i].file, "{}");
        assert_int_equal(encoder_open(model->dir, NULL, &encoder, &err), -ERR_UNSUPPORTED);
        if (!strstr(err.message, rows[i].told))
            fail_msg("%s", err.message);
    }
}

static void
test_options(void **state)
{
    static const struct {
        struct encoder_options options;
        int rc;
        size_t max_tokens;
    } rows[] = {
        {{0}, 0, 32},
        {{.max_tokens = 10}, 0, 10},
        {{.max_tokens = 100}, 0, 32}, /* never more than the model's */
        {{.max_tokens = 2}, -ERR_ARGS, 0},
        {{.n_threads = 1000}, -ERR_ARGS, 0},
        {{.token_budget = 1}, -ERR_ARGS, 0},
        {{.token_budget = 100000}, -ERR_ARGS, 0},
        {{.token_budget = 16, .n_threads = 3, .precision = ENCODER_PRECISION_F32}, 0, 32},
        {{.precision = (enum encoder_precision)99}, -ERR_ARGS, 0},
        {{.min_cosine = 1}, 0, 32},
        {{.min_cosine = 1.01}, -ERR_ARGS, 0},
        {{.min_cosine = -0.1}, -ERR_ARGS, 0},
        {{.min_cosine = (double)NAN}, -ERR_ARGS, 0},
    };
    const struct tiny_model *model = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(encoder_closep) struct encoder *encoder = NULL;
        struct error err = {0};
        int rc = encoder_open(model->dir, &rows[i].options, &encoder, &err);

        if (rc != rows[i].rc)
            fail_msg("row %zu: %d, %s", i, rc, err.message);
        if (rc == 0)
            assert_int_equal(encoder_max_tokens(encoder), rows[i].max_tokens);
    }
}

/* What must change the fingerprint, and what must not. */
static void
test_fingerprint(void **state)
{
    static const struct {
        const char *file;
        const char *text; /* NULL: other weights */
        bool is_same;
    } rows[] = {
        {"README.md", "a model", true},
        {"special_tokens_map.json", "{\"cls_token\": \"[CLS]\"}", true},
        {"config.json", NULL, true}, /* see below: another spelling of the same settings */
        {"sentence_bert_config.json", "{\"max_seq_length\": 31}", false},
        {"1_Pooling/config.json",
         "{\"pooling_mode_mean_tokens\": false,"
         " \"pooling_mode_cls_token\": true}",
         false},
        {"vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nb\na\n", false},
        {"tokenizer_config.json", "{\"do_lower_case\": false}", false},
        {"model.safetensors", NULL, false},
    };
    char first[128];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tiny_model model;
        char second[128];

        tiny_create(&model);
        fingerprint_of(&model, NULL, first);
        if (rows[i].text)
            tiny_write_text(&model, rows[i].file, rows[i].text);
        else if (strcmp(rows[i].file, "config.json") == 0)
            tiny_write_text(&model, rows[i].file,
                            "{\"vocab_size\": 30, \"_name_or_path\": \"x\", \"hidden_size\": 32,"
                            " \"num_hidden_layers\": 2, \"num_attention_heads\": 2,"
                            " \"intermediate_size\": 48, \"hidden_act\": \"gelu\","
                            " \"max_position_embeddings\": 40, \"model_type\": \"bert\"}");
        else
            tiny_write_weights(&model, 2);
        fingerprint_of(&model, NULL, second);
        if ((strcmp(first, second) == 0) != rows[i].is_same)
            fail_msg("%s: %s, %s", rows[i].file, first, second);
        tiny_destroy(&model);
    }
    fingerprint_of(*state, NULL, first);
    assert_true(strlen(first) < 128);
}

static void
test_weights_with_nan(void **state)
{
    const struct tiny_model *model = *state;
    struct buf file = BUF_INIT(TINY_FILES_MAX);
    struct encoder *encoder = NULL;
    struct error err = {0};
    char path[128];
    float bad = NAN;

    (void)snprintf(path, sizeof(path), "%s/model.safetensors", model->dir);
    assert_ok(file_read(path, &file, &err), err);
    (void)memcpy(file.ptr + file.len - 400, &bad, sizeof(bad));
    tiny_write(model, "model.safetensors", buf_str(&file));
    assert_int_equal(encoder_open(model->dir, NULL, &encoder, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "not finite"));
    buf_fini(&file);
}

#define WIDE 5 /* the Dense module's outputs */

/* LayerNorm(tanh(W pooled + b)), from the arrays as they are stored. */
static void
check_dense_and_layer_norm(const float *pooled, const float *w, const float *gamma_beta,
                           const float *got)
{
    double y[WIDE];
    double mean = 0;
    double variance = 0;

    for (size_t o = 0; o < WIDE; o++) {
        y[o] = (double)w[WIDE * TINY_HIDDEN + o];
        for (size_t i = 0; i < TINY_HIDDEN; i++)
            y[o] += (double)w[o * TINY_HIDDEN + i] * (double)pooled[i];
        y[o] = tanh(y[o]);
        mean += y[o] / WIDE;
    }
    for (size_t o = 0; o < WIDE; o++)
        variance += (y[o] - mean) * (y[o] - mean) / WIDE;
    for (size_t o = 0; o < WIDE; o++)
        assert_true(
            fabs((double)got[o] - ((y[o] - mean) / sqrt(variance + 1e-5) * (double)gamma_beta[o] +
                                   (double)gamma_beta[WIDE + o])) < 1e-5);
}

/* Dense and LayerNorm behind pooling, against the formulas. */
static void
test_dense_and_layer_norm(void **state)
{
    const struct tiny_model *model = *state;
    struct buf dense = BUF_INIT(TINY_FILES_MAX);
    struct buf norm = BUF_INIT(TINY_FILES_MAX);
    struct tiny_weights dense_weights = {BUF_INIT(TINY_FILES_MAX), BUF_INIT(TINY_FILES_MAX), 5};
    struct tiny_weights norm_weights = {BUF_INIT(TINY_FILES_MAX), BUF_INIT(TINY_FILES_MAX), 6};
    const struct str text = STR("a b c");
    struct error err = {0};
    float pooled[TINY_HIDDEN];
    float got[WIDE];
    float w[WIDE * TINY_HIDDEN + WIDE]; /* weights, then bias */
    float gamma_beta[2 * WIDE];
    struct encoder *encoder = NULL;

    tiny_write_text(model, "modules.json",
                    "[{\"idx\": 0, \"path\": \"\", \"type\": \"a.Transformer\"}, {\"idx\": 1,"
                    " \"path\": \"1_Pooling\", \"type\": \"a.Pooling\"}]");
    assert_ok(encoder_open(model->dir, &f32_options, &encoder, &err), err);
    assert_ok(encoder_embed(encoder, &text, 1, pooled, NULL, &err), err);
    encoder_close(encoder);

    tiny_add(&dense_weights, "linear.weight", WIDE, TINY_HIDDEN, 0);
    tiny_add(&dense_weights, "linear.bias", WIDE, 0, 0);
    (void)memcpy(w, dense_weights.data.ptr, sizeof(w));
    tiny_finish(&dense_weights, &dense);
    tiny_add(&norm_weights, "norm.weight", WIDE, 0, 1);
    tiny_add(&norm_weights, "norm.bias", WIDE, 0, 0);
    (void)memcpy(gamma_beta, norm_weights.data.ptr, sizeof(gamma_beta));
    tiny_finish(&norm_weights, &norm);
    tiny_write(model, "2_Dense/model.safetensors", buf_str(&dense));
    tiny_write(model, "3_LayerNorm/model.safetensors", buf_str(&norm));
    tiny_write_text(model, "2_Dense/config.json", "{\"in_features\": 32, \"out_features\": 5}");
    tiny_write_text(model, "modules.json",
                    "[{\"idx\": 0, \"path\": \"\", \"type\": \"a.Transformer\"}, {\"idx\": 1,"
                    " \"path\": \"1_Pooling\", \"type\": \"a.Pooling\"}, {\"idx\": 2, \"path\":"
                    " \"2_Dense\", \"type\": \"a.Dense\"}, {\"idx\": 3, \"path\":"
                    " \"3_LayerNorm\", \"type\": \"a.LayerNorm\"}]");
    assert_ok(encoder_open(model->dir, &f32_options, &encoder, &err), err);
    assert_int_equal(encoder_dim(encoder), WIDE);
    assert_ok(encoder_embed(encoder, &text, 1, got, NULL, &err), err);
    encoder_close(encoder);

    check_dense_and_layer_norm(pooled, w, gamma_beta, got);
    buf_fini(&dense);
    buf_fini(&norm);
}

/* Whose prompts are found, and who is believed. */
static const struct {
    const char *file;
    const char *text;
    const char *query;
    const char *document;
    const char *origin; /* of the query's; NULL = nobody said so */
} prompt_rows[] = {
    {"README.md", "# a model without front matter, e5-small-v2", "", "", NULL},
    {"config_sentence_transformers.json",
     "{\"prompts\": {\"query\": \"q: \", \"passage\": \"p: \"}}", "q: ", "p: ", "prompts.query"},
    {"config_sentence_transformers.json",
     "{\"prompts\": {\"document\": \"d: \", \"passage\": \"p: \", \"all\": \"a: \"},"
     " \"default_prompt_name\": \"all\"}",
     "a: ", "d: ", "prompts.all"},
    {"config_sentence_transformers.json",
     "{\"prompts\": {\"query\": \"\", \"document\": \"\"}, \"default_prompt_name\": null}", "", "",
     NULL},
    {"README.md", "---\ntags:\n- mteb\nmodel-index:\n- name: e5-small-v2\n  results:\n---\n",
     "query: ", "passage: ", "README.md"},
    {"README.md", "---\nmodel-index:\n- name: my-e5-small-v2\n---\n", "", "", NULL},
    {"README.md", "---\nmodel-index:\n- name: e5-small-v2-tuned\n---\n", "", "", NULL},
    {"README.md", "---\nbase_model: intfloat/e5-small-v2\n---\n", "", "", NULL},
    /* bge pools [CLS], and this model does not */
    {"README.md", "---\nmodel-index:\n- name: bge-small-en-v1.5\n---\n", "", "", NULL},
};

static void
test_prompts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(prompt_rows); i++) {
        struct encoder_prompts prompts;
        struct encoder *encoder = NULL;
        struct tiny_model model;
        struct error err = {0};

        tiny_create(&model);
        tiny_write_text(&model, prompt_rows[i].file, prompt_rows[i].text);
        assert_ok(encoder_open(model.dir, &f32_options, &encoder, &err), err);
        encoder_get_prompts(encoder, &prompts);
        if (!str_equal(prompts.query.text, str_from_cstr(prompt_rows[i].query)) ||
            !str_equal(prompts.document.text, str_from_cstr(prompt_rows[i].document)))
            fail_msg("row %zu: '%.*s', '%.*s'", i, STR_ARG(prompts.query.text),
                     STR_ARG(prompts.document.text));
        if (!prompt_rows[i].origin)
            assert_null(prompts.query.origin.ptr);
        else if (!strstr(prompts.query.origin.ptr, prompt_rows[i].origin))
            fail_msg("row %zu: %s", i, prompts.query.origin.ptr);
        encoder_close(encoder);
        tiny_destroy(&model);
    }
}

/* bge by config.json's name, where the pooling is bge's. */
static void
test_prompts_by_config(void **state)
{
    const struct tiny_model *model = *state;
    CLEANUP(buf_fini) struct buf config = BUF_INIT(TINY_FILES_MAX);
    CLEANUP(encoder_closep) struct encoder *encoder = NULL;
    struct encoder_prompts prompts;
    struct error err = {0};

    buf_printf(&config, "{\"_name_or_path\": \"/root/x/BAAI_bge-small-en/\", %s", tiny_config + 1);
    tiny_write(model, "config.json", buf_str(&config));
    tiny_write_text(model, "1_Pooling/config.json", "{\"pooling_mode\": \"cls\"}");
    assert_ok(encoder_open(model->dir, &f32_options, &encoder, &err), err);
    encoder_get_prompts(encoder, &prompts);
    assert_true(str_starts_with(prompts.query.text, STR("Represent this sentence")));
    assert_int_equal(prompts.document.text.len, 0);
    assert_non_null(strstr(prompts.document.origin.ptr, "config.json"));
}

static void
test_embed_prompted(void **state)
{
    const struct tiny_model *model = *state;
    const struct str text = STR("b c");
    const struct str joined = STR("a b c");
    CLEANUP(encoder_closep) struct encoder *encoder = NULL;
    float expected[TINY_HIDDEN];
    float got[TINY_HIDDEN];
    struct error err = {0};

    assert_ok(encoder_open(model->dir, &f32_options, &encoder, &err), err);
    assert_ok(encoder_embed(encoder, &joined, 1, expected, NULL, &err), err);
    assert_ok(encoder_embed_prompted(encoder, STR("a "), &text, 1, got, NULL, &err), err);
    assert_memory_equal(got, expected, sizeof(got));
    assert_ok(encoder_embed(encoder, &text, 1, expected, NULL, &err), err);
    assert_ok(encoder_embed_prompted(encoder, STR_NULL, &text, 1, got, NULL, &err), err);
    assert_memory_equal(got, expected, sizeof(got));
    assert_int_equal(
        encoder_embed_prompted(encoder,
                               STR("a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a"),
                               &text, 1, got, NULL, &err),
        -ERR_ARGS);
    assert_memory_equal(got, expected, sizeof(got));
}

/* A directory of Hugging Face's without modules.json: mean pooling, not normalized. */
static void
test_bare_directory(void **state)
{
    const struct tiny_model *model = *state;
    CLEANUP(encoder_closep) struct encoder *encoder = NULL;
    struct encoder_description description;
    struct error err = {0};

    tiny_remove(model, "modules.json");
    tiny_remove(model, "sentence_bert_config.json");
    tiny_write_text(model, "tokenizer_config.json", "{\"model_max_length\": 1e30}");
    assert_ok(encoder_open(model->dir, NULL, &encoder, &err), err);
    encoder_describe(encoder, &description);
    assert_str_equal(description.pooling, "mean");
    assert_str_equal(description.modules, "");
    assert_int_equal(description.max_tokens, 40);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_describe, setup, teardown),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test_setup_teardown(test_other_weights, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fingerprint, setup, teardown),
        cmocka_unit_test_setup_teardown(test_weights_with_nan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dense_and_layer_norm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bare_directory, setup, teardown),
        cmocka_unit_test(test_prompts),
        cmocka_unit_test_setup_teardown(test_prompts_by_config, setup, teardown),
        cmocka_unit_test_setup_teardown(test_embed_prompted, setup, teardown),
    };

    return cmocka_run_group_tests_name("encoder/open", tests, NULL, NULL);
}
