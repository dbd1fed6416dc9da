/* The tasks `cleanup.*`: check parameters, log, bridge to one service. */

#include <inttypes.h>

#include "base/log.h"
#include "lib/core/container.h"
#include "lib/crons/bridge.h"
#include "lib/services/validation/cleanup_service.h"
#include "lib/services/validation/link_checker.h"
#include "lib/worker.h"

struct check_broken_links_args {
    int64_t batch_size;
    int64_t stale_after_hours;
};

static const struct celery_param check_broken_links_params[] = {
    CELERY_INT(struct check_broken_links_args, batch_size, .fallback = 100, .min = 1, .max = 10000,
               .help = "rows at most"),
    CELERY_INT(struct check_broken_links_args, stale_after_hours, .fallback = 48, .min = 0,
               .max = 87600, .help = "check what was last checked longer ago"),
    CELERY_PARAMS_END,
};

/* cleanup.check_broken_links(batch_size=100, stale_after_hours=48)
 *     -> checked, broken, deactivated, errors */
static int
check_broken_links(struct celery_call *call, struct error *err)
{
    const struct check_broken_links_args *args = celery_call_args(call);
    struct link_checker *service;
    struct cron_bridge bridge;
    struct link_counts counts = {0};
    int rc = container_get_link_checker(celery_call_context(call), &service, err);

    if (rc < 0)
        return rc;
    cron_bridge_init(&bridge, call);
    log_info("link check started: batch_size=%" PRId64 " stale_after_hours=%" PRId64,
             args->batch_size, args->stale_after_hours);
    rc = link_checker_run(service, args->batch_size, args->stale_after_hours, &bridge.run, &counts,
                          err);
    log_info("link check %s: checked=%" PRId64 " broken=%" PRId64 " deactivated=%" PRId64
             " errors=%" PRId64,
             rc < 0 ? "failed" : "done", counts.n_checked, counts.n_broken, counts.n_deactivated,
             counts.n_errors);
    celery_call_return_int(call, "checked", counts.n_checked);
    celery_call_return_int(call, "broken", counts.n_broken);
    celery_call_return_int(call, "deactivated", counts.n_deactivated);
    celery_call_return_int(call, "errors", counts.n_errors);
    return rc;
}

struct remove_old_cache_args {
    int64_t max_age_hours;
};

static const struct celery_param remove_old_cache_params[] = {
    CELERY_INT(struct remove_old_cache_args, max_age_hours, .fallback = 24, .min = 0, .max = 87600,
               .help = "remove what was written longer ago"),
    CELERY_PARAMS_END,
};

/* cleanup.remove_old_cache(max_age_hours=24) -> removed, removed_bytes, in_use, failed */
static int
remove_old_cache(struct celery_call *call, struct error *err)
{
    const struct remove_old_cache_args *args = celery_call_args(call);
    struct cleanup_service *service;
    struct cron_bridge bridge;
    struct cleanup_counts counts = {0};
    int rc = container_get_cleanup(celery_call_context(call), &service, err);

    if (rc < 0)
        return rc;
    cron_bridge_init(&bridge, call);
    log_info("cache cleanup started: max_age_hours=%" PRId64, args->max_age_hours);
    rc = cleanup_remove_old(service, args->max_age_hours, &bridge.run, &counts, err);
    log_info("cache cleanup %s: removed=%" PRId64 " downloads=%" PRId64 " unfinished=%" PRId64
             " removed_bytes=%" PRId64 " in_use=%" PRId64 " failed=%" PRId64,
             rc < 0 ? "failed" : "done", counts.n_downloads + counts.n_unfinished,
             counts.n_downloads, counts.n_unfinished, counts.n_bytes, counts.n_in_use,
             counts.n_failed);
    celery_call_return_int(call, "removed", counts.n_downloads + counts.n_unfinished);
    celery_call_return_int(call, "removed_bytes", counts.n_bytes);
    celery_call_return_int(call, "in_use", counts.n_in_use);
    celery_call_return_int(call, "failed", counts.n_failed);
    return rc;
}

const struct celery_task cleanup_tasks[] = {
    CELERY_TASK("cleanup.check_broken_links", check_broken_links,
                .help = "Check whether datasets can still be reached, and hide what is gone"),
    CELERY_TASK("cleanup.remove_old_cache", remove_old_cache,
                .help = "Remove old downloads from the cache"),
    CELERY_TASKS_END,
};
