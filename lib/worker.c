/* Registration is this file: a new task module is one declaration and one name, a new time is one
 * row. */

#include "lib/worker.h"

#define MINUTE_S INT64_C(60)
#define HOUR_S   (60 * MINUTE_S)
#define DAY_S    (24 * HOUR_S)

static const struct celery_task *const worker_include[] = {
    cleanup_tasks,
    enrich_tasks,
    kaggle_tasks,
    scoring_tasks,
    NULL,
};

static const struct celery_removed_task worker_removed[] = {
    {"enrich.fetch_kaggle_seed", "kaggle.seed_initial"},
    {"enrich.fetch_kaggle_latest", "kaggle.fetch_latest"},
    {"enrich.enrich_kaggle_datasets", "kaggle.enrich_pending"},
    {NULL, NULL},
};

const struct celery_registry worker_registry = {worker_include, worker_removed};

const struct celery_schedule worker_schedule[] = {
    {"fetch-hf-datasets-daily", "enrich.fetch_hf_datasets", DAY_S, .kwargs = "{\"limit\": 1000}"},
    {"generate-embeddings-every-30min", "enrich.generate_embeddings", 30 * MINUTE_S,
     .kwargs = "{\"batch_size\": 100}"},
    {"enrich-kaggle-pending-hourly", "kaggle.enrich_pending", HOUR_S,
     .kwargs = "{\"batch_size\": 50}"},
    {"fetch-kaggle-latest-daily", "kaggle.fetch_latest", DAY_S, .kwargs = "{\"limit\": 100}"},
    {"check-broken-links-hourly", "cleanup.check_broken_links", HOUR_S,
     .kwargs = "{\"batch_size\": 100}"},
    {"remove-old-cache-daily", "cleanup.remove_old_cache", DAY_S,
     .kwargs = "{\"max_age_hours\": 24}"},
    {"calculate-static-scores-daily", "scoring.calculate_static", DAY_S,
     .kwargs = "{\"batch_size\": 100}"},
    CELERY_SCHEDULE_END,
};
