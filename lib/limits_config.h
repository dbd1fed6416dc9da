#pragma once

/* The limits of trawl.yaml, checked, as rules for workers and senders.
 *
 *     limits:
 *       tasks:
 *         crawl.fetch_page:
 *           key: host(url)        # whose limits hold, below; or the name of an argument
 *           rate: 100/m
 *           burst: 5
 *           max: 8                # at the same time
 *           unique: running       # queued, running, or a time, as 30s, 10m
 *           unique_by: arguments  # or name
 *       queues:
 *         crawl: {rate: 10/s, max: 20}
 *       keys:
 *         "*": {rate: 2/s, max: 1}
 *         api.example.org: {rate: 100/h}
 *
 * docs/limits.md says what they mean. */

#include <trawl/error.h>

#include "base/arena.h"
#include "celery/limits/rules.h"
#include "lib/core/config.h"

/* In the arena; texts point into the configuration.  Without limits there, all lists are empty.
 * Errors: ERR_CONFIG with file, line, rule, field and value; ERR_NOMEM. */
MUST_CHECK int limits_config_load(const struct config *config, struct arena *arena,
                                  struct limit_rules *out, struct error *err);
