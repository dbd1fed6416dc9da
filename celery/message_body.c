/* Protocol 2 is a list of three, protocol 1 an object; both may meet in one message.
 *
 *     [args, kwargs, {"callbacks": ., "errbacks": ., "chain": ., "chord": .}]
 *     {"task": ., "id": ., "args": ., "kwargs": ., "callbacks": ., ...}
 *
 * A list of another length ends a Python worker; here it is refused like anything else. */

#include "celery/message_body.h"

#include "celery/codec_compress.h"
#include "celery/codec_repr.h"

/* UTF-8 of CELERY_REPR_CHARS characters and of what closes them. */
#define REPR_BYTES_MAX ((size_t)8192)

/* What protocol 1 has beside the fields that became headers; JSON slices. */
struct old_body {
    struct str args;
    struct str kwargs;
    struct str taskset;
    struct str utc;
};

static const struct celery_field old_rows[] = {
    {STR_INIT("args"), CELERY_FIELD_ANY, offsetof(struct old_body, args)},
    {STR_INIT("kwargs"), CELERY_FIELD_ANY, offsetof(struct old_body, kwargs)},
    {STR_INIT("taskset"), CELERY_FIELD_ANY, offsetof(struct old_body, taskset)},
    {STR_INIT("utc"), CELERY_FIELD_ANY, offsetof(struct old_body, utc)},
};

static const struct celery_fields old_fields = {"body's", old_rows, COUNT_OF(old_rows)};

static const struct {
    struct str type;
    const char *why;
} refused_types[] = {
    {STR_INIT("application/x-python-serialize"),
     "pickle runs code of the sender's choice when it is read; send with task_serializer=\"json\""},
    {STR_INIT("application/x-yaml"), "yaml is not read; send with task_serializer=\"json\""},
    {STR_INIT("application/x-msgpack"), "msgpack is not read; send with task_serializer=\"json\""},
    {STR_INIT("application/data"), "raw bytes, or a signed message, are no task"},
    {STR_INIT("application/text"), "a raw text is no task"},
    {STR_INIT("text/plain"), "a raw text is no task"},
};

static int
check_type(struct celery_reader *self)
{
    struct str type = self->message.content_type;
    const char *why = "only application/json is read";

    if (str_equal(type, STR("application/json")))
        return 0;
    if (type.len == 0)
        return celery_refuse(self, CELERY_REFUSED_FOREIGN_TYPE,
                             "the content type is missing: only application/json is read");
    for (size_t i = 0; i < COUNT_OF(refused_types); i++) {
        if (str_equal(type, refused_types[i].type))
            why = refused_types[i].why;
    }
    return celery_refuse(self, CELERY_REFUSED_FOREIGN_TYPE, "content type '%.*s' is refused: %s",
                         STR_ARG(str_slice(type, 0, 64)), why);
}

/* JSON is UTF-8; the names that mean it, or a part of it, or nothing at all. */
static int
check_encoding(struct celery_reader *self)
{
    static const struct str names[] = {
        STR_INIT(""),         STR_INIT("utf-8"), STR_INIT("utf8"),
        STR_INIT("us-ascii"), STR_INIT("ascii"), STR_INIT("binary"),
    };
    struct str encoding = self->message.content_encoding;

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (str_equal_ignore_case(encoding, names[i]))
            return 0;
    }
    return celery_refuse(self, CELERY_REFUSED_FOREIGN_CODING,
                         "content encoding '%.*s' is refused: JSON is read as utf-8",
                         STR_ARG(str_slice(encoding, 0, 64)));
}

static int
unpack(struct celery_reader *self, struct str packed, struct str *out)
{
    enum celery_compression compression;
    int rc = celery_compression_find(self->message.compression, &compression, self->err);

    if (rc < 0) {
        self->kind = CELERY_REFUSED_FOREIGN_CODING;
        return rc;
    }
    rc = celery_decompress(compression, packed, self->policy->max_body_bytes, self->arena, out,
                           self->err);
    if (rc < 0 && rc != -ERR_NOMEM)
        self->kind = rc == -ERR_TOO_LARGE ? CELERY_REFUSED_TOO_LARGE : CELERY_REFUSED_MALFORMED;
    if (rc == 0 && out->len > self->policy->max_body_bytes)
        return celery_refuse(self, CELERY_REFUSED_TOO_LARGE, "a body of %zu bytes, allowed are %zu",
                             out->len, self->policy->max_body_bytes);
    return rc;
}

