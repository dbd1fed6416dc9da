/* The worker as a node of remote control: its mailbox, and what commands do to it.
 *
 * Requests are answered at the beginning of a turn, whatever the pool does, until the worker has
 * ended.  Without its mailbox the worker works on; it is opened again after a pause.
 *
 * A revoked id is remembered here at once and by the broker for good.  A broker that is away then
 * is told when it is back. */

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "celery/control/control.h"
#include "celery/worker_internal.h"

#define REQUEST_BYTES   ((size_t)96 << 20) /* a request, read */
#define ROUNDS_PER_TURN 4
#define REVOKED_US      (30 * US_PER_DAY) /* that the broker remembers an id */
#define SAVE_PAUSE_US   US_PER_S

/* What commands have changed about a task. */
struct task_state {
    const struct celery_task *task;
    uint64_t n_started;
    bool has_limits;
    int64_t soft_ms;
    int64_t hard_ms;
};

struct worker_control {
    struct control_node node;
    struct mailbox *mailbox; /* NULL between a failure and the next try */
    struct worker_pause pause;
    bool is_off; /* this broker has no mailbox */
    struct loop_fd *mailbox_fd;
    int watched_fd;
    bool is_mailbox_ready; /* its descriptor said so */
    int64_t born_us;       /* monotonic */
    bool is_unsaved;       /* the broker has not heard of all revoked ids */
    int64_t save_at_us;
    struct task_state *tasks;
    size_t n_tasks;
    char (*queues)[BROKER_MAX_QUEUE_BYTES + 1]; /* [BROKER_MAX_QUEUES] */
    size_t n_queues;
};

static struct task_state *
find_state(const struct worker_control *control, const struct celery_task *task)
{
    for (size_t i = 0; i < control->n_tasks; i++)
        if (control->tasks[i].task == task)
            return &control->tasks[i];
    return NULL;
}

void
worker_control_count_start(struct worker *self, const struct flight *flight)
{
    struct task_state *state = find_state(self->control, flight->task);

    if (state)
        state->n_started++;
}

void
worker_control_get_limits(const struct worker *self, const struct celery_task *task,
                          int64_t *soft_ms, int64_t *hard_ms)
{
    const struct task_state *state = find_state(self->control, task);
    bool is_changed = state && state->has_limits;

    *soft_ms = is_changed ? state->soft_ms : self->options->soft_limit_ms;
    *hard_ms = is_changed ? state->hard_ms : self->options->hard_limit_ms;
}

bool
worker_control_is_revoked(const struct worker *self, struct str id)
{
    return revoked_has(&self->control->node.revoked, id);
}

static enum control_stage
stage_of(const struct flight *flight)
{
    if (flight->stage == FLIGHT_RUNNING)
        return flight->started_at_us != TIME_UNKNOWN ? CONTROL_ACTIVE : CONTROL_RESERVED;
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
    const struct task_state *state = find_state(self->control, task);

    return state ? state->n_started : 0;
}

static struct str
get_queue(void *context, size_t idx)
{
    const struct worker *self = context;

    return idx < self->control->n_queues ? str_from_cstr(self->control->queues[idx]) : STR_NULL;
}

int
worker_control_consume(struct worker *self, struct error *err)
{
    struct worker_control *control = self->control;
    struct str names[BROKER_MAX_QUEUES];

    for (size_t i = 0; i < control->n_queues; i++)
        names[i] = str_from_cstr(control->queues[i]);
    return broker_consume(self->broker, names, control->n_queues, err);
}

/* The place of a queue, or n_queues. */
static size_t
find_queue(const struct worker_control *control, struct str name)
{
    size_t idx = 0;

    while (idx < control->n_queues && !str_equal(str_from_cstr(control->queues[idx]), name))
        idx++;
    return idx;
}

static int
add_name(struct worker_control *control, struct str name, struct error *err)
{
    int rc = mailbox_check_name(name, "the queue's name", err);

    if (rc < 0)
        return rc;
    if (control->n_queues == BROKER_MAX_QUEUES)
        return error_set(err, ERR_INVALID, "the worker has %zu queues, more are not allowed",
                         BROKER_MAX_QUEUES);
    (void)snprintf(control->queues[control->n_queues++], sizeof(*control->queues), "%.*s",
                   STR_ARG(name));
    return 0;
}

