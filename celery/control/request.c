/* JSON to record and back; nothing is asked of a sender that kombu does not ask. */

#include "celery/control/request.h"

#include "base/json_writer.h"
#include "celery/control/envelope.h"

/* A member that is a string, absent or null.  Errors: ERR_INVALID. */
static int
read_text(const struct json *object, struct str name, size_t max_bytes, struct str *out,
          struct error *err)
{
    const struct json *value = json_get(object, name);

    *out = STR_NULL;
    if (!value || value->type == JSON_NULL)
        return 0;
    if (value->type != JSON_STRING)
        return error_set(err, ERR_INVALID, "'%.*s' must be a string, got %s", STR_ARG(name),
                         json_type_name(value->type));
    if (value->text.len > max_bytes)
        return error_set(err, ERR_INVALID, "'%.*s' has %zu bytes, allowed are %zu", STR_ARG(name),
                         value->text.len, max_bytes);
    *out = value->text;
    return 0;
}

/* A list of strings; kombu takes an empty one for none. */
static int
read_recipients(const struct json *body, struct control_request *out, struct error *err)
{
    const struct json *value = json_get(body, STR("destination"));

    if (!value || value->type == JSON_NULL)
        return 0;
    if (value->type != JSON_ARRAY)
        return error_set(err, ERR_INVALID, "'destination' must be an array, got %s",
                         json_type_name(value->type));
    for (size_t i = 0; i < value->array.n_items; i++) {
        if (value->array.items[i].type != JSON_STRING)
            return error_set(err, ERR_INVALID, "'destination' must hold strings, got %s",
                             json_type_name(value->array.items[i].type));
    }
    if (value->array.n_items > 0)
        out->recipients = value;
    return 0;
}

static int
read_reply_to(const struct json *body, struct control_request *out, struct error *err)
{
    const struct json *value = json_get(body, STR("reply_to"));
    int rc;

    if (!value || value->type == JSON_NULL)
        return 0;
    if (value->type != JSON_OBJECT)
        return error_set(err, ERR_INVALID, "'reply_to' must be an object, got %s",
                         json_type_name(value->type));
    rc = read_text(value, STR("exchange"), MAILBOX_MAX_NAME_BYTES, &out->reply_to.exchange, err);
    if (rc == 0)
        rc = read_text(value, STR("routing_key"), MAILBOX_MAX_NAME_BYTES,
                       &out->reply_to.routing_key, err);
    if (rc == 0)
        rc = mailbox_check_name(out->reply_to.exchange, "'reply_to.exchange'", err);
    return rc < 0 ? rc
                  : mailbox_check_name(out->reply_to.routing_key, "'reply_to.routing_key'", err);
}

static int
read_arguments(const struct json *body, struct control_request *out, struct error *err)
{
    const struct json *value = json_get(body, STR("arguments"));

    out->arguments = (struct json){.type = JSON_OBJECT};
    if (!value || value->type == JSON_NULL)
        return 0;
    if (value->type != JSON_OBJECT)
        return error_set(err, ERR_INVALID, "'arguments' must be an object, got %s",
                         json_type_name(value->type));
    out->arguments = *value;
    return 0;
}

/* A Lamport clock; one that is none, or far beyond what a cluster counts in its life, is not
 * followed: a single message must not push everybody's clock to its end. */
static int64_t
read_clock(const struct json *headers)
{
    const struct json *value = json_get(headers, STR("clock"));
    int64_t clock;

    return value && json_is_i64(value, &clock) && clock > 0 && clock < INT64_C(1) << 53 ? clock : 0;
}

int
control_request_decode(struct str bytes, struct arena *arena, struct control_request *out,
                       struct error *err)
{
    struct control_request request = {.method = STR_NULL};
    struct control_envelope envelope;
    int rc = control_envelope_decode(bytes, arena, &envelope, err);

    if (rc < 0)
        return rc;
    if (envelope.body.type != JSON_OBJECT)
        return error_set(err, ERR_INVALID, "a control request is an object, got %s",
                         json_type_name(envelope.body.type));
    rc = read_text(&envelope.body, STR("method"), CONTROL_METHOD_BYTES, &request.method, err);
    if (rc == 0 && !request.method.len)
        rc = error_set(err, ERR_INVALID, "'method' is missing");
    if (rc == 0)
        rc = read_arguments(&envelope.body, &request, err);
    if (rc == 0)
        rc = read_recipients(&envelope.body, &request, err);
    if (rc == 0)
        rc =
            read_text(&envelope.body, STR("pattern"), CONTROL_PATTERN_BYTES, &request.pattern, err);
    if (rc == 0)
        rc =
            read_text(&envelope.body, STR("matcher"), CONTROL_PATTERN_BYTES, &request.matcher, err);
    if (rc == 0)
        rc = read_text(&envelope.body, STR("ticket"), MAILBOX_MAX_NAME_BYTES, &request.ticket, err);
    if (rc == 0)
        rc = read_reply_to(&envelope.body, &request, err);
    if (rc < 0)
        return rc;
    request.clock = read_clock(&envelope.headers);
    *out = request;
    return 0;
}

