/* The record as Celery writes it: names in its order, JSON in the style of Python's json.dumps, so
 * that a decoded message of Celery 5.3 to 5.7 comes out byte for byte as it went in. */

#include "base/uuid.h"
#include "celery/codec_base64.h"
#include "celery/codec_compress.h"
#include "celery/codec_repr.h"
#include "celery/message_fields.h"

/* The members without a field, as they came. */
static int
write_others(struct json_writer *json, enum celery_part part, const char *what, struct str object,
             struct error *err)
{
    static const struct json_limits limits = {CELERY_JSON_FLAGS, JSON_SCAN_DEPTH_MAX};
    struct json_cursor members;
    struct json_slice member;
    struct str text;
    int rc;

    if (!object.ptr)
        return 0;
    rc = json_scan(object, &limits, &text, err);
    if (rc < 0)
        return error_wrap(err, rc, "%s", what);
    members = json_cursor_open(text);
    if (!members.is_object)
        return error_set(err, ERR_INVALID, "%s must be an object, not %s", what,
                         json_type_name(json_slice_type(text)));
    while (celery_message_next_other(part, &members, &member)) {
        json_raw_name(json, member.name);
        json_raw(json, member.value);
    }
    return 0;
}

/* Make the text for display of a slice, where the sender gave none. */
static int
fill_repr(struct str *text, struct str json, enum celery_repr_form form, struct buf *out,
          struct error *err)
{
    struct json_limits limits = {CELERY_JSON_FLAGS, JSON_SCAN_DEPTH_MAX};
    struct str value;
    int rc;

    if (text->ptr)
        return 0;
    rc = json_scan(json, &limits, &value, err);
    if (rc < 0)
        return error_wrap(err, rc, "arguments");
    celery_repr_append(out, value, form);
    *text = buf_str(out);
    return buf_status(out, err);
}

static int
write_headers(struct json_writer *json, const struct celery_message *message, struct error *err)
{
    int rc;

    json_begin_object(json);
    rc = celery_fields_write(json, &celery_header_fields, message, err);
    if (rc == 0)
        rc = write_others(json, CELERY_HEADERS, "headers", message->headers, err);
    if (rc == 0 && message->compression.len) {
        enum celery_compression compression;

        rc = celery_compression_find(message->compression, &compression, err);
        if (rc == 0) {
            json_name(json, STR("compression"));
            json_str(json, celery_compression_name(compression));
        }
    }
    json_end_object(json);
    return rc;
}

/* The headers with Celery's defaults, into json. */
static int
encode_headers(struct json_writer *json, const struct celery_message *message, struct error *err)
{
    CLEANUP(buf_fini) struct buf args = BUF_INIT((size_t)1 << 16);
    CLEANUP(buf_fini) struct buf kwargs = BUF_INIT((size_t)1 << 16);
    struct celery_message filled = *message;
    int rc;

    if (!message->task.len || !message->id.len)
        return error_set(err, ERR_ARGS, "a message needs a task and an id");
    rc = fill_repr(&filled.argsrepr, message->args.ptr ? message->args : STR("[]"),
                   CELERY_REPR_SAFE_TUPLE, &args, err);
    if (rc == 0)
        rc = fill_repr(&filled.kwargsrepr, message->kwargs.ptr ? message->kwargs : STR("{}"),
                       CELERY_REPR_SAFE, &kwargs, err);
    if (rc < 0)
        return rc;
    if (!message->lang.ptr)
        filled.lang = STR("py");
    if (!message->root_id.len)
        filled.root_id = message->id;
    if (!message->stamps.ptr)
        filled.stamps = STR("{}");
    return write_headers(json, &filled, err);
}

