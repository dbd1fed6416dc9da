/* What the pool tells of a task, turned into its state and the verdict on its message. */

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/log.h"
#include "celery/worker_internal.h"

#define RETRY_BASE_US US_PER_S
#define RETRY_MAX_US  (600 * US_PER_S)

static struct flight *
flight_of(uint64_t id)
{
    return (struct flight *)(uintptr_t)id;
}

/* Exponential, with full jitter; not before the other side wants us. */
static int64_t
retry_delay_us(int64_t retries, int64_t retry_after_ms)
{
    int64_t most_us = RETRY_BASE_US << (retries < 10 ? retries : 10);
    int64_t asked_us =
        retry_after_ms < RETRY_MAX_US / US_PER_MS ? retry_after_ms * US_PER_MS : RETRY_MAX_US;
    uint64_t random = 0;

    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        random = (uint64_t)clock_mono_us(&clock_system);
    if (most_us > RETRY_MAX_US)
        most_us = RETRY_MAX_US;
    return asked_us + (int64_t)(random % (uint64_t)(most_us + 1));
}

/* Of a task that says when it wants to run again; its process may say anything. */
static int64_t
asked_delay_us(int64_t retry_after_ms)
{
    return (retry_after_ms < POOL_MAX_SPAN_MS ? retry_after_ms : POOL_MAX_SPAN_MS) * US_PER_MS;
}

static void
fail(struct worker *self, struct flight *flight, const struct error *error)
{
    log_warning("task failed: id=%.*s name=%s error=%s: %s", STR_ARG(flight->message.id),
                flight->task->name, error_exception_name((int)error->code), error->message);
    worker_record_error(self, flight, RESULT_FAILURE, error);
    worker_flight_end(self, flight, BROKER_ACK, 0, STR_NULL);
}

static void
judge_failure(struct worker *self, struct flight *flight, const struct pool_outcome *outcome)
{
    int64_t retries = flight->message.retries;
    struct error error = {.code = outcome->code, .file = flight->task->name};
    int64_t delay_us;

    (void)snprintf(error.message, sizeof(error.message), "%.*s", STR_ARG(outcome->message));
    if (flight->map || !error_is_retryable((int)outcome->code) ||
        (outcome->code != ERR_RETRY && retries >= CELERY_WORKER_MAX_RETRIES)) {
        fail(self, flight, &error);
        return;
    }
    delay_us = outcome->code == ERR_RETRY ? asked_delay_us(outcome->retry_after_ms)
                                          : retry_delay_us(retries, outcome->retry_after_ms);
    worker_sends_drop(flight);
    log_warning("task failed, it is tried again: id=%.*s name=%s retry=%" PRId64
                " delay_ms=%" PRId64 " error=%s: %s",
                STR_ARG(flight->message.id), flight->task->name, retries + 1, delay_us / US_PER_MS,
                error_exception_name((int)error.code), error.message);
    worker_record_error(self, flight, RESULT_RETRY, &error);
    flight->is_retry = true;
    flight->retry_at_us = clock_now_us(&clock_system) + delay_us;
    worker_flight_end(self, flight, BROKER_ACK, 0, STR_NULL);
}

static void
judge_loss(struct worker *self, struct flight *flight, const struct pool_outcome *outcome)
{
    char reason[256];

    if (!outcome->has_started) {
        worker_flight_end(self, flight, BROKER_RELEASE, 0, STR_NULL);
        return;
    }
    (void)snprintf(reason, sizeof(reason), "%.*s Job: %" PRIu64 ".", STR_ARG(outcome->message),
                   flight->serial);
    log_error("process of a task died, the task is tried again: id=%.*s name=%s reason=%s"
              " peak_rss_kib=%" PRId64,
              STR_ARG(flight->message.id), flight->task->name, reason, outcome->peak_rss_kib);
    worker_note(self, flight, &(struct worker_note){.moment = MOMENT_REJECTED});
    /* A whole worker that is killed is no crash of its tasks; its children may be killed first. */
    if (outcome->signal == SIGKILL)
        flight->hold_until_us = clock_mono_us(&clock_system) + WORKER_KILL_HOLD_US;
    worker_history_return(self, flight, STR("LOST"), str_from_cstr(reason));
    worker_flight_end(self, flight, BROKER_CRASHED, WORKER_CRASH_DELAY_US, str_from_cstr(reason));
}

/* The poison cap: it is in the dead set already, whoever waits has to hear of it. */
void
worker_on_buried(struct worker *self, struct flight *flight)
{
    log_error("task has killed too many processes, it is kept in the dead set: id=%.*s name=%s",
              STR_ARG(flight->message.id), flight->task->name);
    worker_record_exception(self, flight, RESULT_FAILURE, EXCEPTION_WORKER_LOST,
                            flight->verdict.reason);
    flight->is_buried = true;
    worker_flight_drop_tag(self, flight);
    worker_flight_set_stage(self, flight, FLIGHT_ENDED);
}

