/* Autoscaling: as many processes as there are tasks for, between two bounds.
 *
 * More at once, fewer when the ones too many have not been needed for a while.
 * Source: Celery 5.7, worker/autoscale.py. */

#include <inttypes.h>

#include "base/log.h"
#include "celery/worker_control_internal.h"

#define KEEP_US (30 * US_PER_S) /* AUTOSCALE_KEEPALIVE */

int64_t
worker_scale_choose(struct worker_scale *scale, int64_t n_children, int64_t n_tasks, int64_t now_us)
{
    int64_t wanted = n_tasks < scale->min ? scale->min : n_tasks;

    if (wanted > scale->max)
        wanted = scale->max;
    if (wanted >= n_children || scale->needed_us == 0)
        scale->needed_us = now_us;
    if (n_children > scale->max)
        return scale->max;
    if (wanted > n_children)
        return wanted;
    return now_us - scale->needed_us < KEEP_US ? n_children : wanted;
}

void
worker_autoscale_get(void *context, struct control_scale *out)
{
    const struct worker *self = context;

    *out = (struct control_scale){
        .max = self->control->scale.max,
        .min = self->control->scale.min,
        .n_children = (int64_t)self->n_children,
        .n_tasks = (int64_t)self->n_open,
    };
}

int
worker_autoscale_set(void *context, int64_t max, int64_t min, struct error *err)
{
    struct worker *self = context;
    struct worker_scale scale = self->control->scale;

    if (scale.max == 0)
        return error_set(err, ERR_UNSUPPORTED, "Autoscale not enabled");
    scale.max = max == -1 ? scale.max : max;
    scale.min = min == -1 ? scale.min : min;
    if (scale.min < 1 || scale.min > scale.max || scale.max > POOL_MAX_CHILDREN)
        return error_set(
            err, ERR_INVALID,
            "autoscale must be 1 to %d processes, and max not below min, got max=%" PRId64
            " min=%" PRId64,
            POOL_MAX_CHILDREN, scale.max, scale.min);
    self->control->scale = scale;
    log_info("autoscale set by remote control: max=%" PRId64 " min=%" PRId64, scale.max, scale.min);
    return 0;
}

int64_t
worker_autoscale_turn(struct worker *self)
{
    struct worker_scale *scale = &self->control->scale;
    int64_t now_us = clock_mono_us(&clock_system);
    int64_t n_children = (int64_t)self->n_children;
    struct error err = {0};
    int64_t wanted;

    if (scale->max == 0 || self->phase != WORKER_RUNS)
        return INT64_MAX;
    wanted = worker_scale_choose(scale, n_children, (int64_t)self->n_open, now_us);
    if (wanted != n_children) {
        if (pool_resize(self->pool, (size_t)wanted, &err) < 0) {
            log_warning("pool not scaled: n_children=%" PRId64 " reason=%s", wanted, err.message);
            return now_us + US_PER_S;
        }
        log_info("pool scaled: n_children=%" PRId64 " before=%" PRId64, wanted, n_children);
        self->n_children = (size_t)wanted;
    }
    return wanted > scale->min ? scale->needed_us + KEEP_US + 1 : INT64_MAX;
}
