/* The tasks `scoring.*`: check parameters, log, bridge to one service. */

#include <inttypes.h>

#include "base/log.h"
#include "lib/core/container.h"
#include "lib/crons/bridge.h"
#include "lib/services/scoring/static_score_calculator.h"
#include "lib/worker.h"

struct calculate_static_args {
    int64_t batch_size;
};

static const struct celery_param calculate_static_params[] = {
    CELERY_INT(struct calculate_static_args, batch_size, .fallback = 100, .min = 1, .max = 10000,
               .help = "rows read at once; it goes on until none waits"),
    CELERY_PARAMS_END,
};

/* scoring.calculate_static(batch_size=100) -> processed, failed */
static int
calculate_static(struct celery_call *call, struct error *err)
{
    const struct calculate_static_args *args = celery_call_args(call);
    struct static_score_calculator *service;
    struct cron_bridge bridge;
    struct score_counts counts = {0};
    int rc = container_get_static_score(celery_call_context(call), &service, err);

    if (rc < 0)
        return rc;
    cron_bridge_init(&bridge, call);
    log_info("static scores started: batch_size=%" PRId64, args->batch_size);
    rc = static_score_calculator_run(service, args->batch_size, &bridge.run, &counts, err);
    log_info("static scores %s: processed=%" PRId64 " failed=%" PRId64, rc < 0 ? "failed" : "done",
             counts.n_processed, counts.n_failed);
    celery_call_return_int(call, "processed", counts.n_processed);
    celery_call_return_int(call, "failed", counts.n_failed);
    return rc;
}

const struct celery_task scoring_tasks[] = {
    CELERY_TASK("scoring.calculate_static", calculate_static,
                .help = "Score the datasets whose static score is missing or out of date"),
    CELERY_TASKS_END,
};