/* Without a broker, the next one is told when it is opened. */
static int
add_queue(void *context, struct str name, struct error *err)
{
    struct worker *self = context;
    struct worker_control *control = self->control;
    int rc;

    if (find_queue(control, name) < control->n_queues)
        return 0;
    rc = add_name(control, name, err);
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
    size_t idx = find_queue(control, name);

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
    struct task_state *state = find_state(self->control, task);

    if (!state)
        return error_set(err, ERR_NOT_FOUND, "task '%s' is unknown", task->name);
    log_info("time limits set by remote control: name=%s soft_ms=%lld hard_ms=%lld", task->name,
             (long long)soft_ms, (long long)hard_ms);
    state->has_limits = true;
    state->soft_ms = soft_ms;
    state->hard_ms = hard_ms;
    return 0;
}

/* Whether the pool has given it to a process that has nothing else before it. */
static bool
is_at_work(const struct worker *self, const struct flight *flight)
{
    struct pool_child_stats *children = calloc(CONTROL_MAX_CHILDREN, sizeof(*children));
    size_t n = children ? pool_stats(self->pool, children, CONTROL_MAX_CHILDREN) : 0;
    bool is_found = !children; /* not known: a task that runs is not ended by a revoke */

    for (size_t i = 0; i < n && i < CONTROL_MAX_CHILDREN; i++)
        is_found |= children[i].is_busy && children[i].current_id == (uint64_t)(uintptr_t)flight;
    free(children);
    return is_found;
}

static void
end_running(struct worker *self, struct flight *flight)
{
    flight->is_terminated = true;
    /* Not found: its end is on the way. */
    error_ignore(pool_terminate(self->pool, (uint64_t)(uintptr_t)flight, NULL));
}

/* Tasks that have not started are not started.  The pool may tell the end of one within the call,
 * which keeps the list in its order. */
static void
end_waiting(struct worker *self)
{
    const struct revoked *revoked = &self->control->node.revoked;
    struct flight *next;

    for (struct flight *flight = self->lists[FLIGHTS_ALL].first; flight; flight = next) {
        next = flight->links[FLIGHTS_ALL].next;
        if (!flight->task || !revoked_has(revoked, flight->message.id))
            continue;
        if (flight->stage == FLIGHT_WAITING)
            worker_revoke(self, flight, STR("revoked"));
        else if (flight->stage == FLIGHT_RUNNING && flight->started_at_us == TIME_UNKNOWN &&
                 !is_at_work(self, flight))
            end_running(self, flight);
    }
}

static int
revoke(void *context, const struct str *ids, size_t n_ids, struct error *err)
{
    struct worker *self = context;
    struct error trouble = {0};
    int rc = -ERR_NETWORK;

    (void)err;
    log_info("tasks revoked by remote control: n_ids=%zu first=%.*s", n_ids, STR_ARG(ids[0]));
    end_waiting(self);
    if (self->broker)
        rc = broker_revoke(self->broker, ids, n_ids, clock_now_us(&clock_system) + REVOKED_US,
                           &trouble);
    if (rc < 0) {
        self->control->is_unsaved = true;
        self->control->save_at_us = clock_mono_us(&clock_system) + SAVE_PAUSE_US;
        log_warning("revoked tasks not saved yet, tried again: reason=%s",
                    self->broker ? trouble.message : "the broker is away");
    }
    return 0;
}

static bool
terminate(void *context, struct str id)
{
    struct worker *self = context;
    struct flight *next;
    bool is_found = false;

    for (struct flight *flight = self->lists[FLIGHTS_ALL].first; flight; flight = next) {
        next = flight->links[FLIGHTS_ALL].next;
        if (!flight->task || !str_equal(flight->message.id, id))
            continue;
        is_found = true;
        if (flight->stage != FLIGHT_RUNNING)
            continue;
        log_info("task terminated by remote control: id=%.*s", STR_ARG(id));
        end_running(self, flight);
    }
    return is_found;
}

