/* What commands of remote control ask about the worker, and do to it. */

#include <stdlib.h>

#include "base/log.h"
#include "celery/worker_control_internal.h"

static enum control_stage
stage_of(const struct flight *flight)
{
    if (flight->stage == FLIGHT_RUNNING)
        return flight->started_at_us != TIME_UNKNOWN ? CONTROL_ACTIVE : CONTROL_RESERVED;
    if (flight->stage == FLIGHT_LIMITED)
        return CONTROL_LIMITED;
    return flight->stage == FLIGHT_WAITING ? CONTROL_RESERVED : CONTROL_READY;
}

static bool
next_task(void *context, const void **position, struct control_task *out)
{
    const struct worker *self = context;
    const struct flight *flight = *position;

    do
        flight = flight ? flight->links[FLIGHTS_ALL].next : self->lists[FLIGHTS_ALL].first;
    while (flight && !flight->task); /* one that could not be read */
    *position = flight;
    if (!flight)
        return false;
    *out = (struct control_task){
        .stage = stage_of(flight),
        .id = flight->message.id,
        .type = flight->message.task,
        .name = flight->message.shadow.len ? flight->message.shadow : flight->message.task,
        .args = flight->message.args,
        .kwargs = flight->message.kwargs,
        .argsrepr = flight->message.argsrepr,
        .kwargsrepr = flight->message.kwargsrepr,
        .exchange = flight->message.exchange,
        .routing_key =
            flight->message.routing_key.len ? flight->message.routing_key : flight->queue,
        .stamps = flight->message.stamps,
        .priority = flight->message.priority,
        .is_redelivered = flight->attempt > 1,
        .started_at_us = TIME_UNKNOWN,
        .eta_us = TIME_UNKNOWN,
    };
    if (out->stage == CONTROL_ACTIVE) {
        out->started_at_us = flight->started_at_us;
        out->pid = flight->pid;
    }
    return true;
}

/* One that the broker keeps, as the command shows it; false: nobody can read it. */
static bool
read_scheduled(const struct broker_scheduled *scheduled, struct arena *arena,
               struct control_task *out)
{
    struct celery_message message;

    if (celery_message_decode_envelope(scheduled->bytes, NULL, arena, &message, NULL, NULL) < 0)
        return false;
    *out = (struct control_task){
        .stage = CONTROL_SCHEDULED,
        .id = message.id,
        .type = message.task,
        .name = message.shadow.len ? message.shadow : message.task,
        .args = message.args,
        .kwargs = message.kwargs,
        .argsrepr = message.argsrepr,
        .kwargsrepr = message.kwargsrepr,
        .exchange = message.exchange,
        .routing_key = message.routing_key,
        .priority = message.priority,
        .started_at_us = TIME_UNKNOWN,
        .eta_us = scheduled->eta_us,
    };
    return true;
}

/* They stay in the broker, for whichever worker is free when they are due: each worker tells of
 * those in its queues. */
static int
list_scheduled(void *context, struct arena *arena, const struct control_task **out, size_t *n_out,
               struct error *err)
{
    const struct worker *self = context;
    struct control_task *tasks = arena_calloc(arena, BROKER_MAX_LISTED, sizeof(*tasks));
    size_t n_bytes = 0;
    size_t n = 0;
    int rc = 0;

    if (!tasks)
        return error_set(err, ERR_NOMEM, "no memory for %zu tasks", BROKER_MAX_LISTED);
    for (size_t i = 0; rc == 0 && self->broker && i < self->control->n_queues; i++) {
        struct broker_scheduled_list list = {NULL, 0};

        if (n_bytes < BROKER_MAX_LISTED_BYTES)
            rc = broker_list_scheduled(self->broker, str_from_cstr(self->control->queues[i]),
                                       BROKER_MAX_LISTED - n, arena, &list, err);
        for (size_t k = 0; rc == 0 && k < list.n_items; k++) {
            n_bytes += list.items[k].bytes.len;
            n += read_scheduled(&list.items[k], arena, &tasks[n]);
        }
    }
    *out = tasks;
    *n_out = n;
    return rc;
}

static void
get_stats(void *context, struct control_stats *out)
{
    struct worker *self = context;
    const struct celery_worker_options *options = self->options;
    struct pool_child_stats *children = calloc(CONTROL_MAX_CHILDREN, sizeof(*children));
    size_t n = children ? pool_stats(self->pool, children, CONTROL_MAX_CHILDREN) : 0;

    *out = (struct control_stats){
        .uptime_s = (clock_mono_us(&clock_system) - self->control->born_us) / US_PER_S,
        .prefetch_count = (int64_t)(self->n_children * self->prefetch),
        .pool = options->pool,
        .n_children = (int64_t)self->n_children,
        .max_tasks_per_child = options->max_tasks_per_child,
        .soft_limit_ms = options->soft_limit_ms,
        .hard_limit_ms = options->hard_limit_ms,
        .n_pids = n < CONTROL_MAX_CHILDREN ? n : CONTROL_MAX_CHILDREN,
    };
    for (size_t i = 0; i < out->n_pids; i++) {
        out->pids[i] = children[i].pid;
        out->n_done[i] = children[i].n_done;
    }
    free(children);
}

