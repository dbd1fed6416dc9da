/* From a delivery to the pool, or to what else becomes of a message that is not run. */

#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "celery/worker_call.h"
#include "celery/worker_internal.h"

/* Kept for a person to look at; whoever waits for it is told where Celery would tell. */
static void
refuse(struct worker *self, struct flight *flight, const struct celery_refusal *refusal,
       const struct error *why)
{
    char reason[640];

    if (refusal->kind == CELERY_NOT_REFUSED) { /* no memory: not its fault */
        worker_flight_end(self, flight, BROKER_REQUEUE, US_PER_S, STR_NULL);
        return;
    }
    (void)snprintf(reason, sizeof(reason), "%s: %s", celery_refusal_reason(refusal->kind),
                   why->message);
    log_warning("message refused, kept in the dead set: id=%.*s reason=%s", STR_ARG(flight->id),
                reason);
    worker_flight_end(self, flight, BROKER_BURY, 0, str_from_cstr(reason));
    flight->message = refusal->partial;
    if (celery_refusal_verdict(refusal->kind) == CELERY_FAIL &&
        backend_check_id(flight->message.id, NULL) == 0)
        worker_record_exception(self, flight, RESULT_FAILURE, EXCEPTION_INVALID_TASK,
                                str_from_cstr(why->message));
}

void
worker_revoke(struct worker *self, struct flight *flight, struct str why)
{
    log_info("task revoked: id=%.*s name=%.*s reason=%.*s", STR_ARG(flight->message.id),
             STR_ARG(flight->message.task), STR_ARG(why));
    worker_flight_end(self, flight, BROKER_ACK, 0, STR_NULL);
    worker_record_exception(self, flight, RESULT_REVOKED, EXCEPTION_REVOKED, why);
}

/* UTC, or CELERY_NO_TIME.  A wall clock without a zone is that of this machine. */
static int64_t
utc_of(const struct celery_time *time)
{
    time_t seconds = (time_t)(time->us / US_PER_S);
    struct tm wall;

    if (time->us == CELERY_NO_TIME || !time->is_local || !gmtime_r(&seconds, &wall))
        return time->us;
    wall.tm_isdst = -1;
    seconds = mktime(&wall);
    return (int64_t)seconds * US_PER_S + time->us % US_PER_S;
}

static bool
is_expired(const struct flight *flight, int64_t now_us)
{
    int64_t expires_us = utc_of(&flight->message.expires);

    return (flight->expires_us != TIME_UNKNOWN && flight->expires_us < now_us) ||
           (expires_us != CELERY_NO_TIME && expires_us < now_us);
}

/* Nobody here can run it: a newer worker may, so it is kept; whoever waits for it hears of it. */
static void
park(struct worker *self, struct flight *flight, const struct error *why)
{
    log_error("message parked in the dead set: id=%.*s reason=%s", STR_ARG(flight->message.id),
              why->message);
    worker_flight_end(self, flight, BROKER_BURY, 0, str_from_cstr(why->message));
    if (why->code == ERR_NOT_FOUND)
        worker_record_exception(self, flight, RESULT_FAILURE, EXCEPTION_NOT_REGISTERED,
                                flight->message.task);
}

/* Its time has not come: the broker keeps it, whatever the sender thought; nothing of it stays
 * here.
 */
static void
postpone(struct worker *self, struct flight *flight, int64_t delay_us)
{
    log_info("task waits for its eta: id=%.*s name=%s eta=%.*s", STR_ARG(flight->message.id),
             flight->task->name, STR_ARG(flight->message.eta.text));
    worker_note(self, flight, &(struct worker_note){.moment = MOMENT_RECEIVED});
    worker_flight_end(self, flight, BROKER_REQUEUE, delay_us, STR_NULL);
}

/* What becomes of a message that can be read; what waits is submitted by the turn. */
static void
sort_message(struct worker *self, struct flight *flight, const struct broker_delivery *delivery)
{
    struct error err = {0};
    int64_t now_us = clock_now_us(&clock_system);
    int64_t eta_us = utc_of(&flight->message.eta);
    int rc = backend_check_id(flight->message.id, &err);

    flight->task = worker_builtin_find(flight->message.task);
    if (rc == 0 && !flight->task)
        rc = celery_registry_find(self->options->registry, flight->message.task, &flight->task,
                                  &err);
    worker_limits_decide(self, flight);
    if (rc < 0)
        park(self, flight, &err);
    else if (delivery->is_revoked || worker_control_is_revoked(self, &flight->message))
        worker_revoke(self, flight, STR("revoked"));
    else if (delivery->is_expired || is_expired(flight, now_us))
        worker_revoke(self, flight, STR("expired"));
    else if (eta_us != CELERY_NO_TIME && eta_us > now_us)
        postpone(self, flight, eta_us - now_us);
    else if (delivery->is_redelivered && worker_canvas_resume(self, flight))
        return;
    else if (!worker_limits_ask(self, flight))
        worker_receive(self, flight);
}

