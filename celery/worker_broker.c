/* The broker's side of the worker: verdicts go in, deliveries and completions come out. */

#include <inttypes.h>

#include "base/log.h"
#include "celery/worker_internal.h"

#define ROUNDS_PER_TURN 4

static void
on_delivered(void *context, const struct broker_delivery *delivery)
{
    worker_take_delivery(context, delivery);
}

static void
on_completed(void *context, const struct broker_completion *completion)
{
    struct worker *self = context;
    struct flight *flight = completion->tag ? worker_flight_find(self, completion->tag) : NULL;

    if (!flight)
        return; /* a publish: what it means is told by the settlement that waits for it */
    if (completion->ticket == flight->question) {
        worker_limits_on_answer(self, flight, completion);
        return;
    }
    switch (completion->outcome) {
    case BROKER_HELD:
    case BROKER_WAITS: /* answers to questions */
        break;
    case BROKER_DONE:
        worker_canvas_finish(self, flight);
        worker_flight_free(self, flight);
        break;
    case BROKER_BURIED:
        worker_on_buried(self, flight);
        break;
    case BROKER_FENCED:
        log_warning("message was no longer ours, another worker runs it: id=%.*s",
                    STR_ARG(flight->message.id));
        worker_flight_free(self, flight);
        break;
    case BROKER_FAILED: /* its retry could not be sent: the message itself goes back */
        log_warning("message not settled, it goes back to its queue: id=%.*s reason=%s",
                    STR_ARG(flight->message.id), completion->err->message);
        flight->is_retry = false;
        worker_sends_drop(flight);
        worker_canvas_drop(self, flight); /* it is made again when the message comes again */
        flight->verdict = (struct broker_verdict){.action = BROKER_REQUEUE, .delay_us = US_PER_S};
        worker_flight_set_stage(self, flight, FLIGHT_ENDED);
        break;
    }
}

static void
give_up_running(struct worker *self, struct flight *flight)
{
    flight->is_returned = true;
    /* Not found: its end is on the way. */
    error_ignore(pool_terminate(self->pool, (uint64_t)(uintptr_t)flight, NULL));
}

static void
on_lost(void *context, uint64_t tag)
{
    struct worker *self = context;
    struct flight *flight = worker_flight_find(self, tag);

    if (!flight)
        return;
    log_warning("lease of a message was lost, its task is ended: id=%.*s",
                STR_ARG(flight->message.id));
    if (flight->stage == FLIGHT_WAITING || flight->stage == FLIGHT_LIMITED ||
        flight->stage == FLIGHT_ASKING)
        worker_flight_end(self, flight, BROKER_RELEASE, 0, STR_NULL);
    else if (flight->stage == FLIGHT_RUNNING)
        give_up_running(self, flight);
}

int
worker_broker_open(struct worker *self, struct error *err)
{
    struct broker_options options = {
        .listener = {on_delivered, on_completed, on_lost, self},
        .name = self->options->name,
        .max_command_us = WORKER_COMMAND_US,
    };
    int rc = broker_open(self->options->broker_url, &options, &self->broker, err);

    if (rc < 0)
        return rc;
    rc = worker_control_consume(self, err);
    if (rc < 0)
        worker_broker_close(self);
    return rc;
}

void
worker_broker_close(struct worker *self)
{
    loop_fd_free(self->broker_fd);
    self->broker_fd = NULL;
    self->watched_fd = -1;
    broker_close(self->broker);
    self->broker = NULL;
}

/* Damage does not heal by itself, and what is done on top of it makes it worse: a person has to
 * look. The worker ends, and says why. */
static bool
give_up_damaged(struct worker *self, int rc, const struct error *err)
{
    if (rc != -ERR_CORRUPT)
        return false;
    if (self->fatal.code == ERR_NONE) {
        self->fatal = *err;
        worker_stop(self);
    }
    self->broker_pause.until_us = INT64_MAX;
    return true;
}

/* The handle is broken for good: what it had delivered comes again by the next one, so nothing of
 * it goes on here. */
static void
drop_broker(struct worker *self, int rc, const struct error *err)
{
    struct flight *next;

    if (!give_up_damaged(self, rc, err) && worker_pause_extend(&self->broker_pause))
        log_error("broker failed, it is opened again: reason=%s", err->message);
    worker_broker_close(self);
    for (struct flight *flight = self->lists[FLIGHTS_ALL].first; flight; flight = next) {
        next = flight->links[FLIGHTS_ALL].next;
        worker_flight_drop_tag(self, flight);
        if (flight->stage == FLIGHT_RUNNING)
            give_up_running(self, flight);
        else if (flight->stage != FLIGHT_ENDED)
            worker_flight_end(self, flight, BROKER_RELEASE, 0, STR_NULL);
    }
}

static void
reopen(struct worker *self)
{
    struct error err = {0};
    int rc;

    if (!worker_pause_is_over(&self->broker_pause))
        return;
    rc = worker_broker_open(self, &err);
    if (rc == 0)
        log_info("broker is open");
    else if (!give_up_damaged(self, rc, &err) && worker_pause_extend(&self->broker_pause))
        log_error("broker cannot be opened, it is tried again: reason=%s", err.message);
}

/* The moment stays, as the sender wrote it; what is left of the span until then is less by now. */
static int
renew_expiration(struct flight *flight, struct celery_message *message, struct error *err)
{
    int64_t left_us = message->expires.us - clock_now_us(&clock_system);
    char *text;

    if (message->expires.us == CELERY_NO_TIME || message->expires.is_local)
        return 0;
    text = arena_printf(&flight->arena, "%" PRId64, left_us > 0 ? left_us / US_PER_MS : 0);
    if (!text)
        return error_set(err, ERR_NOMEM, "no memory for an expiration");
    message->expiration = str_from_cstr(text);
    return 0;
}

