/* The tasks `enrich.*`: check parameters, log, bridge to one service. */

#include <inttypes.h>

#include "base/log.h"
#include "lib/core/container.h"
#include "lib/crons/bridge.h"
#include "lib/services/enrichment/hf_parser/hf_fetch_service.h"
#include "lib/services/ml/embedding_processor.h"
#include "lib/worker.h"

struct fetch_hf_datasets_args {
    int64_t limit;
    int64_t days_back;
};

static const struct celery_param fetch_hf_datasets_params[] = {
    CELERY_INT(struct fetch_hf_datasets_args, limit, .fallback = 1000, .min = 0, .max = 10000000,
               .help = "rows at most; 0 = no limit"),
    CELERY_INT(struct fetch_hf_datasets_args, days_back, .fallback = 1, .min = 0, .max = 36500,
               .help = "changed in the last days; 0 = everything"),
    CELERY_PARAMS_END,
};

/* enrich.fetch_hf_datasets(limit=1000, days_back=1) -> ledger, source */
static int
fetch_hf_datasets(struct celery_call *call, struct error *err)
{
    const struct fetch_hf_datasets_args *args = celery_call_args(call);
    struct hf_fetch_service *service;
    struct cron_bridge bridge;
    struct ledger ledger = {0};
    char text[256];
    int rc = container_get_hf_fetch(celery_call_context(call), &service, err);

    if (rc < 0)
        return rc;
    cron_bridge_init(&bridge, call);
    log_info("Hugging Face fetch started: limit=%" PRId64 " days_back=%" PRId64, args->limit,
             args->days_back);
    rc = hf_fetch_run(service, args->limit, args->days_back, &bridge.run, &ledger, err);
    log_info("Hugging Face fetch %s: %s", rc < 0 ? "failed" : "done",
             cron_format_ledger(&ledger, text));
    cron_return_ledger(call, &ledger, "huggingface", false);
    return rc;
}

struct generate_embeddings_args {
    int64_t batch_size;
    bool drain;
};

static const struct celery_param generate_embeddings_params[] = {
    CELERY_INT(struct generate_embeddings_args, batch_size, .fallback = 100, .min = 1, .max = 10000,
               .help = "rows per batch"),
    CELERY_BOOL(struct generate_embeddings_args, drain, .fallback = false,
                .help = "go on until no row is left"),
    CELERY_PARAMS_END,
};

/* enrich.generate_embeddings(batch_size=100, drain=false) -> processed, failed, remaining */
static int
generate_embeddings(struct celery_call *call, struct error *err)
{
    const struct generate_embeddings_args *args = celery_call_args(call);
    struct embedding_processor *service;
    struct cron_bridge bridge;
    struct embedding_counts counts = {0};
    int rc = container_get_embedding_processor(celery_call_context(call), &service, err);

    if (rc < 0)
        return rc;
    cron_bridge_init(&bridge, call);
    log_info("embedding started: batch_size=%" PRId64 " drain=%s", args->batch_size,
             args->drain ? "true" : "false");
    rc = embedding_processor_run(service, args->batch_size, args->drain, &bridge.run, &counts, err);
    log_info("embedding %s: processed=%" PRId64 " failed=%" PRId64 " remaining=%" PRId64,
             rc < 0 ? "failed" : "done", counts.n_processed, counts.n_failed, counts.n_remaining);
    celery_call_return_int(call, "processed", counts.n_processed);
    celery_call_return_int(call, "failed", counts.n_failed);
    celery_call_return_int(call, "remaining", counts.n_remaining);
    return rc;
}

const struct celery_task enrich_tasks[] = {
    CELERY_TASK("enrich.fetch_hf_datasets", fetch_hf_datasets,
                .help = "Fetch new and changed datasets from the Hugging Face Hub"),
    CELERY_TASK("enrich.generate_embeddings", generate_embeddings,
                .help = "Embed the datasets whose vector is missing or stale"),
    CELERY_TASKS_END,
};