static void
stop(void *context)
{
    struct worker *self = context;

    log_info("shutdown by remote control");
    worker_drain(self);
}

static const struct control_node_ops node_ops = {
    .next_task = next_task,
    .get_stats = get_stats,
    .count_started = count_started,
    .get_queue = get_queue,
    .add_queue = add_queue,
    .cancel_queue = cancel_queue,
    .resize_pool = resize_pool,
    .set_limits = set_limits,
    .revoke = revoke,
    .terminate = terminate,
    .stop = stop,
};

/* All that are known, again. */
static int
save_revoked(struct worker *self, struct error *err)
{
    const struct revoked *revoked = &self->control->node.revoked;
    const struct revoked_id *position = NULL;
    struct str *ids = calloc(revoked->n_ids, sizeof(*ids));
    size_t n = 0;
    int rc;

    if (!ids)
        return error_set(err, ERR_NOMEM, "no memory for %zu ids", revoked->n_ids);
    while (n < revoked->n_ids && revoked_next(revoked, &position, &ids[n]))
        n++;
    rc = broker_revoke(self->broker, ids, n, clock_now_us(&clock_system) + REVOKED_US, err);
    free(ids);
    return rc;
}

static void
save_unsaved(struct worker *self)
{
    struct worker_control *control = self->control;
    struct error err = {0};

    if (!control->is_unsaved || !self->broker || control->save_at_us > clock_mono_us(&clock_system))
        return;
    control->is_unsaved = save_revoked(self, &err) < 0;
    control->save_at_us = clock_mono_us(&clock_system) + SAVE_PAUSE_US;
    if (!control->is_unsaved)
        log_info("revoked tasks are saved");
}

static void
on_received(void *context, struct str bytes)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(REQUEST_BYTES);
    CLEANUP(buf_fini) struct buf reply = BUF_INIT(2 * MAILBOX_MAX_BYTES);
    struct worker *self = context;
    struct control_answer answer;
    struct error err = {0};

    control_handle(&self->control->node, bytes, &arena, &reply, &answer);
    if (answer.is_wanted &&
        mailbox_send(self->control->mailbox, &answer.reply_to, buf_str(&reply), &err) < 0)
        log_warning("control reply not sent: reason=%s", err.message);
}

static int
open_mailbox(struct worker *self, struct error *err)
{
    struct worker_control *control = self->control;
    struct mailbox_options options = {
        .listener = {.received = on_received, .context = self},
        .name = control->node.name,
    };
    char queue[MAILBOX_MAX_NAME_BYTES + 1];
    int rc = mailbox_open(self->options->broker_url, &options, &control->mailbox, err);

    if (rc < 0)
        return rc;
    (void)snprintf(queue, sizeof(queue), "%.*s" CONTROL_QUEUE_SUFFIX, STR_ARG(control->node.name));
    rc = mailbox_listen(control->mailbox, STR(CONTROL_EXCHANGE), str_from_cstr(queue), err);
    if (rc < 0) {
        mailbox_close(control->mailbox);
        control->mailbox = NULL;
    }
    control->is_mailbox_ready = true;
    return rc;
}

/* Said once; what no retry can help is not tried again. */
static void
explain_failure(struct worker_control *control, int rc, const struct error *err)
{
    control->is_off = rc == -ERR_CONFIG;
    if (worker_pause_extend(&control->pause))
        log_warning("remote control does not work, %s: reason=%s",
                    control->is_off ? "the worker does" : "it is tried again", err->message);
}

static void
drop_mailbox(struct worker_control *control)
{
    loop_fd_free(control->mailbox_fd);
    control->mailbox_fd = NULL;
    control->watched_fd = -1;
    mailbox_close(control->mailbox);
    control->mailbox = NULL;
}

static void
reopen_mailbox(struct worker *self)
{
    struct worker_control *control = self->control;
    struct error err = {0};
    int rc;

    if (control->is_off || !worker_pause_is_over(&control->pause))
        return;
    rc = open_mailbox(self, &err);
    if (rc < 0)
        explain_failure(control, rc, &err);
}

