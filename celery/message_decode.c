/* From the outside in: the envelope is scanned once as a whole, then cut; nothing is built that is
 * not a field of the record.
 *
 *     {"body": "W1syLC4u", "content-encoding": "utf-8", "content-type": "application/json",
 *      "headers":    {"task": ., "id": ., "eta": ., ...},
 *      "properties": {"correlation_id": ., "delivery_info": {"exchange": ., "routing_key": .},
 *                     "body_encoding": "base64", "delivery_tag": ., ...}}
 *
 * Source: kombu, transport/virtual/base.py. */

#include "celery/codec_base64.h"
#include "celery/message_body.h"

const struct celery_decode_policy celery_decode_policy_default = {
    .max_message_bytes = (size_t)32 << 20,
    .max_body_bytes = (size_t)16 << 20,
    .max_args_bytes = (size_t)4 << 20,
    .max_name_bytes = 4096,
    .max_depth = 512,
    .max_names = 1024,
};

struct envelope {
    struct str body; /* JSON slices, but for the two texts */
    struct str content_encoding;
    struct str content_type;
    struct str headers;
    struct str properties;
};

/* Properties that say how to read the message rather than what it means. */
struct wrapping {
    struct str delivery_info; /* JSON */
    struct str body_encoding;
};

static const struct celery_field envelope_rows[] = {
    {STR_INIT("body"), CELERY_FIELD_ANY, offsetof(struct envelope, body)},
    {STR_INIT("content-encoding"), CELERY_FIELD_NAME, offsetof(struct envelope, content_encoding)},
    {STR_INIT("content-type"), CELERY_FIELD_NAME, offsetof(struct envelope, content_type)},
    {STR_INIT("headers"), CELERY_FIELD_ANY, offsetof(struct envelope, headers)},
    {STR_INIT("properties"), CELERY_FIELD_ANY, offsetof(struct envelope, properties)},
};

static const struct celery_field wrapping_rows[] = {
    {STR_INIT("delivery_info"), CELERY_FIELD_OBJECT, offsetof(struct wrapping, delivery_info)},
    {STR_INIT("body_encoding"), CELERY_FIELD_NAME, offsetof(struct wrapping, body_encoding)},
};

static const struct celery_fields envelope_fields = {"envelope's", envelope_rows,
                                                     COUNT_OF(envelope_rows)};
static const struct celery_fields wrapping_fields = {"property", wrapping_rows,
                                                     COUNT_OF(wrapping_rows)};

static void
begin(struct celery_reader *self, const struct celery_decode_policy *policy, struct arena *arena,
      struct error *err)
{
    *self = (struct celery_reader){
        .policy = policy ? policy : &celery_decode_policy_default,
        .arena = arena,
        .err = err,
        .kind = CELERY_NOT_REFUSED,
    };
    celery_message_init(&self->message, STR_NULL, STR_NULL);
    self->message.lang = STR_NULL;
    self->message.ignore_result = CELERY_UNSET;
    self->message.args = self->message.kwargs = STR_NULL;
}

static int
finish(const struct celery_reader *self, int rc, struct celery_message *out,
       struct celery_refusal *refusal)
{
    if (rc == 0)
        *out = self->message;
    else if (refusal)
        *refusal = (struct celery_refusal){self->kind, self->message};
    return rc;
}

static int
check_size(struct celery_reader *self, size_t n_bytes)
{
    if (n_bytes > self->policy->max_message_bytes)
        return celery_refuse(self, CELERY_REFUSED_TOO_LARGE,
                             "a message of %zu bytes, allowed are %zu", n_bytes,
                             self->policy->max_message_bytes);
    return 0;
}

/* A part that must be an object; absent and null count as an empty one. */
static int
open_object(struct celery_reader *self, const char *what, struct str *part)
{
    if (json_slice_type(*part) == JSON_NULL)
        *part = STR("{}");
    if (json_slice_type(*part) != JSON_OBJECT)
        return celery_refuse(self, CELERY_REFUSED_WRONG_TYPE, "%s must be an object, got %s", what,
                             json_type_name(json_slice_type(*part)));
    return 0;
}

static int
read_properties(struct celery_reader *self, struct str properties, struct wrapping *wrapping)
{
    int rc = open_object(self, "properties", &properties);

    if (rc == 0)
        rc = celery_fields_read(self, properties, &celery_property_fields, &self->message);
    if (rc == 0)
        rc = celery_fields_read(self, properties, &wrapping_fields, wrapping);
    if (rc == 0 && wrapping->delivery_info.ptr)
        rc = celery_fields_read(self, wrapping->delivery_info, &celery_delivery_fields,
                                &self->message);
    self->message.properties = properties;
    return rc;
}

/* Headers without a task are a protocol 1 sender's own: their names mean nothing here. */
static int
read_headers(struct celery_reader *self, struct str headers)
{
    struct celery_message message;
    int rc = open_object(self, "headers", &headers);

    if (rc < 0)
        return rc;
    self->message.headers = headers;
    message = self->message;
    rc = celery_fields_read(self, headers, &celery_header_fields, &message);
    if (rc < 0 || message.task.ptr)
        self->message = message;
    else
        self->message.compression = message.compression;
    return rc;
}

