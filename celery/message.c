/* What the record is born with, its times as text, and the table of refusals. */

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/timestamp.h"
#include "celery/message_fields.h"

static const struct {
    const char *reason;
    enum error_code code;
    enum celery_verdict verdict;
} refusals[] = {[CELERY_NOT_REFUSED] = {"not-refused", ERR_NOMEM, CELERY_DROP},
#define REFUSAL_ROW(kind, reason, code, verdict) [CELERY_REFUSED_##kind] = {reason, code, verdict},
                CELERY_REFUSALS(REFUSAL_ROW)
#undef REFUSAL_ROW
};

const char *
celery_refusal_reason(enum celery_refusal_kind kind)
{
    return refusals[kind].reason;
}

enum celery_verdict
celery_refusal_verdict(enum celery_refusal_kind kind)
{
    return refusals[kind].verdict;
}

enum error_code
celery_refusal_code(enum celery_refusal_kind kind)
{
    return refusals[kind].code;
}

void
celery_message_init(struct celery_message *out, struct str task, struct str id)
{
    *out = (struct celery_message){
        .protocol = CELERY_PROTOCOL_2,
        .task = task,
        .id = id,
        .group_index = CELERY_NO_INDEX,
        .lang = STR("py"),
        .eta.us = CELERY_NO_TIME,
        .expires.us = CELERY_NO_TIME,
        .ignore_result = CELERY_FALSE,
        .args = STR("[]"),
        .kwargs = STR("{}"),
        .delivery_mode = 2,
    };
}

const char *
celery_time_format(int64_t time_us, char text[CELERY_TIME_TEXT_BYTES])
{
    int64_t fraction_us = (time_us % US_PER_S + US_PER_S) % US_PER_S;
    char seconds[TIMESTAMP_TEXT_BYTES];
    int n_date = sizeof("2026-11-23T12:26:56") - 1; /* what stands before "Z" */

    (void)timestamp_format(time_us - fraction_us, seconds);
    if (fraction_us)
        (void)snprintf(text, CELERY_TIME_TEXT_BYTES, "%.*s.%06" PRId64 "+00:00", n_date, seconds,
                       fraction_us);
    else
        (void)snprintf(text, CELERY_TIME_TEXT_BYTES, "%.*s+00:00", n_date, seconds);
    return text;
}

static int
set_time(struct celery_time *time, int64_t time_us, struct arena *arena, struct error *err)
{
    char text[CELERY_TIME_TEXT_BYTES];
    bool ok = true;
    struct str copy = arena_dup(arena, str_from_cstr(celery_time_format(time_us, text)), &ok);

    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for a date");
    *time = (struct celery_time){copy, time_us, false};
    return 0;
}

int
celery_message_set_eta(struct celery_message *message, int64_t eta_us, struct arena *arena,
                       struct error *err)
{
    return set_time(&message->eta, eta_us, arena, err);
}

int
celery_message_set_expires(struct celery_message *message, int64_t expires_us, int64_t now_us,
                           struct arena *arena, struct error *err)
{
    int64_t left_us;
    char *left_ms;
    int rc;

    if (__builtin_sub_overflow(expires_us, now_us, &left_us) || left_us < 0)
        left_us = 0;
    left_ms = arena_printf(arena, "%" PRId64, left_us / US_PER_MS);
    if (!left_ms)
        return error_set(err, ERR_NOMEM, "no memory for an expiration");
    rc = set_time(&message->expires, expires_us, arena, err);
    if (rc == 0)
        message->expiration = str_from_cstr(left_ms);
    return rc;
}

static bool
is_field(const struct celery_fields *fields, const struct json_slice *member)
{
    for (size_t i = 0; i < fields->n_items; i++) {
        if (json_slice_is_named(member, fields->items[i].name))
            return true;
    }
    return false;
}

bool
celery_message_next_other(enum celery_part part, struct json_cursor *members,
                          struct json_slice *out)
{
    static const struct celery_fields *const tables[] = {
        [CELERY_HEADERS] = &celery_header_fields,
        [CELERY_PROPERTIES] = &celery_property_fields,
        [CELERY_EMBED] = &celery_embed_fields,
    };
    static const struct celery_field wrapping[] = {
        {STR_INIT("delivery_info"), CELERY_FIELD_OBJECT, 0},
        {STR_INIT("body_encoding"), CELERY_FIELD_NAME, 0},
    };
    static const struct celery_fields wrapping_fields = {"property", wrapping, COUNT_OF(wrapping)};

    while (json_cursor_next(members, out)) {
        if (!is_field(tables[part], out) &&
            (part != CELERY_PROPERTIES || !is_field(&wrapping_fields, out)))
            return true;
    }
    return false;
}
