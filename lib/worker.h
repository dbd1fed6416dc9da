#pragma once

/* Every task module by name, what became of tasks that were removed, and what runs when. */

#include <trawl/task.h>

#include "celery/registry.h"
#include "celery/schedule.h"

extern const struct celery_task cleanup_tasks[];
extern const struct celery_task enrich_tasks[];
extern const struct celery_task kaggle_tasks[];
extern const struct celery_task scoring_tasks[];

extern const struct celery_registry worker_registry;

/* The default schedule, ended by CELERY_SCHEDULE_END. */
extern const struct celery_schedule worker_schedule[];
