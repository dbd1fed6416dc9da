#pragma once

/* Fields of a model directory's JSON files, each with its range; errors name file, field and value.
 */

#include <stdbool.h>
#include <stddef.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/json.h"

/* A parsed file; its name is for messages. */
struct config_json {
    const char *path; /* lives as long as the arena */
    struct json root; /* an object or an array */
};

/* Read and parse dir/name.
 *
 * out  lives as long as the arena
 * Errors: ERR_NOT_FOUND, ERR_INVALID, ERR_TOO_LARGE (over 16 MiB), ERR_NOMEM. */
MUST_CHECK int config_json_load(const char *dir, const char *name, struct arena *arena,
                                struct config_json *out, struct error *err);

/* As above; an absent file is an empty object and *is_found false. */
MUST_CHECK int config_json_load_optional(const char *dir, const char *name, struct arena *arena,
                                         struct config_json *out, bool *is_found,
                                         struct error *err);

/* A whole number within [min, max].  Absent or null: ERR_INVALID. */
MUST_CHECK int config_json_size(const struct config_json *self, struct str name, size_t min,
                                size_t max, size_t *out, struct error *err);

/* Absent or null leaves *out as it is; another type is ERR_INVALID. */
MUST_CHECK int config_json_optional_size(const struct config_json *self, struct str name,
                                         size_t min, size_t max, size_t *out, struct error *err);
MUST_CHECK int config_json_optional_bool(const struct json *object, const char *path,
                                         struct str name, bool *out, struct error *err);

/* A string; absent, null or another type: ERR_INVALID. */
MUST_CHECK int config_json_str(const struct json *object, const char *path, struct str name,
                               struct str *out, struct error *err);
