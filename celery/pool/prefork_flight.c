/* Requests under way: what children send back, the clocks that run against them, their ends.
 *
 * A child works in order, so an outcome is always for flights[0].  Whether a request has started is
 * read from the board, lazily: with its outcome, or a few milliseconds after it was sent, or at the
 * child's death.  So starting costs the child no system call, and short tasks no extra turn here.
 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "celery/pool/prefork.h"

#define LOOK_US         (5 * US_PER_MS)   /* from sending to looking whether it has started */
#define STEAL_US        US_PER_MS         /* a request waits so long behind another */
#define PROGRESS_US     (100 * US_PER_MS) /* between two events of one request */
#define READS_PER_EVENT 16                /* then other children have their turn */

static int64_t
earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* UTC of a moment on the monotonic clock. */
static int64_t
utc_of(int64_t mono_us)
{
    return clock_now_us(&clock_system) - (clock_mono_us(&clock_system) - mono_us);
}

static void
note_start(struct prefork_child *child, struct flight *flight, int64_t started_us)
{
    const struct pool_events *events = &child->pool->options.events;

    int64_t now_us = clock_mono_us(&clock_system);

    if (flight->started_us)
        return;
    if (started_us < flight->queued_us || started_us > now_us)
        started_us = now_us; /* a task has written over it */
    flight->started_us = started_us;
    flight->progress_us = started_us + PROGRESS_US;
    if (events->started)
        events->started(events->context, flight->id, child->pid, utc_of(started_us));
}

static void
remove_flight(struct prefork_child *child, size_t idx)
{
    child->n_flights--;
    (void)memmove(&child->flights[idx], &child->flights[idx + 1],
                  (child->n_flights - idx) * sizeof(child->flights[0]));
}

static void
emit_done(struct prefork_child *child, uint64_t id, const struct pool_outcome *outcome)
{
    const struct pool_events *events = &child->pool->options.events;

    events->done(events->context, id, outcome);
}

/* Take a request back that the child has not started: false if it has. */
static bool
take_back(struct prefork_child *child, size_t idx, enum pool_outcome_kind kind, const char *message)
{
    struct pool_outcome outcome = {.kind = kind, .pid = child->pid};
    uint64_t id = child->flights[idx].id;

    if (!board_revoke(child->board, child->flights[idx].serial))
        return false;
    if (kind == POOL_TERMINATED)
        outcome.code = ERR_CANCELLED;
    outcome.exception = error_exception_name((int)outcome.code);
    outcome.message = str_from_cstr(message);
    remove_flight(child, idx);
    emit_done(child, id, &outcome);
    return true;
}

size_t
prefork_return_queued(struct prefork_child *child, size_t n_most)
{
    size_t n_returned = 0;
    size_t idx = 0;

    while (idx < child->n_flights && n_returned < n_most) {
        if (take_back(child, idx, POOL_RETURNED, "not started"))
            n_returned++;
        else
            idx++;
    }
    return n_returned;
}

/* What the code means, knowing what we asked the task for. */
static enum pool_outcome_kind
judge_outcome(const struct flight *flight, int code)
{
    if (code == 0)
        return POOL_OK;
    if (flight->end == FLIGHT_TERMINATED && (code == ERR_CANCELLED || code == ERR_SOFT_LIMIT))
        return POOL_TERMINATED;
    if (flight->is_soft_sent && (code == ERR_CANCELLED || code == ERR_SOFT_LIMIT))
        return POOL_SOFT_LIMIT;
    return POOL_FAILED;
}

/* A child has nothing to do: look soon whether others have requests waiting. */
static void
note_idle(const struct prefork_child *idle)
{
    struct prefork *self = idle->pool;

    if (idle->n_flights > 0 || idle->phase != CHILD_READY)
        return;
    for (size_t i = 0; i < self->n_children; i++) {
        if (self->children[i]->n_flights > 1) {
            prefork_wake_at(self, clock_mono_us(&clock_system) + STEAL_US);
            return;
        }
    }
}

