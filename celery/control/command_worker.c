/* Commands that change a worker: its pool, its queues, its limits, its life. */

#include <inttypes.h>

#include "celery/control/command.h"

#define POOL_STEP_MAX 1024

static int
resize(struct control_run *run, int64_t sign, struct str answer, struct error *err)
{
    int64_t n;
    int rc = control_get_i64(run, STR("n"), 1, &n, err);

    if (rc == 0 && (n < 0 || n > POOL_STEP_MAX))
        rc = error_set(err, ERR_INVALID, "argument 'n' must be 0 to %d, got %" PRId64,
                       POOL_STEP_MAX, n);
    if (rc == 0)
        rc = run->node->ops->resize_pool(run->node->context, sign * n, err);
    if (rc == 0)
        control_write_ok(run, answer);
    return rc;
}

static int
run_pool_grow(struct control_run *run, struct error *err)
{
    return resize(run, 1, STR("pool will grow"), err);
}

static int
run_pool_shrink(struct control_run *run, struct error *err)
{
    return resize(run, -1, STR("pool will shrink"), err);
}

static int
answer_about(struct control_run *run, const char *what, struct str name, struct error *err)
{
    char *text = arena_printf(run->arena, "%s %.*s", what, STR_ARG(name));

    if (!text)
        return error_set(err, ERR_NOMEM, "no memory for an answer");
    control_write_ok(run, str_from_cstr(text));
    return 0;
}

/* Exchange and routing key that a queue is bound with make no difference to whoever reads it. */
static int
run_add_consumer(struct control_run *run, struct error *err)
{
    struct str queue;
    int rc = control_need_text(run, STR("queue"), &queue, err);

    if (rc == 0)
        rc = run->node->ops->add_queue(run->node->context, queue, err);
    return rc < 0 ? rc : answer_about(run, "add consumer", queue, err);
}

static int
run_cancel_consumer(struct control_run *run, struct error *err)
{
    struct str queue;
    int rc = control_need_text(run, STR("queue"), &queue, err);

    if (rc == 0)
        rc = run->node->ops->cancel_queue(run->node->context, queue, err);
    return rc < 0 ? rc : answer_about(run, "no longer consuming from", queue, err);
}

static int
run_time_limit(struct control_run *run, struct error *err)
{
    const struct celery_task *task;
    struct str name;
    int64_t soft_ms;
    int64_t hard_ms;
    int rc = control_need_text(run, STR("task_name"), &name, err);

    if (rc == 0)
        rc = control_get_span_ms(run, STR("soft"), &soft_ms, err);
    if (rc == 0)
        rc = control_get_span_ms(run, STR("hard"), &hard_ms, err);
    if (rc < 0)
        return rc;
    if (celery_registry_find(run->node->registry, name, &task, NULL) < 0) {
        control_write_nok(run, STR("unknown task"));
        return 0;
    }
    soft_ms = soft_ms == INT64_MIN ? 0 : soft_ms;
    hard_ms = hard_ms == INT64_MIN ? 0 : hard_ms;
    rc = run->node->ops->set_limits(run->node->context, task, soft_ms, hard_ms, err);
    if (rc == 0)
        control_write_ok(run, STR("time limits set successfully"));
    return rc;
}

/* Known, so that whoever asks is told why, in the words of a worker without them. */
static int
run_rate_limit(struct control_run *run, struct error *err)
{
    (void)run;
    return error_set(err, ERR_UNSUPPORTED,
                     "this worker has no rate limits: limit its concurrency, or give the task a "
                     "queue and a worker of its own");
}

static int
run_autoscale(struct control_run *run, struct error *err)
{
    run->exception = "ValueError";
    return error_set(err, ERR_UNSUPPORTED, "Autoscale not enabled");
}

static int
run_pool_restart(struct control_run *run, struct error *err)
{
    run->exception = "ValueError";
    return error_set(err, ERR_UNSUPPORTED, "Pool restarts not enabled");
}

/* Celery's workers leave without an answer, too. */
static int
run_shutdown(struct control_run *run, struct error *err)
{
    (void)err;
    run->is_silent = true;
    run->node->ops->stop(run->node->context);
    return 0;
}

const struct control_command control_worker_commands[] = {
    {STR_INIT("pool_grow"), {NULL, 0}, run_pool_grow},
    {STR_INIT("pool_shrink"), {NULL, 0}, run_pool_shrink},
    {STR_INIT("add_consumer"), {NULL, 0}, run_add_consumer},
    {STR_INIT("cancel_consumer"), {NULL, 0}, run_cancel_consumer},
    {STR_INIT("time_limit"), {NULL, 0}, run_time_limit},
    {STR_INIT("rate_limit"), {NULL, 0}, run_rate_limit},
    {STR_INIT("autoscale"), {NULL, 0}, run_autoscale},
    {STR_INIT("pool_restart"), {NULL, 0}, run_pool_restart},
    {STR_INIT("shutdown"), {NULL, 0}, run_shutdown},
    {{NULL, 0}, {NULL, 0}, NULL},
};
