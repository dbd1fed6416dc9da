/* Parsed as a whole: control messages are small, and every part of one is needed. */

#include "celery/control/envelope.h"

#include "base/json_writer.h"
#include "base/uuid.h"
#include "celery/codec_base64.h"
#include "celery/codec_compress.h"

static const struct json_limits limits = {JSON_ALLOW_NAN | JSON_KEEP_SURROGATES, 0};

static int
check_coding(const struct json *envelope, const struct json *headers, struct error *err)
{
    struct str type = json_get_str(envelope, STR("content-type"));
    struct str encoding = json_get_str(envelope, STR("content-encoding"));

    if (!str_equal(type, STR("application/json")))
        return error_set(err, ERR_UNSUPPORTED,
                         "content type '%.*s' is refused: only application/json is read",
                         STR_ARG(str_slice(type, 0, 64)));
    if (encoding.len && !str_equal_ignore_case(encoding, STR("utf-8")))
        return error_set(err, ERR_UNSUPPORTED, "content encoding '%.*s' is not utf-8",
                         STR_ARG(str_slice(encoding, 0, 64)));
    if (json_get_str(headers, STR("compression")).len)
        return error_set(err, ERR_UNSUPPORTED, "a compressed control message is not read");
    return 0;
}

static int
unwrap_body(const struct json *envelope, struct arena *arena, struct str *out, struct error *err)
{
    const struct json *body = json_get_typed(envelope, STR("body"), JSON_STRING);
    const struct json *properties = json_get_typed(envelope, STR("properties"), JSON_OBJECT);
    struct str encoding = json_get_str(properties, STR("body_encoding"));
    char *bytes;
    size_t n_bytes;
    int rc;

    if (!body)
        return error_set(err, ERR_INVALID, "the envelope has no body that is a string");
    if (encoding.len == 0 || str_equal_ignore_case(encoding, STR("utf-8"))) {
        *out = body->text;
        return 0;
    }
    if (!str_equal(encoding, STR("base64")))
        return error_set(err, ERR_UNSUPPORTED, "body_encoding '%.*s' is not base64",
                         STR_ARG(str_slice(encoding, 0, 64)));
    bytes = arena_alloc_aligned(arena, celery_base64_decoded_max(body->text.len), 1);
    if (!bytes)
        return error_set(err, ERR_NOMEM, "no memory for a body of %zu bytes", body->text.len);
    rc = celery_base64_decode(body->text, bytes, &n_bytes, err);
    *out = (struct str){bytes, n_bytes};
    return rc < 0 ? error_wrap(err, rc, "body") : 0;
}

int
control_envelope_decode(struct str bytes, struct arena *arena, struct control_envelope *out,
                        struct error *err)
{
    const struct json *headers;
    struct json envelope;
    struct json body;
    struct str text;
    int rc;

    if (bytes.len > CONTROL_ENVELOPE_BYTES)
        return error_set(err, ERR_TOO_LARGE, "an envelope of %zu bytes, allowed are %zu", bytes.len,
                         CONTROL_ENVELOPE_BYTES);
    rc = json_parse(bytes, &limits, arena, &envelope, err);
    if (rc < 0)
        return error_wrap(err, rc, "envelope");
    if (envelope.type != JSON_OBJECT)
        return error_set(err, ERR_INVALID, "the envelope is no object but %s",
                         json_type_name(envelope.type));
    headers = json_get_typed(&envelope, STR("headers"), JSON_OBJECT);
    rc = check_coding(&envelope, headers, err);
    if (rc == 0)
        rc = unwrap_body(&envelope, arena, &text, err);
    if (rc < 0)
        return rc;
    rc = json_parse(text, &limits, arena, &body, err);
    if (rc < 0)
        return error_wrap(err, rc, "body");
    out->headers = headers ? *headers : (struct json){.type = JSON_OBJECT};
    out->body = body;
    return 0;
}

int
control_envelope_encode(struct str headers, struct str body, enum control_delivery_mode mode,
                        struct str exchange, struct str routing_key, struct buf *out,
                        struct error *err)
{
    struct json_writer json = {.out = out, .style = JSON_STYLE_PYTHON};
    char tag[UUID_TEXT_BYTES];

    uuid_random(tag);
    json_begin_object(&json);
    json_name(&json, STR("body"));
    json_raw(&json, STR("\""));
    celery_base64_append(out, body);
    buf_append_char(out, '"');
    json_member_str(&json, STR("content-encoding"), STR("utf-8"));
    json_member_str(&json, STR("content-type"), STR("application/json"));
    json_name(&json, STR("headers"));
    json_raw(&json, headers);
    json_name(&json, STR("properties"));
    json_begin_object(&json);
    json_member_i64(&json, STR("delivery_mode"), mode);
    json_name(&json, STR("delivery_info"));
    json_begin_object(&json);
    json_member_str(&json, STR("exchange"), exchange);
    json_member_str(&json, STR("routing_key"), routing_key);
    json_end_object(&json);
    json_member_i64(&json, STR("priority"), 0);
    json_member_str(&json, STR("body_encoding"), STR("base64"));
    json_member_str(&json, STR("delivery_tag"), str_from_cstr(tag));
    json_end_object(&json);
    json_end_object(&json);
    return buf_status(out, err);
}
