/* One table of settings (config.h) and the order in which the places are asked. */

#include "lib/core/config.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/number.h"
#include "lib/core/config_file.h"

#define CONFIG_FILE_BYTES  ((size_t)1 << 20)
#define CONFIG_ARENA_BYTES ((size_t)8 << 20)

static const struct {
    const char *name;
    const char *env;
    const char *fallback;
    const char *help;
} settings[CONFIG_N_KEYS] = {
#define CONFIG_ROW(key, name, env, fallback, help) [key] = {name, env, fallback, help},
    CONFIG_SETTINGS(CONFIG_ROW)
#undef CONFIG_ROW
};

struct config {
    struct arena arena;
    struct str values[CONFIG_N_KEYS];
    struct str origins[CONFIG_N_KEYS];
    struct str yaml_path;
    const struct config_node *schedule; /* of that file */
    const struct config_node *limits;
    struct config_pairs yaml;
    const char *(*get_env)(const char *name);
};

struct config_loader {
    struct config *config;
    const struct config_options *options;
    struct config_pairs dotenv;
    struct config_pairs yaml;
};

const char *
config_name(enum config_key key)
{
    return settings[key].name;
}

const char *
config_env_names(enum config_key key)
{
    return settings[key].env;
}

const char *
config_help(enum config_key key)
{
    return settings[key].help;
}

bool
config_is_secret(enum config_key key)
{
    return key == CONFIG_HF_TOKEN || key == CONFIG_KAGGLE_KEY || key == CONFIG_KAGGLE_API_TOKEN;
}

struct str
config_get(const struct config *config, enum config_key key)
{
    return config->values[key];
}

struct str
config_origin(const struct config *config, enum config_key key)
{
    return config->origins[key];
}

struct str
config_yaml_path(const struct config *config)
{
    return config->yaml_path;
}

const struct config_node *
config_schedule(const struct config *config)
{
    return config->schedule;
}

const struct config_node *
config_limits(const struct config *config)
{
    return config->limits;
}

bool
config_next_include(struct str *rest, struct str *path)
{
    while (str_split(rest, CONFIG_LIST_MARK, path)) {
        if (path->len)
            return true;
    }
    return false;
}

struct str
config_find_plugin(const struct config *config, struct str name)
{
    struct str prefix = STR(CONFIG_PLUGIN_PREFIX);
    char env[128];
    const char *value;
    int len = snprintf(env, sizeof(env), "TRAWL_PLUGINS_%.*s", STR_ARG(name));

    for (char *c = env; *c; c++)
        *c = *c == '.' || *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    value = len < (int)sizeof(env) ? config->get_env(env) : NULL;
    if (value && *value)
        return str_from_cstr(value);
    for (size_t i = 0; i < config->yaml.n_items; i++) {
        struct str full = config->yaml.items[i].name;

        if (str_starts_with(full, prefix) && str_equal(str_slice(full, prefix.len, full.len), name))
            return config->yaml.items[i].value;
    }
    return STR_NULL;
}

int
config_find_key(struct str name, enum config_key *out, struct error *err)
{
    size_t best = SIZE_MAX;
    size_t nearest = 0;

    for (size_t key = 0; key < CONFIG_N_KEYS; key++) {
        size_t distance = str_distance(name, str_from_cstr(settings[key].name));

        if (distance == 0) {
            *out = (enum config_key)key;
            return 0;
        }
        if (distance < best) {
            best = distance;
            nearest = key;
        }
    }
    return error_set(
        err, ERR_CONFIG,
        "setting '%.*s' is unknown: did you mean '%s'? ('trawl config show' lists all)",
        STR_ARG(str_slice(name, 0, 64)), settings[nearest].name);
}

int
config_get_i64(const struct config *config, enum config_key key, int64_t min, int64_t max,
               int64_t *out, struct error *err)
{
    struct str text = config->values[key];
    int64_t value;

    if (number_parse_i64(text, &value, NULL) < 0 || value < min || value > max)
        return error_set(err, ERR_CONFIG,
                         "%s must be a whole number from %" PRId64 " to %" PRId64
                         ", got '%.*s' (from %.*s)",
                         settings[key].name, min, max, STR_ARG(str_slice(text, 0, 64)),
                         STR_ARG(config->origins[key]));
    *out = value;
    return 0;
}

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for settings");
}

static int
set_value(struct config *config, enum config_key key, struct str value, const char *origin,
          struct error *err)
{
    bool ok = origin != NULL;

    config->values[key] = arena_dup(&config->arena, value, &ok);
    config->origins[key] = str_from_cstr(origin);
    return ok ? 0 : no_memory(err);
}

static const char *
read_environment(const char *name)
{
    return getenv(name); /* NOLINT: nobody changes it */
}

