/* The query's prompt is no part of the identity: stored vectors do not depend on it. */

#include "lib/services/ml/model_prompts.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/utf8.h"

#define ARENA_BYTES ((size_t)1 << 20)

/* Bytes, and tokens: at least half of the model's limit must be left for the text. */
static int
check_prompt(struct encoder *encoder, const struct encoder_prompt *prompt, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct encoder_ids ids;
    int rc;

    if (prompt->text.len > MODEL_PROMPT_BYTES)
        return error_set(err, ERR_CONFIG, "the prompt of %.*s has %zu bytes, more than %d",
                         STR_ARG(prompt->origin), prompt->text.len, MODEL_PROMPT_BYTES);
    if (!utf8_is_valid(prompt->text) || str_find_char(prompt->text, '\0') < prompt->text.len)
        return error_set(err, ERR_CONFIG, "the prompt of %.*s is not UTF-8 text",
                         STR_ARG(prompt->origin));
    rc = encoder_tokenize(encoder, prompt->text, &arena, &ids, NULL, err);
    if (rc == 0 && prompt->text.len && ids.n_ids > encoder_max_tokens(encoder) / 2)
        return error_set(err, ERR_CONFIG,
                         "the prompt of %.*s takes %zu tokens, more than half of the model's %zu",
                         STR_ARG(prompt->origin), ids.n_ids, encoder_max_tokens(encoder));
    return rc;
}

/* own  what the model asks for */
static int
choose(struct encoder *encoder, struct str setting, const char *name,
       const struct encoder_prompt *own, struct encoder_prompt *out, struct error *err)
{
    struct encoder_prompt prompt = {setting, str_from_cstr(name)};

    if (!setting.ptr || str_equal(setting, STR("auto"))) {
        prompt = *own;
        if (!prompt.origin.ptr)
            prompt = (struct encoder_prompt){STR(""), STR("the model's files, which ask for none")};
    } else if (str_equal(setting, STR("none"))) {
        prompt.text = STR("");
    }
    *out = prompt;
    return check_prompt(encoder, &prompt, err);
}

int
model_prompts_choose(struct encoder *encoder, struct str query, struct str document,
                     struct encoder_prompts *out, struct error *err)
{
    struct encoder_prompts own;
    struct encoder_prompts chosen;
    int rc;

    encoder_get_prompts(encoder, &own);
    rc = choose(encoder, query, "embedding.query_prompt", &own.query, &chosen.query, err);
    if (rc == 0)
        rc = choose(encoder, document, "embedding.document_prompt", &own.document, &chosen.document,
                    err);
    if (rc == 0)
        *out = chosen;
    return rc;
}

int
model_prompts_identity(struct str fingerprint, struct str document_prompt,
                       char out[MODEL_IDENTITY_BYTES], struct error *err)
{
    char hash[SHA256_TEXT_BYTES];
    size_t slash = str_find_last(fingerprint, STR("/"));
    int rc;

    if (document_prompt.len == 0) {
        (void)snprintf(out, MODEL_IDENTITY_BYTES, "%.*s", STR_ARG(fingerprint));
        return 0;
    }
    rc = digest_sha256_text(document_prompt, hash, err);
    if (rc < 0)
        return rc;
    (void)snprintf(out, MODEL_IDENTITY_BYTES, "%.*s~%.8s%.*s",
                   STR_ARG(str_slice(fingerprint, 0, slash)), hash,
                   STR_ARG(str_slice(fingerprint, slash, fingerprint.len)));
    return 0;
}

/* An identity without its prompt's digits: what stands before the mark, and what stands behind. */
static void
split_identity(struct str identity, struct str *content, struct str *precision)
{
    size_t slash = str_find_last(identity, STR("/"));
    size_t mark = str_find_char(identity, '~');

    *content = str_slice(identity, 0, mark < slash ? mark : slash);
    *precision = str_slice(identity, slash, identity.len);
}

bool
model_prompts_is_same_model(struct str a, struct str b)
{
    struct str contents[2];
    struct str precisions[2];

    split_identity(a, &contents[0], &precisions[0]);
    split_identity(b, &contents[1], &precisions[1]);
    return str_equal(contents[0], contents[1]) && str_equal(precisions[0], precisions[1]);
}
