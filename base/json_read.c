/* Reading JSON values: see trawl/json.h. */

#include "base/json.h"

#include "base/number.h"
#include "base/timestamp.h"

enum json_type
json_type_of(const struct json *value)
{
    return value ? value->type : JSON_NULL;
}

const struct json *
json_get(const struct json *object, struct str name)
{
    if (!object || object->type != JSON_OBJECT)
        return NULL;
    for (size_t i = object->object.n_members; i-- > 0;) {
        if (str_equal(object->object.members[i].name, name))
            return &object->object.members[i].value;
    }
    return NULL;
}

const struct json *
json_get_typed(const struct json *object, struct str name, enum json_type type)
{
    const struct json *value = json_get(object, name);

    return value && value->type == type ? value : NULL;
}

struct str
json_get_str(const struct json *object, struct str name)
{
    const struct json *value = json_get_typed(object, name, JSON_STRING);

    return value ? value->text : STR_NULL;
}

bool
json_is_f64(const struct json *value, double *out)
{
    return value && value->type == JSON_NUMBER && number_parse_f64(value->text, out, NULL) == 0;
}

bool
json_is_i64(const struct json *value, int64_t *out)
{
    static const double limit = 9007199254740992.0; /* 2^53: beyond it a double is not exact */
    double number;

    if (!value || value->type != JSON_NUMBER)
        return false;
    if (number_parse_i64(value->text, out, NULL) == 0)
        return true;
    if (!json_is_f64(value, &number) || number > limit || number < -limit ||
        (double)(int64_t)number < number || (double)(int64_t)number > number)
        return false;
    *out = (int64_t)number;
    return true;
}

const char *
json_type_name(enum json_type type)
{
    static const char *const names[] = {"null", "boolean", "number", "string", "array", "object"};

    return (size_t)type < COUNT_OF(names) ? names[type] : "unknown";
}

struct str
json_text_of(const struct json *value)
{
    return value && (value->type == JSON_STRING || value->type == JSON_NUMBER) ? value->text
                                                                               : STR_NULL;
}

bool
json_is_time(const struct json *value, int64_t *out_us)
{
    return value && value->type == JSON_STRING &&
           timestamp_parse_iso(value->text, out_us, NULL) == 0;
}

size_t
json_n_items(const struct json *array)
{
    return array && array->type == JSON_ARRAY ? array->array.n_items : 0;
}

const struct json *
json_item(const struct json *array, size_t item_idx)
{
    return item_idx < json_n_items(array) ? &array->array.items[item_idx] : NULL;
}
