/* Order: one Transformer, one Pooling, then any of Normalize, Dense and LayerNorm. */

#include "encoder/sentence_modules.h"

#include <inttypes.h>

#include "encoder/config_json.h"

/* Types are Python class paths; packages were renamed over time, so the last part counts. */
static struct str
class_name(struct str type)
{
    size_t dot = str_find_last(type, STR("."));

    return dot < type.len ? str_slice(type, dot + 1, type.len) : type;
}

/* A module's directory below the model's; it may not lead out of it. */
static int
join_path(const char *dir, struct str path, struct arena *arena, const char **out,
          struct error *err)
{
    struct str rest = path;
    struct str part;

    if (str_starts_with(path, STR("/")) || str_find_char(path, '\0') < path.len)
        return error_set(err, ERR_INVALID, "modules.json: the path '%.*s' is not a relative one",
                         STR_ARG(path));
    while (str_split(&rest, '/', &part)) {
        if (str_equal(part, STR("..")))
            return error_set(err, ERR_INVALID,
                             "modules.json: the path '%.*s' leads out of the "
                             "directory",
                             STR_ARG(path));
    }
    *out = path.len ? arena_printf(arena, "%s/%.*s", dir, STR_ARG(path))
                    : arena_printf(arena, "%s", dir);
    return *out ? 0 : error_set(err, ERR_NOMEM, "modules.json: cannot hold a path");
}

/* One name of pooling_mode; they are concatenated as listed, which must be our order. */
static int
add_pooling_mode(const struct config_json *config, const struct json *name, unsigned *pooling,
                 struct error *err)
{
    static const struct {
        struct str name;
        unsigned mode;
    } modes[] = {
        {STR_INIT("cls"), POOLING_CLS},
        {STR_INIT("max"), POOLING_MAX},
        {STR_INIT("mean"), POOLING_MEAN},
        {STR_INIT("mean_sqrt_len_tokens"), POOLING_MEAN_SQRT_LEN},
        {STR_INIT("weightedmean"), POOLING_WEIGHTED_MEAN},
        {STR_INIT("lasttoken"), POOLING_LAST_TOKEN},
    };

    for (size_t i = 0; name->type == JSON_STRING && i < COUNT_OF(modes); i++) {
        if (!str_equal(modes[i].name, name->text))
            continue;
        if (*pooling >= modes[i].mode)
            return error_set(err, ERR_UNSUPPORTED,
                             "'%s': pooling_mode has '%.*s' out of the order cls, max, mean, "
                             "mean_sqrt_len_tokens, weightedmean, lasttoken",
                             config->path, STR_ARG(name->text));
        *pooling |= modes[i].mode;
        return 0;
    }
    return error_set(err, ERR_UNSUPPORTED,
                     "'%s': pooling_mode is not one of cls, max, mean, mean_sqrt_len_tokens, "
                     "weightedmean and lasttoken, or a list of them",
                     config->path);
}

/* A boolean per mode, as before sentence-transformers 5.7. */
static int
load_pooling_booleans(const struct config_json *config, unsigned *pooling, struct error *err)
{
    static const struct {
        struct str name;
        unsigned mode;
    } modes[] = {
        {STR_INIT("pooling_mode_cls_token"), POOLING_CLS},
        {STR_INIT("pooling_mode_max_tokens"), POOLING_MAX},
        {STR_INIT("pooling_mode_mean_tokens"), POOLING_MEAN},
        {STR_INIT("pooling_mode_mean_sqrt_len_tokens"), POOLING_MEAN_SQRT_LEN},
        {STR_INIT("pooling_mode_weightedmean_tokens"), POOLING_WEIGHTED_MEAN},
        {STR_INIT("pooling_mode_lasttoken"), POOLING_LAST_TOKEN},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < COUNT_OF(modes); i++) {
        bool is_on = modes[i].mode == POOLING_MEAN; /* the one that is on when absent */

        rc = config_json_optional_bool(&config->root, config->path, modes[i].name, &is_on, err);
        *pooling |= is_on ? modes[i].mode : 0;
    }
    return rc;
}

static int
load_pooling_modes(const struct config_json *config, unsigned *pooling, struct error *err)
{
    const struct json *mode = json_get(&config->root, STR("pooling_mode"));
    int rc = 0;

    *pooling = 0;
    if (!mode)
        rc = load_pooling_booleans(config, pooling, err);
    else if (mode->type != JSON_ARRAY)
        return add_pooling_mode(config, mode, pooling, err);
    for (size_t i = 0; rc == 0 && mode && i < mode->array.n_items; i++)
        rc = add_pooling_mode(config, &mode->array.items[i], pooling, err);
    if (rc == 0 && *pooling == 0)
        return error_set(err, ERR_INVALID, "'%s': no pooling mode is on", config->path);
    return rc;
}

