/* The worker among others: hears their events, keeps the clock, takes part in elections.
 *
 * Source: celery/worker/consumer/gossip.py of 5.2 and 5.7. */

#include <stdlib.h>

#include "base/json_scan.h"
#include "base/log.h"
#include "celery/client.h"
#include "celery/worker_control_internal.h"
#include "celery/worker_events_internal.h"

#define ACTION_BYTES ((size_t)512 << 10)

static void
begin_event(struct worker *self, struct json_writer *json, struct str type, struct str id)
{
    event_begin(json, &self->events->source, type, worker_events_tick(self),
                clock_now_us(&clock_system));
    json_member_str(json, STR("id"), id);
}

static void
send_ack(struct worker *self, struct str id)
{
    CLEANUP(buf_fini) struct buf event = BUF_INIT(4096);
    struct json_writer json = {.out = &event, .style = JSON_STYLE_PYTHON};

    begin_event(self, &json, STR("worker-elect-ack"), id);
    json_end_object(&json);
    worker_events_send(self, STR("worker-elect-ack"), &event, 1);
}

static void
take_candidate(struct worker *self, const struct event *event)
{
    struct error err = {0};

    if (gossip_add_candidate(&self->events->gossip, event, clock_mono_us(&clock_system), &err) < 0)
        log_warning("candidate of an election not counted: node=%.*s reason=%s",
                    STR_ARG(event->hostname), err.message);
}

static int64_t
freq_of(const struct event *event)
{
    double seconds;

    return json_is_f64(json_get(event->fields, STR("freq")), &seconds) && seconds > 0 &&
                   seconds < 3600
               ? (int64_t)(seconds * (double)US_PER_S)
               : GOSSIP_FREQ_US;
}

void
worker_gossip_hear(struct worker *self, const struct event *event)
{
    struct gossip *gossip = &self->events->gossip;

    if (str_equal(event->hostname, self->options->name))
        return; /* told ourselves already, when it was sent */
    worker_events_adjust_clock(self, event->clock);
    if (str_equal(event->type, STR("worker-elect"))) {
        take_candidate(self, event);
    } else if (str_equal(event->type, STR("worker-elect-ack"))) {
        gossip_count_ack(gossip, json_get_str(event->fields, STR("id")));
    } else if (str_equal(event->type, STR("worker-offline"))) {
        log_info("node is offline: node=%.*s", STR_ARG(event->hostname));
        gossip_drop_node(gossip, event->hostname);
    } else if (str_equal(event->type, STR("worker-online")) ||
               str_equal(event->type, STR("worker-heartbeat"))) {
        if (!gossip_note_node(gossip, event->hostname, freq_of(event),
                              clock_mono_us(&clock_system)))
            log_info("node is online: node=%.*s", STR_ARG(event->hostname));
    }
}

int
worker_events_elect(struct worker *self, struct str id, struct str topic, struct str action,
                    struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)64 << 20);
    CLEANUP(buf_fini) struct buf text = BUF_INIT(ACTION_BYTES);
    struct json_writer json = {.out = &text, .style = JSON_STYLE_PYTHON};
    static const struct json_limits limits = {JSON_ALLOW_NAN | JSON_KEEP_SURROGATES, 0};
    struct worker_events *events = self->events;
    struct event event = {.hostname = events->source.hostname, .pid = events->source.pid};
    struct json fields;
    int rc;

    if (self->options->flags & CELERY_WORKER_NO_GOSSIP)
        return 0;
    rc = gossip_begin_election(&events->gossip, id, clock_mono_us(&clock_system), err);
    if (rc < 0)
        return rc;
    begin_event(self, &json, STR("worker-elect"), id);
    event.clock = self->control->node.clock;
    json_member_str(&json, STR("topic"), topic);
    json_name(&json, STR("action"));
    json_raw(&json, action.len ? action : STR("null"));
    json_member_i64(&json, STR("cver"), 1);
    json_end_object(&json);
    rc = buf_status(&text, err);
    if (rc == 0)
        rc = json_parse(buf_str(&text), &limits, &arena, &fields, err);
    if (rc < 0)
        return rc;
    event.fields = &fields;
    worker_events_send(self, STR("worker-elect"), &text, 1);
    take_candidate(self, &event);
    return 0;
}

/* What a simple signature asks for; views into it. */
struct plain_signature {
    struct str task;
    struct str id;
    struct str queue;
    struct str args;
    struct str kwargs;
};

