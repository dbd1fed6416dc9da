/* The prefork pool: processes that run one request at a time, and who gets what.
 *
 *                     submit                    send (once per turn)
 *     owner --> pool ---------> out, per child ----------------------> child: run
 *       ^                                                               |
 *       +------------------ events.done <---- receive <-----------------+
 *
 * One timer stands at the earliest moment that anything is due: a limit, a kill, a look at the
 * board, a respawn.  It rests while children are idle. */

#include "celery/pool/prefork.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "celery/pool/proc.h"

#define LOOK_US         (5 * US_PER_MS) /* from sending to looking whether it has started */
#define LEAVE_US        (5 * US_PER_S)  /* an idle child has so long for its teardown */
#define GRACE_MS        2000
#define MAX_PAYLOAD     ((size_t)1 << 30)
#define WORKER_OOM_GIFT 300 /* lower than what we were given: children go first */

static struct prefork *
prefork_of(struct pool *pool)
{
    return (struct prefork *)pool;
}

static void
on_tick(void *context)
{
    struct prefork *self = context;
    int64_t now_us = clock_mono_us(&clock_system);
    int64_t due_us = INT64_MAX;

    self->timer_due_us = INT64_MAX;
    for (size_t i = 0; i < self->n_children; i++) {
        int64_t child_due_us = prefork_watch_child(self->children[i], now_us);

        if (child_due_us < due_us)
            due_us = child_due_us;
    }
    prefork_refill(self);
    if (due_us != INT64_MAX)
        prefork_wake_at(self, due_us);
    prefork_note_end(self);
}

void
prefork_wake_at(struct prefork *self, int64_t due_us)
{
    int64_t wait_us;

    if (due_us >= self->timer_due_us)
        return;
    self->timer_due_us = due_us;
    wait_us = due_us - clock_mono_us(&clock_system);
    loop_timer_start(self->timer, wait_us > 0 ? (wait_us + US_PER_MS - 1) / US_PER_MS : 0, 0);
}

void
prefork_trouble(struct prefork *self, const struct error *err)
{
    if (self->options.events.trouble)
        self->options.events.trouble(self->options.events.context, err);
}

void
prefork_note_end(struct prefork *self)
{
    if (self->phase != PREFORK_ENDING || self->n_children > 0)
        return;
    self->phase = PREFORK_STOPPED;
    loop_timer_stop(self->timer);
    if (self->options.events.stopped)
        self->options.events.stopped(self->options.events.context);
}

static size_t
count_serving(const struct prefork *self)
{
    size_t n = 0;

    for (size_t i = 0; i < self->n_children; i++)
        n += self->children[i]->phase != CHILD_LEAVING;
    return n;
}

void
prefork_refill(struct prefork *self)
{
    struct error err;

    if (self->phase != PREFORK_RUNNING)
        return;
    for (size_t n = count_serving(self); n < self->n_wanted; n++) {
        if (clock_mono_us(&clock_system) < self->respawn_us) {
            prefork_wake_at(self, self->respawn_us);
            return;
        }
        if (prefork_spawn(self, &err) < 0) {
            prefork_trouble(self, &err);
            return;
        }
    }
}

/* No more requests for it; it leaves at once if it has none.  What it has waiting is the caller's
 * to return. */
void
prefork_retire(struct prefork_child *child)
{
    if (child->phase == CHILD_STARTING)
        prefork_kill(child, SIGKILL); /* nothing to lose, and its setup may take long */
    child->phase = CHILD_LEAVING;
    if (child->n_flights > 0)
        return;
    (void)shutdown(child->fd, SHUT_WR);
    child->leave_by_us = clock_mono_us(&clock_system) + LEAVE_US;
    prefork_wake_at(child->pool, child->leave_by_us);
}