static int
decode_base64(struct celery_reader *self, struct str text, struct str *out)
{
    char *bytes = arena_alloc_aligned(self->arena, celery_base64_decoded_max(text.len), 1);
    size_t n_bytes;
    int rc;

    if (!bytes)
        return error_set(self->err, ERR_NOMEM, "no memory for a body of %zu bytes", text.len);
    rc = celery_base64_decode(text, bytes, &n_bytes, self->err);
    if (rc < 0) {
        self->kind = CELERY_REFUSED_MALFORMED;
        return error_wrap(self->err, rc, "body");
    }
    *out = (struct str){bytes, n_bytes};
    return 0;
}

/* The bytes that the envelope's body stands for. */
static int
unwrap_body(struct celery_reader *self, struct str json, struct str encoding, struct str *out)
{
    struct str text;
    int rc;

    if (!json.ptr)
        return celery_refuse(self, CELERY_REFUSED_MISSING, "the envelope has no body");
    if (json_slice_type(json) != JSON_STRING)
        return celery_refuse(self, CELERY_REFUSED_WRONG_TYPE, "the body must be a string, got %s",
                             json_type_name(json_slice_type(json)));
    rc = celery_reader_unescape(self, json, &text);
    if (rc < 0)
        return rc;
    if (encoding.len == 0 || str_equal_ignore_case(encoding, STR("utf-8"))) {
        *out = text;
        return 0;
    }
    if (str_equal(encoding, STR("base64")))
        return decode_base64(self, text, out);
    return celery_refuse(self, CELERY_REFUSED_FOREIGN_CODING,
                         "body_encoding '%.*s' is not understood: base64 and none are",
                         STR_ARG(str_slice(encoding, 0, 64)));
}

static int
decode_envelope(struct celery_reader *self, struct str bytes)
{
    struct envelope envelope = {.body = STR_NULL};
    struct wrapping wrapping = {.body_encoding = STR_NULL};
    struct str text = STR_NULL;
    struct str body;
    int rc = check_size(self, bytes.len);

    if (rc == 0)
        rc = celery_reader_scan(self, "envelope", bytes, &text);
    if (rc < 0)
        return rc;
    if (json_slice_type(text) != JSON_OBJECT)
        return celery_refuse(self, CELERY_REFUSED_MALFORMED,
                             "the envelope must be an object, got %s",
                             json_type_name(json_slice_type(text)));
    rc = celery_fields_read(self, text, &envelope_fields, &envelope);
    self->message.content_type = envelope.content_type;
    self->message.content_encoding = envelope.content_encoding;
    if (rc == 0)
        rc = read_properties(self, envelope.properties, &wrapping);
    if (rc == 0)
        rc = read_headers(self, envelope.headers);
    if (rc < 0)
        return rc;
    if (!self->message.delivery_tag.len)
        return celery_refuse(self, CELERY_REFUSED_MISSING, "property 'delivery_tag' is missing");
    rc = unwrap_body(self, envelope.body, wrapping.body_encoding, &body);
    return rc < 0 ? rc : celery_body_read(self, body);
}

int
celery_message_decode_envelope(struct str bytes, const struct celery_decode_policy *policy,
                               struct arena *arena, struct celery_message *out,
                               struct celery_refusal *refusal, struct error *err)
{
    struct celery_reader reader;

    begin(&reader, policy, arena, err);
    return finish(&reader, decode_envelope(&reader, bytes), out, refusal);
}

/* As celery_reader_scan; an absent part stays absent. */
static int
scan_part(struct celery_reader *self, const char *what, struct str text, struct str *out)
{
    *out = STR_NULL;
    return text.ptr ? celery_reader_scan(self, what, text, out) : 0;
}

static int
decode_parts(struct celery_reader *self, const struct celery_parts *parts)
{
    struct wrapping wrapping = {.body_encoding = STR_NULL};
    struct str properties = STR_NULL;
    struct str headers = STR_NULL;
    size_t n_bytes = parts->headers.len + parts->properties.len;
    int rc;

    if (__builtin_add_overflow(n_bytes, parts->body.len, &n_bytes))
        n_bytes = SIZE_MAX;
    self->message.content_type = parts->content_type;
    self->message.content_encoding = parts->content_encoding;
    rc = check_size(self, n_bytes);
    if (rc == 0)
        rc = scan_part(self, "properties", parts->properties, &properties);
    if (rc == 0)
        rc = scan_part(self, "headers", parts->headers, &headers);
    if (rc == 0)
        rc = read_properties(self, properties, &wrapping);
    if (rc == 0)
        rc = read_headers(self, headers);
    return rc < 0 ? rc : celery_body_read(self, parts->body);
}

int
celery_message_decode(const struct celery_parts *parts, const struct celery_decode_policy *policy,
                      struct arena *arena, struct celery_message *out,
                      struct celery_refusal *refusal, struct error *err)
{
    struct celery_reader reader;

    begin(&reader, policy, arena, err);
    return finish(&reader, decode_parts(&reader, parts), out, refusal);
}