/* The same message, one try further. */
static int
publish_retry(struct worker *self, struct flight *flight, uint64_t *ticket, struct error *err)
{
    struct buf bytes = BUF_INIT((size_t)16 << 20);
    struct celery_message message = flight->message;
    int rc;

    message.retries++;
    message.delivery_tag = STR_NULL;
    if (!message.parent_id.ptr)
        message.parent_id = message.id;
    if (!message.routing_key.ptr)
        message.routing_key = flight->queue;
    rc = celery_message_set_eta(&message, flight->retry_at_us, &flight->arena, err);
    if (rc == 0)
        rc = renew_expiration(flight, &message, err);
    if (rc == 0)
        rc = celery_message_encode_envelope(&message, &bytes, err);
    if (rc == 0) {
        struct broker_message sent = {
            .queue = flight->queue,
            .id = flight->id,
            .bytes = buf_str(&bytes),
            .priority = flight->priority,
            .eta_us = flight->retry_at_us,
            .expires_us = flight->expires_us,
        };
        struct broker_lock lock;

        if (worker_limits_lock(flight)) {
            lock = *worker_limits_lock(flight);
            lock.may_share = true;
            sent.lock = &lock;
        }
        rc = broker_publish(self->broker, &sent, ticket, err);
    }
    buf_fini(&bytes);
    return rc;
}

/* False: the outbox is full, the rest waits for the next round. */
static bool
give_verdict(struct worker *self, struct flight *flight)
{
    struct error err = {0};
    uint64_t ticket;
    int rc = worker_sends_publish(self, flight, &err);

    if (rc == -ERR_BUSY || rc == -ERR_NOMEM)
        return false;
    if (flight->is_retry && !flight->verdict.after) {
        rc = publish_retry(self, flight, &flight->verdict.after, &err);
        if (rc == -ERR_BUSY || rc == -ERR_NOMEM)
            return false;
        if (rc < 0) { /* too large with its eta: the message itself goes round once more */
            log_warning("retry not sent, the message goes back: id=%.*s reason=%s",
                        STR_ARG(flight->message.id), err.message);
            flight->is_retry = false;
            flight->verdict =
                (struct broker_verdict){.action = BROKER_REQUEUE, .delay_us = US_PER_S};
        }
    }
    if (!flight->is_retry && !worker_sends_has_replacement(flight) &&
        worker_limits_lock(flight)) { /* what goes on under its id goes on with it */
        flight->verdict.lock = worker_limits_lock(flight);
        flight->verdict.id = flight->message.id;
    }
    rc = worker_canvas_publish(self, flight, &flight->verdict.after, &err);
    if (rc < 0)
        return false;
    rc = broker_settle(self->broker, flight->tag, &flight->verdict, &ticket, &err);
    if (rc == -ERR_BUSY || rc == -ERR_NOMEM)
        return false;
    worker_flight_set_stage(self, flight, FLIGHT_SETTLING);
    if (rc < 0) {
        log_error("message not settled, it comes again: id=%.*s reason=%s",
                  STR_ARG(flight->message.id), err.message);
        worker_flight_free(self, flight);
    }
    return true;
}

static void
give_verdicts(struct worker *self)
{
    int64_t now_us = clock_mono_us(&clock_system);
    struct flight *next;

    self->hold_until_us = INT64_MAX;
    for (struct flight *flight = self->lists[FLIGHTS_ENDED].first; flight; flight = next) {
        next = flight->links[FLIGHTS_ENDED].next;
        if (flight->has_record || flight->is_linked)
            continue;
        if (!flight->tag) {
            if (flight->is_buried && self->broker &&
                worker_canvas_publish(self, flight, &flight->verdict.after, NULL) < 0)
                return;
            worker_flight_free(self, flight);
        } else if (flight->hold_until_us > now_us) {
            if (flight->hold_until_us < self->hold_until_us)
                self->hold_until_us = flight->hold_until_us;
        } else if (!give_verdict(self, flight))
            return;
    }
}

static void
on_broker_fd(void *context, unsigned events)
{
    struct worker *self = context;

    (void)events;
    self->is_broker_ready = true;
}

static void
watch(struct worker *self, const struct broker_wait *wait)
{
    struct error err = {0};

    if (wait->fd == self->watched_fd)
        return;
    loop_fd_free(self->broker_fd);
    self->broker_fd = NULL;
    self->watched_fd = wait->fd;
    if (wait->fd >= 0 && loop_fd_create(self->loop, wait->fd, LOOP_READABLE, on_broker_fd, self,
                                        &self->broker_fd, &err) < 0)
        log_warning("broker not watched, messages come later: reason=%s", err.message);
}

int64_t
worker_broker_turn(struct worker *self)
{
    struct broker_wait wait;
    struct error err = {0};
    int rc;

    if (!self->broker)
        reopen(self);
    for (int round = 0; self->broker; round++) {
        give_verdicts(self);
        broker_set_credit(self->broker, worker_window_credit(self));
        broker_get_wait(self->broker, &wait);
        if (!self->is_broker_ready && wait.deadline_us > clock_mono_us(&clock_system)) {
            self->broker_pause = (struct worker_pause){0};
            watch(self, &wait);
            return wait.deadline_us < self->hold_until_us ? wait.deadline_us : self->hold_until_us;
        }
        if (round == ROUNDS_PER_TURN)
            return 0;
        self->is_broker_ready = false;
        rc = broker_run(self->broker, &err);
        if (rc < 0)
            drop_broker(self, rc, &err);
    }
    give_verdicts(self); /* nothing has a tag now: what is stored goes */
    return self->broker_pause.until_us;
}