static const char *
get_env(const struct config_loader *self, const char *name)
{
    const char *value = self->config->get_env(name);

    return value && *value ? value : NULL;
}

/* Environment, then .env, for each of the setting's names in turn. */
static int
set_from_environment(const struct config_loader *self, enum config_key key, bool *is_set,
                     struct error *err)
{
    struct str names = str_from_cstr(settings[key].env);
    struct arena *arena = &self->config->arena;
    struct str name;

    while (str_split(&names, ' ', &name)) {
        char *text = arena_printf(arena, "%.*s", STR_ARG(name));
        const char *value = text ? get_env(self, text) : NULL;

        if (value) {
            *is_set = true;
            return set_value(self->config, key, str_from_cstr(value),
                             arena_printf(arena, "environment %s", text), err);
        }
        for (size_t i = 0; i < self->dotenv.n_items; i++) {
            if (!str_equal(self->dotenv.items[i].name, name))
                continue;
            *is_set = true;
            return set_value(self->config, key, self->dotenv.items[i].value,
                             arena_printf(arena, ".env %.*s", STR_ARG(name)), err);
        }
    }
    return 0;
}

/* Paths of the file count from where the file is. */
static int
anchor_includes(struct config *config, struct str *paths, struct error *err)
{
    struct str yaml = config->yaml_path;
    struct str dir = str_slice(yaml, 0, str_find_last(yaml, STR("/")));
    struct str rest = *paths;
    struct str path;
    char *text = arena_printf(&config->arena, "%s", "");

    while (text && config_next_include(&rest, &path)) {
        bool is_absolute = path.ptr[0] == '/' || dir.len == yaml.len;

        text = arena_printf(&config->arena, "%s%s%.*s%s%.*s", text,
                            *text ? (const char[]){CONFIG_LIST_MARK, '\0'} : "",
                            is_absolute ? 0 : (int)dir.len, dir.ptr ? dir.ptr : "",
                            is_absolute ? "" : "/", STR_ARG(path));
    }
    *paths = str_from_cstr(text);
    return text ? 0 : no_memory(err);
}

static int
set_from_yaml(const struct config_loader *self, enum config_key key, bool *is_set,
              struct error *err)
{
    for (size_t i = 0; i < self->yaml.n_items; i++) {
        const struct config_pair *pair = &self->yaml.items[i];
        struct str value = pair->value;
        int rc = 0;

        if (!str_equal(pair->name, str_from_cstr(settings[key].name)))
            continue;
        *is_set = true;
        if (key == CONFIG_INCLUDE)
            rc = anchor_includes(self->config, &value, err);
        if (rc < 0)
            return rc;
        return set_value(self->config, key, value,
                         arena_printf(&self->config->arena, "%.*s:%zu",
                                      STR_ARG(self->config->yaml_path), pair->line),
                         err);
    }
    return 0;
}

/* $XDG_DATA_HOME/trawl, else ~/.local/share/trawl, else a directory of the present one. */
static char *
default_data_dir(const struct config_loader *self)
{
    const char *xdg = get_env(self, "XDG_DATA_HOME");
    const char *home = get_env(self, "HOME");
    struct arena *arena = &self->config->arena;

    if (xdg)
        return arena_printf(arena, "%s/trawl", xdg);
    if (home)
        return arena_printf(arena, "%s/.local/share/trawl", home);
    return arena_printf(arena, "trawl-data");
}

/* Defaults may name the data directory, which is settled first. */
static int
set_default(const struct config_loader *self, enum config_key key, struct error *err)
{
    struct config *config = self->config;
    struct str fallback = str_from_cstr(settings[key].fallback);
    struct str mark = STR("{data_dir}");
    size_t at = str_find(fallback, mark);
    char *value;

    if (key == CONFIG_DATA_DIR)
        value = default_data_dir(self);
    else if (at == fallback.len)
        value = arena_printf(&config->arena, "%.*s", STR_ARG(fallback));
    else
        value = arena_printf(&config->arena, "%.*s%.*s%.*s", (int)at, fallback.ptr,
                             STR_ARG(config->values[CONFIG_DATA_DIR]),
                             STR_ARG(str_slice(fallback, at + mark.len, fallback.len)));
    return value ? set_value(config, key, str_from_cstr(value), "default", err) : no_memory(err);
}

static int
settle(const struct config_loader *self, enum config_key key, struct error *err)
{
    bool is_set = false;
    int rc;

    for (size_t i = self->options->n_flags; i-- > 0;) { /* the last of a repeated flag counts */
        if (self->options->flags[i].key == key)
            return set_value(self->config, key, self->options->flags[i].value, "flag", err);
    }
    rc = set_from_environment(self, key, &is_set, err);
    if (rc == 0 && !is_set)
        rc = set_from_yaml(self, key, &is_set, err);
    if (rc == 0 && !is_set)
        rc = set_default(self, key, err);
    return rc;
}

