/* What the broker has to know of a message.  The envelope is walked, not checked: who runs the task
 * decodes it, and buries what is none. */

#include "celery/broker/redis_internal.h"

#include "base/json_scan.h"
#include "base/timestamp.h"

/* A string's text; STR_NULL for another type. */
static struct str
read_text(struct str value, struct arena *arena)
{
    struct json json;

    if (value.len < 2 || json_slice_type(value) != JSON_STRING)
        return STR_NULL;
    if (str_find_char(value, '\\') == value.len)
        return str_slice(value, 1, value.len - 1);
    if (json_parse(value, NULL, arena, &json, NULL) < 0)
        return STR_NULL;
    return json.text;
}

static void
read_headers(struct str headers, struct arena *arena, struct redis_envelope *out)
{
    struct json_cursor members = json_cursor_open(headers);
    struct json_slice member;

    while (json_cursor_next(&members, &member)) {
        if (json_slice_is_named(&member, STR("id"))) {
            struct str id = read_text(member.value, arena);

            if (id.len <= BROKER_MAX_ID_BYTES)
                out->id = id;
        } else if (json_slice_is_named(&member, STR("expires"))) {
            error_ignore(timestamp_parse_iso(read_text(member.value, arena), &out->expires_us,
                                             NULL)); /* the worker refuses what is no time */
        } else if (json_slice_is_named(&member, STR("eta"))) {
            out->has_eta = read_text(member.value, arena).len > 0;
        }
    }
}

static void
read_properties(struct str properties, struct redis_envelope *out)
{
    struct json_cursor members = json_cursor_open(properties);
    struct json_slice member;

    while (json_cursor_next(&members, &member))
        if (json_slice_is_named(&member, STR("priority")) && member.value.len == 1 &&
            member.value.ptr[0] >= '0' && member.value.ptr[0] <= '9')
            out->priority = member.value.ptr[0] - '0';
}

void
redis_envelope_read(struct str bytes, struct arena *arena, struct redis_envelope *out)
{
    struct json_cursor members = json_cursor_open(bytes);
    struct json_slice member;

    *out = (struct redis_envelope){.priority = -1, .expires_us = TIME_UNKNOWN};
    if (bytes.len == 0 || bytes.ptr[0] != '{')
        return;
    while (json_cursor_next(&members, &member)) {
        if (json_slice_is_named(&member, STR("headers")))
            read_headers(member.value, arena, out);
        else if (json_slice_is_named(&member, STR("properties")))
            read_properties(member.value, out);
    }
}
