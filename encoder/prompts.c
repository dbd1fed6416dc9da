/* Published files say it best.  The families below were published before there was a field for
 * prompts; a directory's own name is never looked at, since copies are renamed. */

#include "encoder/prompts.h"

#include <stdio.h>

#include "base/file.h"
#include "encoder/config_json.h"

#define SENTENCE_FILE "config_sentence_transformers.json"
#define CARD_BYTES    4096 /* of README.md; the model's name stands at its top */

/* -- config_sentence_transformers.json ------------------------------------------------------- */

/* The prompt of a name; one that is empty (as newer versions write unasked) says nothing. */
static int
find_named(const struct config_json *config, struct str name, struct arena *arena,
           struct encoder_prompt *out, struct error *err)
{
    const struct json *prompts = json_get(&config->root, STR("prompts"));
    const struct json *prompt = prompts ? json_get(prompts, name) : NULL;
    const char *origin;

    if (!prompt || prompt->type == JSON_NULL)
        return 0;
    if (prompt->type != JSON_STRING)
        return error_set(err, ERR_INVALID, "'%s': prompts.%.*s is not a string", config->path,
                         STR_ARG(str_slice(name, 0, 64)));
    if (prompt->text.len == 0)
        return 0;
    origin = arena_printf(arena, SENTENCE_FILE ", prompts.%.*s", STR_ARG(name));
    if (!origin)
        return error_set(err, ERR_NOMEM, "cannot hold a prompt's origin");
    *out = (struct encoder_prompt){prompt->text, str_from_cstr(origin)};
    return 0;
}

/* The first of some names that has a prompt. */
static int
find_first(const struct config_json *config, const struct str *names, size_t n_names,
           struct arena *arena, struct encoder_prompt *out, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && !out->origin.ptr && i < n_names; i++)
        rc = !names[i].ptr ? 0 : find_named(config, names[i], arena, out, err);
    return rc;
}

static int
read_settings(const char *dir, struct arena *arena, struct encoder_prompts *out, struct error *err)
{
    struct str queries[] = {STR("query"), STR_NULL};
    struct str documents[] = {STR("document"), STR("passage"), STR("corpus"), STR_NULL};
    struct config_json config;
    bool is_found;
    struct str fallback;
    int rc = config_json_load_optional(dir, SENTENCE_FILE, arena, &config, &is_found, err);

    if (rc < 0 || !is_found)
        return rc;
    fallback = json_get_str(&config.root, STR("default_prompt_name"));
    queries[COUNT_OF(queries) - 1] = fallback;
    documents[COUNT_OF(documents) - 1] = fallback;
    rc = find_first(&config, queries, COUNT_OF(queries), arena, &out->query, err);
    if (rc == 0)
        rc = find_first(&config, documents, COUNT_OF(documents), arena, &out->document, err);
    return rc;
}

/* -- Known families -------------------------------------------------------------------------- */

/* Model cards of intfloat/e5-*-v2 and BAAI/bge-*-en-v1.5. */
static const struct family {
    struct str prefix; /* of the model's name */
    unsigned pooling;
    struct str query;
    struct str document;
} families[] = {
    {STR_INIT("e5-small"), POOLING_MEAN, STR_INIT("query: "), STR_INIT("passage: ")},
    {STR_INIT("e5-base"), POOLING_MEAN, STR_INIT("query: "), STR_INIT("passage: ")},
    {STR_INIT("e5-large"), POOLING_MEAN, STR_INIT("query: "), STR_INIT("passage: ")},
    {STR_INIT("bge-small-en"), POOLING_CLS,
     STR_INIT("Represent this sentence for searching relevant passages: "), STR_INIT("")},
    {STR_INIT("bge-base-en"), POOLING_CLS,
     STR_INIT("Represent this sentence for searching relevant passages: "), STR_INIT("")},
    {STR_INIT("bge-large-en"), POOLING_CLS,
     STR_INIT("Represent this sentence for searching relevant passages: "), STR_INIT("")},
};

