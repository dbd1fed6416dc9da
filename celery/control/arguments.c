/* Arguments of a command, and the answers that many give. */

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/number.h"
#include "celery/control/command.h"

#define SPAN_MAX_S 1e9

static void
write_word(struct control_run *run, struct str name, struct str text)
{
    json_begin_object(run->json);
    json_member_str(run->json, name, text);
    json_end_object(run->json);
}

void
control_write_ok(struct control_run *run, struct str text)
{
    write_word(run, STR("ok"), text);
}

void
control_write_nok(struct control_run *run, struct str text)
{
    write_word(run, STR("error"), text);
}

/* NULL where it is absent or null. */
static const struct json *
get(const struct control_run *run, struct str name)
{
    const struct json *value = json_get(run->arguments, name);

    return value && value->type != JSON_NULL ? value : NULL;
}

static int
refuse_type(struct str name, const char *wanted, const struct json *value, struct error *err)
{
    return error_set(err, ERR_ARGS, "argument '%.*s' must be %s, got %s", STR_ARG(name), wanted,
                     json_type_name(value->type));
}

int
control_get_text(const struct control_run *run, struct str name, struct str *out, struct error *err)
{
    const struct json *value = get(run, name);

    *out = STR_NULL;
    if (!value)
        return 0;
    if (value->type != JSON_STRING)
        return refuse_type(name, "a string", value, err);
    *out = value->text;
    return 0;
}

int
control_need_text(const struct control_run *run, struct str name, struct str *out,
                  struct error *err)
{
    int rc = control_get_text(run, name, out, err);

    if (rc == 0 && !out->ptr)
        return error_set(err, ERR_ARGS, "missing 1 required argument: '%.*s'", STR_ARG(name));
    return rc;
}

int
control_get_i64(const struct control_run *run, struct str name, int64_t fallback, int64_t *out,
                struct error *err)
{
    const struct json *value = get(run, name);

    *out = fallback;
    if (!value || json_is_i64(value, out))
        return 0;
    if (value->type == JSON_STRING && number_parse_i64(value->text, out, NULL) == 0)
        return 0;
    return refuse_type(name, "a whole number", value, err);
}

int
control_get_span_ms(const struct control_run *run, struct str name, int64_t *out, struct error *err)
{
    const struct json *value = get(run, name);
    double seconds = 0;

    *out = INT64_MIN;
    if (!value)
        return 0;
    if (!json_is_f64(value, &seconds) &&
        (value->type != JSON_STRING || number_parse_f64(value->text, &seconds, NULL) < 0))
        return refuse_type(name, "a number of seconds", value, err);
    if (!(seconds >= 0 && seconds <= SPAN_MAX_S))
        return error_set(err, ERR_INVALID, "argument '%.*s' must be 0 to 1e9 seconds",
                         STR_ARG(name));
    *out = (int64_t)(seconds * 1000);
    return 0;
}

bool
control_get_flag(const struct control_run *run, struct str name)
{
    const struct json *value = json_get_typed(run->arguments, name, JSON_BOOL);

    return value && value->boolean;
}

int
control_get_texts(const struct control_run *run, struct str name, size_t max_items,
                  struct str_list *out, struct error *err)
{
    const struct json *value = get(run, name);
    bool is_list = value && value->type == JSON_ARRAY;
    size_t n_items = !value ? 0 : is_list ? value->array.n_items : 1;
    struct str *items;

    if (n_items > max_items)
        return error_set(err, ERR_ARGS, "argument '%.*s' has %zu items, allowed are %zu",
                         STR_ARG(name), n_items, max_items);
    items = arena_calloc(run->arena, n_items, sizeof(*items));
    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for %zu items", n_items);
    for (size_t i = 0; i < n_items; i++) {
        const struct json *item = is_list ? &value->array.items[i] : value;

        if (item->type != JSON_STRING)
            return refuse_type(name, "a string or a list of strings", item, err);
        items[i] = item->text;
    }
    *out = (struct str_list){items, n_items};
    return 0;
}

static int
find_signal(struct str name)
{
    if (str_starts_with(name, STR("SIG")))
        name = str_slice(name, 3, name.len);
    for (int number = 1; number < 32; number++) {
        const char *known = sigabbrev_np(number);

        if (known && str_equal(name, str_from_cstr(known)))
            return number;
    }
    return 0;
}

int
control_get_signal(struct control_run *run, int *out, struct error *err)
{
    const struct json *value = get(run, STR("signal"));
    int64_t number = SIGTERM;

    if (value && value->type == JSON_STRING) {
        number = find_signal(value->text);
        if (!number && number_parse_i64(value->text, &number, NULL) < 0) {
            run->exception = "AttributeError";
            return error_set(err, ERR_NOT_FOUND, "module 'signal' has no attribute '%s%.*s'",
                             str_starts_with(value->text, STR("SIG")) ? "" : "SIG",
                             STR_ARG(str_slice(value->text, 0, 64)));
        }
    } else if (value && !json_is_i64(value, &number)) {
        return refuse_type(STR("signal"), "a name or a number", value, err);
    }
    if (number < 1 || number > 64)
        return error_set(err, ERR_INVALID, "signal number out of range");
    *out = (int)number;
    return 0;
}
