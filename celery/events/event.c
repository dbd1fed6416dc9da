/* The envelope is that of remote control; what an event is made of stands here. */

#include "celery/events/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "celery/control/envelope.h"

int64_t
event_utc_offset_h(void)
{
    long seconds;

    tzset();
    seconds = timezone;
    return seconds >= 0 ? seconds / 3600 : -((3599 - seconds) / 3600);
}

void
event_write_time(struct json_writer *json, struct str name, int64_t time_us)
{
    char text[48];
    int n = snprintf(text, sizeof(text), "%" PRId64 ".%06" PRId64, time_us / US_PER_S,
                     time_us % US_PER_S);

    json_name(json, name);
    json_raw(json, (struct str){text, (size_t)n});
}

void
event_begin(struct json_writer *json, const struct event_source *source, struct str type,
            int64_t clock, int64_t now_us)
{
    json_begin_object(json);
    json_member_str(json, STR("hostname"), source->hostname);
    json_member_i64(json, STR("utcoffset"), source->utc_offset_h);
    json_member_i64(json, STR("pid"), source->pid);
    json_member_i64(json, STR("clock"), clock);
    event_write_time(json, STR("timestamp"), now_us);
    json_member_str(json, STR("type"), type);
}

static void
append_routing_key(struct str type, struct buf *out)
{
    for (size_t i = 0; i < type.len; i++)
        buf_append_char(out, type.ptr[i] == '-' ? '.' : type.ptr[i]);
}

int
event_format_topic(struct str type, struct buf *out, struct error *err)
{
    buf_clear(out);
    buf_append(out, STR(EVENT_EXCHANGE "/"));
    append_routing_key(type, out);
    return buf_status(out, err);
}

int
event_encode(const struct event_source *source, struct str type, struct str body, struct buf *out,
             struct error *err)
{
    CLEANUP(buf_fini) struct buf headers = BUF_INIT(4096);
    CLEANUP(buf_fini) struct buf routing_key = BUF_INIT(1024);
    struct json_writer json = {.out = &headers, .style = JSON_STYLE_PYTHON};
    int rc;

    json_begin_object(&json);
    json_member_str(&json, STR("hostname"), source->hostname);
    json_end_object(&json);
    append_routing_key(type, &routing_key);
    rc = buf_status(&headers, err);
    if (rc == 0)
        rc = buf_status(&routing_key, err);
    return rc < 0 ? rc
                  : control_envelope_encode(buf_str(&headers), body, CONTROL_TRANSIENT,
                                            STR(EVENT_EXCHANGE), buf_str(&routing_key), out, err);
}

static bool
is_name(struct str text)
{
    return text.len > 0 && text.len <= EVENT_MAX_NAME_BYTES;
}

static int64_t
whole_of(const struct json *fields, struct str name)
{
    int64_t value = 0;

    return json_is_i64(json_get(fields, name), &value) && value > 0 ? value : 0;
}

static int64_t
clock_of(const struct json *fields)
{
    int64_t clock = whole_of(fields, STR("clock"));

    return clock < INT64_C(1) << 53 ? clock : 0;
}

static bool
read_event(const struct json *fields, struct event *out)
{
    const struct json *uuid = json_get_typed(fields, STR("uuid"), JSON_STRING);
    double seconds;

    if (fields->type != JSON_OBJECT || !json_is_f64(json_get(fields, STR("timestamp")), &seconds) ||
        !(seconds >= 0 && seconds < 1e12))
        return false;
    *out = (struct event){
        .type = json_get_str(fields, STR("type")),
        .hostname = json_get_str(fields, STR("hostname")),
        .uuid = uuid ? uuid->text : STR_NULL,
        .time_us = (int64_t)(seconds * (double)US_PER_S),
        .pid = whole_of(fields, STR("pid")),
        .clock = clock_of(fields),
        .fields = fields,
    };
    return is_name(out->type) && is_name(out->hostname) && (!uuid || is_name(uuid->text));
}

int
event_decode(struct str bytes, struct arena *arena, struct event_list *out, struct error *err)
{
    struct control_envelope envelope;
    struct json *body;
    struct event *events;
    size_t n_items = 1;
    size_t n = 0;
    int rc = control_envelope_decode(bytes, arena, &envelope, err);

    if (rc < 0)
        return rc;
    if (envelope.body.type != JSON_OBJECT && envelope.body.type != JSON_ARRAY)
        return error_set(err, ERR_INVALID, "body: an event is an object or a list of them, not %s",
                         json_type_name(envelope.body.type));
    if (envelope.body.type == JSON_ARRAY)
        n_items = envelope.body.array.n_items;
    if (n_items > EVENT_MAX_IN_LIST)
        return error_set(err, ERR_TOO_LARGE, "body: %zu events in one message, allowed are %zu",
                         n_items, EVENT_MAX_IN_LIST);
    body = arena_calloc(arena, 1, sizeof(*body));
    events = arena_calloc(arena, n_items ? n_items : 1, sizeof(*events));
    if (!body || !events)
        return error_set(err, ERR_NOMEM, "no memory for %zu events", n_items);
    *body = envelope.body;
    for (size_t i = 0; i < n_items; i++)
        n += read_event(body->type == JSON_ARRAY ? &body->array.items[i] : body, &events[n]);
    *out = (struct event_list){events, n, n_items - n};
    return 0;
}