static int
read_signature(struct str action, struct arena *arena, struct plain_signature *out,
               struct error *err)
{
    static const struct json_limits limits = {JSON_ALLOW_NAN | JSON_KEEP_SURROGATES, 0};
    CLEANUP(buf_fini) struct buf args = BUF_INIT(ACTION_BYTES);
    CLEANUP(buf_fini) struct buf kwargs = BUF_INIT(ACTION_BYTES);
    struct json_writer args_json = {.out = &args, .style = JSON_STYLE_PYTHON};
    struct json_writer kwargs_json = {.out = &kwargs, .style = JSON_STYLE_PYTHON};
    const struct json *options;
    const struct json *found;
    struct json signature;
    bool is_copied = true;
    int rc = json_parse(action, &limits, arena, &signature, err);

    if (rc < 0)
        return rc;
    *out = (struct plain_signature){.task = json_get_str(&signature, STR("task"))};
    if (!out->task.len)
        return error_set(err, ERR_INVALID, "the action names no task");
    if (json_get_typed(&signature, STR("subtask_type"), JSON_STRING))
        return error_set(err, ERR_UNSUPPORTED, "the action is no plain task but a %.*s",
                         STR_ARG(json_get_str(&signature, STR("subtask_type"))));
    options = json_get_typed(&signature, STR("options"), JSON_OBJECT);
    out->id = json_get_str(options, STR("task_id"));
    out->queue = json_get_str(options, STR("queue"));
    if ((found = json_get_typed(&signature, STR("args"), JSON_ARRAY)))
        json_value(&args_json, found);
    if ((found = json_get_typed(&signature, STR("kwargs"), JSON_OBJECT)))
        json_value(&kwargs_json, found);
    rc = buf_status(&args, err);
    if (rc == 0)
        rc = buf_status(&kwargs, err);
    out->args = arena_dup(arena, args.len ? buf_str(&args) : STR("[]"), &is_copied);
    out->kwargs = arena_dup(arena, kwargs.len ? buf_str(&kwargs) : STR("{}"), &is_copied);
    return rc == 0 && !is_copied ? error_set(err, ERR_NOMEM, "no memory for a signature") : rc;
}

static int
apply(struct worker *self, struct str action, struct str *id, struct arena *arena,
      struct error *err)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT((size_t)4 << 20);
    char *made_id = arena_alloc_aligned(arena, UUID_TEXT_BYTES, 1);
    struct plain_signature signature;
    struct celery_message message;
    struct broker_message sent;
    int rc = read_signature(action, arena, &signature, err);

    if (rc < 0)
        return rc;
    if (!made_id)
        return error_set(err, ERR_NOMEM, "no memory for an id");
    if (!self->broker)
        return error_set(err, ERR_NETWORK, "the broker is away");
    uuid_random(made_id);
    *id = signature.id.len ? signature.id : str_from_cstr(made_id);
    celery_message_init(&message, signature.task, *id);
    message.args = signature.args;
    message.kwargs = signature.kwargs;
    message.origin = self->options->name;
    message.routing_key = signature.queue.len ? signature.queue : STR(CELERY_DEFAULT_QUEUE);
    rc = celery_message_encode_envelope(&message, &bytes, err);
    sent = (struct broker_message){
        .queue = message.routing_key,
        .id = *id,
        .bytes = buf_str(&bytes),
        .eta_us = TIME_UNKNOWN,
        .expires_us = TIME_UNKNOWN,
    };
    return rc < 0 ? rc : broker_publish(self->broker, &sent, NULL, err);
}

static void
run_action(struct worker *self, const struct gossip_result *result)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)64 << 20);
    struct error err = {0};
    struct str id = STR_NULL;
    int rc;

    if (!str_equal(result->topic, STR("task")))
        rc = error_set(&err, ERR_UNSUPPORTED, "the topic is not task but '%.*s'",
                       STR_ARG(str_slice(result->topic, 0, 64)));
    else
        rc = apply(self, result->action, &id, &arena, &err);
    if (rc < 0)
        log_error("election won, its action is not run: election=%.*s reason=%s",
                  STR_ARG(result->id), err.message);
    else
        log_info("election won, its task is sent: election=%.*s id=%.*s", STR_ARG(result->id),
                 STR_ARG(id));
}

int64_t
worker_gossip_turn(struct worker *self)
{
    struct gossip *gossip = &self->events->gossip;
    int64_t mono_us = clock_mono_us(&clock_system);
    struct gossip_result result;
    bool has_sent = false;
    struct str id;
    size_t n;

    while ((n = gossip_take_acks(gossip, mono_us, &id)) > 0) {
        while (n-- > 0)
            send_ack(self, id);
        has_sent = true;
    }
    while (gossip_next_result(gossip, clock_mono_us(&clock_system), &result)) {
        if (result.is_ours)
            run_action(self, &result);
        else
            log_info("election lost: election=%.*s leader=%.*s", STR_ARG(result.id),
                     STR_ARG(result.leader));
    }
    return has_sent ? mono_us : gossip_due_us(gossip);
}
