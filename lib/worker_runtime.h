#pragma once

/* What a child of the worker does: tasks in a container of its own, by the same path as `trawl run`
 * (task_runner.h).  The id of the message is the id of the run. */

#include "celery/pool/pool.h"
#include "lib/core/config.h"

/* What the children share; outlives the pool. */
struct worker_runtime {
    const struct config *config;
    size_t n_children; /* that compute side by side: each has its share of the cores */
};

/* For a pool.  A child opens its container at its start, the container's parts
 * when a task first asks for them.  For every pool: a thread's container is its own, with its own
 * database, HTTP client and encoder; only the weights are mapped once for all. */
struct pool_runner worker_runtime_runner(const struct worker_runtime *runtime);
