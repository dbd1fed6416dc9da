#pragma once

/* Table `runs`: one row per task run, with its result or its error; and `run_rejects`: records that
 * a run could not use, so that nothing disappears silently. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/database.h"

struct run {
    int64_t run_id;
    struct str task_id;
    struct str task_name;
    struct str arguments; /* JSON object */
    struct str state;     /* "STARTED", "SUCCESS", "FAILURE"; a dead process leaves STARTED */
    struct str result;    /* JSON object, absent until success */
    struct str error_type;
    struct str error_message;
    struct str worker_id;
    int64_t started_at_us;
    int64_t ended_at_us; /* DATABASE_NULL while it runs */
};

struct run_reject {
    struct str source;   /* "DatasetVersions.csv", "api/datasets" */
    int64_t record;      /* 1-based number in its file or page */
    int64_t byte_offset; /* DATABASE_NULL where it has none */
    struct str reason;
};

MUST_CHECK int run_repo_start(struct database *database, const struct run *run, int64_t *out_run_id,
                              struct error *err);
/* Takes state, result, error and ended_at_us from run. */
MUST_CHECK int run_repo_finish(struct database *database, const struct run *run, struct error *err);
MUST_CHECK int run_repo_add_reject(struct database *database, int64_t run_id,
                                   const struct run_reject *reject, struct error *err);
/* Newest first; task_name absent = all. */
MUST_CHECK int run_repo_list(struct database *database, struct str task_name, size_t limit,
                             struct arena *arena, const struct run **out, size_t *out_n,
                             struct error *err);
MUST_CHECK int run_repo_list_rejects(struct database *database, int64_t run_id, size_t limit,
                                     struct arena *arena, const struct run_reject **out,
                                     size_t *out_n, struct error *err);