static void
on_mailbox_fd(void *context, unsigned events)
{
    struct worker_control *control = context;

    (void)events;
    control->is_mailbox_ready = true;
}

static void
watch(struct worker *self, const struct mailbox_wait *wait)
{
    struct worker_control *control = self->control;
    struct error err = {0};

    if (wait->fd == control->watched_fd)
        return;
    loop_fd_free(control->mailbox_fd);
    control->mailbox_fd = NULL;
    control->watched_fd = wait->fd;
    if (wait->fd >= 0 && loop_fd_create(self->loop, wait->fd, LOOP_READABLE, on_mailbox_fd, control,
                                        &control->mailbox_fd, &err) < 0)
        log_warning("mailbox not watched, commands come later: reason=%s", err.message);
}

static int64_t
run_mailbox(struct worker *self)
{
    struct worker_control *control = self->control;
    struct mailbox_wait wait;
    struct error err = {0};

    if (!control->mailbox)
        reopen_mailbox(self);
    for (int round = 0; control->mailbox; round++) {
        int rc;

        mailbox_get_wait(control->mailbox, &wait);
        if (!control->is_mailbox_ready && wait.deadline_us > clock_mono_us(&clock_system)) {
            watch(self, &wait);
            return wait.deadline_us;
        }
        if (round == ROUNDS_PER_TURN)
            return 0;
        control->is_mailbox_ready = false;
        rc = mailbox_run(control->mailbox, &err);
        if (rc < 0) {
            drop_mailbox(control);
            explain_failure(control, rc, &err);
        } else if (mailbox_is_idle(control->mailbox)) {
            control->pause = (struct worker_pause){0};
        }
    }
    return control->is_off ? INT64_MAX : control->pause.until_us;
}

int64_t
worker_control_turn(struct worker *self)
{
    struct worker_control *control = self->control;
    int64_t due_us = run_mailbox(self);

    save_unsaved(self);
    if (control->is_unsaved && control->save_at_us < due_us && self->broker)
        due_us = control->save_at_us;
    return due_us;
}

static int
make_tasks(struct worker_control *control, struct error *err)
{
    const struct celery_registry *registry = control->node.registry;
    size_t n = 0;

    for (const struct celery_task *const *module = registry->modules; *module; module++)
        for (const struct celery_task *task = *module; task->name; task++)
            n++;
    control->tasks = calloc(n ? n : 1, sizeof(*control->tasks));
    if (!control->tasks)
        return error_set(err, ERR_NOMEM, "no memory for the states of %zu tasks", n);
    for (const struct celery_task *const *module = registry->modules; *module; module++)
        for (const struct celery_task *task = *module; task->name; task++)
            control->tasks[control->n_tasks++].task = task;
    return 0;
}

int
worker_control_open(struct worker *self, struct error *err)
{
    const struct celery_worker_options *options = self->options;
    struct worker_control *control = calloc(1, sizeof(*control));
    int rc;

    if (!control)
        return error_set(err, ERR_NOMEM, "no memory for remote control");
    self->control = control;
    self->n_children = options->n_children;
    control->watched_fd = -1;
    control->born_us = clock_mono_us(&clock_system);
    control->node = (struct control_node){
        .name = options->name,
        .registry = options->registry,
        .broker_url = options->broker_url,
        .backend_url = options->backend_url,
        .settings = options->settings,
        .n_settings = options->n_settings,
        .revoked = REVOKED_INIT,
        .ops = &node_ops,
        .context = self,
    };
    control->queues = calloc(BROKER_MAX_QUEUES, sizeof(*control->queues));
    rc = control->queues ? make_tasks(control, err)
                         : error_set(err, ERR_NOMEM, "no memory for the names of queues");
    for (size_t i = 0; rc == 0 && i < options->n_queues; i++) {
        if (find_queue(control, options->queues[i]) == control->n_queues)
            rc = add_name(control, options->queues[i], err);
    }
    return rc;
}

void
worker_control_close(struct worker *self)
{
    struct worker_control *control = self->control;

    if (!control)
        return;
    drop_mailbox(control);
    revoked_fini(&control->node.revoked);
    free(control->tasks);
    free(control->queues);
    free(control);
    self->control = NULL;
}
