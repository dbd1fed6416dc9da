/* See worker_runtime.h. */

#include "lib/worker_runtime.h"

#include <stdlib.h>

#include "base/json_writer.h"
#include "celery/params.h"
#include "celery/worker_call.h"
#include "lib/core/container.h"
#include "lib/task_runner.h"

#define CALL_ARENA_BYTES ((size_t)64 << 20)

struct runtime {
    struct container *app;
    const struct celery_call_hooks *hooks; /* of the running call, or NULL */
};

static bool
is_cancelled(void *context)
{
    const struct runtime *self = context;

    return self->hooks && self->hooks->is_cancelled &&
           self->hooks->is_cancelled(self->hooks->context);
}

static int
set_up(void *context, void **state, struct error *err)
{
    const struct worker_runtime *shared = context;
    struct runtime *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for a child");
    rc = container_create(shared->config, is_cancelled, self, &self->app, err);
    if (rc < 0) {
        free(self);
        return rc;
    }
    container_set_share(self->app, shared->n_children);
    *state = self;
    return 0;
}

static void
tear_down(void *state)
{
    struct runtime *self = state;

    container_free(self->app);
    free(self);
}

/* All arguments by name, as the record of a run has them; they have been bound already. */
static int
name_arguments(const struct celery_task *task, const struct celery_worker_call *call,
               struct buf *out, struct error *err)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    json.style = JSON_STYLE_PYTHON; /* keeps lone surrogates */
    json_begin_object(&json);
    for (size_t i = 0; i < call->args.array.n_items && task->params[i].name; i++) {
        json_name(&json, str_from_cstr(task->params[i].name));
        json_value(&json, &call->args.array.items[i]);
    }
    for (size_t i = 0; i < call->kwargs.object.n_members; i++) {
        json_name(&json, call->kwargs.object.members[i].name);
        json_value(&json, &call->kwargs.object.members[i].value);
    }
    json_end_object(&json);
    return buf_status(out, err);
}

static int
run_call(struct runtime *self, const struct pool_call *call, struct arena *arena,
         struct buf *arguments, struct buf *result, struct error *err)
{
    struct celery_worker_call decoded;
    struct task_run run = {.task = call->task, .hooks = call->hooks, .sends = call->sends};
    void *bound;
    int rc = celery_worker_call_decode(call->payload, arena, &decoded, err);

    if (rc == 0)
        rc = celery_params_bind(call->task, &decoded.args, &decoded.kwargs, arena, &bound, err);
    if (rc == 0)
        rc = name_arguments(call->task, &decoded, arguments, err);
    if (rc < 0)
        return rc;
    run.task_id = decoded.id;
    run.retries = decoded.retries;
    run.arguments = buf_str(arguments);
    rc = task_runner_run(self->app, &run, result, err);
    if (rc == 0 && is_cancelled(self))
        rc = error_set(err, ERR_CANCELLED, "%s was interrupted", call->task->name);
    return rc;
}

static int
run(void *state, const struct pool_call *call, struct buf *result, struct error *err)
{
    struct runtime *self = state;
    struct arena arena = ARENA_INIT(CALL_ARENA_BYTES);
    struct buf arguments = BUF_INIT(CALL_ARENA_BYTES);
    int rc;

    self->hooks = &call->hooks;
    rc = run_call(self, call, &arena, &arguments, result, err);
    self->hooks = NULL;
    buf_fini(&arguments);
    arena_fini(&arena);
    return rc;
}

struct pool_runner
worker_runtime_runner(const struct worker_runtime *runtime)
{
    return (struct pool_runner){
        .setup = set_up,
        .run = run,
        .teardown = tear_down,
        .context = (void *)(uintptr_t)runtime,
    };
}