void
prefork_flush(struct prefork_child *child)
{
    while (child->n_sent < child->out.len) {
        ssize_t n = send(child->fd, child->out.ptr + child->n_sent, child->out.len - child->n_sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            child->is_waiting_to_write = true;
            loop_fd_set(child->io, LOOP_READABLE | LOOP_WRITABLE);
            return;
        }
        if (n < 0) /* it is gone, or leaving: its death tells the rest */
            break;
        child->n_sent += (size_t)n;
    }
    buf_clear(&child->out);
    child->n_sent = 0;
    if (child->out.cap > ((size_t)256 << 10))
        buf_fini(&child->out);
    if (child->is_waiting_to_write && !child->is_deaf)
        loop_fd_set(child->io, LOOP_READABLE);
    child->is_waiting_to_write = false;
}

static void
on_turn(void *context)
{
    struct prefork *self = context;

    if (!self->has_output)
        return;
    self->has_output = false;
    for (size_t i = 0; i < self->n_children; i++) {
        struct prefork_child *child = self->children[i];

        if (child->out.len > 0 && !child->is_waiting_to_write && !child->is_deaf)
            prefork_flush(child);
    }
}

static bool
can_take(const struct prefork_child *child)
{
    uint64_t max_tasks = child->pool->options.max_tasks_per_child;

    return child->phase == CHILD_READY && !child->is_killed && !child->is_deaf &&
           child->n_flights <= child->pool->options.child_prefetch &&
           (!max_tasks || child->n_done + child->n_flights < max_tasks);
}

size_t
prefork_n_idle(const struct prefork *self)
{
    size_t n = 0;

    for (size_t i = 0; i < self->n_children; i++)
        n += self->children[i]->n_flights == 0 && can_take(self->children[i]);
    return n;
}

static size_t
prefork_n_free(const struct pool *pool)
{
    const struct prefork *self = (const struct prefork *)pool;
    size_t n = 0;

    if (self->phase != PREFORK_RUNNING)
        return 0;
    for (size_t i = 0; i < self->n_children; i++) {
        const struct prefork_child *child = self->children[i];
        uint64_t max_tasks = self->options.max_tasks_per_child;
        size_t n_room = can_take(child) ? 1 + self->options.child_prefetch - child->n_flights : 0;

        if (max_tasks && n_room > 0 && n_room > max_tasks - child->n_done - child->n_flights)
            n_room = (size_t)(max_tasks - child->n_done - child->n_flights);
        n += n_room;
    }
    return n;
}

/* The child with the fewest requests. */
static struct prefork_child *
find_child(const struct prefork *self)
{
    struct prefork_child *best = NULL;

    for (size_t i = 0; i < self->n_children; i++) {
        struct prefork_child *child = self->children[i];

        if (!can_take(child) || (best && child->n_flights >= best->n_flights))
            continue;
        best = child;
        if (child->n_flights == 0)
            break;
    }
    return best;
}

static int
prefork_submit(struct pool *pool, const struct pool_request *request, struct error *err)
{
    struct prefork *self = prefork_of(pool);
    struct prefork_child *child = self->phase == PREFORK_RUNNING ? find_child(self) : NULL;
    struct frame_request frame = {request->id, (uint64_t)(uintptr_t)request->task,
                                  request->payload};
    struct flight *flight;
    int rc;

    if (!child)
        return error_set(err, ERR_BUSY, "no child is free");
    if (request->payload.len > self->options.max_payload_bytes)
        return error_set(err, ERR_TOO_LARGE, "a request of %zu bytes exceeds the limit of %zu",
                         request->payload.len, self->options.max_payload_bytes);
    rc = frame_append_request(&child->out, child->next_serial, &frame, err);
    if (rc < 0)
        return rc;
    flight = &child->flights[child->n_flights++];
    *flight = (struct flight){
        .id = request->id,
        .serial = child->next_serial++,
        .task = request->task,
        .soft_us = request->soft_limit_ms * US_PER_MS,
        .hard_us = request->hard_limit_ms * US_PER_MS,
        .queued_us = clock_mono_us(&clock_system),
    };
    board_queue(child->board, flight->serial);
    self->has_output = true;
    prefork_wake_at(self, flight->queued_us + LOOK_US);
    return 0;
}