static int
set_arguments(struct celery_reader *self, struct str args, struct str kwargs)
{
    if (json_slice_type(args) != JSON_ARRAY)
        return celery_refuse(self, CELERY_REFUSED_BAD_ARGUMENTS, "args must be a list, got %s",
                             json_type_name(json_slice_type(args)));
    if (json_slice_type(kwargs) != JSON_OBJECT)
        return celery_refuse(self, CELERY_REFUSED_BAD_ARGUMENTS, "kwargs must be an object, got %s",
                             json_type_name(json_slice_type(kwargs)));
    if (args.len > self->policy->max_args_bytes ||
        kwargs.len > self->policy->max_args_bytes - args.len)
        return celery_refuse(
            self, CELERY_REFUSED_TOO_LARGE,
            "arguments of %zu bytes, allowed are %zu: pass large data by reference",
            args.len + kwargs.len, self->policy->max_args_bytes);
    self->message.args = args;
    self->message.kwargs = kwargs;
    return 0;
}

static int
set_embed(struct celery_reader *self, struct str embed)
{
    if (json_slice_type(embed) == JSON_NULL)
        return 0;
    if (json_slice_type(embed) != JSON_OBJECT)
        return celery_refuse(self, CELERY_REFUSED_WRONG_TYPE,
                             "the body's third element must be an object, got %s",
                             json_type_name(json_slice_type(embed)));
    self->message.embed = embed;
    return celery_fields_read(self, embed, &celery_embed_fields, &self->message);
}

static int
read_list(struct celery_reader *self, struct str body)
{
    struct json_cursor items = json_cursor_open(body);
    struct json_slice item;
    struct str parts[3];
    size_t n = 0;
    int rc;

    if (!self->message.task.len)
        return celery_refuse(self, CELERY_REFUSED_UNKNOWN_MESSAGE,
                             "neither a header nor the body names a task");
    if (!self->message.id.len)
        return celery_refuse(self, CELERY_REFUSED_MISSING, "header 'id' is missing");
    while (json_cursor_next(&items, &item)) {
        if (n < COUNT_OF(parts))
            parts[n] = item.value;
        n++;
    }
    if (n != COUNT_OF(parts))
        return celery_refuse(self, CELERY_REFUSED_BAD_BODY,
                             "the body must have 3 elements (args, kwargs, embed), got %zu", n);
    rc = set_arguments(self, parts[0], parts[1]);
    if (rc == 0)
        rc = set_embed(self, parts[2]);
    if (!self->message.root_id.len)
        self->message.root_id = self->message.id;
    return rc;
}

/* Whether an ISO date says its offset; the date itself has no plus, and no minus past its tenth. */
static bool
has_zone(struct str text)
{
    struct str time = str_slice(text, 10, text.len);

    return str_ends_with(time, STR("Z")) || str_find_char(time, '+') < time.len ||
           str_find_char(time, '-') < time.len;
}

static void
mark_local(struct celery_time *time)
{
    time->is_local = time->us != CELERY_NO_TIME && !has_zone(time->text);
}

/* The text that Celery makes of arguments that came without one; cut like any. */
static int
set_repr(struct celery_reader *self, struct str json, struct str *out)
{
    struct buf text = BUF_INIT(REPR_BYTES_MAX);
    bool ok = true;
    int rc;

    if (out->ptr)
        return 0;
    celery_repr_append(&text, json, CELERY_REPR_SAFE);
    rc = buf_status(&text, self->err);
    if (rc == 0)
        *out = arena_dup(self->arena, buf_str(&text), &ok);
    buf_fini(&text);
    return ok ? rc : error_set(self->err, ERR_NOMEM, "no memory for the text of the arguments");
}

