/* Registration is this file: a new task module is one declaration and one name. */

#include "lib/worker.h"

static const struct celery_task *const worker_include[] = {
    enrich_tasks,
    kaggle_tasks,
    NULL,
};

static const struct celery_removed_task worker_removed[] = {
    {"enrich.fetch_kaggle_seed", "kaggle.seed_initial"},
    {"enrich.fetch_kaggle_latest", "kaggle.fetch_latest"},
    {"enrich.enrich_kaggle_datasets", "kaggle.enrich_pending"},
    {NULL, NULL},
};

const struct celery_registry worker_registry = {worker_include, worker_removed};
