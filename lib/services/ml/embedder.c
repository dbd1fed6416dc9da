/* Finds the model's directory and puts the encoder behind the services' interface. */

#include "lib/services/ml/embedder.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "lib/services/ml/precision_notes.h"

struct encoder_embedder {
    struct embedder base; /* first: the interface */
    struct encoder *encoder;
};

static int
embed(struct embedder *self, const struct str *texts, size_t n_texts, float *out, struct error *err)
{
    struct encoder_embedder *own = (struct encoder_embedder *)self;

    return encoder_embed(own->encoder, texts, n_texts, out, NULL, err);
}

static void
free_embedder(struct embedder *self)
{
    struct encoder_embedder *own = (struct encoder_embedder *)self;

    encoder_close(own->encoder);
    free(own);
}

static const struct embedder_ops encoder_ops = {embed, free_embedder};

int
embedder_precision_of(struct str model, enum encoder_precision *out, struct error *err)
{
    struct str word = str_slice(model, str_find_last(model, STR("/")) + 1, model.len);
    enum encoder_precision precision;

    word = str_slice(word, 0, str_find_last(word, STR("-")));
    if (encoder_precision_parse(word, &precision, NULL) < 0 || precision == ENCODER_PRECISION_AUTO)
        return error_set(err, ERR_CORRUPT, "the model '%.*s' ends with no precision",
                         STR_ARG(str_slice(model, 0, 100)));
    *out = precision;
    return 0;
}

int
embedder_model_dir(const struct embedder_options *options, char *out, size_t out_bytes,
                   struct error *err)
{
    size_t slash = str_find_last(options->model, STR("/"));
    bool has_slash = slash < options->model.len;
    struct str name =
        has_slash ? str_slice(options->model, slash + 1, options->model.len) : options->model;
    int len = snprintf(out, out_bytes, "%.*s", STR_ARG(options->model));

    if (has_slash && len < (int)out_bytes && file_exists(out))
        return 0;
    len = snprintf(out, out_bytes, "%.*s/%.*s", STR_ARG(options->models_dir), STR_ARG(name));
    if (len >= (int)out_bytes)
        return error_set(err, ERR_CONFIG, "the path of model '%.*s' is too long",
                         STR_ARG(str_slice(options->model, 0, 64)));
    return 0;
}

/* A file that is missing is the usual case, of a download that was interrupted. */
static int
refuse_model(int rc, struct error *err)
{
    struct error why = err ? *err : (struct error){0};

    if (rc != -ERR_NOT_FOUND)
        return rc;
    return error_set(err, ERR_CONFIG, "the model is not whole, 'trawl model pull' makes it so: %s",
                     why.message);
}

int
embedder_open(const struct embedder_options *options, struct embedder **out, struct error *err)
{
    struct precision_notes notes;
    const struct encoder_options encoder_options = {
        .n_threads = options->n_threads,
        .precision = options->precision,
        .min_cosine = options->min_cosine,
        .notes = &notes.notes,
    };
    struct encoder_embedder *self;
    char dir[PATH_MAX];
    int rc = embedder_model_dir(options, dir, sizeof(dir), err);

    if (rc < 0)
        return rc;
    if (!file_exists(dir))
        return error_set(
            err, ERR_CONFIG,
            "model '%.*s' is not here ('%s' does not exist): run 'trawl model pull', or "
            "set embedding.model to a directory",
            STR_ARG(str_slice(options->model, 0, 100)), dir);
    self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for the encoder");
    precision_notes_init(&notes, options->cache_dir);
    rc = encoder_open(dir, &encoder_options, &self->encoder, err);
    if (rc < 0) {
        free(self);
        return refuse_model(rc, err);
    }
    self->base = (struct embedder){
        .ops = &encoder_ops,
        .model = encoder_fingerprint(self->encoder),
        .dim = encoder_dim(self->encoder),
    };
    *out = &self->base;
    return 0;
}
