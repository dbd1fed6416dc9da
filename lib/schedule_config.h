#pragma once

/* The schedule: the default one (lib/worker.c) with what trawl.yaml says about it.
 *
 *     timezone: Europe/Berlin
 *     beat_schedule:
 *       fetch-hf-datasets-daily:            # a default entry: what is given changes
 *         schedule: 6h
 *       fetch-kaggle-latest-daily:
 *         enabled: false                    # and this one is dropped
 *       embed-at-night:                     # one of one's own: needs task and schedule
 *         task: enrich.generate_embeddings
 *         schedule: "0 2 * * *"
 *         kwargs: {batch_size: 500}
 *         options: {queue: slow, priority: 9, expires: 4h}
 *
 * Names, arguments and times are checked here, with file, line, entry, field and value in what is
 * said.  docs/schedules.md has all fields. */

#include <trawl/error.h>

#include "base/arena.h"
#include "celery/registry.h"
#include "celery/schedule.h"
#include "lib/core/config.h"

/* In the arena; texts may point into the configuration and the defaults. */
struct schedule_table {
    const struct celery_schedule *rows; /* ended by CELERY_SCHEDULE_END; without disabled ones */
    const char *const *origins;         /* of each row: "default", "trawl.yaml:12" */
    size_t n_rows;
    struct celery_schedule_options options;
};

/* defaults  ended by CELERY_SCHEDULE_END
 *
 * Errors: ERR_CONFIG; ERR_NOMEM. */
MUST_CHECK int schedule_config_load(const struct config *config,
                                    const struct celery_schedule *defaults,
                                    const struct celery_registry *registry, struct arena *arena,
                                    struct schedule_table *out, struct error *err);