static int
encode_properties(struct json_writer *json, const struct celery_message *message, struct error *err)
{
    char tag[UUID_TEXT_BYTES];
    struct str delivery_tag = message->delivery_tag;
    int rc;

    if (!message->routing_key.ptr)
        return error_set(err, ERR_ARGS, "a message needs a routing key");
    if (!delivery_tag.len) {
        uuid_random(tag);
        delivery_tag = str_from_cstr(tag);
    }
    json_begin_object(json);
    json_member_str(json, STR("correlation_id"),
                    message->correlation_id.ptr ? message->correlation_id : message->id);
    json_member_str(json, STR("reply_to"), message->reply_to.ptr ? message->reply_to : STR(""));
    rc = write_others(json, CELERY_PROPERTIES, "properties", message->properties, err);
    json_member_i64(json, STR("delivery_mode"), message->delivery_mode);
    if (message->expiration.ptr)
        json_member_str(json, STR("expiration"), message->expiration);
    json_name(json, STR("delivery_info"));
    json_begin_object(json);
    json_member_str(json, STR("exchange"), message->exchange.ptr ? message->exchange : STR(""));
    json_member_str(json, STR("routing_key"), message->routing_key);
    json_end_object(json);
    json_member_i64(json, STR("priority"), message->priority);
    json_member_str(json, STR("body_encoding"), STR("base64"));
    json_member_str(json, STR("delivery_tag"), delivery_tag);
    json_end_object(json);
    return rc;
}

/* [args, kwargs, embed], plain. */
static int
write_body(struct json_writer *json, const struct celery_message *message, struct error *err)
{
    int rc;

    json_begin_array(json);
    rc = celery_write_slice(json, STR("args"), message->args, JSON_ARRAY, STR("[]"), err);
    if (rc == 0)
        rc = celery_write_slice(json, STR("kwargs"), message->kwargs, JSON_OBJECT, STR("{}"), err);
    json_begin_object(json);
    if (rc == 0)
        rc = celery_fields_write(json, &celery_embed_fields, message, err);
    if (rc == 0)
        rc = write_others(json, CELERY_EMBED, "embed", message->embed, err);
    json_end_object(json);
    json_end_array(json);
    return rc;
}

static int
encode_body(const struct celery_message *message, struct buf *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf plain = BUF_INIT(out->max_bytes);
    struct json_writer json = {.out = &plain, .style = JSON_STYLE_PYTHON};
    enum celery_compression compression;
    int rc = celery_compression_find(message->compression, &compression, err);

    if (rc == 0)
        rc = write_body(&json, message, err);
    if (rc == 0)
        rc = buf_status(&plain, err);
    return rc < 0 ? rc : celery_compress(compression, buf_str(&plain), out, err);
}

static int
encode_envelope(const struct celery_message *message, struct buf *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf body = BUF_INIT(out->max_bytes);
    struct json_writer json = {.out = out, .style = JSON_STYLE_PYTHON};
    int rc = encode_body(message, &body, err);

    if (rc < 0)
        return rc;
    json_begin_object(&json);
    json_name(&json, STR("body"));
    json_raw(&json, STR("\""));
    celery_base64_append(out, buf_str(&body));
    buf_append_char(out, '"');
    json_member_str(&json, STR("content-encoding"), STR("utf-8"));
    json_member_str(&json, STR("content-type"), STR("application/json"));
    json_name(&json, STR("headers"));
    rc = encode_headers(&json, message, err);
    if (rc < 0)
        return rc;
    json_name(&json, STR("properties"));
    rc = encode_properties(&json, message, err);
    if (rc == 0)
        json_end_object(&json);
    return rc;
}

/* What was there before stays, whatever happens. */
static int
finish(struct buf *out, size_t before, int rc, struct error *err)
{
    if (rc == 0)
        rc = buf_status(out, err);
    if (rc < 0)
        out->len = before;
    return rc;
}

int
celery_message_encode_headers(const struct celery_message *message, struct buf *out,
                              struct error *err)
{
    struct json_writer json = {.out = out, .style = JSON_STYLE_PYTHON};
    size_t before = out->len;

    return finish(out, before, encode_headers(&json, message, err), err);
}

int
celery_message_encode_body(const struct celery_message *message, struct buf *out, struct error *err)
{
    size_t before = out->len;

    return finish(out, before, encode_body(message, out, err), err);
}

int
celery_message_encode_envelope(const struct celery_message *message, struct buf *out,
                               struct error *err)
{
    size_t before = out->len;

    return finish(out, before, encode_envelope(message, out, err), err);
}
