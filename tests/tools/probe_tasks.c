/* The tasks that behave: they count their runs, take their time, fail as told. */

#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "tests/tools/probe.h"
#include "tests/tools/probe_crash.h"
#include "tests/tools/probe_record.h"

#define SLICE_US    (10 * US_PER_MS) /* a sleeping task looks so often whether it is to end */
#define SPAN_MAX_MS INT64_C(86400000)

struct noop_args {
    bool unused;
};

static const struct celery_param noop_params[] = {CELERY_PARAMS_END};

/* probe.noop() -> null */
static int
noop(struct celery_call *call, struct error *err)
{
    (void)call;
    (void)err;
    return 0;
}

struct add_args {
    int64_t x;
    int64_t y;
};

static const struct celery_param add_params[] = {
    CELERY_INT(struct add_args, x, .fallback = 0),
    CELERY_INT(struct add_args, y, .fallback = 0),
    CELERY_PARAMS_END,
};

/* probe.add(x=0, y=0) -> {"sum": int} */
static int
add(struct celery_call *call, struct error *err)
{
    const struct add_args *args = celery_call_args(call);
    int64_t sum;

    if (__builtin_add_overflow(args->x, args->y, &sum))
        return error_set(err, ERR_TOO_LARGE, "the sum does not fit into 64 bits");
    celery_call_return_int(call, "sum", sum);
    return 0;
}

struct echo_args {
    struct str value;
};

static const struct celery_param echo_params[] = {
    CELERY_STR(struct echo_args, value),
    CELERY_PARAMS_END,
};

/* probe.echo(value=null) -> {"value": text, "length": bytes} */
static int
echo(struct celery_call *call, struct error *err)
{
    const struct echo_args *args = celery_call_args(call);

    (void)err;
    celery_call_return_str(call, "value", args->value);
    celery_call_return_int(call, "length", (int64_t)args->value.len);
    return 0;
}

/* False: told to end. */
static bool
sleep_ms(const struct celery_call *call, int64_t span_ms)
{
    int64_t end_us = clock_mono_us(&clock_system) + span_ms * US_PER_MS;

    for (;;) {
        int64_t left_us = end_us - clock_mono_us(&clock_system);

        if (celery_call_is_cancelled(call))
            return false;
        if (left_us <= 0)
            return true;
        clock_sleep_us(&clock_system, left_us < SLICE_US ? left_us : SLICE_US);
    }
}

struct nap_args {
    int64_t seconds;
    int64_t ms;
    int64_t steps;
};

static const struct celery_param nap_params[] = {
    CELERY_INT(struct nap_args, seconds, .fallback = 0, .min = 0, .max = SPAN_MAX_MS / 1000),
    CELERY_INT(struct nap_args, ms, .fallback = 0, .min = 0, .max = SPAN_MAX_MS,
               .help = "beside the seconds"),
    CELERY_INT(struct nap_args, steps, .fallback = 1, .min = 1, .max = 100000,
               .help = "with progress after each"),
    CELERY_PARAMS_END,
};

/* probe.sleep(seconds=0, ms=0, steps=1) -> {"slept_ms": int} */
static int
nap(struct celery_call *call, struct error *err)
{
    const struct nap_args *args = celery_call_args(call);
    int64_t span_ms = args->seconds * 1000 + args->ms;

    for (int64_t i = 0; i < args->steps; i++) {
        if (!sleep_ms(call, span_ms * (i + 1) / args->steps - span_ms * i / args->steps))
            return error_set(err, ERR_CANCELLED, "told to end in step %d", (int)i + 1);
        celery_call_progress(call, i + 1, args->steps);
    }
    celery_call_return_int(call, "slept_ms", span_ms);
    return 0;
}

struct record_args {
    struct str path;
    struct str token;
    int64_t ms;
};

static const struct celery_param record_params[] = {
    CELERY_STR(struct record_args, path, .help = "the record file"),
    CELERY_STR(struct record_args, token, .fallback_text = "-", .help = "one word"),
    CELERY_INT(struct record_args, ms, .fallback = 0, .min = 0, .max = SPAN_MAX_MS,
               .help = "between start and end"),
    CELERY_PARAMS_END,
};

/* probe.record(path=null, token="-", ms=0) -> {"token": text}; lines in the record file */
static int
record(struct celery_call *call, struct error *err)
{
    const struct record_args *args = celery_call_args(call);
    int rc = probe_record_write(args->path, "start", args->token, err);

    if (rc == 0 && !sleep_ms(call, args->ms))
        rc = error_set(err, ERR_CANCELLED, "told to end");
    if (rc == 0)
        rc = probe_record_write(args->path, "done", args->token, err);
    celery_call_return_str(call, "token", args->token);
    return rc;
}

