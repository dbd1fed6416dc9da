#pragma once

/* A node as its control commands see it: what it holds, what it can be told to do.  The worker is
 * one (celery/worker_node.c); tests bring their own. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <trawl/error.h>
#include <trawl/str.h>
#include <trawl/task.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "celery/control/revoked.h"
#include "celery/registry.h"

#define CONTROL_MAX_CHILDREN ((size_t)1024)
#define CONTROL_MAX_IDS      ((size_t)10000) /* in one request */
#define CONTROL_MAX_ID_BYTES ((size_t)255)
#define CONTROL_MAX_SAMPLES  ((size_t)128)
#define CONTROL_REVOKED_US   (30 * US_PER_DAY) /* that the broker remembers a revoked id */

enum control_stage {
    CONTROL_RESERVED, /* received, waits for its turn */
    CONTROL_ACTIVE,   /* runs */
    CONTROL_READY,    /* has ended, its message is being settled */
    CONTROL_LIMITED,  /* received, waits until its rate limit lets it go; Celery lists it nowhere */
    CONTROL_SCHEDULED /* waits for its eta; not among those that the node holds */
};

/* One message; texts are borrowed until the next call. */
struct control_task {
    enum control_stage stage;
    struct str id;
    struct str type; /* the task's name */
    struct str name; /* for display: the sender's, or the task's */
    struct str args; /* JSON array; absent = none */
    struct str kwargs;
    struct str argsrepr; /* for display; absent = made from args */
    struct str kwargsrepr;
    struct str exchange;
    struct str routing_key;
    struct str stamps; /* JSON object; absent = none */
    int64_t priority;
    bool is_redelivered;
    int64_t started_at_us; /* UTC; TIME_UNKNOWN = not started */
    int64_t eta_us;        /* UTC; TIME_UNKNOWN = none */
    pid_t pid;             /* 0 = none has it */
};

struct control_stats {
    int64_t uptime_s;
    int64_t prefetch_count;
    struct str pool; /* "prefork" */
    int64_t n_children;
    pid_t pids[CONTROL_MAX_CHILDREN];
    uint64_t n_done[CONTROL_MAX_CHILDREN]; /* by each of them */
    size_t n_pids;
    uint64_t max_tasks_per_child; /* 0 = no limit */
    int64_t soft_limit_ms;        /* 0 = none */
    int64_t hard_limit_ms;
};

/* How many processes an autoscaled pool may have. */
struct control_scale {
    int64_t max; /* 0 = it is not autoscaled */
    int64_t min;
    int64_t n_children; /* now */
    int64_t n_tasks;    /* received and not ended, of those that may run */
};

/* One setting, for `conf`. */
struct control_setting {
    struct str name;
    struct str value;
    bool is_secret; /* its value is not shown */
};

/* Each does what the command of the like name wants.  Texts are borrowed for the call. */
struct control_node_ops {
    /* All messages that it holds, in the order of their arrival: *position starts as NULL.  False
     * at the end. */
    bool (*next_task)(void *context, const void **position, struct control_task *out);
    /* Those that wait for their eta, in the arena; not all of them where they are many. */
    int (*list_scheduled)(void *context, struct arena *arena, const struct control_task **out,
                          size_t *n_out, struct error *err);
    void (*get_stats)(void *context, struct control_stats *out);
    uint64_t (*count_started)(void *context, const struct celery_task *task);
    /* By its place; STR_NULL behind the last. */
    struct str (*get_queue)(void *context, size_t idx);
    int (*add_queue)(void *context, struct str name, struct error *err);
    int (*cancel_queue)(void *context, struct str name, struct error *err);
    /* ERR_INVALID, ERR_UNSUPPORTED (this pool cannot). */
    int (*resize_pool)(void *context, int64_t n_more, struct error *err);
    /* Of messages that carry none; 0 = none. */
    int (*set_limits)(void *context, const struct celery_task *task, int64_t soft_ms,
                      int64_t hard_ms, struct error *err);
    /* text is that of per_s, for get_rate; 0 = no limit. */
    void (*set_rate)(void *context, const struct celery_task *task, double per_s, struct str text);
    struct str (*get_rate)(void *context, const struct celery_task *task); /* STR_NULL = none */
    void (*get_scale)(void *context, struct control_scale *out);
    /* -1: that one stays.  Errors: ERR_INVALID, ERR_UNSUPPORTED (not autoscaled). */
    int (*set_scale)(void *context, int64_t max, int64_t min, struct error *err);
    /* Each process is replaced after its task.  ERR_UNSUPPORTED (this pool cannot). */
    int (*restart_pool)(void *context, struct error *err);
    /* For good: ends what waits, and what comes later is not run; each is REVOKED at once. */
    int (*revoke)(void *context, const struct str *ids, size_t n_ids, struct error *err);
    /* The same for ids that another node was told of, maybe long ago: their states stay. */
    int (*learn_revoked)(void *context, const struct str *ids, size_t n_ids, struct error *err);
    /* The same for all that carry one of these stamps, as control/stamps.h writes them. */
    int (*revoke_stamps)(void *context, const struct str *stamps, size_t n_stamps,
                         struct error *err);
    /* End what runs: SIGKILL at once, any other signal by asking, then killing.  False: the node
     * has no such task. */
    bool (*terminate)(void *context, struct str id, int signal_number);
    void (*stop)(void *context); /* warm shutdown */
    /* Events; the three are NULL where the node has none.  enable_events: false, it was so. */
    bool (*enable_events)(void *context, bool is_enabled);
    void (*send_heartbeat)(void *context);
    /* action: JSON text. */
    int (*elect)(void *context, struct str id, struct str topic, struct str action,
                 struct error *err);
};

/* The memory that `memsample` saw, oldest first, until `memdump` tells it. */
struct control_memory {
    double mib[CONTROL_MAX_SAMPLES];
    size_t n_samples; /* the oldest give way */
};

struct control_node {
    struct str name;
    const struct celery_registry *registry;
    struct str broker_url;
    struct str backend_url;
    const struct control_setting *settings; /* of the program, beside Celery's own */
    size_t n_settings;
    struct revoked revoked;
    struct revoked revoked_stamps; /* as control/stamps.h writes them */
    struct control_memory memory;
    int64_t clock;        /* Lamport */
    uint64_t n_malformed; /* requests that could not be read */
    const struct control_node_ops *ops;
    void *context;
};

/* What another node tells in `hello`: ids as the names of an object, from Celery 5.7 on as a list.
 * Those that are new here are revoked here as well; of very many, the first CONTROL_MAX_IDS.
 * Errors: ERR_NOMEM, those of the node's function. */
MUST_CHECK int control_learn_revoked(struct control_node *node, const struct json *revoked,
                                     struct arena *arena, struct error *err);