static int
load_pooling(const char *dir, struct arena *arena, struct model_config *out, struct error *err)
{
    struct config_json config;
    bool includes_prompt = true;
    int rc = config_json_load(dir, "config.json", arena, &config, err);

    out->pooling_width = 0;
    if (rc == 0)
        rc = load_pooling_modes(&config, &out->pooling, err);
    if (rc == 0)
        rc = config_json_optional_bool(&config.root, config.path, STR("include_prompt"),
                                       &includes_prompt, err);
    out->skips_prompt = !includes_prompt;
    if (rc == 0)
        rc = config_json_optional_size(&config, STR("word_embedding_dimension"), 1, SIZE_MAX,
                                       &out->pooling_width, err);
    if (rc == 0)
        rc = config_json_optional_size(&config, STR("embedding_dimension"), 1, SIZE_MAX,
                                       &out->pooling_width, err);
    return rc;
}

static int
add_module(struct str name, const char *dir, struct model_config *out, struct error *err)
{
    static const struct {
        struct str name;
        enum module_kind kind;
    } kinds[] = {
        {STR_INIT("Normalize"), MODULE_NORMALIZE},
        {STR_INIT("Dense"), MODULE_DENSE},
        {STR_INIT("LayerNorm"), MODULE_LAYER_NORM},
    };

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (!str_equal(kinds[i].name, name))
            continue;
        if (out->n_modules == MODULES_MAX)
            return error_set(err, ERR_UNSUPPORTED,
                             "modules.json: more than %d modules behind "
                             "pooling",
                             MODULES_MAX);
        out->modules[out->n_modules++] = (struct module_config){kinds[i].kind, dir};
        return 0;
    }
    return error_set(err, ERR_UNSUPPORTED,
                     "modules.json: a module of type '%.*s'; supported are "
                     "Transformer, Pooling, Normalize, Dense and LayerNorm",
                     STR_ARG(name));
}

/* The module with a given idx, or NULL. */
static const struct json *
module_at(const struct json *list, int64_t wanted)
{
    for (size_t i = 0; i < list->array.n_items; i++) {
        int64_t idx;

        if (json_is_i64(json_get(&list->array.items[i], STR("idx")), &idx) && idx == wanted)
            return &list->array.items[i];
    }
    return NULL;
}

static int
load_module(const char *dir, const struct json *module, size_t idx, struct arena *arena,
            struct model_config *out, struct error *err)
{
    static const struct str order[] = {STR_INIT("Transformer"), STR_INIT("Pooling")};
    struct str type;
    struct str name;
    struct str path;
    const char *module_dir;
    int rc = config_json_str(module, "modules.json", STR("type"), &type, err);

    if (rc == 0)
        rc = config_json_str(module, "modules.json", STR("path"), &path, err);
    if (rc == 0)
        rc = join_path(dir, path, arena, &module_dir, err);
    if (rc < 0)
        return rc;
    name = class_name(type);
    if (idx >= COUNT_OF(order))
        return add_module(name, module_dir, out, err);
    if (!str_equal(name, order[idx]))
        return error_set(err, ERR_UNSUPPORTED,
                         "modules.json: module %zu is of type '%.*s', "
                         "expected %.*s",
                         idx, STR_ARG(type), STR_ARG(order[idx]));
    if (idx == 0) {
        out->dir = module_dir;
        return 0;
    }
    return load_pooling(module_dir, arena, out, err);
}

int
sentence_modules_load(const char *dir, struct arena *arena, struct model_config *out,
                      struct error *err)
{
    struct config_json config;
    bool is_found;
    int rc = config_json_load_optional(dir, "modules.json", arena, &config, &is_found, err);

    if (rc < 0)
        return rc;
    out->dir = dir;
    out->pooling = POOLING_MEAN;
    out->skips_prompt = false;
    out->n_modules = 0;
    if (!is_found)
        return 0;
    if (config.root.type != JSON_ARRAY || config.root.array.n_items < 2)
        return error_set(err, ERR_INVALID, "'%s': not a list of at least two modules", config.path);
    for (size_t idx = 0; rc == 0 && idx < config.root.array.n_items; idx++) {
        const struct json *module = module_at(&config.root, (int64_t)idx);

        if (!module)
            return error_set(err, ERR_INVALID, "'%s': no module has the idx %zu", config.path, idx);
        rc = load_module(dir, module, idx, arena, out, err);
    }
    return rc;
}
