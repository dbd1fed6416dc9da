/* Runs tasks with nothing around them: decode, bind, run. */

#include <stdlib.h>

#include "celery/call.h"
#include "celery/worker_call.h"
#include "tests/tools/probe.h"

#define CALL_ARENA_BYTES ((size_t)64 << 20)

static int
run(void *state, const struct pool_call *call, struct buf *result, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CALL_ARENA_BYTES);
    struct celery_worker_call decoded;
    struct celery_call_spec spec = {.task = call->task, .hooks = call->hooks, .sends = call->sends};
    int rc = celery_worker_call_decode(call->payload, &arena, &decoded, err);

    (void)state;
    if (rc < 0)
        return rc;
    spec.id = decoded.id;
    spec.retries = decoded.retries;
    spec.args = &decoded.args;
    spec.kwargs = &decoded.kwargs;
    rc = celery_call_run(&spec, &arena, result, err);
    if (rc == 0 && call->hooks.is_cancelled && call->hooks.is_cancelled(call->hooks.context))
        rc = error_set(err, ERR_CANCELLED, "%s was interrupted", call->task->name);
    return rc;
}

const struct pool_runner probe_bare_runner = {.run = run};