static uint64_t
count_started(void *context, const struct celery_task *task)
{
    const struct worker *self = context;
    const struct task_state *state = worker_control_find_state(self->control, task);

    return state ? state->n_started : 0;
}

static struct str
get_queue(void *context, size_t idx)
{
    const struct worker *self = context;

    return idx < self->control->n_queues ? str_from_cstr(self->control->queues[idx]) : STR_NULL;
}

/* Without a broker, the next one is told when it is opened. */
static int
add_queue(void *context, struct str name, struct error *err)
{
    struct worker *self = context;
    struct worker_control *control = self->control;
    int rc;

    if (worker_control_find_queue(control, name) < control->n_queues)
        return 0;
    rc = worker_control_add_queue(control, name, err);
    if (rc == 0 && self->broker) {
        rc = worker_control_consume(self, err);
        if (rc < 0)
            control->n_queues--;
    }
    if (rc == 0)
        log_info("queue added by remote control: queue=%.*s", STR_ARG(name));
    return rc;
}

static int
cancel_queue(void *context, struct str name, struct error *err)
{
    struct worker *self = context;
    struct worker_control *control = self->control;
    size_t idx = worker_control_find_queue(control, name);

    if (idx == control->n_queues)
        return 0;
    control->n_queues--;
    (void)memmove(&control->queues[idx], &control->queues[idx + 1],
                  (control->n_queues - idx) * sizeof(*control->queues));
    log_info("queue left by remote control: queue=%.*s", STR_ARG(name));
    return self->broker ? worker_control_consume(self, err) : 0;
}

static int
resize_pool(void *context, int64_t n_more, struct error *err)
{
    struct worker *self = context;
    int64_t n_children = (int64_t)self->n_children + n_more;
    int rc;

    if (n_children < 1 || n_children > POOL_MAX_CHILDREN)
        return error_set(err, ERR_INVALID, "the pool has %zu processes and may have 1 to %d",
                         self->n_children, POOL_MAX_CHILDREN);
    rc = pool_resize(self->pool, (size_t)n_children, err);
    if (rc < 0)
        return rc;
    log_info("pool resized by remote control: n_children=%lld", (long long)n_children);
    self->n_children = (size_t)n_children;
    return 0;
}

static int
set_limits(void *context, const struct celery_task *task, int64_t soft_ms, int64_t hard_ms,
           struct error *err)
{
    const struct worker *self = context;
    struct task_state *state = worker_control_find_state(self->control, task);

    if (!state)
        return error_set(err, ERR_NOT_FOUND, "task '%s' is unknown", task->name);
    log_info("time limits set by remote control: name=%s soft_ms=%lld hard_ms=%lld", task->name,
             (long long)soft_ms, (long long)hard_ms);
    state->has_limits = true;
    state->soft_ms = soft_ms;
    state->hard_ms = hard_ms;
    return 0;
}

static int
restart_pool(void *context, struct error *err)
{
    struct worker *self = context;
    int rc = pool_restart(self->pool, err);

    if (rc == -ERR_UNSUPPORTED)
        return error_set(err, ERR_UNSUPPORTED, "Pool restarts not enabled");
    if (rc == 0)
        log_info("pool restarted by remote control: n_children=%zu", self->n_children);
    return rc;
}

static void
stop(void *context)
{
    struct worker *self = context;

    log_info("shutdown by remote control");
    worker_drain(self);
}

static bool
enable_events(void *context, bool is_enabled)
{
    return worker_events_enable(context, is_enabled);
}

static void
send_heartbeat(void *context)
{
    worker_events_heartbeat(context);
}

static int
elect(void *context, struct str id, struct str topic, struct str action, struct error *err)
{
    return worker_events_elect(context, id, topic, action, err);
}

const struct control_node_ops worker_node_ops = {
    .next_task = next_task,
    .list_scheduled = list_scheduled,
    .get_stats = get_stats,
    .count_started = count_started,
    .get_queue = get_queue,
    .add_queue = add_queue,
    .cancel_queue = cancel_queue,
    .resize_pool = resize_pool,
    .set_limits = set_limits,
    .set_rate = worker_rate_set,
    .get_rate = worker_rate_get,
    .get_scale = worker_autoscale_get,
    .set_scale = worker_autoscale_set,
    .restart_pool = restart_pool,
    .revoke = worker_revoke_ids,
    .learn_revoked = worker_revoke_learned,
    .revoke_stamps = worker_revoke_stamps,
    .terminate = worker_revoke_running,
    .stop = stop,
    .enable_events = enable_events,
    .send_heartbeat = send_heartbeat,
    .elect = elect,
};