static struct pool_outcome
describe_outcome(const struct prefork_child *child, const struct flight *flight,
                 const struct frame_outcome *seen)
{
    enum pool_outcome_kind kind = judge_outcome(flight, seen->code);
    enum error_code code = kind == POOL_SOFT_LIMIT ? ERR_SOFT_LIMIT : (enum error_code)seen->code;

    return (struct pool_outcome){
        .kind = kind,
        .has_started = true,
        .pid = child->pid,
        .started_at_us = utc_of(flight->started_us),
        .runtime_us = seen->runtime_us,
        .peak_rss_kib = seen->peak_rss_kib,
        .result = seen->result,
        .sends = seen->sends,
        .code = code,
        .exception = error_exception_name((int)code),
        .message = seen->message,
        .retry_after_ms = seen->retry_after_ms,
    };
}

static void
land_flight(struct prefork_child *child, const struct frame_outcome *seen)
{
    struct flight flight;
    struct pool_outcome outcome;

    note_start(child, &child->flights[0], seen->started_us);
    flight = child->flights[0];
    remove_flight(child, 0);
    outcome = describe_outcome(child, &flight, seen);
    child->n_done++;
    child->peak_rss_kib = seen->peak_rss_kib;
    child->pool->n_start_failures = 0;
    if (seen->is_leaving) { /* before the owner hears: it submits from there */
        prefork_retire(child);
        prefork_refill(child->pool);
    } else if (child->phase == CHILD_LEAVING && child->n_flights == 0) {
        prefork_retire(child);
    }
    emit_done(child, flight.id, &outcome);
    if (seen->is_leaving && child->n_flights > 0) {
        (void)prefork_return_queued(child, SIZE_MAX);
        prefork_retire(child);
    }
    note_idle(child);
}

static int
take_frame(struct prefork_child *child, const struct frame *frame, struct error *err)
{
    struct prefork *self = child->pool;
    const struct pool_events *events = &self->options.events;
    struct frame_outcome outcome;
    struct pool_log log;
    int rc;

    if (frame->type == FRAME_READY && child->phase != CHILD_READY) {
        if (child->phase == CHILD_STARTING)
            child->phase = CHILD_READY;
        if (child->phase == CHILD_READY && events->ready)
            events->ready(events->context, child->pid);
        note_idle(child);
        return 0;
    }
    if (frame->type == FRAME_FAILED && child->phase != CHILD_READY) {
        error_ignore(error_set(err, ERR_IO, "child %d cannot start: %.*s", (int)child->pid,
                               STR_ARG(frame->payload)));
        child->has_told = true; /* why it is about to exit */
        prefork_trouble(self, err);
        return 0;
    }
    if ((frame->type != FRAME_OUTCOME && frame->type != FRAME_LOG) || child->n_flights == 0 ||
        frame->serial != child->flights[0].serial)
        return error_set(err, ERR_INVALID, "child %d sent what nobody asked for", (int)child->pid);
    if (frame->type == FRAME_LOG) {
        rc = frame_decode_log(frame->payload, &log, err);
        if (rc == 0 && events->logged)
            events->logged(events->context, child->flights[0].id, &log);
        return rc;
    }
    rc = frame_decode_outcome(frame->payload, &outcome, err);
    if (rc == 0)
        land_flight(child, &outcome);
    return rc;
}

/* A child that closed its end or talks nonsense is of no use. */
static void
give_up(struct prefork_child *child, const struct error *err)
{
    if (child->is_deaf)
        return;
    child->is_deaf = true;
    loop_fd_set(child->io, 0);
    if (err)
        prefork_trouble(child->pool, err);
    /* Not a kill of ours in the books: its requests are lost by its own fault.  One that is
     * exiting keeps its exit status. */
    if (!child->is_dead && child->phase != CHILD_LEAVING)
        (void)kill(-child->pid, SIGKILL);
}

void
prefork_receive(struct prefork_child *child)
{
    struct error err;
    struct frame frame;
    size_t n_room;
    ssize_t n;
    int rc;

    for (int i = 0; !child->is_deaf && (i < READS_PER_EVENT || child->is_dead); i++) {
        char *space = frame_reader_space(&child->in, &n_room);

        if (!space) {
            error_ignore(error_set(&err, ERR_NOMEM, "out of memory for what child %d sends",
                                   (int)child->pid));
            give_up(child, &err);
            return;
        }
        do
            n = recv(child->fd, space, n_room, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            give_up(child, NULL);
            return;
        }
        frame_reader_commit(&child->in, (size_t)n);
        while ((rc = frame_reader_next(&child->in, &frame, &err)) > 0) {
            rc = take_frame(child, &frame, &err);
            if (rc < 0)
                break;
        }
        if (rc < 0) {
            give_up(child, &err);
            return;
        }
        if ((size_t)n < n_room && !child->is_dead)
            return;
    }
}

