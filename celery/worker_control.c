/* The worker as a node of remote control: its mailbox, and what commands do to it.
 *
 * Requests are answered at the beginning of a turn, whatever the pool does, until the worker has
 * ended.  Without its mailbox the worker works on; it is opened again after a pause. */

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "celery/control/stamps.h"
#include "celery/worker_control_internal.h"

#define REQUEST_BYTES   ((size_t)96 << 20) /* a request, read */
#define ROUNDS_PER_TURN 4

struct task_state *
worker_control_find_state(const struct worker_control *control, const struct celery_task *task)
{
    for (size_t i = 0; i < control->n_tasks; i++)
        if (control->tasks[i].task == task)
            return &control->tasks[i];
    return NULL;
}

void
worker_control_count_start(struct worker *self, const struct flight *flight)
{
    struct task_state *state = worker_control_find_state(self->control, flight->task);

    if (state)
        state->n_started++;
}

int64_t
worker_control_soft_limit_ms(const struct worker *self, const struct celery_task *task)
{
    const struct task_state *state = worker_control_find_state(self->control, task);

    return state && state->has_limits ? state->soft_ms : self->options->soft_limit_ms;
}

int64_t
worker_control_hard_limit_ms(const struct worker *self, const struct celery_task *task)
{
    const struct task_state *state = worker_control_find_state(self->control, task);

    return state && state->has_limits ? state->hard_ms : self->options->hard_limit_ms;
}

bool
worker_control_is_ready(const struct worker *self)
{
    const struct worker_control *control = self->control;

    return control->is_off || control->pause.span_us > 0 ||
           (control->mailbox && mailbox_is_listening(control->mailbox));
}

bool
worker_control_is_revoked(const struct worker *self, const struct celery_message *message)
{
    const struct control_node *node = &self->control->node;

    return revoked_has(&node->revoked, message->id) ||
           stamps_are_revoked(&node->revoked_stamps, message->stamps);
}

int
worker_control_consume(struct worker *self, struct error *err)
{
    struct worker_control *control = self->control;
    struct str names[BROKER_MAX_QUEUES];

    worker_revoke_load_stamps(self);
    for (size_t i = 0; i < control->n_queues; i++)
        names[i] = str_from_cstr(control->queues[i]);
    return broker_consume(self->broker, names, control->n_queues, err);
}

size_t
worker_control_find_queue(const struct worker_control *control, struct str name)
{
    size_t idx = 0;

    while (idx < control->n_queues && !str_equal(str_from_cstr(control->queues[idx]), name))
        idx++;
    return idx;
}

int
worker_control_add_queue(struct worker_control *control, struct str name, struct error *err)
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

/* Said once.  Only a broker that has no mailbox is given up: whatever else is wrong (a setting of
 * the server, a file that is not ours), somebody may mend it while the worker runs. */
static void
explain_failure(struct worker_control *control, int rc, const struct error *err)
{
    control->is_off = rc == -ERR_UNSUPPORTED;
    if (worker_pause_extend(&control->pause))
        log_warning("remote control does not work, %s: reason=%s",
                    control->is_off ? "the worker does without" : "it is tried again",
                    err->message);
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
    int64_t (*const turns[])(struct worker * self) = {run_mailbox, worker_revoke_turn,
                                                      worker_rate_turn, worker_autoscale_turn};
    int64_t due_us = INT64_MAX;

    for (size_t i = 0; i < COUNT_OF(turns); i++) {
        int64_t wanted_us = turns[i](self);

        if (wanted_us < due_us)
            due_us = wanted_us;
    }
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
    control->unstored = (struct revoked)REVOKED_INIT;
    control->scale = (struct worker_scale){.max = (int64_t)options->max_children,
                                           .min = (int64_t)options->min_children};
    control->born_us = clock_mono_us(&clock_system);
    control->node = (struct control_node){
        .name = options->name,
        .registry = options->registry,
        .broker_url = options->broker_url,
        .backend_url = options->backend_url,
        .settings = options->settings,
        .n_settings = options->n_settings,
        .revoked = REVOKED_INIT,
        .revoked_stamps = REVOKED_INIT,
        .ops = &worker_node_ops,
        .context = self,
    };
    control->queues = calloc(BROKER_MAX_QUEUES, sizeof(*control->queues));
    rc = control->queues ? make_tasks(control, err)
                         : error_set(err, ERR_NOMEM, "no memory for the names of queues");
    for (size_t i = 0; rc == 0 && i < options->n_queues; i++) {
        if (worker_control_find_queue(control, options->queues[i]) == control->n_queues)
            rc = worker_control_add_queue(control, options->queues[i], err);
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
    revoked_fini(&control->node.revoked_stamps);
    revoked_fini(&control->unstored);
    free(control->tasks);
    free(control->queues);
    free(control);
    self->control = NULL;
}
