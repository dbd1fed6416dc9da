#pragma once

/* The worker: takes messages from a broker, has a pool run them, stores results, settles messages.
 *
 * One process on one event loop that never blocks for long; tasks run in the pool's children.
 * A message is settled after its result is stored (acks late), both in batches, one per turn of
 * the loop: a worker that dies at any moment loses nothing, and what had not been settled runs
 * again elsewhere.  docs/worker.md tells what becomes of each kind of end. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "celery/pool/pool.h"
#include "celery/registry.h"

#define CELERY_WORKER_MAX_RETRIES 3

/* docs/events.md */
enum celery_worker_flags {
    CELERY_WORKER_TASK_EVENTS = 1,  /* from the start */
    CELERY_WORKER_NO_MINGLE = 2,    /* others are not asked what they have revoked */
    CELERY_WORKER_NO_GOSSIP = 4,    /* others are not listened to, no part in elections */
    CELERY_WORKER_NO_HEARTBEAT = 8, /* nothing is told but the begin and the end */
};

struct control_setting;
struct history_settings;
struct limit_rules;

/* Borrowed for the call, all of it. */
struct celery_worker_options {
    const struct celery_registry *registry;
    struct str broker_url;
    struct str backend_url;
    struct str name;          /* of the node, "trawl@host": celery/control/node_name.h */
    const struct str *queues; /* to consume from */
    size_t n_queues;
    struct str pool; /* as pool_create takes it */
    size_t n_children;
    size_t min_children; /* autoscale between these two, from n_children on; 0 = not */
    size_t max_children;
    uint64_t max_tasks_per_child;     /* 0 = no limit */
    int64_t max_memory_per_child_kib; /* peak, looked at after each task; 0 = no limit */
    int64_t soft_limit_ms;            /* of messages that carry none; 0 = none */
    int64_t hard_limit_ms;
    const struct limit_rules *limits; /* celery/limits/rules.h; NULL = none but of tasks, headers */
    const struct control_setting *settings; /* of the program, shown to remote control */
    size_t n_settings;
    const struct history_settings *history; /* celery/history/writer.h; NULL = none is kept */
    const char *const *companion; /* words for a program to run beside it: beat's; NULL = none */
    unsigned flags;               /* enum celery_worker_flags */
    int64_t grace_ms;          /* so long a warm shutdown waits for running tasks; 0 = for ever */
    struct pool_runner runner; /* its calls' payloads: celery/worker_call.h */
    void (*ready)(void *context); /* once: every child is up and the broker is open; may be NULL */
    bool (*is_stopped)(void *context); /* a signal came before the loop began; may be NULL */
    void *context;
};

/* celery_worker_run has returned, but tasks of the thread pool go on: their messages are back with
 * the broker, and the process has to leave by _exit, now. */
#define CELERY_WORKER_IS_LEFT 1

/* Work until SIGTERM or SIGINT: warm shutdown, running tasks end, the others go back.  SIGQUIT, or
 * a second signal, is a cold one: running tasks are killed and go back, too.  Returns 0 then,
 * or CELERY_WORKER_IS_LEFT.  SIGHUP opens the log file again.  Changes the handlers of these
 * signals.  Tells a service manager (NOTIFY_SOCKET, WATCHDOG_USEC) how it goes.  A broker or
 * backend that fails on the way is tried again, with pauses of up to 5 s; a damaged broker ends
 * the worker.  Errors: at the start, of the addresses (ERR_CONFIG) and of what cannot be opened and
 * no retry can help; ERR_CORRUPT, with the way out; ERR_NOMEM. */
MUST_CHECK int celery_worker_run(const struct celery_worker_options *options, struct error *err);
