/* One pass over the values, each looked up in the table; then the fallbacks of what was not given.
 */

#include "celery/params.h"

#include <inttypes.h>

#include "base/json_scan.h"
#include "base/json_writer.h"
#include "base/number.h"

#define PARAMS_MAX     32                 /* of one task; more is our mistake */
#define JSON_MAX_BYTES ((size_t)64 << 20) /* of one value; a message has 8 MiB */

const struct celery_param *
celery_params_find(const struct celery_task *task, struct str name)
{
    for (const struct celery_param *param = task->params; param->name; param++) {
        struct str own = str_from_cstr(param->name);
        bool is_same = own.len == name.len;

        for (size_t i = 0; is_same && i < own.len; i++)
            is_same = own.ptr[i] == (name.ptr[i] == '-' ? '_' : name.ptr[i]);
        if (is_same)
            return param;
    }
    return NULL;
}

int
celery_params_refuse_name(const struct celery_task *task, struct str name, struct error *err)
{
    struct buf names = BUF_INIT(400);
    const char *nearest = NULL;
    size_t best = 4; /* farther than three edits is no slip of the finger */
    int rc;

    for (const struct celery_param *param = task->params; param->name; param++) {
        size_t distance = str_distance(str_from_cstr(param->name), name);

        if (distance < best) {
            best = distance;
            nearest = param->name;
        }
        buf_printf(&names, "%s%s", names.len ? ", " : "", param->name);
    }
    if (nearest)
        rc = error_set(err, ERR_ARGS,
                       "%s got an unexpected parameter '%.*s': did you mean '%s'? (allowed: %s)",
                       task->name, STR_ARG(str_slice(name, 0, 64)), nearest, buf_cstr(&names));
    else
        rc = error_set(err, ERR_ARGS, "%s got an unexpected parameter '%.*s' (allowed: %s)",
                       task->name, STR_ARG(str_slice(name, 0, 64)),
                       names.len ? buf_cstr(&names) : "none");
    buf_fini(&names);
    return rc;
}

static int
refuse_type(const struct celery_task *task, const struct celery_param *param, const char *wanted,
            const struct json *value, struct error *err)
{
    struct str shown = value->type == JSON_STRING || value->type == JSON_NUMBER
                           ? str_slice(value->text, 0, 64)
                           : STR_NULL;

    return error_set(err, ERR_ARGS, "%s: %s must be %s, got %s%s%.*s", task->name, param->name,
                     wanted, json_type_name(value->type), shown.len ? " " : "", STR_ARG(shown));
}

static int
store_int(const struct celery_task *task, const struct celery_param *param,
          const struct json *value, void *field, struct error *err)
{
    bool has_bounds = param->min != 0 || param->max != 0;
    int64_t number;

    if (!json_is_i64(value, &number))
        return refuse_type(task, param, "a whole number", value, err);
    if (has_bounds && (number < param->min || number > param->max))
        return error_set(err, ERR_INVALID,
                         "%s: %s must be between %" PRId64 " and %" PRId64 ", got %" PRId64,
                         task->name, param->name, param->min, param->max, number);
    *(int64_t *)field = number;
    return 0;
}

static bool
is_choice(const struct celery_param *param, struct str text)
{
    if (!param->choices)
        return true;
    for (const char *const *choice = param->choices; *choice; choice++) {
        if (str_equal(text, str_from_cstr(*choice)))
            return true;
    }
    return false;
}

static int
refuse_choice(const struct celery_task *task, const struct celery_param *param, struct str text,
              struct error *err)
{
    struct buf names = BUF_INIT(300);
    int rc;

    for (const char *const *choice = param->choices; *choice; choice++)
        buf_printf(&names, "%s%s", names.len ? ", " : "", *choice);
    rc = error_set(err, ERR_INVALID, "%s: %s must be one of %s, got '%.*s'", task->name,
                   param->name, buf_cstr(&names), STR_ARG(str_slice(text, 0, 64)));
    buf_fini(&names);
    return rc;
}

