#pragma once

/* Writing a task: a table of parameters, a function, a row in a module's list.
 *
 *     struct greet_args { int64_t times; struct str name; };
 *
 *     static const struct celery_param greet_params[] = {
 *         CELERY_INT(struct greet_args, times, .fallback = 1, .min = 1, .max = 100),
 *         CELERY_STR(struct greet_args, name, .fallback_text = "world"),
 *         CELERY_PARAMS_END,
 *     };
 *
 *     static int
 *     greet(struct celery_call *call, struct error *err)
 *     {
 *         const struct greet_args *args = celery_call_args(call);
 *         ...
 *         celery_call_return_int(call, "greeted", args->times);
 *         return 0;
 *     }
 *
 *     const struct celery_task greet_tasks[] = {
 *         CELERY_TASK("demo.greet", greet, .help = "Greet somebody"),
 *         CELERY_TASKS_END,
 *     };
 *
 * A task runs in one process, alone, and may block. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/attributes.h>
#include <trawl/error.h>
#include <trawl/str.h>

struct celery_call;

/* 0, or a negative code with *err filled; the result is what celery_call_return_* collected. */
typedef int (*celery_task_fn)(struct celery_call *call, struct error *err);

enum celery_param_type { CELERY_PARAM_INT, CELERY_PARAM_BOOL, CELERY_PARAM_STR, CELERY_PARAM_JSON };

/* One parameter: its name, where its value goes in the task's struct, and what is allowed. */
struct celery_param {
    const char *name;
    enum celery_param_type type;
    size_t offset;
    int64_t fallback;           /* INT and BOOL */
    const char *fallback_text;  /* STR; NULL = absent, which the caller may also say with null */
    int64_t min;                /* INT, inclusive */
    int64_t max;                /* INT, inclusive; 0 with min 0 = no bounds */
    const char *const *choices; /* STR: NULL-terminated, or NULL = any text */
    const char *help;           /* a few words, shown by --help; may be NULL */
};

#define CELERY_PARAM(param_type, args_type, field, ...)                                            \
    {                                                                                              \
        .name = #field, .type = (param_type), .offset = offsetof(args_type, field), __VA_ARGS__    \
    }
#define CELERY_INT(args_type, field, ...)                                                          \
    CELERY_PARAM(CELERY_PARAM_INT, args_type, field, __VA_ARGS__) /* an int64_t */
#define CELERY_BOOL(args_type, field, ...)                                                         \
    CELERY_PARAM(CELERY_PARAM_BOOL, args_type, field, __VA_ARGS__) /* a bool */
#define CELERY_STR(args_type, field, ...)                                                          \
    CELERY_PARAM(CELERY_PARAM_STR, args_type, field, __VA_ARGS__) /* a struct str */
/* A struct str: any value, as JSON text that keeps every digit.  Absent = null. */
#define CELERY_JSON(args_type, field, ...)                                                         \
    CELERY_PARAM(CELERY_PARAM_JSON, args_type, field, __VA_ARGS__)
/* clang-format off */
#define CELERY_PARAMS_END {.name = NULL}
/* clang-format on */

struct celery_task {
    const char *name;
    celery_task_fn run;
    const struct celery_param *params; /* ended by CELERY_PARAMS_END */
    size_t args_bytes;
    const char *help; /* one line */

    /* Limits that all workers share; NULL and 0 mean none.  A rule for the task under "limits" in
     * trawl.yaml goes before all four.  docs/limits.md has their words. */
    const char *rate;    /* "10/s" */
    const char *key;     /* "host(url)": whose limits hold, beside the task's own */
    const char *unique;  /* "queued", "running", or a time: one call with these arguments */
    int64_t max_running; /* at the same time */
};

