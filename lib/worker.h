#pragma once

/* Every task module by name, and what became of tasks that were removed. */

#include <trawl/task.h>

#include "celery/registry.h"

extern const struct celery_task enrich_tasks[];
extern const struct celery_task kaggle_tasks[];

extern const struct celery_registry worker_registry;
