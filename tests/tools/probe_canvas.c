/* The tasks of canvases (tests/interop/canvas_shapes.py): the first argument is what the task
 * before gave, and the result shows the way that it came. */

#include "tests/tools/probe.h"
#include "tests/tools/probe_record.h"

struct trace_args {
    struct str value;
    struct str mark;
};

static const struct celery_param trace_params[] = {
    CELERY_JSON(struct trace_args, value, .help = "what the task before gave"),
    CELERY_STR(struct trace_args, mark, .fallback_text = "-", .help = "one word"),
    CELERY_PARAMS_END,
};

static void
return_value(struct celery_call *call, struct str value)
{
    celery_call_return_json(call, "value", value.ptr ? value : STR("null"));
}

/* probe.trace(value=null, mark="-") -> {"value": as it came, "mark": text} */
static int
trace(struct celery_call *call, struct error *err)
{
    const struct trace_args *args = celery_call_args(call);

    (void)err;
    return_value(call, args->value);
    celery_call_return_str(call, "mark", args->mark);
    return 0;
}

struct stumble_args {
    struct str value;
    struct str path;
    struct str token;
    int64_t times;
    struct str kind;
};

static const char *const stumble_kinds[] = {"invalid", "network", NULL};

static const struct celery_param stumble_params[] = {
    CELERY_JSON(struct stumble_args, value, .help = "what the task before gave"),
    CELERY_STR(struct stumble_args, path, .help = "the record file; without it, every run fails"),
    CELERY_STR(struct stumble_args, token, .fallback_text = "-"),
    CELERY_INT(struct stumble_args, times, .fallback = 0, .min = 0, .max = 1000,
               .help = "then succeed; 0 = never"),
    CELERY_STR(struct stumble_args, kind, .fallback_text = "invalid", .choices = stumble_kinds),
    CELERY_PARAMS_END,
};

/* probe.stumble(value=null, path=null, token="-", times=0, kind="invalid")
 * -> {"value": as it came, "mark": token}; "network" is tried again at once, "invalid" never */
static int
stumble(struct celery_call *call, struct error *err)
{
    const struct stumble_args *args = celery_call_args(call);
    bool is_final = str_equal(args->kind, STR("invalid"));
    int64_t n_starts;
    int rc = probe_record_write(args->path, "start", args->token, err);

    if (rc == 0)
        rc = probe_record_count(args->path, args->token, &n_starts, err);
    if (rc < 0)
        return rc;
    if (args->times > 0 && n_starts > args->times) {
        return_value(call, args->value);
        celery_call_return_str(call, "mark", args->token);
        return 0;
    }
    rc = error_set(err, is_final ? ERR_INVALID : ERR_NETWORK, "failed as told: %s",
                   is_final ? "invalid" : "network");
    if (err)
        err->retry_after_ms = 10;
    return rc;
}

struct refuse_args {
    struct str value;
};

static const struct celery_param refuse_params[] = {
    CELERY_JSON(struct refuse_args, value),
    CELERY_PARAMS_END,
};

/* probe.refuse(value=null): ValueError */
static int
refuse(struct celery_call *call, struct error *err)
{
    (void)call;
    return error_set(err, ERR_INVALID, "failed as told: invalid");
}

const struct celery_task probe_canvas_tasks[] = {
    CELERY_TASK("probe.refuse", refuse, .help = "Fail"),
    CELERY_TASK("probe.stumble", stumble, .help = "Fail some times, then hand on"),
    CELERY_TASK("probe.trace", trace, .help = "Hand on what came, with a mark"),
    CELERY_TASKS_END,
};
