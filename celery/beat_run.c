/* Beat's life: turn by turn until a signal. */

#include <signal.h>

#include "base/log.h"
#include "celery/beat.h"
#include "celery/loop.h"

struct runner {
    struct celery_beat *beat;
    struct loop *loop;
    struct loop_timer *timer;
    struct loop_signal *signals[2];
};

static void
on_timer(void *context)
{
    struct runner *self = context;
    int64_t wait_us = celery_beat_turn(self->beat);

    loop_timer_start(self->timer, (wait_us + US_PER_MS - 1) / US_PER_MS, 0);
}

static void
on_signal(void *context)
{
    struct runner *self = context;

    loop_stop(self->loop);
}

static int
open_loop(struct runner *self, struct error *err)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    int rc = loop_create(&self->loop, err);

    if (rc == 0)
        rc = loop_timer_create(self->loop, on_timer, self, &self->timer, err);
    for (size_t i = 0; rc == 0 && i < COUNT_OF(numbers); i++)
        rc = loop_signal_create(self->loop, numbers[i], on_signal, self, &self->signals[i], err);
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