static int
end_flight(struct pool *pool, uint64_t id, int64_t grace_ms, struct error *err)
{
    if (!prefork_terminate_flight(prefork_of(pool), id, grace_ms))
        return error_set(err, ERR_NOT_FOUND, "no request with this id is under way");
    return 0;
}

static int
prefork_terminate(struct pool *pool, uint64_t id, struct error *err)
{
    return end_flight(pool, id, prefork_of(pool)->options.terminate_grace_ms, err);
}

static int
prefork_kill_request(struct pool *pool, uint64_t id, struct error *err)
{
    return end_flight(pool, id, 0, err);
}

/* Whom to let go first: who has not started yet, then who is idle, then the youngest. */
static struct prefork_child *
find_dispensable(const struct prefork *self)
{
    struct prefork_child *best = NULL;

    for (size_t i = self->n_children; i-- > 0;) {
        struct prefork_child *child = self->children[i];

        if (child->phase == CHILD_STARTING)
            return child;
        if (child->phase == CHILD_READY && (!best || child->n_flights < best->n_flights))
            best = child;
    }
    return best;
}

static void
let_go(struct prefork_child *child)
{
    prefork_retire(child);
    (void)prefork_return_queued(child, SIZE_MAX);
    if (child->n_flights == 0)
        prefork_retire(child);
}

/* Those that are starting are new already. */
static int
prefork_restart(struct pool *pool, struct error *err)
{
    struct prefork *self = prefork_of(pool);

    if (self->phase != PREFORK_RUNNING)
        return error_set(err, ERR_BUSY, "the pool does not run");
    for (size_t i = 0; i < self->n_children; i++) {
        if (self->children[i]->phase == CHILD_READY)
            let_go(self->children[i]);
    }
    prefork_refill(self);
    return 0;
}

static int
prefork_resize(struct pool *pool, size_t n_children, struct error *err)
{
    struct prefork *self = prefork_of(pool);

    if (self->phase != PREFORK_RUNNING)
        return error_set(err, ERR_BUSY, "the pool does not run");
    self->n_wanted = n_children;
    for (size_t n = count_serving(self); n > n_children; n--)
        let_go(find_dispensable(self));
    prefork_refill(self);
    return 0;
}

static void
prefork_recall(struct pool *pool)
{
    struct prefork *self = prefork_of(pool);

    for (size_t i = 0; i < self->n_children; i++) {
        if (self->children[i]->n_flights > 1)
            (void)prefork_return_queued(self->children[i], SIZE_MAX);
    }
}

static void
prefork_drain(struct pool *pool)
{
    struct prefork *self = prefork_of(pool);

    if (self->phase == PREFORK_ENDING || self->phase == PREFORK_STOPPED)
        return;
    self->phase = PREFORK_ENDING;
    for (size_t i = 0; i < self->n_children; i++) {
        (void)prefork_return_queued(self->children[i], SIZE_MAX);
        prefork_retire(self->children[i]);
    }
    prefork_wake_at(self, 0); /* stopped never comes from within this call */
}

static void
prefork_stop(struct pool *pool)
{
    struct prefork *self = prefork_of(pool);

    if (self->phase == PREFORK_STOPPED)
        return;
    self->phase = PREFORK_ENDING;
    for (size_t i = 0; i < self->n_children; i++) {
        struct prefork_child *child = self->children[i];

        (void)prefork_return_queued(child, SIZE_MAX);
        for (size_t k = 0; k < child->n_flights; k++) {
            if (child->flights[k].end == FLIGHT_RUNS)
                child->flights[k].end = FLIGHT_STOPPED;
        }
        child->phase = CHILD_LEAVING;
        prefork_kill(child, SIGKILL);
    }
    prefork_wake_at(self, 0);
}