static const struct {
    const char *name;
    enum error_code code;
} kinds[] = {
    {"network", ERR_NETWORK}, {"timeout", ERR_TIMEOUT}, {"rate_limit", ERR_RATE_LIMIT},
    {"nomem", ERR_NOMEM},     {"busy", ERR_BUSY},       {"disk_full", ERR_DISK_FULL},
    {"invalid", ERR_INVALID}, {"io", ERR_IO},           {"not_found", ERR_NOT_FOUND},
};

static const char *const kind_names[] = {
    "network",   "timeout", "rate_limit", "nomem",     "busy",
    "disk_full", "invalid", "io",         "not_found", NULL,
};

struct fail_args {
    struct str path;
    struct str token;
    int64_t times;
    struct str kind;
    int64_t after_ms;
};

static const struct celery_param fail_params[] = {
    CELERY_STR(struct fail_args, path, .help = "the record file; without it, every run fails"),
    CELERY_STR(struct fail_args, token, .fallback_text = "-"),
    CELERY_INT(struct fail_args, times, .fallback = 0, .min = 0, .max = 1000,
               .help = "then succeed; 0 = never"),
    CELERY_STR(struct fail_args, kind, .fallback_text = "invalid", .choices = kind_names),
    CELERY_INT(struct fail_args, after_ms, .fallback = 0, .min = 0, .max = SPAN_MAX_MS,
               .help = "ask to be tried again so much later"),
    CELERY_PARAMS_END,
};

/* probe.fail(path=null, token="-", times=0, kind="invalid", after_ms=0) -> {"runs": int} */
static int
fail(struct celery_call *call, struct error *err)
{
    const struct fail_args *args = celery_call_args(call);
    int64_t n_starts;
    int rc = probe_record_write(args->path, "start", args->token, err);

    if (rc == 0)
        rc = probe_record_count(args->path, args->token, &n_starts, err);
    if (rc < 0)
        return rc;
    if (args->times > 0 && n_starts > args->times) {
        celery_call_return_int(call, "runs", n_starts);
        return probe_record_write(args->path, "done", args->token, err);
    }
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (str_equal(args->kind, str_from_cstr(kinds[i].name)))
            rc = error_set(err, kinds[i].code, "failed as told: %s", kinds[i].name);
    }
    if (err)
        err->retry_after_ms = args->after_ms;
    return rc;
}

struct say_args {
    int64_t lines;
};

static const struct celery_param say_params[] = {
    CELERY_INT(struct say_args, lines, .fallback = 3, .min = 0, .max = 1000000),
    CELERY_PARAMS_END,
};

/* probe.say(lines=3) -> null; so many lines in the log */
static int
say(struct celery_call *call, struct error *err)
{
    const struct say_args *args = celery_call_args(call);

    (void)err;
    for (int64_t i = 0; i < args->lines; i++)
        log_info("line %d of %d", (int)i + 1, (int)args->lines);
    return 0;
}

struct big_args {
    int64_t bytes;
};

static const struct celery_param big_params[] = {
    CELERY_INT(struct big_args, bytes, .fallback = 1000, .min = 0, .max = 1 << 30),
    CELERY_PARAMS_END,
};

/* probe.big(bytes=1000) -> {"text": so many letters} */
static int
big(struct celery_call *call, struct error *err)
{
    const struct big_args *args = celery_call_args(call);
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)args->bytes + 1);
    char *room = buf_reserve(&text, (size_t)args->bytes);

    if (!room)
        return error_set(err, ERR_NOMEM, "no memory for a result of %d bytes", (int)args->bytes);
    (void)memset(room, 'x', (size_t)args->bytes);
    buf_commit(&text, (size_t)args->bytes);
    celery_call_return_str(call, "text", buf_str(&text));
    return 0;
}

struct value_args {
    struct str value;
};

static const struct celery_param value_params[] = {
    CELERY_JSON(struct value_args, value),
    CELERY_PARAMS_END,
};

/* probe.value(value=null) -> {"value": as it came} */
static int
value(struct celery_call *call, struct error *err)
{
    const struct value_args *args = celery_call_args(call);

    (void)err;
    celery_call_return_json(call, "value", args->value);
    return 0;
}

const struct celery_task probe_tasks[] = {
    CELERY_TASK("probe.add", add, .help = "Add two numbers"),
    CELERY_TASK("probe.big", big, .help = "Return a long text"),
    CELERY_TASK("probe.crash", probe_crash, .help = "End the process, or hang"),
    CELERY_TASK("probe.echo", echo, .help = "Give back a text"),
    CELERY_TASK("probe.fail", fail, .help = "Fail some times, then succeed"),
    CELERY_TASK("probe.noop", noop, .help = "Do nothing"),
    CELERY_TASK("probe.record", record, .help = "Write down start and end"),
    CELERY_TASK("probe.say", say, .help = "Write to the log"),
    CELERY_TASK("probe.sleep", nap, .help = "Take some time, with progress"),
    CELERY_TASK("probe.value", value, .help = "Give back anything"),
    CELERY_TASKS_END,
};
