/* The tables, and one reader and one writer per kind of field. */

#include "celery/message_fields.h"

#include <inttypes.h>

#include "base/timestamp.h"
#include "base/utf8.h"

#define SHOWN_BYTES  64 /* of a value in a message */
#define ESCAPE_RATIO 7  /* more than "\u0001" is longer than its byte */

#define FIELD(kind, name, member)                                                                  \
    {                                                                                              \
        STR_INIT(name), CELERY_FIELD_##kind, offsetof(struct celery_message, member)               \
    }

/* clang-format off */
static const struct celery_field header_fields[] = {
    FIELD(SHOWN,  "lang",                   lang),
    FIELD(NAME,   "task",                   task),
    FIELD(NAME,   "id",                     id),
    FIELD(NAME,   "shadow",                 shadow),
    FIELD(TIME,   "eta",                    eta),
    FIELD(TIME,   "expires",                expires),
    FIELD(NAME,   "group",                  group),
    FIELD(COUNT,  "group_index",            group_index),
    FIELD(COUNT,  "retries",                retries),
    FIELD(LIMITS, "timelimit",              timelimit),
    FIELD(NAME,   "root_id",                root_id),
    FIELD(NAME,   "parent_id",              parent_id),
    FIELD(SHOWN,  "argsrepr",               argsrepr),
    FIELD(SHOWN,  "kwargsrepr",             kwargsrepr),
    FIELD(SHOWN,  "origin",                 origin),
    FIELD(FLAG,   "ignore_result",          ignore_result),
    FIELD(COUNT,  "replaced_task_nesting",  replaced_task_nesting),
    FIELD(LIST,   "stamped_headers",        stamped_headers),
    FIELD(OBJECT, "stamps",                 stamps),
    FIELD(CODING, "compression",            compression),
};

static const struct celery_field property_fields[] = {
    FIELD(NAME,   "correlation_id",         correlation_id),
    FIELD(NAME,   "reply_to",               reply_to),
    FIELD(COUNT,  "delivery_mode",          delivery_mode),
    FIELD(NAME,   "expiration",             expiration),
    FIELD(COUNT,  "priority",               priority),
    FIELD(NAME,   "delivery_tag",           delivery_tag),
};

static const struct celery_field delivery_fields[] = {
    FIELD(NAME,   "exchange",               exchange),
    FIELD(NAME,   "routing_key",            routing_key),
};

static const struct celery_field embed_fields[] = {
    FIELD(LIST,   "callbacks",              callbacks),
    FIELD(LIST,   "errbacks",               errbacks),
    FIELD(LIST,   "chain",                  chain),
    FIELD(OBJECT, "chord",                  chord),
};

const struct celery_fields celery_header_fields = {
    "header", header_fields, COUNT_OF(header_fields)};
const struct celery_fields celery_property_fields = {
    "property", property_fields, COUNT_OF(property_fields)};
const struct celery_fields celery_delivery_fields = {
    "delivery_info", delivery_fields, COUNT_OF(delivery_fields)};
const struct celery_fields celery_embed_fields = {
    "body's", embed_fields, COUNT_OF(embed_fields)};

static const char *const wanted_names[] = {
    [CELERY_FIELD_NAME] = "a string",
    [CELERY_FIELD_SHOWN] = "a string",
    [CELERY_FIELD_TIME] = "an ISO 8601 date in a string",
    [CELERY_FIELD_COUNT] = "a whole number from 0",
    [CELERY_FIELD_LIMITS] = "a list of two numbers or nulls",
    [CELERY_FIELD_FLAG] = "true or false",
    [CELERY_FIELD_LIST] = "a list",
    [CELERY_FIELD_OBJECT] = "an object",
    [CELERY_FIELD_ANY] = "a value",
    [CELERY_FIELD_CODING] = "a string",
};
/* clang-format on */

static const struct json_limits scalar_limits = {.flags = CELERY_JSON_FLAGS, .max_depth = 1};

int
celery_reader_scan(struct celery_reader *self, const char *what, struct str text, struct str *out)
{
    struct json_limits limits = {CELERY_JSON_FLAGS, self->policy->max_depth};
    size_t valid = utf8_valid_prefix(text);
    int rc;

    if (valid < text.len)
        return celery_refuse(self, CELERY_REFUSED_BAD_UTF8, "%s: not valid UTF-8 at byte %zu", what,
                             valid);
    rc = json_scan(text, &limits, out, self->err);
    if (rc == 0)
        return 0;
    self->kind = rc == -ERR_TOO_LARGE ? CELERY_REFUSED_TOO_DEEP : CELERY_REFUSED_MALFORMED;
    return error_wrap(self->err, rc, "%s", what);
}

int
celery_reader_unescape(struct celery_reader *self, struct str json, struct str *out)
{
    struct json value;
    int rc = json_parse(json, &scalar_limits, self->arena, &value, self->err);

    if (rc == 0)
        *out = value.text;
    return rc;
}

static int
wrong_type(struct celery_reader *self, const struct celery_field *field, const char *where,
           struct str value)
{
    struct str shown = utf8_cut(value, SHOWN_BYTES);