/* The fields of the body where they are not in the headers. */
static int
merge_hybrid(struct celery_reader *self, struct str body)
{
    struct str compression = self->message.compression;
    int rc = celery_fields_read(self, body, &celery_header_fields, &self->message);

    self->message.protocol = CELERY_PROTOCOL_HYBRID;
    self->message.compression = compression; /* it was unpacked by */
    if (rc == 0)                             /* headers win: read them again, over the body's */
        rc = celery_fields_read(self, self->message.headers, &celery_header_fields, &self->message);
    if (!self->message.root_id.len)
        self->message.root_id = self->message.id;
    return rc;
}

static int
read_protocol_1(struct celery_reader *self, struct str body, const struct old_body *old)
{
    struct str compression = self->message.compression;
    int rc = celery_fields_read(self, body, &celery_header_fields, &self->message);

    self->message.protocol = CELERY_PROTOCOL_1;
    self->message.compression = compression;
    self->message.root_id = self->message.parent_id = STR_NULL; /* it had none */
    if (rc < 0 || !old->taskset.ptr)
        return rc;
    self->message.group = STR_NULL; /* taskset is its old name, and wins where it is present */
    if (json_slice_type(old->taskset) == JSON_NULL)
        return 0;
    if (json_slice_type(old->taskset) != JSON_STRING ||
        old->taskset.len > self->policy->max_name_bytes)
        return celery_refuse(self, CELERY_REFUSED_WRONG_TYPE,
                             "taskset must be a short string, got %s",
                             json_type_name(json_slice_type(old->taskset)));
    return celery_reader_unescape(self, old->taskset, &self->message.group);
}

static int
read_object(struct celery_reader *self, struct str body)
{
    struct old_body old = {.args = STR_NULL};
    int rc = celery_fields_read(self, body, &old_fields, &old);

    if (rc < 0)
        return rc;
    if (self->message.task.ptr && !old.args.ptr)
        return celery_refuse(self, CELERY_REFUSED_BAD_BODY,
                             "the body must be [args, kwargs, embed] or an object with args");
    rc = self->message.task.ptr ? merge_hybrid(self, body) : read_protocol_1(self, body, &old);
    if (rc < 0)
        return rc;
    if (!self->message.task.len)
        return celery_refuse(self, CELERY_REFUSED_UNKNOWN_MESSAGE,
                             "neither a header nor the body names a task");
    if (!self->message.id.len)
        return celery_refuse(self, CELERY_REFUSED_MISSING, "the body's 'id' is missing");
    rc = set_arguments(self, old.args.ptr ? old.args : STR("[]"),
                       old.kwargs.ptr ? old.kwargs : STR("{}"));
    if (rc == 0)
        rc = celery_fields_read(self, body, &celery_embed_fields, &self->message);
    if (rc < 0)
        return rc;
    self->message.chain = STR_NULL; /* protocol 1 had none */
    if (str_equal(old.utc, STR("false"))) {
        mark_local(&self->message.eta);
        mark_local(&self->message.expires);
    }
    rc = set_repr(self, self->message.args, &self->message.argsrepr);
    return rc < 0 ? rc : set_repr(self, self->message.kwargs, &self->message.kwargsrepr);
}

int
celery_body_read(struct celery_reader *self, struct str packed)
{
    struct str text = STR_NULL;
    struct str body = STR_NULL;
    int rc = check_type(self);

    if (rc == 0)
        rc = check_encoding(self);
    if (rc == 0)
        rc = unpack(self, packed, &text);
    if (rc == 0)
        rc = celery_reader_scan(self, "body", text, &body);
    if (rc < 0)
        return rc;
    if (json_slice_type(body) == JSON_ARRAY)
        return read_list(self, body);
    if (json_slice_type(body) == JSON_OBJECT)
        return read_object(self, body);
    return celery_refuse(self, CELERY_REFUSED_BAD_BODY,
                         "the body must be a list or an object, got %s",
                         json_type_name(json_slice_type(body)));
}