/* Ended by its own limits: final, as in Celery. */
static void
judge_limit(struct worker *self, struct flight *flight, const struct pool_outcome *outcome)
{
    bool is_soft = outcome->kind == POOL_SOFT_LIMIT;

    log_warning("task met its %s time limit: id=%.*s name=%s", is_soft ? "soft" : "hard",
                STR_ARG(flight->message.id), flight->task->name);
    if (is_soft)
        worker_record_exception(self, flight, RESULT_FAILURE, EXCEPTION_SOFT_LIMIT, STR_NULL);
    else
        worker_record_hard_limit(self, flight, worker_hard_limit_ms(self, flight));
    worker_flight_end(self, flight, BROKER_ACK, 0, STR_NULL);
}

static void
on_done(void *context, uint64_t id, const struct pool_outcome *outcome)
{
    struct worker *self = context;
    struct flight *flight = flight_of(id);
    struct str result = outcome->result;

    flight->runtime_us = outcome->has_started ? outcome->runtime_us : 0;
    if (outcome->has_started)
        worker_window_note_end(self, outcome->runtime_us);
    if (flight->is_terminated && outcome->kind != POOL_OK) {
        worker_revoke(self, flight, outcome->has_started ? STR("terminated") : STR("revoked"));
        return;
    }
    if (flight->map &&
        outcome->sends.len > 0) { /* ids go by a run's order, and a map has many runs */
        struct error err;

        (void)error_set(&err, ERR_UNSUPPORTED, "a task that sends others cannot run in %.*s",
                        STR_ARG(flight->message.task));
        fail(self, flight, &err);
        return;
    }
    worker_sends_take(flight, outcome->sends);
    switch (outcome->kind) {
    case POOL_OK:
        if (worker_map_goes_on(self, flight, &result))
            break;
        if (worker_sends_has_replacement(flight)) {
            log_info("task goes on as another: id=%.*s name=%s", STR_ARG(flight->message.id),
                     flight->task->name);
            worker_flight_end(self, flight, BROKER_ACK, 0, STR_NULL);
            break;
        }
        log_info("task succeeded: id=%.*s name=%s runtime_ms=%" PRId64, STR_ARG(flight->message.id),
                 flight->task->name, outcome->runtime_us / US_PER_MS);
        worker_record_success(self, flight, result);
        worker_flight_end(self, flight, BROKER_ACK, 0, STR_NULL);
        break;
    case POOL_FAILED:
        judge_failure(self, flight, outcome);
        break;
    case POOL_RETURNED:
        worker_flight_set_stage(self, flight, FLIGHT_WAITING); /* the next turn submits it */
        if (flight->is_returned)
            worker_flight_end(self, flight, BROKER_RELEASE, 0, STR_NULL);
        break;
    case POOL_LOST:
        judge_loss(self, flight, outcome);
        break;
    case POOL_SOFT_LIMIT:
    case POOL_HARD_LIMIT:
        judge_limit(self, flight, outcome);
        break;
    case POOL_TERMINATED: /* a cold shutdown, or the message is no longer ours */
        log_warning("task ended before its time, it goes back: id=%.*s name=%s",
                    STR_ARG(flight->message.id), flight->task->name);
        worker_history_return(self, flight, STR("REQUEUED"), outcome->message);
        worker_flight_end(self, flight, BROKER_REQUEUE, 0, STR_NULL);
        break;
    }
}

static void
on_started(void *context, uint64_t id, pid_t pid, int64_t at_us)
{
    struct flight *flight = flight_of(id);

    if (flight->map && flight->started_at_us != TIME_UNKNOWN)
        return; /* another item of the same task */
    flight->started_at_us = at_us;
    worker_control_count_start(context, flight);
    worker_record_started(context, flight, pid);
    worker_note(context, flight, &(struct worker_note){.moment = MOMENT_STARTED});
}

static void
on_progress(void *context, uint64_t id, int64_t current, int64_t total)
{
    worker_record_progress(context, flight_of(id), current, total);
}

static void
on_ready(void *context, pid_t pid)
{
    struct worker *self = context;

    log_debug("child is ready: pid=%d", (int)pid);
    self->n_ready_children++;
}

static void
on_trouble(void *context, const struct error *err)
{
    (void)context;
    log_error("pool is short of a child, it tries again: reason=%s", err->message);
}

const struct pool_events worker_pool_events = {
    .ready = on_ready,
    .started = on_started,
    .progress = on_progress,
    .done = on_done,
    .trouble = on_trouble,
    .stopped = worker_on_pool_stopped,
};