    return celery_refuse(self, CELERY_REFUSED_WRONG_TYPE, "%s '%s' must be %s, got %s %.*s%s",
                         where, field->name.ptr, wanted_names[field->kind],
                         json_type_name(json_slice_type(value)), STR_ARG(shown),
                         shown.len < value.len ? "..." : "");
}

static int
too_long(struct celery_reader *self, const struct celery_field *field, const char *where,
         size_t n_bytes)
{
    return celery_refuse(self, CELERY_REFUSED_TOO_LARGE, "%s '%s' has %zu bytes, allowed are %zu",
                         where, field->name.ptr, n_bytes, self->policy->max_name_bytes);
}

static int
read_name(struct celery_reader *self, const struct celery_field *field, const char *where,
          struct str value, struct str *out)
{
    struct str text;
    int rc;

    if (json_slice_type(value) != JSON_STRING)
        return wrong_type(self, field, where, value);
    if (value.len / ESCAPE_RATIO > self->policy->max_name_bytes) /* not to be copied at all */
        return too_long(self, field, where, value.len);
    rc = celery_reader_unescape(self, value, &text);
    if (rc < 0)
        return rc;
    if (text.len > self->policy->max_name_bytes)
        return too_long(self, field, where, text.len);
    *out = text;
    return 0;
}

static int
read_time(struct celery_reader *self, const struct celery_field *field, const char *where,
          struct str value, struct celery_time *out)
{
    struct celery_time time = {.is_local = false};
    int rc;

    if (json_slice_type(value) != JSON_STRING)
        return celery_refuse(self, CELERY_REFUSED_BAD_TIME, "%s '%s' must be %s, got %s", where,
                             field->name.ptr, wanted_names[field->kind],
                             json_type_name(json_slice_type(value)));
    rc = read_name(self, field, where, value, &time.text);
    if (rc < 0)
        return rc;
    rc = timestamp_parse_iso(time.text, &time.us, self->err);
    if (rc < 0) {
        self->kind = CELERY_REFUSED_BAD_TIME;
        return error_wrap(self->err, rc, "%s '%s'", where, field->name.ptr);
    }
    *out = time;
    return 0;
}

/* Scalars that are numbers or booleans; no memory is taken for them. */
static bool
is_number(struct celery_reader *self, struct str value, struct json *out)
{
    return json_slice_type(value) == JSON_NUMBER &&
           json_parse(value, &scalar_limits, self->arena, out, NULL) == 0;
}

static bool
is_seconds(struct celery_reader *self, struct str value, double *out)
{
    struct json number;

    *out = 0;
    if (json_slice_type(value) == JSON_NULL)
        return true;
    return is_number(self, value, &number) && json_is_f64(&number, out) && *out >= 0;
}

static int
read_limits(struct celery_reader *self, const struct celery_field *field, const char *where,
            struct str value, struct celery_limits *out)
{
    struct json_cursor items = json_cursor_open(value);
    struct json_slice item;
    double seconds[2] = {0, 0};
    size_t n = 0;

    while (json_cursor_next(&items, &item)) {
        if (n == COUNT_OF(seconds) || !is_seconds(self, item.value, &seconds[n]))
            return wrong_type(self, field, where, value);
        n++;
    }
    if (n != COUNT_OF(seconds) || items.is_object)
        return wrong_type(self, field, where, value);
    *out = (struct celery_limits){seconds[0], seconds[1]};
    return 0;
}

static int
read_count(struct celery_reader *self, const struct celery_field *field, const char *where,
           struct str value, int64_t *out)
{
    struct json number;
    int64_t count;

    if (!is_number(self, value, &number) || !json_is_i64(&number, &count) || count < 0)
        return wrong_type(self, field, where, value);
    *out = count;
    return 0;
}

static int
read_slice(struct celery_reader *self, const struct celery_field *field, const char *where,
           struct str value, struct str *out)
{
    enum json_type type = json_slice_type(value);

    if ((field->kind == CELERY_FIELD_LIST && type != JSON_ARRAY) ||
        (field->kind == CELERY_FIELD_OBJECT && type != JSON_OBJECT))
        return wrong_type(self, field, where, value);
    *out = value;
    return 0;
}

static int
read_field(struct celery_reader *self, const struct celery_field *field, const char *where,
           struct str value, void *member)
{
    switch (field->kind) {
    case CELERY_FIELD_SHOWN:
        if (json_slice_type(value) != JSON_STRING)
            return 0;
        return celery_reader_unescape(self, value, member);
    case CELERY_FIELD_NAME:
    case CELERY_FIELD_CODING:
        return read_name(self, field, where, value, member);
    case CELERY_FIELD_TIME:
        return read_time(self, field, where, value, member);
    case CELERY_FIELD_COUNT:
        return read_count(self, field, where, value, member);
    case CELERY_FIELD_LIMITS:
        return read_limits(self, field, where, value, member);
    case CELERY_FIELD_FLAG:
        if (json_slice_type(value) != JSON_BOOL)
            return wrong_type(self, field, where, value);
        *(enum celery_flag *)member = value.ptr[0] == 't' ? CELERY_TRUE : CELERY_FALSE;
        return 0;
    case CELERY_FIELD_LIST:
    case CELERY_FIELD_OBJECT:
    case CELERY_FIELD_ANY:
        return read_slice(self, field, where, value, member);
    }
    return 0;
}

