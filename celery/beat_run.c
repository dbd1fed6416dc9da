/* Beat's life: turn by turn until SIGTERM or SIGINT; SIGHUP opens the log file again. */

#include <signal.h>

#include "base/log.h"
#include "celery/beat.h"
#include "celery/loop.h"

#define N_SIGNALS 3

struct runner {
    struct celery_beat *beat;
    struct loop *loop;
    struct loop_timer *timer;
    struct loop_signal *signals[N_SIGNALS];
};

static void
on_timer(void *context)
{
    struct runner *self = context;
    int64_t wait_us = celery_beat_turn(self->beat);

    loop_timer_start(self->timer, (wait_us + US_PER_MS - 1) / US_PER_MS, 0);
}

static void
on_end(void *context)
{
    struct runner *self = context;

    loop_stop(self->loop);
}

static void
on_hangup(void *context)
{
    struct error err;

    (void)context;
    if (log_reopen(&err) < 0)
        log_error("log file not opened again, the old one goes on: reason=%s", err.message);
}

static int
open_loop(struct runner *self, struct error *err)
{
    static const struct {
        int number;
        loop_fn fn;
    } rows[N_SIGNALS] = {{SIGTERM, on_end}, {SIGINT, on_end}, {SIGHUP, on_hangup}};
    int rc = loop_create(&self->loop, err);

    if (rc == 0)
        rc = loop_timer_create(self->loop, on_timer, self, &self->timer, err);
    for (size_t i = 0; rc == 0 && i < COUNT_OF(rows); i++)
        rc = loop_signal_create(self->loop, rows[i].number, rows[i].fn, self, &self->signals[i],
                                err);
    return rc;
}

int
celery_beat_run(struct celery_beat *beat, bool (*is_stopped)(void *context), void *context,
                struct error *err)
{
    struct runner self = {.beat = beat};
    int rc = celery_beat_open(beat, err);

    if (rc < 0 && !error_is_retryable(rc))
        return error_wrap(err, rc, "broker");
    rc = open_loop(&self, err);
    if (rc == 0 && !(is_stopped && is_stopped(context))) {
        loop_timer_start(self.timer, 0, 0);
        loop_run(self.loop);
        log_info("beat has ended");
    }
    for (size_t i = 0; i < COUNT_OF(self.signals); i++)
        loop_signal_free(self.signals[i]);
    loop_timer_free(self.timer);
    loop_free(self.loop);
    return rc;
}
