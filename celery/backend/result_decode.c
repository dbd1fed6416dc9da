/* Reading state documents: texts and numbers from the parsed object, the rest as slices. */

#include "base/clock.h"
#include "base/timestamp.h"
#include "celery/backend/json_slices.h"
#include "celery/backend/result.h"

static const struct json_limits limits = {.flags = JSON_ALLOW_NAN, .max_depth = RESULT_MAX_DEPTH};

enum field_kind { FIELD_TEXT, FIELD_RAW, FIELD_RETRIES, FIELD_DATE };

static const struct field {
    struct str name;
    enum field_kind kind;
    bool is_extended;
    size_t offset;
} fields[] = {
    {STR_INIT("status"), FIELD_TEXT, false, offsetof(struct result, status)},
    {STR_INIT("result"), FIELD_RAW, false, offsetof(struct result, result)},
    {STR_INIT("traceback"), FIELD_TEXT, false, offsetof(struct result, traceback)},
    {STR_INIT("children"), FIELD_RAW, false, offsetof(struct result, children)},
    {STR_INIT("date_done"), FIELD_DATE, false, offsetof(struct result, date_done_us)},
    {STR_INIT("group_id"), FIELD_TEXT, false, offsetof(struct result, group_id)},
    {STR_INIT("parent_id"), FIELD_TEXT, false, offsetof(struct result, parent_id)},
    {STR_INIT("name"), FIELD_TEXT, true, offsetof(struct result, name)},
    {STR_INIT("args"), FIELD_RAW, true, offsetof(struct result, args)},
    {STR_INIT("kwargs"), FIELD_RAW, true, offsetof(struct result, kwargs)},
    {STR_INIT("worker"), FIELD_TEXT, true, offsetof(struct result, worker)},
    {STR_INIT("retries"), FIELD_RETRIES, true, offsetof(struct result, retries)},
    {STR_INIT("queue"), FIELD_TEXT, true, offsetof(struct result, queue)},
    {STR_INIT("task_id"), FIELD_TEXT, false, offsetof(struct result, task_id)},
};

static const struct field *
find_field(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        if (str_equal(fields[i].name, name))
            return &fields[i];
    return NULL;
}

static int
fail_type(const struct field *field, const struct json *value, const char *wanted,
          struct error *err)
{
    return error_set(err, ERR_INVALID, "result field '%.*s' is of type %s, not %s",
                     STR_ARG(field->name), json_type_name(value->type), wanted);
}

static int
read_text(const struct field *field, const struct json *value, struct str *out, struct error *err)
{
    if (value->type == JSON_NULL)
        *out = STR_NULL;
    else if (value->type != JSON_STRING)
        return fail_type(field, value, "text", err);
    else
        *out = value->text;
    return 0;
}

static int
read_retries(const struct field *field, const struct json *value, int64_t *out, struct error *err)
{
    int64_t retries;

    if (value->type == JSON_NULL) {
        *out = RESULT_NO_RETRIES;
        return 0;
    }
    if (!json_is_i64(value, &retries) || retries < 0)
        return fail_type(field, value, "a whole number from 0", err);
    *out = retries;
    return 0;
}

static void
read_date(const struct json *value, int64_t *out)
{
    *out = TIME_UNKNOWN;
    if (value->type == JSON_STRING)
        error_ignore(timestamp_parse_iso(value->text, out, NULL)); /* then it stays unknown */
}

static int
read_field(const struct field *field, const struct json *value, struct str slice,
           struct result *result, struct error *err)
{
    void *member = (char *)result + field->offset;

    result->is_extended = result->is_extended || field->is_extended;
    switch (field->kind) {
    case FIELD_TEXT:
        return read_text(field, value, member, err);
    case FIELD_RETRIES:
        return read_retries(field, value, member, err);
    case FIELD_DATE:
        read_date(value, member);
        return 0;
    case FIELD_RAW:
        *(struct str *)member = slice;
        return 0;
    }
    return 0;
}

static int
read_fields(const struct json_slices *slices, struct result *result, struct result_extra *extras,
            struct error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < slices->object.object.n_members; i++) {
        const struct json_member *member = &slices->object.object.members[i];
        const struct field *field = find_field(member->name);

        if (field)
            rc = read_field(field, &member->value, slices->values[i], result, err);
        else
            extras[result->n_extras++] = (struct result_extra){member->name, slices->values[i]};
    }
    return rc;
}

int
result_decode(struct str text, struct arena *arena, struct result *out, struct error *err)
{
    struct result result = RESULT_INIT;
    struct result_extra *extras;
    struct json_slices slices;
    int rc = json_slices_parse(text, arena, &slices, err);

    if (rc < 0)
        return error_wrap(err, rc, "cannot read a result");
    extras = arena_calloc(arena, slices.object.object.n_members, sizeof(*extras));
    if (!extras)
        return error_set(err, ERR_NOMEM, "no memory for the fields of a result");
    result.extras = extras;
    rc = read_fields(&slices, &result, extras, err);
    if (rc < 0)
        return rc;
    if (result.status.len == 0 || result.task_id.len == 0)
        return error_set(err, ERR_INVALID, "result has no %s",
                         result.status.len == 0 ? "status" : "task_id");
    *out = result;
    return 0;
}

bool
result_read_progress(struct str result, struct arena *arena, int64_t *current, int64_t *total)
{
    struct json value;
    int64_t numbers[2];

    if (json_parse(result, &limits, arena, &value, NULL) < 0 ||
        !json_is_i64(json_get(&value, STR("current")), &numbers[0]) ||
        !json_is_i64(json_get(&value, STR("total")), &numbers[1]))
        return false;
    *current = numbers[0];
    *total = numbers[1];
    return true;
}