static void
terminate(struct prefork_child *child, struct flight *flight, int64_t grace_ms)
{
    int64_t kill_us = clock_mono_us(&clock_system) + grace_ms * US_PER_MS;

    if (flight->end == FLIGHT_RUNS) {
        flight->end = FLIGHT_TERMINATED;
        atomic_store(&child->board->cancel_serial, flight->serial);
        prefork_kill(child, SIGTERM);
    } else if (flight->end != FLIGHT_TERMINATED || flight->kill_us <= kill_us) {
        return;
    }
    flight->kill_us = kill_us;
    prefork_wake_at(child->pool, kill_us);
}

bool
prefork_terminate_flight(struct prefork *self, uint64_t id, int64_t grace_ms)
{
    for (size_t i = 0; i < self->n_children; i++) {
        struct prefork_child *child = self->children[i];

        for (size_t k = 0; k < child->n_flights; k++) {
            if (child->flights[k].id != id)
                continue;
            if (!take_back(child, k, POOL_TERMINATED, "terminated before it started"))
                terminate(child, &child->flights[k], grace_ms);
            return true;
        }
    }
    return false;
}

static int64_t
watch_limits(struct prefork_child *child, struct flight *flight, int64_t now_us)
{
    int64_t due_us = INT64_MAX;
    bool is_over = false;

    if (flight->soft_us && !flight->is_soft_sent) {
        if (now_us - flight->started_us >= flight->soft_us) {
            flight->is_soft_sent = true;
            atomic_store(&child->board->cancel_serial, flight->serial);
            prefork_kill(child, SIGUSR1);
        } else {
            due_us = flight->started_us + flight->soft_us;
        }
    }
    if (flight->hard_us) {
        is_over = now_us - flight->started_us >= flight->hard_us;
        due_us = earlier(due_us, flight->started_us + flight->hard_us);
    }
    if (flight->kill_us)
        due_us = earlier(due_us, flight->kill_us);
    if (!child->is_killed && is_over && flight->end == FLIGHT_RUNS)
        flight->end = FLIGHT_TIMED_OUT;
    if (is_over || (flight->kill_us && now_us >= flight->kill_us)) {
        if (!child->is_killed)
            prefork_kill(child, SIGKILL);
        return INT64_MAX; /* its death is watched */
    }
    return due_us;
}

static int64_t
watch_progress(struct prefork_child *child, struct flight *flight, int64_t now_us)
{
    const struct pool_events *events = &child->pool->options.events;
    int64_t current, total;

    if (!events->progress)
        return INT64_MAX;
    if (now_us < flight->progress_us)
        return flight->progress_us;
    flight->progress_us = now_us + PROGRESS_US;
    if (board_get_progress(child->board, flight->serial, &flight->progress_seen, &current, &total))
        events->progress(events->context, flight->id, current, total);
    return now_us + PROGRESS_US;
}

/* Requests that wait behind another while a child has nothing to do. */
static int64_t
watch_queue(struct prefork_child *child, int64_t now_us)
{
    size_t n_idle = prefork_n_idle(child->pool);

    if (child->n_flights < 2 || n_idle == 0)
        return INT64_MAX;
    if (now_us - child->flights[child->n_flights - 1].queued_us < STEAL_US)
        return now_us + STEAL_US;
    (void)prefork_return_queued(child, n_idle);
    return INT64_MAX;
}

