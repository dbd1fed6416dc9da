/* Commands that change a worker: its pool, its queues, its limits, its life. */

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "celery/codec_repr.h"
#include "celery/control/command.h"
#include "celery/control/rate.h"

#define POOL_STEP_MAX 1024

/* An autoscaled pool is changed by its range; false: it is none. */
static bool
refuse_autoscaled(struct control_run *run, const char *name)
{
    struct control_scale scale;
    char text[96];

    run->node->ops->get_scale(run->node->context, &scale);
    if (scale.max == 0)
        return false;
    (void)snprintf(text, sizeof(text),
                   "%s is not supported with autoscale. Adjust autoscale range instead.", name);
    control_write_nok(run, str_from_cstr(text));
    return true;
}

static int
resize(struct control_run *run, int64_t sign, struct str answer, struct error *err)
{
    int64_t n;
    int rc = control_get_i64(run, STR("n"), 1, &n, err);

    if (rc == 0 && refuse_autoscaled(run, sign > 0 ? "pool_grow" : "pool_shrink"))
        return 0;
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

/* A text or a number, as the text that it is shown with; empty = no limit. */
static int
get_rate_text(const struct control_run *run, struct str *out, struct error *err)
{
    const struct json *value = json_get(run->arguments, STR("rate_limit"));

    *out = STR("");
    if (!value || value->type == JSON_NULL)
        return 0;
    if (value->type != JSON_STRING && value->type != JSON_NUMBER)
        return error_set(err, ERR_ARGS,
                         "argument 'rate_limit' must be a string or a number, got %s",
                         json_type_name(value->type));
    *out = value->text;
    return 0;
}

/* "Invalid rate limit string: ValueError(...)" */
static int
refuse_rate(struct control_run *run, const struct error *why, struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(4096);

    buf_append(&text, STR("Invalid rate limit string: ValueError("));
    celery_repr_append_text(&text, str_from_cstr(why->message));
    buf_append_char(&text, ')');
    control_write_nok(run, buf_str(&text));
    return buf_status(&text, err);
}

static int
run_rate_limit(struct control_run *run, struct error *err)
{
    const struct celery_task *task;
    struct error why = {0};
    struct str name;
    struct str text;
    double per_s;
    int rc = control_need_text(run, STR("task_name"), &name, err);

    if (rc == 0)
        rc = get_rate_text(run, &text, err);
    if (rc < 0)
        return rc;
    rc = control_rate_parse(text, &per_s, &run->exception, &why);
    if (rc < 0 && run->exception) {
        *err = why;
        return rc;
    }
    if (rc < 0)
        return refuse_rate(run, &why, err);
    if (celery_registry_find(run->node->registry, name, &task, NULL) < 0) {
        control_write_nok(run, STR("unknown task"));
        return 0;
    }
    run->node->ops->set_rate(run->node->context, task, per_s, text);
    control_write_ok(run, per_s > 0 ? STR("new rate limit set successfully")
                                    : STR("rate limit disabled successfully"));
    return 0;
}

static int
run_autoscale(struct control_run *run, struct error *err)
{
    struct control_scale scale;
    char text[64];
    int64_t max;
    int64_t min;
    int rc;

    run->node->ops->get_scale(run->node->context, &scale);
    if (scale.max == 0) {
        run->exception = "ValueError";
        return error_set(err, ERR_UNSUPPORTED, "Autoscale not enabled");
    }
    rc = control_get_i64(run, STR("max"), -1, &max, err);
    if (rc == 0)
        rc = control_get_i64(run, STR("min"), -1, &min, err);
    if (rc == 0)
        rc = run->node->ops->set_scale(run->node->context, max, min, err);
    if (rc < 0)
        return rc;
    run->node->ops->get_scale(run->node->context, &scale);
    (void)snprintf(text, sizeof(text), "autoscale now max=%" PRId64 " min=%" PRId64, scale.max,
                   scale.min);
    control_write_ok(run, str_from_cstr(text));
    return 0;
}

/* Modules are not loaded again: there are none. */
static int
run_pool_restart(struct control_run *run, struct error *err)
{
    int rc = run->node->ops->restart_pool(run->node->context, err);

    if (rc == -ERR_UNSUPPORTED)
        run->exception = "ValueError";
    if (rc == 0)
        control_write_ok(run, STR("reload started"));
    return rc;
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
