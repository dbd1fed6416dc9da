/* The tasks `kaggle.*`: a cron that lives beside its source, under the same law. */

#include <inttypes.h>

#include "base/log.h"
#include "lib/core/container.h"
#include "lib/crons/bridge.h"
#include "lib/services/enrichment/kaggle_parser/enrich_service.h"
#include "lib/services/enrichment/kaggle_parser/latest_service.h"
#include "lib/services/enrichment/kaggle_parser/seed_service.h"
#include "lib/worker.h"

struct seed_initial_args {
    int64_t batch_size;
    bool force_redownload;
    struct str path;
};

static const struct celery_param seed_initial_params[] = {
    CELERY_INT(struct seed_initial_args, batch_size, .fallback = 1000, .min = 1, .max = 100000,
               .help = "rows per transaction"),
    CELERY_BOOL(struct seed_initial_args, force_redownload, .fallback = false,
                .help = "download again even if nothing changed"),
    CELERY_STR(struct seed_initial_args, path,
               .help = "a directory or zip with Meta Kaggle's CSV files, instead of a download"),
    CELERY_PARAMS_END,
};

/* kaggle.seed_initial(batch_size=1000, force_redownload=false, path=null) -> ledger, source */
static int
seed_initial(struct celery_call *call, struct error *err)
{
    const struct seed_initial_args *args = celery_call_args(call);
    struct kaggle_seed_service *service;
    struct cron_bridge bridge;
    struct ledger ledger = {0};
    char text[256];
    int rc = container_get_kaggle_seed(celery_call_context(call), &service, err);

    if (rc < 0)
        return rc;
    cron_bridge_init(&bridge, call);
    log_info("Meta Kaggle seed started: batch_size=%" PRId64 " force_redownload=%s path=%.*s",
             args->batch_size, args->force_redownload ? "true" : "false", STR_ARG(args->path));
    rc = kaggle_seed_run(service, args->batch_size, args->force_redownload, args->path, &bridge.run,
                         &ledger, err);
    log_info("Meta Kaggle seed %s: %s", rc < 0 ? "failed" : "done",
             cron_format_ledger(&ledger, text));
    cron_return_ledger(call, &ledger, "kaggle_meta_csv", true);
    return rc;
}

struct enrich_pending_args {
    int64_t batch_size;
};

static const struct celery_param enrich_pending_params[] = {
    CELERY_INT(struct enrich_pending_args, batch_size, .fallback = 50, .min = 1, .max = 10000,
               .help = "rows to ask for, one request each"),
    CELERY_PARAMS_END,
};

/* kaggle.enrich_pending(batch_size=50) -> enriched, failed, rate_limited, source */
static int
enrich_pending(struct celery_call *call, struct error *err)
{
    const struct enrich_pending_args *args = celery_call_args(call);
    struct kaggle_enrich_service *service;
    struct cron_bridge bridge;
    struct kaggle_enrich_counts counts = {0};
    int rc = container_get_kaggle_enrich(celery_call_context(call), &service, err);

    if (rc < 0)
        return rc;
    cron_bridge_init(&bridge, call);
    log_info("Kaggle enrichment started: batch_size=%" PRId64, args->batch_size);
    rc = kaggle_enrich_run(service, args->batch_size, &bridge.run, &counts, err);
    log_info("Kaggle enrichment %s: enriched=%" PRId64 " failed=%" PRId64 " rate_limited=%" PRId64,
             rc < 0 ? "failed" : "done", counts.n_enriched, counts.n_failed, counts.n_rate_limited);
    celery_call_return_int(call, "enriched", counts.n_enriched);
    celery_call_return_int(call, "failed", counts.n_failed);
    celery_call_return_int(call, "rate_limited", counts.n_rate_limited);
    celery_call_return_str(call, "source", STR("kaggle"));
    return rc;
}

struct fetch_latest_args {
    int64_t limit;
    struct str sort_by;
};

static const char *const sort_choices[] = {"hottest", "votes",     "updated",
                                           "active",  "published", NULL};

static const struct celery_param fetch_latest_params[] = {
    CELERY_INT(struct fetch_latest_args, limit, .fallback = 100, .min = 1, .max = 10000,
               .help = "rows at most; Kaggle lists no more than 10,000"),
    CELERY_STR(struct fetch_latest_args, sort_by, .fallback_text = "updated",
               .choices = sort_choices, .help = "hottest, votes, updated, active or published"),
    CELERY_PARAMS_END,
};

/* kaggle.fetch_latest(limit=100, sort_by="updated") -> ledger, source */
static int
fetch_latest(struct celery_call *call, struct error *err)
{
    const struct fetch_latest_args *args = celery_call_args(call);
    struct kaggle_latest_service *service;
    struct cron_bridge bridge;
    struct ledger ledger = {0};
    char text[256];
    int rc = container_get_kaggle_latest(celery_call_context(call), &service, err);

    if (rc < 0)
        return rc;
    cron_bridge_init(&bridge, call);
    log_info("Kaggle fetch started: limit=%" PRId64 " sort_by=%.*s", args->limit,
             STR_ARG(args->sort_by));
    rc = kaggle_fetch_latest_run(service, args->limit, args->sort_by, &bridge.run, &ledger, err);
    log_info("Kaggle fetch %s: %s", rc < 0 ? "failed" : "done", cron_format_ledger(&ledger, text));
    cron_return_ledger(call, &ledger, "kaggle_api", true);
    return rc;
}

const struct celery_task kaggle_tasks[] = {
    CELERY_TASK("kaggle.seed_initial", seed_initial,
                .help = "Seed the catalogue from the Meta Kaggle dump"),
    CELERY_TASK("kaggle.enrich_pending", enrich_pending,
                .help = "Fetch the text of Kaggle datasets that are still minimal"),
    CELERY_TASK("kaggle.fetch_latest", fetch_latest,
                .help = "Fetch the newest Kaggle datasets from the API"),
    CELERY_TASKS_END,
};