/* The text of a value that a Python client of Celery 5.3 or newer has tagged with its type, as an
 * older one would have sent it; STR_NULL where there is no tag, or none that is a text.
 * Source: Kombu's documentation, "Serializers"; docs/celery-messages.md. */
static struct str
untag(const struct json *value, struct arena *arena)
{
    static const struct str texts[] = {STR_INIT("datetime"), STR_INIT("date"), STR_INIT("time"),
                                       STR_INIT("decimal"), STR_INIT("bytes")};
    struct str type = json_get_str(value, STR("__type__"));
    const struct json *inner = json_get(value, STR("__value__"));
    struct str hex = json_get_str(inner, STR("hex"));

    if (!type.ptr || !inner || value->object.n_members != 2)
        return STR_NULL;
    for (size_t i = 0; i < COUNT_OF(texts) && inner->type == JSON_STRING; i++) {
        if (str_equal(type, texts[i]))
            return inner->text;
    }
    if (!str_equal(type, STR("uuid")) || hex.len != 32)
        return STR_NULL;
    return str_from_cstr(arena_printf(arena, "%.8s-%.4s-%.4s-%.4s-%.12s", hex.ptr, hex.ptr + 8,
                                      hex.ptr + 12, hex.ptr + 16, hex.ptr + 20));
}

static int
store_str(const struct celery_task *task, const struct celery_param *param,
          const struct json *value, struct arena *arena, void *field, struct error *err)
{
    struct str text = value->type == JSON_OBJECT ? untag(value, arena) : STR_NULL;

    if (value->type == JSON_STRING)
        text = value->text;
    else if (!text.ptr && (value->type != JSON_NULL || param->fallback_text))
        return refuse_type(task, param, "a text", value, err);
    if (text.ptr && !is_choice(param, text))
        return refuse_choice(task, param, text, err);
    *(struct str *)field = text;
    return 0;
}

/* As Python would write it, so that lone surrogates stay what they are. */
static int
store_json(const struct json *value, struct arena *arena, void *field, struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(JSON_MAX_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&text);
    bool is_copied = true;
    int rc;

    json.style = JSON_STYLE_PYTHON;
    json_value(&json, value);
    rc = buf_status(&text, err);
    if (rc < 0)
        return rc;
    *(struct str *)field = arena_dup(arena, buf_str(&text), &is_copied);
    return is_copied ? 0 : error_set(err, ERR_NOMEM, "no memory for an argument");
}

static int
store(const struct celery_task *task, const struct celery_param *param, const struct json *value,
      struct arena *arena, char *args, struct error *err)
{
    void *field = args + param->offset;

    switch (param->type) {
    case CELERY_PARAM_INT:
        return store_int(task, param, value, field, err);
    case CELERY_PARAM_BOOL:
        if (value->type != JSON_BOOL)
            return refuse_type(task, param, "true or false", value, err);
        *(bool *)field = value->boolean;
        return 0;
    case CELERY_PARAM_STR:
        return store_str(task, param, value, arena, field, err);
    case CELERY_PARAM_JSON:
        return store_json(value, arena, field, err);
    }
    return 0;
}

static void
store_fallback(const struct celery_param *param, char *args)
{
    void *field = args + param->offset;

    switch (param->type) {
    case CELERY_PARAM_INT:
        *(int64_t *)field = param->fallback;
        break;
    case CELERY_PARAM_BOOL:
        *(bool *)field = param->fallback != 0;
        break;
    case CELERY_PARAM_STR:
        *(struct str *)field = str_from_cstr(param->fallback_text);
        break;
    case CELERY_PARAM_JSON:
        *(struct str *)field = STR("null");
        break;
    }
}

static size_t
count_params(const struct celery_task *task)
{
    size_t n = 0;

    while (task->params[n].name)
        n++;
    return n;
}