static void
write_recipients(struct json_writer *json, const struct control_call *call)
{
    json_name(json, STR("destination"));
    if (call->n_recipients == 0) {
        json_null(json);
        return;
    }
    json_begin_array(json);
    for (size_t i = 0; i < call->n_recipients; i++)
        json_str(json, call->recipients[i]);
    json_end_array(json);
}

static void
write_call(struct json_writer *json, const struct control_call *call)
{
    json_begin_object(json);
    json_member_str(json, STR("method"), call->method);
    json_name(json, STR("arguments"));
    json_raw(json, call->arguments.len ? call->arguments : STR("{}"));
    write_recipients(json, call);
    json_member_str(json, STR("pattern"), STR_NULL);
    json_member_str(json, STR("matcher"), STR_NULL);
    if (call->ticket.len) {
        json_member_str(json, STR("ticket"), call->ticket);
        json_name(json, STR("reply_to"));
        json_begin_object(json);
        json_member_str(json, STR("exchange"), STR(CONTROL_REPLY_EXCHANGE));
        json_member_str(json, STR("routing_key"), call->routing_key);
        json_end_object(json);
    }
    json_end_object(json);
}

int
control_call_encode(const struct control_call *call, struct buf *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf headers = BUF_INIT(4096);
    CLEANUP(buf_fini) struct buf body = BUF_INIT(MAILBOX_MAX_BYTES);
    struct json_writer json = {.out = &headers, .style = JSON_STYLE_PYTHON};
    int rc;

    json_begin_object(&json);
    json_member_i64(&json, STR("clock"), call->clock);
    json_member_f64(&json, STR("expires"), call->expires);
    json_end_object(&json);
    json = (struct json_writer){.out = &body, .style = JSON_STYLE_PYTHON};
    write_call(&json, call);
    rc = buf_status(&headers, err);
    if (rc == 0)
        rc = buf_status(&body, err);
    return rc < 0 ? rc
                  : control_envelope_encode(buf_str(&headers), buf_str(&body), CONTROL_PERSISTENT,
                                            STR(CONTROL_EXCHANGE), STR(""), out, err);
}

int
control_reply_encode(const struct control_request *request, struct str node, struct str value,
                     int64_t clock, struct buf *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf headers = BUF_INIT(8192);
    CLEANUP(buf_fini) struct buf body = BUF_INIT(MAILBOX_MAX_BYTES);
    struct json_writer json = {.out = &headers, .style = JSON_STYLE_PYTHON};
    int rc;

    json_begin_object(&json);
    json_member_str(&json, STR("ticket"), request->ticket);
    json_member_i64(&json, STR("clock"), clock);
    json_end_object(&json);
    json = (struct json_writer){.out = &body, .style = JSON_STYLE_PYTHON};
    json_begin_object(&json);
    json_name(&json, node);
    json_raw(&json, value);
    json_end_object(&json);
    rc = buf_status(&headers, err);
    if (rc == 0)
        rc = buf_status(&body, err);
    return rc < 0 ? rc
                  : control_envelope_encode(buf_str(&headers), buf_str(&body), CONTROL_TRANSIENT,
                                            request->reply_to.exchange,
                                            request->reply_to.routing_key, out, err);
}

int
control_reply_decode(struct str bytes, struct arena *arena, struct control_reply *out,
                     struct error *err)
{
    struct control_envelope envelope;
    struct control_reply reply;
    int rc = control_envelope_decode(bytes, arena, &envelope, err);

    if (rc < 0)
        return rc;
    if (envelope.body.type != JSON_OBJECT || envelope.body.object.n_members != 1)
        return error_set(err, ERR_INVALID, "a control reply is an object with one member");
    rc = read_text(&envelope.headers, STR("ticket"), MAILBOX_MAX_NAME_BYTES, &reply.ticket, err);
    if (rc < 0)
        return rc;
    reply.node = envelope.body.object.members[0].name;
    reply.value = envelope.body.object.members[0].value;
    reply.clock = read_clock(&envelope.headers);
    *out = reply;
    return 0;
}
