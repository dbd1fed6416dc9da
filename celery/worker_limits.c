/* Limits: what they say of a message is decided from its name, queue, arguments and headers;
 * whether it may start now, by the broker, for all workers together. */

#include "base/log.h"
#include "celery/limits/decide.h"
#include "celery/worker_internal.h"

static bool
has_limits(const struct worker *self, const struct flight *flight)
{
    return limit_has_any(self->options->limits, flight->message.headers) ||
           limit_task_has_any(flight->task);
}

void
worker_limits_decide(struct worker *self, struct flight *flight)
{
    struct limit_subject subject = {
        .task_name = flight->message.task,
        .queue = flight->queue,
        .args = flight->message.args,
        .kwargs = flight->message.kwargs,
        .headers = flight->message.headers,
        .task = flight->task,
    };
    struct limit_decision *decision;
    struct error err = {0};
    int rc;

    if (!has_limits(self, flight))
        return;
    decision = arena_calloc(&flight->arena, 1, sizeof(*decision));
    rc = decision ? limit_decide(self->options->limits, &subject, &flight->arena, decision, &err)
                  : error_set(&err, ERR_NOMEM, "no memory for the limits of a message");
    if (rc == 0 && (decision->n_gates > 0 || decision->lock.span != BROKER_LOCK_NONE))
        flight->limits = decision;
    else if (rc < 0)
        log_warning("limits not read, the task runs without: id=%.*s reason=%s",
                    STR_ARG(flight->message.id), err.message);
}

const struct broker_lock *
worker_limits_lock(const struct flight *flight)
{
    if (!flight->limits || flight->limits->lock.span == BROKER_LOCK_NONE)
        return NULL;
    return &flight->limits->lock;
}

bool
worker_limits_ask(struct worker *self, struct flight *flight)
{
    struct broker_admission admission;
    struct error err = {0};

    if (!flight->limits)
        return false;
    admission = (struct broker_admission){
        .id = flight->message.id,
        .lock = flight->limits->lock,
        .gates = flight->limits->gates,
        .n_gates = flight->limits->n_gates,
    };
    worker_flight_set_stage(self, flight, FLIGHT_ASKING);
    if (broker_admit(self->broker, flight->tag, &admission, &flight->question, &err) == 0)
        return true;
    log_warning("limits not asked for, the message goes back: id=%.*s reason=%s",
                STR_ARG(flight->message.id), err.message);
    worker_flight_end(self, flight, BROKER_REQUEUE, US_PER_S, STR_NULL);
    return true;
}

/* Another one of its kind waits or runs: whoever asks for this one is told which. */
static void
drop_duplicate(struct worker *self, struct flight *flight, struct str holder)
{
    const char *why = arena_printf(&flight->arena, "duplicate of %.*s", STR_ARG(holder));

    worker_revoke(self, flight, why ? str_from_cstr(why) : STR("duplicate"));
}

void
worker_limits_on_answer(struct worker *self, struct flight *flight,
                        const struct broker_completion *completion)
{
    flight->question = 0;
    if (completion->outcome == BROKER_WAITS) {
        log_debug("task waits for a limit: id=%.*s name=%.*s", STR_ARG(flight->message.id),
                  STR_ARG(flight->message.task));
        worker_window_note_end(self, 0); /* a backlog goes by in large steps */
        worker_flight_free(self, flight);
        return;
    }
    if (flight->stage != FLIGHT_ASKING)
        return; /* the lease was lost meanwhile: its verdict stands */
    if (completion->outcome == BROKER_DONE) {
        worker_flight_set_stage(self, flight, FLIGHT_WAITING);
        worker_receive(self, flight);
    } else if (completion->outcome == BROKER_HELD) {
        drop_duplicate(self, flight, completion->holder);
    } else { /* fenced: somebody else has it; failed: later */
        worker_flight_end(self, flight, BROKER_REQUEUE, US_PER_S, STR_NULL);
    }
}