static size_t
prefork_stats(const struct pool *pool, struct pool_child_stats *out, size_t n_out)
{
    const struct prefork *self = (const struct prefork *)pool;
    int64_t now_us = clock_now_us(&clock_system);
    int64_t mono_us = clock_mono_us(&clock_system);

    for (size_t i = 0; i < self->n_children && i < n_out; i++) {
        const struct prefork_child *child = self->children[i];
        const struct flight *flight = &child->flights[0];
        struct pool_child_stats stats = {
            .pid = child->pid,
            .n_done = child->n_done,
            .rss_kib = proc_rss_kib(child->pid),
            .peak_rss_kib = child->peak_rss_kib,
            .is_busy = child->n_flights > 0,
        };

        if (stats.is_busy) {
            stats.current_id = flight->id;
            stats.current_task = flight->task->name;
            stats.started_at_us = flight->started_us ? now_us - (mono_us - flight->started_us) : 0;
        }
        out[i] = stats;
    }
    return self->n_children;
}

static int
prefork_start(struct pool *pool, size_t n_children, struct error *err)
{
    struct prefork *self = prefork_of(pool);

    if (self->phase != PREFORK_NEW)
        return error_set(err, ERR_BUSY, "the pool was started before");
    self->has_oom_score = proc_get_oom_score(&self->oom_score);
    if (self->has_oom_score && self->oom_score > WORKER_OOM_GIFT - 1000)
        proc_set_oom_score(self->oom_score - WORKER_OOM_GIFT);
    self->oom_kills = proc_oom_kills();
    self->phase = PREFORK_RUNNING;
    self->n_wanted = n_children;
    prefork_refill(self);
    return 0;
}

static void
prefork_free(struct pool *pool)
{
    struct prefork *self = prefork_of(pool);

    for (size_t i = 0; i < self->n_children; i++)
        prefork_destroy_child(self->children[i]);
    if (self->has_oom_score)
        proc_set_oom_score(self->oom_score);
    loop_timer_free(self->timer);
    loop_hook_free(self->hook);
    free(self);
}

static int
prefork_create(const struct pool_options *options, struct pool **out, struct error *err)
{
    struct prefork *self;
    int rc;

    if (options->n_keep_fds > PREFORK_MAX_KEEP_FDS)
        return error_set(err, ERR_CONFIG, "children keep at most %d descriptors, not %zu",
                         PREFORK_MAX_KEEP_FDS, options->n_keep_fds);
    if (options->max_payload_bytes > MAX_PAYLOAD)
        return error_set(err, ERR_CONFIG, "payloads have at most %zu bytes, not %zu", MAX_PAYLOAD,
                         options->max_payload_bytes);
    self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(err, ERR_NOMEM, "out of memory for a pool");
    self->base.ops = &pool_prefork;
    self->options = *options;
    self->timer_due_us = INT64_MAX;
    for (size_t i = 0; i < options->n_keep_fds; i++)
        self->keep_fds[i] = options->keep_fds[i];
    self->options.keep_fds = self->keep_fds;
    if (self->options.max_payload_bytes == 0)
        self->options.max_payload_bytes = POOL_PAYLOAD_BYTES;
    if (self->options.terminate_grace_ms == 0)
        self->options.terminate_grace_ms = GRACE_MS;
    rc = loop_timer_create(options->loop, on_tick, self, &self->timer, err);
    if (rc == 0)
        rc = loop_hook_create(options->loop, on_turn, self, &self->hook, err);
    if (rc < 0) {
        prefork_free(&self->base);
        return rc;
    }
    *out = &self->base;
    return 0;
}

const struct pool_ops pool_prefork = {
    .name = "prefork",
    .create = prefork_create,
    .free = prefork_free,
    .start = prefork_start,
    .n_free = prefork_n_free,
    .submit = prefork_submit,
    .terminate = prefork_terminate,
    .kill = prefork_kill_request,
    .restart = prefork_restart,
    .resize = prefork_resize,
    .recall = prefork_recall,
    .drain = prefork_drain,
    .stop = prefork_stop,
    .stats = prefork_stats,
};
