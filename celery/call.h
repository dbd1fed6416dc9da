#pragma once

/* One run of a task in this process: arguments bound, function called, result collected. */

#include <trawl/error.h>
#include <trawl/str.h>
#include <trawl/task.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/json_writer.h"

/* Result objects are small: counts, not rows. */
#define CELERY_RESULT_BYTES ((size_t)1 << 20)

/* What one run may send: celery_call_send. */
#define CELERY_SENDS_BYTES ((size_t)4 << 20)

/* Who listens to a call; every function may be NULL. */
struct celery_call_hooks {
    void (*progress)(void *context, int64_t current, int64_t total);
    bool (*is_cancelled)(void *context);
    void *context;
};

struct celery_call_spec {
    const struct celery_task *task;
    struct str id;
    const struct json *args;   /* array, or NULL */
    const struct json *kwargs; /* object, or NULL */
    void *context;             /* given to the task */
    struct celery_call_hooks hooks;
    int64_t retries;
    struct buf *sends; /* gets send_record.h's text of what the task sends; NULL: it cannot */
};

/* A call in the task's own process. */
struct celery_call {
    const struct celery_call_spec *spec;
    const void *args;
    struct json_writer result;
    bool has_result;
    bool is_replaced;
    size_t n_sends;
    size_t sends_before_replace; /* bytes of spec->sends */
};

/* Bind, run, collect.  *result gets the result object as JSON text (a task that returned nothing
 * gives null).  Errors: ERR_ARGS and ERR_INVALID before the task ran; else the task's own. */
MUST_CHECK int celery_call_run(const struct celery_call_spec *spec, struct arena *arena,
                               struct buf *result, struct error *err);