/* The row of a member's name, or n_items. */
static size_t
find_row(const struct celery_fields *fields, const struct json_slice *member)
{
    size_t i = 0;

    while (i < fields->n_items && !json_slice_is_named(member, fields->items[i].name))
        i++;
    return i;
}

int
celery_fields_read(struct celery_reader *self, struct str object,
                   const struct celery_fields *fields, void *record)
{
    struct json_cursor members = json_cursor_open(object);
    struct json_slice member;
    uint32_t seen = 0;
    size_t n_names = 0;
    int rc = 0;

    while (rc == 0 && json_cursor_next(&members, &member)) {
        size_t row = find_row(fields, &member);

        if (++n_names > self->policy->max_names)
            return celery_refuse(self, CELERY_REFUSED_TOO_MANY, "more than %zu %s names",
                                 self->policy->max_names, fields->where);
        if (row == fields->n_items)
            continue;
        if ((seen >> row & 1) != 0)
            return celery_refuse(self, CELERY_REFUSED_DUPLICATE, "%s '%s' stands there twice",
                                 fields->where, fields->items[row].name.ptr);
        seen |= UINT32_C(1) << row;
        if (json_slice_type(member.value) != JSON_NULL ||
            fields->items[row].kind == CELERY_FIELD_ANY)
            rc = read_field(self, &fields->items[row], fields->where, member.value,
                            (char *)record + fields->items[row].offset);
    }
    return rc;
}

static void
write_time(struct json_writer *json, const struct celery_time *time)
{
    char text[CELERY_TIME_TEXT_BYTES];

    if (time->text.ptr || time->us == CELERY_NO_TIME)
        json_str(json, time->text);
    else
        json_str(json, str_from_cstr(celery_time_format(time->us, text)));
}

/* To be told false and not to be told are two things. */
static void
write_flag(struct json_writer *json, enum celery_flag flag)
{
    if (flag == CELERY_UNSET)
        json_null(json);
    else
        json_bool(json, flag == CELERY_TRUE);
}

static void
write_seconds(struct json_writer *json, double seconds)
{
    if (seconds > 0)
        json_f64(json, seconds);
    else
        json_null(json);
}

int
celery_write_slice(struct json_writer *json, struct str name, struct str slice, enum json_type type,
                   struct str fallback, struct error *err)
{
    static const struct json_limits limits = {CELERY_JSON_FLAGS, JSON_SCAN_DEPTH_MAX};
    struct str value = fallback;
    int rc = slice.ptr ? json_scan(slice, &limits, &value, err) : 0;

    if (rc < 0)
        return error_wrap(err, rc, "%.*s", STR_ARG(name));
    if (slice.ptr && json_slice_type(value) != type)
        return error_set(err, ERR_INVALID, "%.*s must be JSON of type %s, not %s", STR_ARG(name),
                         json_type_name(type), json_type_name(json_slice_type(value)));
    json_raw(json, value);
    return 0;
}

static int
write_field(struct json_writer *json, const struct celery_field *field, const void *member,
            struct error *err)
{
    const struct celery_limits *limits = member;
    const int64_t *count = member;

    switch (field->kind) {
    case CELERY_FIELD_NAME:
    case CELERY_FIELD_SHOWN:
        json_str(json, *(const struct str *)member);
        return 0;
    case CELERY_FIELD_TIME:
        write_time(json, member);
        return 0;
    case CELERY_FIELD_COUNT:
        if (*count < 0)
            json_null(json);
        else
            json_i64(json, *count);
        return 0;
    case CELERY_FIELD_LIMITS:
        json_begin_array(json);
        write_seconds(json, limits->hard_s);
        write_seconds(json, limits->soft_s);
        json_end_array(json);
        return 0;
    case CELERY_FIELD_FLAG:
        write_flag(json, *(const enum celery_flag *)member);
        return 0;
    case CELERY_FIELD_LIST:
        return celery_write_slice(json, field->name, *(const struct str *)member, JSON_ARRAY,
                                  STR("null"), err);
    case CELERY_FIELD_OBJECT:
        return celery_write_slice(json, field->name, *(const struct str *)member, JSON_OBJECT,
                                  STR("null"), err);
    case CELERY_FIELD_ANY:
    case CELERY_FIELD_CODING:
        break;
    }
    return 0;
}

int
celery_fields_write(struct json_writer *json, const struct celery_fields *fields,
                    const void *record, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < fields->n_items; i++) {
        const struct celery_field *field = &fields->items[i];

        if (field->kind == CELERY_FIELD_ANY || field->kind == CELERY_FIELD_CODING)
            continue;
        json_name(json, field->name);
        rc = write_field(json, field, (const char *)record + field->offset, err);
    }
    return rc;
}
