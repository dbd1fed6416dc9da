/* The run's row is written before the task starts and after it ended, each on its own: a process
 * that dies leaves the row STARTED, which is the truth. */

#include "lib/task_runner.h"

#include "base/json_scan.h"
#include "base/log.h"
#include "base/uuid.h"
#include "celery/params.h"
#include "lib/repositories/run_repository.h"
#include "lib/task_sends.h"

#define RUN_ARENA_BYTES ((size_t)16 << 20)

struct recorded_run {
    struct container *app;
    struct database *database;
    struct run row;
};

static int
record_start(struct recorded_run *self, struct error *err)
{
    int rc = container_get_database(self->app, CONTAINER_WRITES, &self->database, err);

    if (rc == 0)
        rc = run_repo_start(self->database, &self->row, &self->row.run_id, err);
    return rc < 0 ? error_wrap(err, rc, "cannot record the run") : 0;
}

/* The task's own outcome counts more than its record: a failure here is told, not returned. */
static void
record_end(struct recorded_run *self, int rc, const struct buf *result, const struct error *why)
{
    struct error err;

    self->row.ended_at_us = clock_now_us(container_clock(self->app));
    self->row.state = rc < 0 ? STR("FAILURE") : STR("SUCCESS");
    self->row.result = result->len ? buf_str(result) : STR_NULL;
    if (rc < 0) {
        self->row.error_type = str_from_cstr(error_exception_name(rc));
        self->row.error_message = str_from_cstr(why->message);
    }
    if (run_repo_finish(self->database, &self->row, &err) < 0)
        log_warning("run not recorded as ended, its row stays STARTED: reason=%s", err.message);
}

/* The task's own failure goes before one of sending. */
static int
deliver(struct container *app, struct str sends, struct str run_id, int rc, struct error *err)
{
    struct error failure = {0};
    int send_rc = task_sends_deliver(app, sends, run_id, &failure);

    if (send_rc == 0)
        return rc;
    if (rc == 0 && err)
        *err = failure;
    else
        log_error("what the task has sent did not go out: reason=%s", failure.message);
    return rc < 0 ? rc : send_rc;
}

/* The error must be kept for the record even when the caller does not want it. */
static int
run_recorded(struct container *app, const struct task_run *run, const struct json *kwargs,
             struct arena *arena, struct buf *result, struct error *err)
{
    CLEANUP(buf_fini) struct buf own_sends = BUF_INIT(CELERY_SENDS_BYTES);
    char task_id[UUID_TEXT_BYTES];
    struct recorded_run record = {
        .app = app,
        .row = {.task_name = str_from_cstr(run->task->name),
                .arguments = run->arguments,
                .state = STR("STARTED"),
                .worker_id = container_worker_id(app),
                .started_at_us = clock_now_us(container_clock(app)),
                .ended_at_us = DATABASE_NULL},
    };
    struct celery_call_spec spec = {.task = run->task,
                                    .kwargs = kwargs,
                                    .context = app,
                                    .hooks = run->hooks,
                                    .retries = run->retries,
                                    .sends = run->sends ? run->sends : &own_sends};
    int rc;

    uuid_random(task_id);
    spec.id = run->task_id.ptr ? run->task_id : str_from_cstr(task_id);
    record.row.task_id = spec.id;
    rc = record_start(&record, err);
    if (rc < 0)
        return rc;
    *container_run(app) = (struct run_context){
        .run_id = record.row.run_id, .task_id = spec.id, .worker_id = record.row.worker_id};
    log_set_context(record.row.task_name, spec.id);
    rc = celery_call_run(&spec, arena, result, err);
    if (own_sends.len && rc != -ERR_RETRY)
        rc = deliver(app, buf_str(&own_sends), spec.id, rc, err);
    record_end(&record, rc, result, err);
    log_set_context(STR_NULL, STR_NULL);
    *container_run(app) = (struct run_context){.worker_id = record.row.worker_id};
    return rc;
}

int
task_runner_run(struct container *app, const struct task_run *run, struct buf *result,
                struct error *err)
{
    static const struct json_limits limits = {JSON_ALLOW_NAN | JSON_KEEP_SURROGATES,
                                              JSON_SCAN_DEPTH_MAX};
    struct arena arena = ARENA_INIT(RUN_ARENA_BYTES);
    struct error own = {0};
    struct json kwargs;
    void *args;
    int rc = json_parse(run->arguments, &limits, &arena, &kwargs, &own);

    if (rc == 0) /* bad arguments are refused before anything is recorded */
        rc = celery_params_bind(run->task, NULL, &kwargs, &arena, &args, &own);
    if (rc == 0)
        rc = run_recorded(app, run, &kwargs, &arena, result, &own);
    arena_fini(&arena);
    if (rc < 0 && err)
        *err = own;
    return rc;
}
