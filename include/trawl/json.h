#pragma once

/* Reading a JSON value: an answer of a source that source_parse has read.
 *
 * Values live as long as what they were read into; nothing is changed.  A JSON string may hold any
 * code point, NUL included.  Numbers keep their text.  Pure functions, any thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/attributes.h>
#include <trawl/str.h>

struct json;

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* NULL gives JSON_NULL. */
TRAWL_API enum json_type json_type_of(const struct json *value);
TRAWL_API const char *json_type_name(enum json_type type);

/* The value of a name, the last one where it is repeated; NULL when absent or not an object. */
TRAWL_API const struct json *json_get(const struct json *object, struct str name);

/* As json_get, NULL also for a JSON null or another type. */
TRAWL_API const struct json *json_get_typed(const struct json *object, struct str name,
                                            enum json_type type);

/* The string under a name, or STR_NULL. */
TRAWL_API struct str json_get_str(const struct json *object, struct str name);

/* The text of a string, or of a number as it was written; else STR_NULL. */
TRAWL_API struct str json_text_of(const struct json *value);

/* A whole number within int64 ("5.0" and "5e2" count, a string does not). */
TRAWL_API bool json_is_i64(const struct json *value, int64_t *out);

/* Any finite number. */
TRAWL_API bool json_is_f64(const struct json *value, double *out);

/* A string that is a date, as microseconds UTC: "2024-11-25T20:07:28.123456+00:00", "2024-11-25".
 */
TRAWL_API bool json_is_time(const struct json *value, int64_t *out_us);

/* Items of an array: 0 for any other value. */
TRAWL_API size_t json_n_items(const struct json *array);

/* NULL beyond the last one. */
TRAWL_API const struct json *json_item(const struct json *array, size_t item_idx);