static int
bind_args(const struct celery_task *task, const struct json *args, struct arena *arena, char *out,
          bool *is_given, struct error *err)
{
    size_t n_params = count_params(task);

    if (args->type != JSON_ARRAY)
        return error_set(err, ERR_ARGS, "%s: positional arguments must be an array, got %s",
                         task->name, json_type_name(args->type));
    if (args->array.n_items > n_params)
        return error_set(err, ERR_ARGS, "%s takes at most %zu arguments, got %zu", task->name,
                         n_params, args->array.n_items);
    for (size_t i = 0; i < args->array.n_items; i++) {
        int rc = store(task, &task->params[i], &args->array.items[i], arena, out, err);

        if (rc < 0)
            return rc;
        is_given[i] = true;
    }
    return 0;
}

static int
bind_kwargs(const struct celery_task *task, const struct json *kwargs, struct arena *arena,
            char *out, bool *is_given, struct error *err)
{
    if (kwargs->type != JSON_OBJECT)
        return error_set(err, ERR_ARGS, "%s: named arguments must be an object, got %s", task->name,
                         json_type_name(kwargs->type));
    for (size_t i = 0; i < kwargs->object.n_members; i++) {
        const struct json_member *member = &kwargs->object.members[i];
        const struct celery_param *param = celery_params_find(task, member->name);
        int rc;

        if (!param)
            return celery_params_refuse_name(task, member->name, err);
        if (is_given[param - task->params])
            return error_set(err, ERR_ARGS, "%s got more than one value for '%s'", task->name,
                             param->name);
        rc = store(task, param, &member->value, arena, out, err);
        if (rc < 0)
            return rc;
        is_given[param - task->params] = true;
    }
    return 0;
}

int
celery_params_bind(const struct celery_task *task, const struct json *args,
                   const struct json *kwargs, struct arena *arena, void **out, struct error *err)
{
    bool is_given[PARAMS_MAX] = {false};
    char *values = arena_calloc(arena, 1, task->args_bytes);
    size_t n_params = count_params(task);
    int rc = 0;

    if (!values || n_params > PARAMS_MAX)
        return error_set(err, ERR_NOMEM, "%s: no memory for its arguments", task->name);
    if (args)
        rc = bind_args(task, args, arena, values, is_given, err);
    if (rc == 0 && kwargs)
        rc = bind_kwargs(task, kwargs, arena, values, is_given, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n_params; i++) {
        if (!is_given[i])
            store_fallback(&task->params[i], values);
    }
    *out = values;
    return 0;
}

static int
write_bool(const struct celery_param *param, struct str word, struct json_writer *json,
           struct error *err)
{
    static const struct {
        struct str word;
        bool value;
    } words[] = {
        {STR_INIT("true"), true}, {STR_INIT("yes"), true},  {STR_INIT("on"), true},
        {STR_INIT("1"), true},    {STR_INIT(""), true},     {STR_INIT("false"), false},
        {STR_INIT("no"), false},  {STR_INIT("off"), false}, {STR_INIT("0"), false},
    };

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (str_equal_ignore_case(word, words[i].word)) {
            json_bool(json, words[i].value);
            return 0;
        }
    }
    return error_set(err, ERR_ARGS, "--%s must be true or false, got '%.*s'", param->name,
                     STR_ARG(str_slice(word, 0, 64)));
}

int
celery_param_write_json(const struct celery_param *param, struct str word, struct buf *out,
                        struct error *err)
{
    struct json_writer json = JSON_WRITER_INIT(out);
    int64_t number;

    switch (param->type) {
    case CELERY_PARAM_INT:
        if (number_parse_i64(word, &number, NULL) < 0)
            return error_set(err, ERR_ARGS, "--%s must be a whole number, got '%.*s'", param->name,
                             STR_ARG(str_slice(word, 0, 64)));
        json_i64(&json, number);
        break;
    case CELERY_PARAM_BOOL:
        return write_bool(param, word, &json, err);
    case CELERY_PARAM_STR:
        json_str(&json, word);
        break;
    case CELERY_PARAM_JSON:
        if (json_scan(word, NULL, &word, err) < 0)
            return error_wrap(err, -ERR_ARGS, "--%s must be JSON", param->name);
        json_raw(&json, word);
        break;
    }
    return buf_status(out, err);
}
