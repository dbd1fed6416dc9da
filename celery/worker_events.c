/* What the worker tells of itself: that it is online, how busy it is, what happens to its tasks;
 * and what it hears of the others (worker_gossip.c).
 *
 * Events are worth nothing later, and nothing waits for them: while the broker is away they are
 * dropped and counted.  The mailbox is opened when the worker is ready, so that nobody waits for
 * it; what tasks have done by then is told first thing. */

#include "celery/worker_events_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/log.h"
#include "celery/events/event_mailbox.h"
#include "celery/worker_control_internal.h"

#define BEAT_US         (2 * US_PER_S) /* Celery's */
#define BEAT_S          "2.0"
#define EVENT_BYTES     ((size_t)512 << 10)
#define HEAR_BYTES      ((size_t)96 << 20)
#define ROUNDS_PER_TURN 4
#define TELL_US         (30 * US_PER_S) /* between two lines about events that were dropped */

int64_t
worker_events_tick(struct worker *self)
{
    return ++self->control->node.clock;
}

void
worker_events_adjust_clock(struct worker *self, int64_t clock)
{
    int64_t *own = &self->control->node.clock;

    *own = (clock > *own ? clock : *own) + 1;
}

static bool
has_gossip(const struct worker *self)
{
    return !(self->options->flags & CELERY_WORKER_NO_GOSSIP);
}

static bool
has_heartbeat(const struct worker *self)
{
    return !(self->options->flags & CELERY_WORKER_NO_HEARTBEAT);
}

/* As Celery: nothing at all where none of the three is wanted. */
static bool
is_silent(const struct worker *self)
{
    return !has_gossip(self) && !has_heartbeat(self) && !self->events->is_enabled;
}

static void
count_dropped(struct worker_events *events, size_t n)
{
    int64_t mono_us = clock_mono_us(&clock_system);

    events->n_dropped += n;
    if (events->n_dropped == events->n_dropped_told || mono_us < events->tell_us)
        return;
    log_warning("events dropped, monitors miss them: total=%" PRIu64, events->n_dropped);
    events->n_dropped_told = events->n_dropped;
    events->tell_us = mono_us + TELL_US;
}

void
worker_events_send(struct worker *self, struct str type, const struct buf *body, size_t n)
{
    struct worker_events *events = self->events;
    struct error err = {0};
    int rc = buf_status(body, &err);

    if (rc == 0 && events->mailbox)
        rc = event_mailbox_send(events->mailbox, &events->source, type, buf_str(body), &err);
    if (rc < 0)
        log_debug("event not sent: type=%.*s reason=%s", STR_ARG(type), err.message);
    if (rc < 0 || !events->mailbox)
        count_dropped(events, n);
}

static size_t
count_active(const struct worker *self)
{
    size_t n = 0;

    for (const struct flight *flight = self->lists[FLIGHTS_ALL].first; flight;
         flight = flight->links[FLIGHTS_ALL].next)
        n += flight->stage == FLIGHT_RUNNING && flight->started_at_us != TIME_UNKNOWN;
    return n;
}

static void
write_figures(struct worker *self, struct json_writer *json)
{
    struct utsname system;
    double load[3] = {0};

    json_member_i64(json, STR("active"), (int64_t)count_active(self));
    json_member_i64(json, STR("processed"), (int64_t)self->events->n_started);
    json_name(json, STR("loadavg"));
    (void)getloadavg(load, 3); /* zeros where the system does not tell */
    json_begin_array(json);
    for (size_t i = 0; i < COUNT_OF(load); i++)
        json_f64(json, (double)(int64_t)(load[i] * 100 + 0.5) / 100);
    json_end_array(json);
    json_member_str(json, STR("sw_ident"), STR("trawl"));
    json_member_str(json, STR("sw_ver"), STR(TRAWL_VERSION));
    json_member_str(json, STR("sw_sys"),
                    uname(&system) == 0 ? str_from_cstr(system.sysname) : STR("Linux"));
}

static void
tell_of_worker(struct worker *self, struct str type, struct str freq, bool has_figures)
{
    CLEANUP(buf_fini) struct buf event = BUF_INIT(EVENT_BYTES);
    struct json_writer json = {.out = &event, .style = JSON_STYLE_PYTHON};

    event_begin(&json, &self->events->source, type, worker_events_tick(self),
                clock_now_us(&clock_system));
    json_name(&json, STR("freq"));
    json_raw(&json, freq);
    if (has_figures)
        write_figures(self, &json);
    json_end_object(&json);
    worker_events_send(self, type, &event, 1);
}