/* A task whose function is fn, with fn_params and struct fn_args beside it. */
#define CELERY_TASK(task_name, fn, ...)                                                            \
    {                                                                                              \
        .name = (task_name), .run = (fn), .params = fn##_params,                                   \
        .args_bytes = sizeof(struct fn##_args), __VA_ARGS__                                        \
    }
/* clang-format off */
#define CELERY_TASKS_END {.name = NULL}
/* clang-format on */

/* The arguments, checked: a struct of the task's own type.  Texts live as long as the call. */
TRAWL_API const void *celery_call_args(const struct celery_call *call);

/* What the program gave to all tasks (the container of services). */
TRAWL_API void *celery_call_context(const struct celery_call *call);

/* This call's id, a UUID. */
TRAWL_API struct str celery_call_id(const struct celery_call *call);

/* Add a key to the result object.  A failure sticks and fails the call at its end. */
TRAWL_API void celery_call_return_int(struct celery_call *call, const char *key, int64_t value);
TRAWL_API void celery_call_return_str(struct celery_call *call, const char *key, struct str value);

/* value is JSON text, written as it stands. */
TRAWL_API void celery_call_return_json(struct celery_call *call, const char *key, struct str value);

/* How far the work is; total 0 = unknown.  Cheap enough to be called per item. */
TRAWL_API void celery_call_progress(struct celery_call *call, int64_t current, int64_t total);

/* How often it has been tried before: 0 in the first run. */
TRAWL_API int64_t celery_call_retries(const struct celery_call *call);

/* End this run and have the task run again in countdown_ms, with the same id and arguments:
 *
 *     return celery_call_retry(call, 30000, 5, "the index is being rebuilt", err);
 *
 * max_retries  after so many it fails, with the same reason; negative = never
 * why          for the log and the state RETRY
 *
 * What the run has sent (celery_call_send) is forgotten: the run that counts sends it.  Returns
 * -ERR_RETRY, or -ERR_IO once there have been too many.
 * A failure whose kind a retry can help (error.h: the network's, a rate limit) is tried again by
 * itself, three times, not before err->retry_after_ms. */
MUST_CHECK TRAWL_API int celery_call_retry(struct celery_call *call, int64_t countdown_ms,
                                           int64_t max_retries, const char *why, struct error *err);

/* Another task to be run, by any worker, ours or Celery's in Python. */
struct celery_subtask {
    size_t bytes;      /* sizeof(struct celery_subtask): CELERY_SUBTASK_INIT sets it */
    struct str task;   /* its name */
    struct str args;   /* JSON array; absent = none */
    struct str kwargs; /* JSON object; absent = none */
    struct str queue;  /* absent = the queue that this task came from */
    int64_t priority;  /* 0 to 9; 0 is served first */
    int64_t countdown_ms;
    int64_t expires_in_ms; /* 0 = never */
};

/* clang-format off */
#define CELERY_SUBTASK_INIT {.bytes = sizeof(struct celery_subtask)}
/* clang-format on */

#define CELERY_SUBTASKS_MAX     1000
#define CELERY_SUBTASK_ID_BYTES 37

/* Send a task.  It goes out when this one ends, whether well or not, before its message is settled:
 * a run that is killed has sent nothing, and is repeated.  Ids are made from this call's id and the
 * number of the send, so that a repetition sends the same ones.  Recorded as child, with this task
 * as parent.
 *
 * id   gets the new task's id; may be NULL
 *
 * There is no waiting for the child: a pool full of tasks that wait for tasks stands still.
 * Errors: ERR_INVALID (name, queue, priority, times), ERR_ARGS (args or kwargs are not the JSON
 * that they should be), ERR_TOO_LARGE (more than CELERY_SUBTASKS_MAX, or 4 MiB), ERR_NOMEM. */
MUST_CHECK TRAWL_API int celery_call_send(struct celery_call *call,
                                          const struct celery_subtask *subtask,
                                          char id[CELERY_SUBTASK_ID_BYTES], struct error *err);

/* Have another task do this one's work, under this one's id: who waits for the id, what is chained
 * behind it, and the chord it belongs to wait for that task.  To be returned:
 *
 *     return celery_call_replace(call, &subtask, err);
 *
 * What celery_call_return_* collected is dropped.  Errors: as celery_call_send; ERR_INVALID
 * (twice). Source: Celery, Task.replace. */
MUST_CHECK TRAWL_API int celery_call_replace(struct celery_call *call,
                                             const struct celery_subtask *subtask,
                                             struct error *err);

/* True once the call should end at its next safe point: Ctrl-C, a soft time limit, shutdown. */
TRAWL_API bool celery_call_is_cancelled(const struct celery_call *call);
