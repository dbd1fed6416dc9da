/* Tasks that do each thing a plug-in's task may do: tests/integration/test_plugins.py runs them. */

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include <trawl/log.h>
#include <trawl/plugin.h>

struct fan_out_args {
    int64_t n;
    struct str task;
    struct str queue;
    bool fails;
};

static const struct celery_param fan_out_params[] = {
    CELERY_INT(struct fan_out_args, n, .fallback = 2, .min = 0, .max = 2000, .help = "how many"),
    CELERY_STR(struct fan_out_args, task, .fallback_text = "demo.echo"),
    CELERY_STR(struct fan_out_args, queue),
    CELERY_BOOL(struct fan_out_args, fails, .help = "after they were sent"),
    CELERY_PARAMS_END,
};

/* demo.fan_out(n=2, ...) -> {"sent": int, "first": id} */
static int
fan_out(struct celery_call *call, struct error *err)
{
    const struct fan_out_args *args = celery_call_args(call);
    char id[CELERY_SUBTASK_ID_BYTES] = "";

    for (int64_t i = 0; i < args->n; i++) {
        struct celery_subtask subtask = CELERY_SUBTASK_INIT;
        int rc;

        subtask.task = args->task;
        subtask.queue = args->queue;
        subtask.args = STR("[7]");
        rc = celery_call_send(call, &subtask, i == 0 ? id : NULL, err);
        if (rc < 0)
            return rc;
    }
    celery_call_return_int(call, "sent", args->n);
    celery_call_return_str(call, "first", str_from_cstr(id));
    return args->fails ? error_set(err, ERR_INVALID, "failed on request") : 0;
}

struct echo_args {
    int64_t value;
};

static const struct celery_param echo_params[] = {
    CELERY_INT(struct echo_args, value, .fallback = 1),
    CELERY_PARAMS_END,
};

/* demo.echo(value=1) -> {"value": int}; progress and a line of log on the way */
static int
echo(struct celery_call *call, struct error *err)
{
    const struct echo_args *args = celery_call_args(call);

    (void)err;
    log_info("echo: value=%" PRId64, args->value);
    celery_call_progress(call, 1, 1);
    celery_call_return_int(call, "value", args->value);
    return 0;
}

struct become_args {
    struct str task;
};

static const struct celery_param become_params[] = {
    CELERY_STR(struct become_args, task, .fallback_text = "demo.echo"),
    CELERY_PARAMS_END,
};

/* demo.become(task="demo.echo"): that task's result under this one's id */
static int
become(struct celery_call *call, struct error *err)
{
    const struct become_args *args = celery_call_args(call);
    struct celery_subtask subtask = CELERY_SUBTASK_INIT;

    subtask.task = args->task;
    subtask.args = STR("[42]");
    celery_call_return_int(call, "never", 1);
    return celery_call_replace(call, &subtask, err);
}

struct again_args {
    int64_t times;
    int64_t most;
};

static const struct celery_param again_params[] = {
    CELERY_INT(struct again_args, times, .fallback = 2, .min = 0, .max = 100),
    CELERY_INT(struct again_args, most, .fallback = 10, .min = -1, .max = 100),
    CELERY_PARAMS_END,
};

/* demo.again(times=2, most=10) -> {"retries": int}, after so many; sends one task each time */
static int
again(struct celery_call *call, struct error *err)
{
    const struct again_args *args = celery_call_args(call);
    struct celery_subtask subtask = CELERY_SUBTASK_INIT;
    int rc;

    subtask.task = STR("demo.echo");
    rc = celery_call_send(call, &subtask, NULL, err);
    if (rc < 0)
        return rc;
    if (celery_call_retries(call) < args->times)
        return celery_call_retry(call, 20, args->most, "not yet", err);
    celery_call_return_int(call, "retries", celery_call_retries(call));
    return 0;
}

struct crash_args {
    int64_t nothing;
};

static const struct celery_param crash_params[] = {CELERY_PARAMS_END};

static int
crash(struct celery_call *call, struct error *err)
{
    (void)call;
    (void)err;
    abort();
}

static const struct celery_task tasks[] = {
    CELERY_TASK("demo.fan_out", fan_out, .help = "Send other tasks"),
    CELERY_TASK("demo.echo", echo, .help = "Give a number back"),
    CELERY_TASK("demo.become", become, .help = "Go on as another task"),
    CELERY_TASK("demo.again", again, .help = "Ask to be run again"),
    CELERY_TASK("demo.crash", crash, .help = "End the process that runs it"),
    CELERY_TASKS_END,
};

static const struct celery_task *const modules[] = {tasks, NULL};

TRAWL_PLUGIN("demo", "1.0", modules);
