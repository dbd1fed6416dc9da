/* Exceptions from and to the error table. */

#include "celery/backend/exception.h"

#include "base/utf8.h"
#include "celery/backend/json_slices.h"
#include "celery/backend/result.h"

static const struct json_limits limits = {.flags = JSON_ALLOW_NAN, .max_depth = RESULT_MAX_DEPTH};

/* Modules of the names in include/trawl/error.h.  A class without one is made up by the client,
 * under the same name and as a plain Exception: so RateLimited and DatabaseError, which Python has
 * not, and KeyboardInterrupt, which would end the client instead of telling it something. */
static const struct {
    struct str type;
    struct str module;
} modules[] = {
    {STR_INIT("MemoryError"), STR_INIT("builtins")},
    {STR_INIT("TypeError"), STR_INIT("builtins")},
    {STR_INIT("ValueError"), STR_INIT("builtins")},
    {STR_INIT("LookupError"), STR_INIT("builtins")},
    {STR_INIT("NotImplementedError"), STR_INIT("builtins")},
    {STR_INIT("OverflowError"), STR_INIT("builtins")},
    {STR_INIT("ImproperlyConfigured"), STR_INIT("celery.exceptions")},
    {STR_INIT("PermissionError"), STR_INIT("builtins")},
    {STR_INIT("ConnectionError"), STR_INIT("builtins")},
    {STR_INIT("TimeoutError"), STR_INIT("builtins")},
    {STR_INIT("OSError"), STR_INIT("builtins")},
    {STR_INIT("BlockingIOError"), STR_INIT("builtins")},
    {STR_INIT("SoftTimeLimitExceeded"), STR_INIT("billiard.exceptions")},
    {STR_INIT("Exception"), STR_INIT("builtins")},
};

static const struct {
    struct str type;
    struct str module;
} kinds[] = {
#define EXCEPTION_ROW(kind, type, module) [kind] = {STR_INIT(type), STR_INIT(module)},
    EXCEPTION_KINDS(EXCEPTION_ROW)
#undef EXCEPTION_ROW
};

static const enum error_code codes[] = {
#define ERROR_CODE(code, exception, retry, status) code,
    ERROR_CODES(ERROR_CODE)
#undef ERROR_CODE
};

static struct str
find_module(struct str type)
{
    for (size_t i = 0; i < COUNT_OF(modules); i++)
        if (str_equal(modules[i].type, type))
            return modules[i].module;
    return STR_NULL;
}

struct exception
exception_of_kind(enum exception_kind kind, struct str args)
{
    return (struct exception){kinds[kind].type, args, kinds[kind].module};
}

int
exception_from_error(const struct error *error, struct buf *args, struct exception *out,
                     struct error *err)
{
    struct json_writer json = JSON_WRITER_INIT(args);
    struct str type = str_from_cstr(error_exception_name((int)error->code));
    int rc;

    buf_clear(args);
    json_begin_array(&json);
    json_str(&json, str_from_cstr(error->message));
    json_end_array(&json);
    rc = buf_status(args, err);
    if (rc == 0)
        *out = (struct exception){type, buf_str(args), find_module(type)};
    return rc;
}

/* Of two codes with one exception the first counts: an OSError is ERR_IO. */
static enum error_code
find_code(const struct exception *exception)
{
    struct str known = find_module(exception->type);

    /* Somebody else's class of that name is not ours. */
    if (exception->module.ptr && !str_equal(exception->module, known))
        return ERR_INVALID;
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        if (str_equal(str_from_cstr(error_exception_name((int)codes[i])), exception->type))
            return codes[i];
    return ERR_INVALID;
}

static void
describe_arg(const struct json *arg, struct buf *out)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    if (arg->type == JSON_STRING)
        buf_append(out, arg->text);
    else
        json_value(&json, arg);
}

static void
describe(const struct exception *exception, struct arena *arena, struct buf *out)
{
    struct json args;

    buf_append(out, exception->type);
    if (!exception->args.ptr || json_parse(exception->args, &limits, arena, &args, NULL) < 0)
        return;
    if (args.type != JSON_ARRAY) {
        buf_append(out, STR(": "));
        describe_arg(&args, out);
        return;
    }
    for (size_t i = 0; i < args.array.n_items; i++) {
        buf_append(out, i == 0 ? STR(": ") : STR(", "));
        describe_arg(&args.array.items[i], out);
    }
}

int
exception_to_error(const struct exception *exception, struct arena *arena, struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)1 << 20);
    struct str message;

    describe(exception, arena, &text);
    /* Without memory the type alone. */
    message = utf8_cut(text.len ? buf_str(&text) : exception->type, sizeof(err->message) - 1);
    return error_set(err, find_code(exception), "%.*s", STR_ARG(message));
}

void
exception_write(struct json_writer *json, const struct exception *exception)
{
    json_begin_object(json);
    json_member_str(json, STR("exc_type"), exception->type);
    json_name(json, STR("exc_message"));
    json_raw(json, exception->args.ptr ? exception->args : STR("[]"));
    json_member_str(json, STR("exc_module"), exception->module);
    json_end_object(json);
}

int
exception_read(struct str json, struct arena *arena, struct exception *out, struct error *err)
{
    struct exception exception = {.args = STR_NULL};
    struct json_slices slices;
    int rc = json_slices_parse(json, arena, &slices, err);

    if (rc < 0)
        return error_wrap(err, rc, "cannot read an exception");
    exception.type = json_get_str(&slices.object, STR("exc_type"));
    exception.module = json_get_str(&slices.object, STR("exc_module"));
    for (size_t i = 0; i < slices.object.object.n_members; i++)
        if (str_equal(slices.object.object.members[i].name, STR("exc_message")))
            exception.args = slices.values[i];
    if (exception.type.len == 0)
        return error_set(err, ERR_INVALID, "exception '%.*s' has no exc_type",
                         STR_ARG(str_slice(json, 0, 80)));
    *out = exception;
    return 0;
}

int
exception_format_traceback(const struct error *error, struct buf *out, struct error *err)
{
    buf_append(out, STR("Traceback (most recent call last):\n"));
    buf_printf(out, "  File \"%s\", line %d\n", error->file ? error->file : "?", error->line);
    buf_printf(out, "%s: %s\n", error_exception_name((int)error->code), error->message);
    return buf_status(out, err);
}
