/* One event, with the fields that Celery's client gives it. */

#include "celery/events/sent.h"

#include <stdio.h>
#include <unistd.h>

#include "celery/codec_repr.h"
#include "celery/control/node_name.h"
#include "celery/events/event_mailbox.h"
#include "celery/message.h"

#define LEAVE_US    (300 * US_PER_MS)
#define EVENT_BYTES ((size_t)1 << 20)

static void
write_repr(struct json_writer *json, struct str name, struct str value, struct str nothing,
           enum celery_repr_form form)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(EVENT_BYTES / 4);

    if (value.len)
        celery_repr_append(&text, value, form);
    json_member_str(json, name, value.len ? buf_str(&text) : nothing);
}

static void
write_time(struct json_writer *json, struct str name, int64_t time_us)
{
    char text[CELERY_TIME_TEXT_BYTES];

    json_member_str(json, name,
                    time_us == TIME_UNKNOWN ? STR_NULL
                                            : str_from_cstr(celery_time_format(time_us, text)));
}

static void
write_sent(struct json_writer *json, const struct celery_request *request, struct str id,
           int64_t now_us)
{
    struct str queue = request->queue.len ? request->queue : STR(CELERY_DEFAULT_QUEUE);
    int64_t eta_us = request->countdown_us > 0 ? now_us + request->countdown_us : request->eta_us;

    json_member_str(json, STR("uuid"), id);
    json_member_str(json, STR("root_id"), id);
    json_member_str(json, STR("parent_id"), STR_NULL);
    json_member_str(json, STR("name"), request->task);
    write_repr(json, STR("args"), request->args, STR("()"), CELERY_REPR_SAFE_TUPLE);
    write_repr(json, STR("kwargs"), request->kwargs, STR("{}"), CELERY_REPR_SAFE);
    json_member_i64(json, STR("retries"), 0);
    write_time(json, STR("eta"), eta_us);
    write_time(json, STR("expires"),
               request->expires_in_us > 0 ? now_us + request->expires_in_us : TIME_UNKNOWN);
    json_member_str(json, STR("queue"), queue);
    json_member_str(json, STR("exchange"), STR(""));
    json_member_str(json, STR("routing_key"), queue);
}

static int
send_event(struct str broker_url, const struct event_source *source, struct str body,
           struct error *err)
{
    CLEANUP(mailbox_closep) struct mailbox *mailbox = NULL;
    struct event_mailbox_options options = {.name = source->hostname};
    int64_t until_us = clock_mono_us(&clock_system) + LEAVE_US;
    int rc = event_mailbox_open(broker_url, &options, &mailbox, err);

    if (rc == 0)
        rc = event_mailbox_send(mailbox, source, STR("task-sent"), body, err);
    while (rc == 0) {
        rc = mailbox_run_until(mailbox, until_us, err);
        if (rc < 0 || mailbox_is_idle(mailbox))
            return rc;
        if (clock_mono_us(&clock_system) >= until_us)
            return error_set(err, ERR_TIMEOUT, "the broker does not take it within %lld ms",
                             (long long)(LEAVE_US / US_PER_MS));
    }
    return rc;
}

int
event_tell_sent(struct str broker_url, const struct celery_request *request, struct str id,
                struct error *err)
{
    CLEANUP(buf_fini) struct buf body = BUF_INIT(EVENT_BYTES);
    struct json_writer json = {.out = &body, .style = JSON_STYLE_PYTHON};
    char host[NODE_NAME_BYTES];
    char name[NODE_NAME_BYTES + 32];
    int64_t now_us = clock_now_us(&clock_system);
    struct event_source source = {.pid = getpid(), .utc_offset_h = event_utc_offset_h()};
    int rc;

    node_name_host(host);
    (void)snprintf(name, sizeof(name), "gen%d@%s", (int)getpid(), host);
    source.hostname = str_from_cstr(name);
    event_begin(&json, &source, STR("task-sent"), 1, now_us);
    write_sent(&json, request, id, now_us);
    json_end_object(&json);
    rc = buf_status(&body, err);
    return rc < 0 ? rc : send_event(broker_url, &source, buf_str(&body), err);
}