/* "e5-small-v2" of "intfloat/e5-small-v2" or "/tmp/BAAI_bge-small-en/". */
static struct str
last_name(struct str path)
{
    size_t slash;

    while (str_ends_with(path, STR("/")))
        path.len--;
    slash = str_find_last(path, STR("/"));
    if (slash < path.len)
        path = str_slice(path, slash + 1, path.len);
    if (str_starts_with(path, STR("BAAI_")))
        path = str_slice(path, 5, path.len);
    return path;
}

/* The family of exactly this model or of a version of it; not of what was made from it. */
static const struct family *
find_family(struct str name, unsigned pooling)
{
    static const struct str versions[] = {STR_INIT(""), STR_INIT("-v1.5"), STR_INIT("-v2")};

    for (size_t i = 0; i < COUNT_OF(families); i++) {
        struct str rest = str_slice(name, families[i].prefix.len, name.len);

        if (families[i].pooling != pooling || !str_starts_with(name, families[i].prefix))
            continue;
        for (size_t v = 0; v < COUNT_OF(versions); v++) {
            if (str_equal(rest, versions[v]))
                return &families[i];
        }
    }
    return NULL;
}

/* The first name under model-index in a model card's front matter; absent where there is none. */
static struct str
card_name(struct str card)
{
    const struct str key = STR("name:");
    bool is_index = false;
    struct str line;

    if (!str_split(&card, '\n', &line) || !str_equal(str_trim(line), STR("---")))
        return STR_NULL;
    while (str_split(&card, '\n', &line)) {
        struct str word = str_trim(line);

        if (str_equal(word, STR("---")))
            break;
        if (is_index && str_starts_with(word, STR("-")))
            word = str_trim(str_slice(word, 1, word.len));
        if (is_index)
            return str_starts_with(word, key) ? str_trim(str_slice(word, key.len, word.len))
                                              : STR_NULL;
        is_index = str_equal(word, STR("model-index:"));
    }
    return STR_NULL;
}

/* The model card's head, or nothing: it is only a witness. */
static struct str
read_card(const char *dir, char text[CARD_BYTES], struct arena *arena)
{
    const char *path = arena_printf(arena, "%s/README.md", dir);
    CLEANUP(file_closep) FILE *file = path ? fopen(path, "re") : NULL;

    return file ? (struct str){text, fread(text, 1, CARD_BYTES, file)} : STR_NULL;
}

static int
add_family(const struct family *family, struct str name, const char *witness, struct arena *arena,
           struct encoder_prompts *out, struct error *err)
{
    const char *origin =
        arena_printf(arena, "%s, which names the model '%.*s'", witness, STR_ARG(name));

    if (!origin)
        return error_set(err, ERR_NOMEM, "cannot hold a prompt's origin");
    if (!out->query.origin.ptr)
        out->query = (struct encoder_prompt){family->query, str_from_cstr(origin)};
    if (!out->document.origin.ptr)
        out->document = (struct encoder_prompt){family->document, str_from_cstr(origin)};
    return 0;
}

static int
recognise(const char *dir, const struct model_config *config, struct arena *arena,
          struct encoder_prompts *out, struct error *err)
{
    char card[CARD_BYTES];
    struct config_json json;
    const struct family *family;
    struct str name;
    int rc = config_json_load(config->dir, "config.json", arena, &json, err);

    if (rc < 0)
        return rc;
    name = last_name(json_get_str(&json.root, STR("_name_or_path")));
    family = find_family(name, config->pooling);
    if (family)
        return add_family(family, name, "config.json", arena, out, err);
    name = card_name(read_card(dir, card, arena));
    family = find_family(name, config->pooling);
    return family ? add_family(family, name, "README.md", arena, out, err) : 0;
}

int
prompts_load(const char *dir, const struct model_config *config, struct arena *arena,
             struct encoder_prompts *out, struct error *err)
{
    struct encoder_prompts prompts = {0};
    int rc = read_settings(dir, arena, &prompts, err);

    if (rc == 0 && (!prompts.query.origin.ptr || !prompts.document.origin.ptr))
        rc = recognise(dir, config, arena, &prompts, err);
    if (rc == 0)
        *out = prompts;
    return rc;
}
