/* Files are mapped for the parse only; the arena gets a copy, since strings point into the text. */

#include "encoder/config_json.h"

#include <inttypes.h>

#include "base/file.h"

#define FILE_MAX_BYTES ((size_t)16 << 20)

int
config_json_load(const char *dir, const char *name, struct arena *arena, struct config_json *out,
                 struct error *err)
{
    static const struct json_limits limits = {.flags = JSON_ALLOW_NAN, .max_depth = 32};
    CLEANUP(file_map_close) struct file_map map = {STR_NULL};
    struct config_json config;
    struct str text;
    bool ok = true;
    int rc;

    config.path = arena_printf(arena, "%s/%s", dir, name);
    if (!config.path)
        return error_set(err, ERR_NOMEM, "cannot hold the path of '%s'", name);
    rc = file_map_open(config.path, &map, err);
    if (rc < 0)
        return rc;
    if (map.bytes.len > FILE_MAX_BYTES)
        return error_set(err, ERR_TOO_LARGE, "'%s' has %zu bytes, more than %zu", config.path,
                         map.bytes.len, FILE_MAX_BYTES);
    text = arena_dup(arena, map.bytes, &ok);
    if (!ok)
        return error_set(err, ERR_NOMEM, "cannot hold '%s'", config.path);
    rc = json_parse(text, &limits, arena, &config.root, err);
    if (rc < 0)
        return error_wrap(err, rc, "'%s'", config.path);
    *out = config;
    return 0;
}

int
config_json_load_optional(const char *dir, const char *name, struct arena *arena,
                          struct config_json *out, bool *is_found, struct error *err)
{
    struct error inner;
    int rc = config_json_load(dir, name, arena, out, &inner);

    *is_found = rc == 0;
    if (rc == -ERR_NOT_FOUND) {
        *out = (struct config_json){.path = name, .root = {.type = JSON_OBJECT}};
        return 0;
    }
    if (rc < 0 && err)
        *err = inner;
    return rc;
}

static bool
is_absent(const struct json *value)
{
    return !value || value->type == JSON_NULL;
}

int
config_json_optional_size(const struct config_json *self, struct str name, size_t min, size_t max,
                          size_t *out, struct error *err)
{
    const struct json *value = json_get(&self->root, name);
    int64_t number;

    if (is_absent(value))
        return 0;
    if (!json_is_i64(value, &number))
        return error_set(err, ERR_INVALID, "'%s': %.*s is not a whole number but %s", self->path,
                         STR_ARG(name), json_type_name(value->type));
    if (number < 0 || (uint64_t)number < min || (uint64_t)number > max)
        return error_set(err, ERR_INVALID, "'%s': %.*s is %" PRId64 ", not within %zu and %zu",
                         self->path, STR_ARG(name), number, min, max);
    *out = (size_t)number;
    return 0;
}

int
config_json_size(const struct config_json *self, struct str name, size_t min, size_t max,
                 size_t *out, struct error *err)
{
    if (is_absent(json_get(&self->root, name)))
        return error_set(err, ERR_INVALID, "'%s': %.*s is missing", self->path, STR_ARG(name));
    return config_json_optional_size(self, name, min, max, out, err);
}

int
config_json_optional_bool(const struct json *object, const char *path, struct str name, bool *out,
                          struct error *err)
{
    const struct json *value = json_get(object, name);

    if (is_absent(value))
        return 0;
    if (value->type != JSON_BOOL)
        return error_set(err, ERR_INVALID, "'%s': %.*s is not a boolean but %s", path,
                         STR_ARG(name), json_type_name(value->type));
    *out = value->boolean;
    return 0;
}

int
config_json_str(const struct json *object, const char *path, struct str name, struct str *out,
                struct error *err)
{
    const struct json *value = json_get(object, name);

    if (is_absent(value))
        return error_set(err, ERR_INVALID, "'%s': %.*s is missing", path, STR_ARG(name));
    if (value->type != JSON_STRING)
        return error_set(err, ERR_INVALID, "'%s': %.*s is not a string but %s", path, STR_ARG(name),
                         json_type_name(value->type));
    *out = value->text;
    return 0;
}
