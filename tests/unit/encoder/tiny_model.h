#pragma once

/* A whole sentence-transformers directory, small enough to write in each test: BERT, two layers of
 * 32, two heads, weights from a fixed sequence, a vocabulary of letters. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "tests/unit/check.h"

#define TINY_HIDDEN    32
#define TINY_INNER     48
#define TINY_LAYERS    2
#define TINY_POSITIONS 40
#define TINY_VOCAB     30 /* [PAD] [UNK] [CLS] [SEP], a to z */
#define TINY_FILES_MAX ((size_t)4 << 20)

struct tiny_model {
    char dir[64];
};

static const char tiny_config[] =
    "{\"model_type\": \"bert\", \"hidden_size\": 32, \"num_hidden_layers\": 2,"
    " \"num_attention_heads\": 2, \"intermediate_size\": 48, \"hidden_act\": \"gelu\","
    " \"layer_norm_eps\": 1e-12, \"max_position_embeddings\": 40, \"vocab_size\": 30,"
    " \"type_vocab_size\": 2, \"pad_token_id\": 0}";
static const char tiny_modules[] =
    "[{\"idx\": 0, \"name\": \"0\", \"path\": \"\", \"type\": \"sentence_transformers.models."
    "Transformer\"}, {\"idx\": 1, \"name\": \"1\", \"path\": \"1_Pooling\", \"type\":"
    " \"sentence_transformers.models.Pooling\"}, {\"idx\": 2, \"name\": \"2\", \"path\":"
    " \"2_Normalize\", \"type\": \"sentence_transformers.models.Normalize\"}]";
static const char tiny_vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm"
                                 "\nn\no\np\nq\nr\ns\nt\nu\nv\nw\nx\ny\nz\n";

static inline void
tiny_write(const struct tiny_model *model, const char *name, struct str bytes)
{
    char path[256];
    char *slash;
    struct error err = {0};

    (void)snprintf(path, sizeof(path), "%s/%s", model->dir, name);
    slash = strrchr(path, '/');
    *slash = '\0';
    assert_ok(file_make_dirs(path, &err), err);
    *slash = '/';
    assert_ok(file_write_atomic(path, bytes, &err), err);
}

static inline void
tiny_write_text(const struct tiny_model *model, const char *name, const char *text)
{
    tiny_write(model, name, str_from_cstr(text));
}

static inline void
tiny_remove(const struct tiny_model *model, const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", model->dir, name);
    assert_int_equal(unlink(path), 0);
}

/* Tensors are added one by one: the header and the data grow side by side. */
struct tiny_weights {
    struct buf header;
    struct buf data;
    uint32_t random;
};

/* columns 0: a vector.  The scale is around `centre`. */
static inline void
tiny_add(struct tiny_weights *self, const char *name, size_t rows, size_t columns, float centre)
{
    size_t begin = self->data.len;
    size_t n = columns ? rows * columns : rows;

    for (size_t i = 0; i < n; i++) {
        float value;

        self->random = self->random * 1664525u + 1013904223u;
        value = centre + ((float)(self->random >> 8) / 8388608.0f - 1.0f) * 0.5f;
        buf_append_bytes(&self->data, &value, sizeof(value));
    }
    buf_printf(&self->header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%zu", begin ? "," : "{", name,
               rows);
    if (columns)
        buf_printf(&self->header, ",%zu", columns);
    buf_printf(&self->header, "],\"data_offsets\":[%zu,%zu]}", begin, self->data.len);
}

/* The container's bytes; frees the two buffers. */
static inline void
tiny_finish(struct tiny_weights *self, struct buf *file)
{
    uint64_t n_header;

    buf_append_char(&self->header, '}');
    n_header = self->header.len;
    buf_append_bytes(file, &n_header, sizeof(n_header));
    buf_append(file, buf_str(&self->header));
    buf_append(file, buf_str(&self->data));
    buf_fini(&self->header);
    buf_fini(&self->data);
    assert_int_equal(buf_status(file, NULL), 0);
}

static inline void
tiny_add_layer(struct tiny_weights *weights, size_t layer)
{
    static const struct {
        const char *name;
        size_t rows;
        size_t columns;
        float centre;
    } rows[] = {
        {"attention.self.query", TINY_HIDDEN, TINY_HIDDEN, 0},
        {"attention.self.key", TINY_HIDDEN, TINY_HIDDEN, 0},
        {"attention.self.value", TINY_HIDDEN, TINY_HIDDEN, 0},
        {"attention.output.dense", TINY_HIDDEN, TINY_HIDDEN, 0},
        {"attention.output.LayerNorm", TINY_HIDDEN, 0, 1},
        {"intermediate.dense", TINY_INNER, TINY_HIDDEN, 0},
        {"output.dense", TINY_HIDDEN, TINY_INNER, 0},
        {"output.LayerNorm", TINY_HIDDEN, 0, 1},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char name[128];

        (void)snprintf(name, sizeof(name), "encoder.layer.%zu.%s.weight", layer, rows[i].name);
        tiny_add(weights, name, rows[i].rows, rows[i].columns, rows[i].centre);
        (void)snprintf(name, sizeof(name), "encoder.layer.%zu.%s.bias", layer, rows[i].name);
        tiny_add(weights, name, rows[i].rows, 0, 0);
    }
}

static inline void
tiny_write_weights(const struct tiny_model *model, uint32_t seed)
{
    struct buf file = BUF_INIT(TINY_FILES_MAX);
    struct tiny_weights weights = {BUF_INIT(TINY_FILES_MAX), BUF_INIT(TINY_FILES_MAX), seed};

    tiny_add(&weights, "embeddings.word_embeddings.weight", TINY_VOCAB, TINY_HIDDEN, 0);
    tiny_add(&weights, "embeddings.position_embeddings.weight", TINY_POSITIONS, TINY_HIDDEN, 0);
    tiny_add(&weights, "embeddings.token_type_embeddings.weight", 2, TINY_HIDDEN, 0);
    tiny_add(&weights, "embeddings.LayerNorm.weight", TINY_HIDDEN, 0, 1);
    tiny_add(&weights, "embeddings.LayerNorm.bias", TINY_HIDDEN, 0, 0);
    for (size_t i = 0; i < TINY_LAYERS; i++)
        tiny_add_layer(&weights, i);
    tiny_finish(&weights, &file);
    tiny_write(model, "model.safetensors", buf_str(&file));
    buf_fini(&file);
}

static inline void
tiny_create(struct tiny_model *model)
{
    (void)snprintf(model->dir, sizeof(model->dir), "/tmp/trawl-tiny-XXXXXX");
    assert_non_null(mkdtemp(model->dir));
    tiny_write_text(model, "config.json", tiny_config);
    tiny_write_text(model, "modules.json", tiny_modules);
    tiny_write_text(model, "sentence_bert_config.json", "{\"max_seq_length\": 32}");
    tiny_write_text(model, "1_Pooling/config.json",
                    "{\"word_embedding_dimension\": 32, \"pooling_mode_mean_tokens\": true}");
    tiny_write_text(model, "vocab.txt", tiny_vocab);
    tiny_write_weights(model, 1);
}

static inline void
tiny_destroy(const struct tiny_model *model)
{
    char command[128];

    (void)snprintf(command, sizeof(command), "rm -r '%s'", model->dir);
    assert_int_equal(system(command), 0);
}