static void
flush_tasks(struct worker *self)
{
    struct worker_events *events = self->events;

    if (events->n_tasks == 0 || (!events->mailbox && !self->is_ready))
        return;
    buf_append_char(&events->tasks, ']');
    worker_events_send(self, STR(EVENT_TASK_MULTI), &events->tasks, events->n_tasks);
    buf_clear(&events->tasks);
    events->n_tasks = 0;
}

void
worker_events_note(struct worker *self, const struct flight *flight, const struct worker_note *note)
{
    struct worker_events *events = self->events;

    events->n_started += note->moment == MOMENT_STARTED;
    if (!events->is_enabled)
        return;
    if (events->tasks.len >= WORKER_EVENTS_HELD_BYTES) {
        count_dropped(events, 1);
        return;
    }
    buf_append(&events->tasks, events->n_tasks ? STR(", ") : STR("["));
    worker_events_write_task(self, flight, note);
    events->n_tasks++;
    if (events->tasks.len >= WORKER_EVENTS_BATCH_BYTES)
        flush_tasks(self);
}

static void
on_received(void *context, struct str bytes)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(HEAR_BYTES);
    struct worker *self = context;
    struct event_list list;
    struct error err = {0};
    int rc = event_decode(bytes, &arena, &list, &err);

    if (rc < 0)
        log_debug("event cannot be read, dropped: reason=%s", err.message);
    for (size_t i = 0; rc == 0 && i < list.n_items; i++)
        worker_gossip_hear(self, &list.items[i]);
}

static int
open_mailbox(struct worker *self, struct error *err)
{
    struct worker_events *events = self->events;
    struct event_mailbox_options options = {
        .listener = {.received = on_received, .context = self},
        .name = self->options->name,
        .topic = has_gossip(self) ? STR(EVENT_TOPIC_WORKERS) : STR_NULL,
    };
    int rc = event_mailbox_open(self->options->broker_url, &options, &events->mailbox, err);

    events->is_mailbox_ready = rc == 0;
    events->is_online = false; /* whoever has come meanwhile hears of us */
    events->beat_us = 0;
    return rc;
}

/* Said once; what no retry can help is not tried again. */
static void
explain_failure(struct worker_events *events, int rc, const struct error *err)
{
    events->is_off = rc == -ERR_UNSUPPORTED;
    if (worker_pause_extend(&events->pause))
        log_warning("events do not work, %s: reason=%s",
                    events->is_off ? "the worker does" : "they are tried again", err->message);
}

static void
drop_mailbox(struct worker_events *events)
{
    loop_fd_free(events->fd);
    events->fd = NULL;
    events->watched_fd = -1;
    mailbox_close(events->mailbox);
    events->mailbox = NULL;
}

static void
reopen_mailbox(struct worker *self)
{
    struct worker_events *events = self->events;
    struct error err = {0};
    int rc;

    if (events->is_off || !self->is_ready || is_silent(self) ||
        !worker_pause_is_over(&events->pause))
        return;
    rc = open_mailbox(self, &err);
    if (rc < 0)
        explain_failure(events, rc, &err);
}

static void
on_fd(void *context, unsigned is)
{
    struct worker_events *events = context;

    (void)is;
    events->is_mailbox_ready = true;
}

static void
watch(struct worker *self, const struct mailbox_wait *wait)
{
    struct worker_events *events = self->events;
    struct error err = {0};

    if (wait->fd == events->watched_fd)
        return;
    loop_fd_free(events->fd);
    events->fd = NULL;
    events->watched_fd = wait->fd;
    if (wait->fd >= 0 &&
        loop_fd_create(self->loop, wait->fd, LOOP_READABLE, on_fd, events, &events->fd, &err) < 0)
        log_warning("events not watched, they come later: reason=%s", err.message);
}

