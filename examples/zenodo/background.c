/* zenodo.fetch_datasets, and what makes this directory a plug-in of trawl. */

#include <inttypes.h>

#include <trawl/log.h>
#include <trawl/plugin.h>

#include "zenodo.h"

#define PACE_MS 2000 /* 30 searches a minute */

struct fetch_datasets_args {
    int64_t limit;
};

static const struct celery_param fetch_datasets_params[] = {
    CELERY_INT(struct fetch_datasets_args, limit, .fallback = 100, .min = 0, .max = 10000000,
               .help = "rows at most; 0 = no limit"),
    CELERY_PARAMS_END,
};

/* zenodo.fetch_datasets(limit=100) -> ledger, source */
static int
fetch_datasets(struct celery_call *call, struct error *err)
{
    const struct fetch_datasets_args *args = celery_call_args(call);
    struct source_options options = {
        .bytes = sizeof(options), .name = STR("zenodo"), .min_interval_ms = PACE_MS};
    CLEANUP(source_closep) struct source *source = NULL;
    int rc = source_open(call, &options, &source, err);

    if (rc < 0)
        return rc;
    log_info("Zenodo fetch started: limit=%" PRId64, args->limit);
    rc = zenodo_walk_run(call, source, args->limit, err);
    source_return_ledger(source);
    return rc;
}

static const struct celery_task zenodo_tasks[] = {
    CELERY_TASK("zenodo.fetch_datasets", fetch_datasets,
                .help = "Fetch new and older datasets from Zenodo"),
    CELERY_TASKS_END,
};

static const struct celery_task *const modules[] = {zenodo_tasks, NULL};

TRAWL_PLUGIN("zenodo", "1.0", modules);
