/* The parser of base/json checks the whole text; a walk over it, known to be JSON by then, cuts the
 * slices. */

#include "celery/backend/json_slices.h"

#include "base/utf8.h"
#include "celery/backend/result.h"

static bool
is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Past the string whose opening quote is at *at. */
static size_t
skip_string(struct str text, size_t at)
{
    for (at++; text.ptr[at] != '"'; at++)
        if (text.ptr[at] == '\\')
            at++;
    return at + 1;
}

static size_t
skip_space(struct str text, size_t at)
{
    while (at < text.len && is_space(text.ptr[at]))
        at++;
    return at;
}

/* Past the value that begins at `at`: the comma or bracket behind it that is on its own level. */
static size_t
skip_value(struct str text, size_t at)
{
    size_t depth = 0;

    while (at < text.len) {
        char c = text.ptr[at];

        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            break;
        if (c == '"') {
            at = skip_string(text, at);
            continue;
        }
        if (c == '{' || c == '[')
            depth++;
        if (c == '}' || c == ']')
            depth--;
        at++;
    }
    return at;
}

static void
cut_values(struct str text, const struct json *object, struct str *values)
{
    size_t at = skip_space(text, 0) + 1;

    for (size_t i = 0; i < object->object.n_members; i++) {
        size_t from;

        at = skip_string(text, skip_space(text, at)); /* the name */
        from = skip_space(text, at) + 1;              /* past the colon */
        at = skip_value(text, from);
        values[i] = str_trim(str_slice(text, from, at));
        at++;
    }
}

int
json_slices_parse(struct str text, struct arena *arena, struct json_slices *out, struct error *err)
{
    static const struct json_limits limits = {.flags = JSON_ALLOW_NAN,
                                              .max_depth = RESULT_MAX_DEPTH};
    size_t n_valid = utf8_valid_prefix(text);
    struct json object;
    struct str *values;
    int rc;

    if (n_valid < text.len)
        return error_set(err, ERR_INVALID, "not UTF-8 at byte %zu", n_valid);
    rc = json_parse(text, &limits, arena, &object, err);
    if (rc < 0)
        return rc;
    if (object.type != JSON_OBJECT)
        return error_set(err, ERR_INVALID, "JSON of type %s, not an object",
                         json_type_name(object.type));
    values = arena_calloc(arena, object.object.n_members, sizeof(*values));
    if (!values)
        return error_set(err, ERR_NOMEM, "no memory for %zu fields", object.object.n_members);
    cut_values(text, &object, values);
    *out = (struct json_slices){object, values};
    return 0;
}