/* A text file into the arena. */
static int
read_text(struct config *config, const char *path, struct str *out, struct error *err)
{
    struct buf text = BUF_INIT(CONFIG_FILE_BYTES);
    bool ok = true;
    int rc = file_read(path, &text, err);

    if (rc == 0)
        *out = arena_dup(&config->arena, buf_str(&text), &ok);
    buf_fini(&text);
    return rc == 0 && !ok ? no_memory(err) : rc;
}

static int
load_dotenv(struct config_loader *self, struct error *err)
{
    const char *path = self->options->dotenv_path ? self->options->dotenv_path : ".env";
    struct str text;
    int rc;

    if (!file_exists(path))
        return 0;
    rc = read_text(self->config, path, &text, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot read settings");
    return config_parse_dotenv(text, &self->config->arena, &self->dotenv, err);
}

/* The first trawl.yaml that exists; one that was asked for must. */
static int
find_yaml(const struct config_loader *self, struct error *err)
{
    struct arena *arena = &self->config->arena;
    const char *asked =
        self->options->yaml_path ? self->options->yaml_path : get_env(self, "TRAWL_CONFIG");
    const char *config_home = get_env(self, "XDG_CONFIG_HOME");
    const char *home = get_env(self, "HOME");
    const char *places[] = {
        "trawl.yaml",
        arena_printf(arena, "%.*s/trawl.yaml", STR_ARG(self->config->values[CONFIG_DATA_DIR])),
        config_home ? arena_printf(arena, "%s/trawl/trawl.yaml", config_home)
        : home      ? arena_printf(arena, "%s/.config/trawl/trawl.yaml", home)
                    : NULL,
    };

    if (asked) {
        self->config->yaml_path = str_from_cstr(asked);
        return file_exists(asked)
                   ? 0
                   : error_set(err, ERR_CONFIG, "configuration file '%s' does not exist", asked);
    }
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        if (places[i] && file_exists(places[i])) {
            self->config->yaml_path = str_from_cstr(places[i]);
            return 0;
        }
    }
    return 0;
}

static int
load_yaml(struct config_loader *self, struct error *err)
{
    struct config *config = self->config;
    struct str text;
    int rc = find_yaml(self, err);

    if (rc < 0 || !config->yaml_path.ptr)
        return rc;
    rc = read_text(config, config->yaml_path.ptr, &text, err);
    if (rc == 0)
        rc = config_parse_yaml(text, config->yaml_path.ptr, &config->arena, &self->yaml, err);
    if (rc == 0)
        rc = config_parse_schedule(text, config->yaml_path.ptr, &config->arena, &config->schedule,
                                   err);
    if (rc == 0)
        rc = config_parse_tree(text, config->yaml_path.ptr, CONFIG_LIMITS_NAME, &config->arena,
                               &config->limits, err);
    for (size_t i = 0; rc == 0 && i < self->yaml.n_items; i++) {
        enum config_key key;

        if (str_starts_with(self->yaml.items[i].name, STR(CONFIG_PLUGIN_PREFIX)))
            continue;
        rc = config_find_key(self->yaml.items[i].name, &key, err);
        if (rc < 0)
            return error_wrap(err, rc, "%s:%zu", config->yaml_path.ptr, self->yaml.items[i].line);
    }
    return rc;
}

static int
load(struct config_loader *self, struct error *err)
{
    int rc = load_dotenv(self, err);

    if (rc == 0) /* without YAML, which may lie in it */
        rc = settle(self, CONFIG_DATA_DIR, err);
    if (rc == 0)
        rc = load_yaml(self, err);
    for (size_t key = 0; rc == 0 && key < CONFIG_N_KEYS; key++)
        rc = settle(self, (enum config_key)key, err);
    return rc;
}

int
config_create(const struct config_options *options, struct config **out, struct error *err)
{
    CLEANUP(config_freep) struct config *config = calloc(1, sizeof(*config));
    struct config_loader loader = {.config = config, .options = options};
    int rc;

    if (!config)
        return no_memory(err);
    config->arena = (struct arena)ARENA_INIT(CONFIG_ARENA_BYTES);
    config->get_env = options->get_env ? options->get_env : read_environment;
    rc = load(&loader, err);
    config->yaml = loader.yaml;
    if (rc == 0)
        *out = TAKE(config);
    return rc;
}

void
config_free(struct config *config)
{
    if (!config)
        return;
    arena_fini(&config->arena);
    free(config);
}

void
config_freep(struct config **config)
{
    config_free(*config);
}