int64_t
prefork_watch_child(struct prefork_child *child, int64_t now_us)
{
    struct flight *flight = &child->flights[0];
    int64_t due_us, started_us;

    if (child->leave_by_us) {
        if (now_us < child->leave_by_us)
            return child->leave_by_us;
        if (!child->is_killed)
            prefork_kill(child, SIGKILL);
        return INT64_MAX;
    }
    if (child->n_flights == 0)
        return INT64_MAX;
    if (!flight->started_us) {
        if (!board_has_started(child->board, flight->serial, &started_us))
            return now_us + LOOK_US;
        note_start(child, flight, started_us);
    }
    /* A flight that has started stays in its place until its outcome or the child's death, whatever
     * events do. */
    due_us = watch_limits(child, flight, now_us);
    due_us = earlier(due_us, watch_progress(child, flight, now_us));
    return earlier(due_us, watch_queue(child, now_us));
}

static void
describe_death(const struct prefork_death *death, char *out, size_t n_out)
{
    int status = death->status;
    int n;

    if (!WIFSIGNALED(status)) {
        (void)snprintf(out, n_out, "Worker exited prematurely: exitcode %d", WEXITSTATUS(status));
        return;
    }
    n = snprintf(out, n_out, "Worker exited prematurely: signal %d (SIG%s)%s", WTERMSIG(status),
                 sigabbrev_np(WTERMSIG(status)),
                 death->oom == POOL_OOM_POSSIBLE ? ", possibly out of memory" : "");
    if (death->oom == POOL_OOM_YES && n > 0 && (size_t)n < n_out)
        (void)snprintf(out + n, n_out - (size_t)n, ", oom, peak RSS %" PRId64 " KiB",
                       death->peak_rss_kib);
}

static bool
dies_of(const struct prefork_death *death, int signal_number)
{
    return WIFSIGNALED(death->status) && WTERMSIG(death->status) == signal_number;
}

static void
lose_flight(struct prefork_child *child, const struct flight *flight, int64_t started_us,
            const struct prefork_death *death)
{
    char message[160];
    struct pool_outcome outcome = {
        .kind = POOL_LOST,
        .has_started = true,
        .pid = child->pid,
        .started_at_us = utc_of(started_us),
        .runtime_us = clock_mono_us(&clock_system) - started_us,
        .peak_rss_kib = death->peak_rss_kib,
    };

    if (flight->end == FLIGHT_RUNS || !(child->is_killed || dies_of(death, SIGTERM))) {
        describe_death(death, message, sizeof(message));
        outcome.signal = WIFSIGNALED(death->status) ? WTERMSIG(death->status) : 0;
        outcome.exit_status = WIFEXITED(death->status) ? WEXITSTATUS(death->status) : 0;
        outcome.oom = death->oom;
    } else if (flight->end == FLIGHT_TIMED_OUT) {
        outcome.kind = POOL_HARD_LIMIT;
        (void)snprintf(message, sizeof(message), "killed after its limit of %" PRId64 " ms",
                       flight->hard_us / US_PER_MS);
    } else {
        outcome.kind = POOL_TERMINATED;
        outcome.code = ERR_CANCELLED;
        (void)snprintf(message, sizeof(message), "killed: %s",
                       flight->end == FLIGHT_STOPPED ? "the worker stops" : "terminated");
    }
    outcome.exception = error_exception_name((int)outcome.code);
    outcome.message = str_from_cstr(message);
    emit_done(child, flight->id, &outcome);
}

/* It died in the middle: its lines lie where it has left them. */
static void
tell_last_lines(struct prefork_child *child, const struct flight *flight)
{
    const struct pool_events *events = &child->pool->options.events;
    CLEANUP(buf_fini) struct buf lines = BUF_INIT(JOURNAL_BYTES);
    struct pool_log log;

    if (events->logged && journal_read(&child->board->journal, flight->serial, &lines, &log))
        events->logged(events->context, flight->id, &log);
}

void
prefork_bury_flights(struct prefork_child *child, const struct prefork_death *death)
{
    int64_t started_us = 0;

    (void)prefork_return_queued(child, SIZE_MAX);
    while (child->n_flights > 0) {
        struct flight flight = child->flights[0];

        /* A task may have spoiled the board; that it ran, we know from the revoke above. */
        if (!board_has_started(child->board, flight.serial, &started_us))
            started_us = flight.started_us ? flight.started_us : flight.queued_us;
        note_start(child, &child->flights[0], started_us);
        remove_flight(child, 0);
        tell_last_lines(child, &flight);
        lose_flight(child, &flight, started_us, death);
    }
}
