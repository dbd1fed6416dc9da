/* Two passes over the table: the required fields first, so that a failure has written nothing. */

#include "base/json_fields.h"

#include <string.h>

#include "base/timestamp.h"

static const char *const wanted_texts[] = {
#define JSON_FIELD_WANTED(name, c_type, wanted) wanted,
    JSON_FIELD_KINDS(JSON_FIELD_WANTED)
#undef JSON_FIELD_WANTED
};

/* Any member's value, before it goes where the table says. */
union field_value {
    struct str text;
    int64_t whole;
    double number;
    bool boolean;
};

/* Read value as the kind; returns the bytes of *out that count, 0 where it is of another type. */
static size_t
read_value(const struct json *value, enum json_field_kind kind, union field_value *out)
{
    switch (kind) {
    case JSON_FIELD_STR:
        out->text = value->type == JSON_STRING ? value->text : STR_NULL;
        return value->type == JSON_STRING ? sizeof(out->text) : 0;
    case JSON_FIELD_I64:
        return json_is_i64(value, &out->whole) ? sizeof(out->whole) : 0;
    case JSON_FIELD_F64:
        return json_is_f64(value, &out->number) ? sizeof(out->number) : 0;
    case JSON_FIELD_BOOL:
        out->boolean = value->type == JSON_BOOL && value->boolean;
        return value->type == JSON_BOOL ? sizeof(out->boolean) : 0;
    case JSON_FIELD_TIME:
        return value->type == JSON_STRING && timestamp_parse(value->text, &out->whole, NULL) == 0
                   ? sizeof(out->whole)
                   : 0;
    }
    return 0;
}

static int
check_required(const struct json *object, const struct json_field *field, struct error *err)
{
    const struct json *value = json_get(object, field->name);
    union field_value ignored;

    if (!value)
        return error_set(err, ERR_INVALID, "field '%.*s' is missing", STR_ARG(field->name));
    if (read_value(value, field->kind, &ignored) == 0)
        return error_set(err, ERR_INVALID, "field '%.*s' must be %s, not this %s",
                         STR_ARG(field->name), wanted_texts[field->kind],
                         json_type_name(value->type));
    return 0;
}

int
json_fields_read(const struct json *object, const struct json_field *fields, void *out,
                 size_t *n_mistyped, struct error *err)
{
    size_t n_wrong = 0;

    if (object->type != JSON_OBJECT)
        return error_set(err, ERR_INVALID, "an object is expected, not this %s",
                         json_type_name(object->type));
    for (const struct json_field *field = fields; field->name.ptr; field++) {
        int rc = field->flags & JSON_REQUIRED ? check_required(object, field, err) : 0;

        if (rc < 0)
            return rc;
    }
    for (const struct json_field *field = fields; field->name.ptr; field++) {
        const struct json *value = json_get(object, field->name);
        union field_value read;
        size_t n_bytes;

        if (!value || value->type == JSON_NULL)
            continue;
        n_bytes = read_value(value, field->kind, &read);
        if (n_bytes)
            (void)memcpy((char *)out + field->offset, &read, n_bytes);
        else
            n_wrong++;
    }
    if (n_mistyped)
        *n_mistyped = n_wrong;
    return 0;
}