void
worker_receive(struct worker *self, struct flight *flight)
{
    if (worker_control_is_revoked(self, &flight->message)) { /* while the broker was asked */
        worker_revoke(self, flight, STR("revoked"));
        return;
    }
    log_info("task received: id=%.*s name=%s", STR_ARG(flight->message.id), flight->task->name);
    worker_note(self, flight, &(struct worker_note){.moment = MOMENT_RECEIVED});
    worker_builtin_begin(self, flight);
    worker_rate_admit(self, flight);
}

void
worker_take_delivery(struct worker *self, const struct broker_delivery *delivery)
{
    struct celery_refusal refusal = {0};
    struct flight *flight;
    struct error err = {0};
    int rc = worker_flight_create(self, delivery, &flight, &err);

    if (rc < 0) { /* it stays ours until the lease ends with this handle */
        log_error("message not taken, it waits for the next worker: reason=%s", err.message);
        return;
    }
    rc = celery_message_decode_envelope(flight->bytes, NULL, &flight->arena, &flight->message,
                                        &refusal, &err);
    if (rc < 0)
        refuse(self, flight, &refusal, &err);
    else
        sort_message(self, flight, delivery);
    if (flight->stage == FLIGHT_ENDED)
        worker_window_note_end(self, 0); /* a backlog of such messages goes by in large steps */
}

static int64_t
limit_ms(double seconds, int64_t fallback_ms)
{
    if (!(seconds > 0))
        return fallback_ms;
    return seconds < 1e9 ? (int64_t)(seconds * 1000 + 0.5) : 0;
}

int64_t
worker_soft_limit_ms(const struct worker *self, const struct flight *flight)
{
    return limit_ms(flight->message.timelimit.soft_s,
                    worker_control_soft_limit_ms(self, flight->task));
}

int64_t
worker_hard_limit_ms(const struct worker *self, const struct flight *flight)
{
    return limit_ms(flight->message.timelimit.hard_s,
                    worker_control_hard_limit_ms(self, flight->task));
}

static int
submit(struct worker *self, struct flight *flight, struct error *err)
{
    struct buf payload = BUF_INIT(POOL_PAYLOAD_BYTES);
    struct pool_request request = {
        .id = (uint64_t)(uintptr_t)flight, /* lives until the pool has told its end */
        .task = flight->task,
        .soft_limit_ms = worker_soft_limit_ms(self, flight),
        .hard_limit_ms = worker_hard_limit_ms(self, flight),
    };
    int rc;

    celery_worker_call_encode(flight->message.id, worker_map_args(flight),
                              worker_map_kwargs(flight), flight->message.retries, &payload);
    rc = buf_status(&payload, err);
    request.payload = buf_str(&payload);
    /* Before the call: solo may tell the end within it. */
    worker_flight_set_stage(self, flight, FLIGHT_RUNNING);
    if (rc == 0)
        rc = pool_submit(self->pool, &request, err);
    if (rc < 0)
        worker_flight_set_stage(self, flight, FLIGHT_WAITING);
    buf_fini(&payload);
    return rc;
}

void
worker_submit_waiting(struct worker *self)
{
    struct flight *flight;

    while ((flight = self->lists[FLIGHTS_WAITING].first)) {
        struct error err = {0};
        int rc;

        if (self->phase != WORKER_RUNS) {
            worker_flight_end(self, flight, BROKER_RELEASE, 0, STR_NULL);
            continue;
        }
        if (pool_n_free(self->pool) == 0)
            return;
        if (is_expired(flight, clock_now_us(&clock_system))) {
            worker_revoke(self, flight, STR("expired"));
            continue;
        }
        rc = submit(self, flight, &err);
        if (rc == -ERR_BUSY)
            return;
        if (rc < 0) {
            log_error("task not started: id=%.*s reason=%s", STR_ARG(flight->message.id),
                      err.message);
            worker_record_error(self, flight, RESULT_FAILURE, &err);
            worker_flight_end(self, flight, BROKER_ACK, 0, STR_NULL);
        }
    }
}
