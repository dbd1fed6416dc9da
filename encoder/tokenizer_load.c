/* transformers rebuilds the normalizer when tokenizer_config.json disagrees with tokenizer.json on
 * do_lower_case, strip_accents or tokenize_chinese_chars: tokenizer_config.json wins there, so it
 * does here. */

#include "encoder/tokenizer_load.h"

#include "base/file.h"
#include "encoder/config_json.h"

#define ARENA_BYTES    ((size_t)128 << 20)
#define FILE_MAX_BYTES ((size_t)16 << 20)

static int
apply_config(const struct config_json *config, struct normalizer_options *options,
             struct error *err)
{
    bool lowered = options->lowercase;
    int rc = config_json_optional_bool(&config->root, config->path, STR("do_lower_case"),
                                       &options->lowercase, err);

    if (rc == 0)
        rc = config_json_optional_bool(&config->root, config->path, STR("tokenize_chinese_chars"),
                                       &options->handle_chinese_chars, err);
    if (lowered != options->lowercase || json_get(&config->root, STR("strip_accents")))
        options->strip_accents = options->lowercase; /* what null or nothing means */
    if (rc == 0)
        rc = config_json_optional_bool(&config->root, config->path, STR("strip_accents"),
                                       &options->strip_accents, err);
    return rc;
}

/* A special token's text: a string, or an object with "content". */
static struct str
find_name(const struct config_json *configs, size_t n_configs, struct str field,
          struct str fallback)
{
    for (size_t i = 0; i < n_configs; i++) {
        const struct json *value = json_get(&configs[i].root, field);

        if (value && value->type == JSON_STRING)
            return value->text;
        if (json_get_str(value, STR("content")).ptr)
            return json_get_str(value, STR("content"));
    }
    return fallback;
}

static int
parse_vocab(const char *dir, const struct config_json *config, struct str text, struct arena *arena,
            struct tokenizer_spec *out, struct error *err)
{
    struct normalizer_options options = {true, true, true, true};
    struct config_json configs[2] = {*config};
    struct vocab_txt_names names;
    bool is_found;
    int rc = config_json_load_optional(dir, "special_tokens_map.json", arena, &configs[1],
                                       &is_found, err);

    if (rc == 0)
        rc = apply_config(config, &options, err);
    if (rc < 0)
        return rc;
    names.unk = find_name(configs, 2, STR("unk_token"), STR("[UNK]"));
    names.cls = find_name(configs, 2, STR("cls_token"), STR("[CLS]"));
    names.sep = find_name(configs, 2, STR("sep_token"), STR("[SEP]"));
    names.pad = find_name(configs, 2, STR("pad_token"), STR("[PAD]"));
    names.mask = find_name(configs, 2, STR("mask_token"), STR("[MASK]"));
    return vocab_txt_parse(text, &names, options, arena, out, err);
}

static int
map_file(const char *dir, const char *name, struct arena *arena, struct file_map *out,
         struct error *err)
{
    const char *path = arena_printf(arena, "%s/%s", dir, name);
    int rc;

    if (!path)
        return error_set(err, ERR_NOMEM, "cannot hold the path of '%s'", name);
    rc = file_map_open(path, out, err);
    if (rc == 0 && out->bytes.len > FILE_MAX_BYTES)
        return error_set(err, ERR_TOO_LARGE, "'%s' has %zu bytes, more than %zu", path,
                         out->bytes.len, FILE_MAX_BYTES);
    return rc;
}

int
tokenizer_load(const char *dir, bool needs_json, struct tokenizer **out, const char **source,
               struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
    CLEANUP(file_map_close) struct file_map map = {STR_NULL};
    struct config_json config;
    struct tokenizer_spec spec;
    const char *name = "tokenizer.json";
    bool is_found;
    int rc =
        config_json_load_optional(dir, "tokenizer_config.json", &arena, &config, &is_found, err);

    if (rc < 0)
        return rc;
    rc = map_file(dir, name, &arena, &map, err);
    if (rc == 0) {
        rc = tokenizer_json_parse(map.bytes, &arena, &spec, err);
        if (rc == 0)
            rc = apply_config(&config, &spec.normalizer, err);
    } else if (rc == -ERR_NOT_FOUND && !needs_json) {
        name = "vocab.txt";
        rc = map_file(dir, name, &arena, &map, err);
        if (rc == -ERR_NOT_FOUND)
            return error_set(err, ERR_NOT_FOUND, "'%s' has neither tokenizer.json nor vocab.txt",
                             dir);
        if (rc == 0)
            rc = parse_vocab(dir, &config, map.bytes, &arena, &spec, err);
    }
    if (rc == 0)
        rc = tokenizer_create(&spec, out, err);
    if (rc == 0)
        *source = name;
    return rc;
}
