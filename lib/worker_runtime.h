#pragma once

/* What a child of the worker does: tasks in a container of its own, by the same path as `trawl run`
 * (task_runner.h).  The id of the message is the id of the run. */

#include "celery/pool/pool.h"
#include "lib/core/config.h"

/* For a pool; config outlives it.  A child opens its container at its start, the container's parts
 * when a task first asks for them.  Prefork and solo: the log's context is the process's, so two
 * threads cannot run tasks side by side. */
struct pool_runner worker_runtime_runner(const struct config *config);