/* Returns when it wants to be called again. */
static int64_t
run_mailbox(struct worker *self)
{
    struct worker_events *events = self->events;
    struct mailbox_wait wait;
    struct error err = {0};

    for (int round = 0; events->mailbox; round++) {
        int rc;

        mailbox_get_wait(events->mailbox, &wait);
        if (!events->is_mailbox_ready && wait.deadline_us > clock_mono_us(&clock_system)) {
            watch(self, &wait);
            return wait.deadline_us;
        }
        if (round == ROUNDS_PER_TURN)
            return 0;
        events->is_mailbox_ready = false;
        rc = mailbox_run(events->mailbox, &err);
        if (rc < 0) {
            drop_mailbox(events);
            explain_failure(events, rc, &err);
        } else if (mailbox_is_idle(events->mailbox)) {
            events->pause = (struct worker_pause){0};
        }
    }
    return events->is_off || !self->is_ready || is_silent(self) ? INT64_MAX
                                                                : events->pause.until_us;
}

/* worker-online and -offline are told even without heartbeats, as Celery does. */
static int64_t
tell_of_life(struct worker *self)
{
    struct worker_events *events = self->events;
    int64_t mono_us = clock_mono_us(&clock_system);

    if (!events->mailbox || events->is_over || is_silent(self))
        return INT64_MAX;
    if (self->phase != WORKER_RUNS) {
        tell_of_worker(self, STR("worker-offline"), STR(BEAT_S), true);
        events->is_over = true;
        return INT64_MAX;
    }
    if (!events->is_online) {
        events->is_online = true;
        events->beat_us = mono_us + BEAT_US;
        tell_of_worker(self, STR("worker-online"), STR(BEAT_S), true);
    } else if (has_heartbeat(self) && mono_us >= events->beat_us) {
        events->beat_us = mono_us + BEAT_US;
        tell_of_worker(self, STR("worker-heartbeat"), STR(BEAT_S), true);
    }
    return has_heartbeat(self) ? events->beat_us : INT64_MAX;
}

int64_t
worker_events_turn(struct worker *self)
{
    struct worker_events *events = self->events;
    int64_t due_us[4];

    if (!events->mailbox)
        reopen_mailbox(self);
    due_us[0] = tell_of_life(self);
    if (!self->gather_until_us) /* else they leave with those that the turn gathers */
        flush_tasks(self);
    due_us[1] = worker_mingle_turn(self);
    due_us[2] = run_mailbox(self);
    due_us[3] = worker_gossip_turn(self);
    for (size_t i = 1; i < COUNT_OF(due_us); i++)
        if (due_us[i] < due_us[0])
            due_us[0] = due_us[i];
    return due_us[0];
}

bool
worker_events_enable(struct worker *self, bool is_enabled)
{
    bool was_enabled = self->events->is_enabled;

    if (was_enabled && !is_enabled)
        flush_tasks(self);
    self->events->is_enabled = is_enabled;
    if (was_enabled != is_enabled)
        log_info("task events %s by remote control", is_enabled ? "enabled" : "disabled");
    return was_enabled != is_enabled;
}

void
worker_events_heartbeat(struct worker *self)
{
    if (!is_silent(self))
        tell_of_worker(self, STR("worker-heartbeat"), STR("5"), false);
}

int
worker_events_open(struct worker *self, struct error *err)
{
    struct worker_events *events = calloc(1, sizeof(*events));

    if (!events)
        return error_set(err, ERR_NOMEM, "no memory for events");
    self->events = events;
    events->source = (struct event_source){
        .hostname = self->options->name,
        .pid = getpid(),
        .utc_offset_h = event_utc_offset_h(),
    };
    (void)snprintf(events->full_name, sizeof(events->full_name), "%.*s.%d",
                   STR_ARG(self->options->name), (int)getpid());
    events->is_enabled = self->options->flags & CELERY_WORKER_TASK_EVENTS;
    events->watched_fd = -1;
    events->mingle.watched_fd = -1;
    events->mingle.is_done = self->options->flags & CELERY_WORKER_NO_MINGLE;
    buf_init(&events->tasks, WORKER_EVENTS_HELD_BYTES + EVENT_BYTES);
    gossip_init(&events->gossip, str_from_cstr(events->full_name));
    return 0;
}

void
worker_events_close(struct worker *self)
{
    struct worker_events *events = self->events;

    if (!events)
        return;
    flush_tasks(self);
    if (events->mailbox && mailbox_run(events->mailbox, NULL) < 0)
        log_debug("the last events are not sent: the broker is away");
    worker_mingle_close(self);
    drop_mailbox(events);
    gossip_fini(&events->gossip);
    buf_fini(&events->tasks);
    free(events);
    self->events = NULL;
}
