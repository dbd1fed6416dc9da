/* The in-process half of a task: what include/trawl/task.h promises to its author. */

#include "celery/call.h"

#include "celery/params.h"

const void *
celery_call_args(const struct celery_call *call)
{
    return call->args;
}

void *
celery_call_context(const struct celery_call *call)
{
    return call->spec->context;
}

struct str
celery_call_id(const struct celery_call *call)
{
    return call->spec->id;
}

int64_t
celery_call_retries(const struct celery_call *call)
{
    return call->spec->retries;
}

static void
begin_result(struct celery_call *call)
{
    if (call->has_result)
        return;
    call->has_result = true;
    json_begin_object(&call->result);
}

void
celery_call_return_int(struct celery_call *call, const char *key, int64_t value)
{
    begin_result(call);
    json_member_i64(&call->result, str_from_cstr(key), value);
}

void
celery_call_return_str(struct celery_call *call, const char *key, struct str value)
{
    begin_result(call);
    json_member_str(&call->result, str_from_cstr(key), value);
}

void
celery_call_return_json(struct celery_call *call, const char *key, struct str value)
{
    begin_result(call);
    json_name(&call->result, str_from_cstr(key));
    json_raw(&call->result, value);
}

void
celery_call_progress(struct celery_call *call, int64_t current, int64_t total)
{
    const struct celery_call_hooks *hooks = &call->spec->hooks;

    if (hooks->progress)
        hooks->progress(hooks->context, current, total);
}

bool
celery_call_is_cancelled(const struct celery_call *call)
{
    const struct celery_call_hooks *hooks = &call->spec->hooks;

    return hooks->is_cancelled && hooks->is_cancelled(hooks->context);
}

int
celery_call_run(const struct celery_call_spec *spec, struct arena *arena, struct buf *result,
                struct error *err)
{
    struct celery_call call = {.spec = spec, .result = JSON_WRITER_INIT(result)};
    void *args;
    int rc;

    rc = celery_params_bind(spec->task, spec->args, spec->kwargs, arena, &args, err);
    if (rc < 0)
        return rc;
    call.args = args;
    rc = spec->task->run(&call, err);
    if (call.has_result)
        json_end_object(&call.result);
    else
        json_null(&call.result);
    if (call.is_replaced && rc < 0) { /* it thought better of it */
        spec->sends->len = call.sends_before_replace;
        spec->sends->ptr[call.sends_before_replace] = '\0';
    } else if (call.is_replaced) {
        buf_clear(result);
        buf_append(result, STR("null"));
    }
    if (rc == 0 && spec->sends)
        rc = buf_status(spec->sends, err);
    return rc < 0 ? rc : buf_status(result, err);
}
