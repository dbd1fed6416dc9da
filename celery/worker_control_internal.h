#pragma once

/* What the worker's files of remote control share. */

#include "celery/control/control.h"
#include "celery/control/rate.h"
#include "celery/worker_internal.h"

/* What commands have changed about a task. */
struct task_state {
    const struct celery_task *task;
    uint64_t n_started;
    bool has_limits;
    int64_t soft_ms;
    int64_t hard_ms;
    struct control_rate rate;
    char rate_text[CONTROL_RATE_BYTES];
};

/* Between how many processes the pool moves, by what there is to do. */
struct worker_scale {
    int64_t max; /* 0 = it does not */
    int64_t min;
    int64_t needed_us; /* monotonic, when all of them were last needed */
};

struct worker_control {
    struct control_node node;
    struct mailbox *mailbox; /* NULL between a failure and the next try */
    struct worker_pause pause;
    bool is_off; /* this broker has no mailbox */
    struct loop_fd *mailbox_fd;
    int watched_fd;
    bool is_mailbox_ready; /* its descriptor said so */
    int64_t born_us;       /* monotonic */
    bool is_unsaved;       /* the broker has not heard of all revoked ids */
    int64_t save_at_us;
    struct revoked unstored; /* ids whose state may have to become REVOKED */
    int64_t store_at_us;
    size_t n_rates; /* tasks that have a rate limit */
    struct worker_scale scale;
    struct task_state *tasks;
    size_t n_tasks;
    char (*queues)[BROKER_MAX_QUEUE_BYTES + 1]; /* [BROKER_MAX_QUEUES] */
    size_t n_queues;
};

/* worker_node.c: what commands ask and do. */
extern const struct control_node_ops worker_node_ops;

/* The state of a task; NULL for one that is not the registry's. */
struct task_state *worker_control_find_state(const struct worker_control *control,
                                             const struct celery_task *task);
/* The place of a queue, or n_queues. */
size_t worker_control_find_queue(const struct worker_control *control, struct str name);
/* Errors: ERR_INVALID. */
MUST_CHECK int worker_control_add_queue(struct worker_control *control, struct str name,
                                        struct error *err);
/* worker_revoke.c: of control_node_ops. */
int worker_revoke_ids(void *context, const struct str *ids, size_t n_ids, struct error *err);
int worker_revoke_learned(void *context, const struct str *ids, size_t n_ids, struct error *err);
int worker_revoke_stamps(void *context, const struct str *stamps, size_t n_stamps,
                         struct error *err);
/* Those that the broker knows, from before this worker. */
void worker_revoke_load_stamps(struct worker *self);
bool worker_revoke_running(void *context, struct str id, int signal_number);
/* Tell broker and backend what they have not heard.  Returns when it wants to be called again,
 * monotonic; as all turns. */
int64_t worker_revoke_turn(struct worker *self);

/* worker_rate.c */
void worker_rate_set(void *context, const struct celery_task *task, double per_s, struct str text);
struct str worker_rate_get(void *context, const struct celery_task *task);
/* Let go what has its token by now. */
int64_t worker_rate_turn(struct worker *self);

/* worker_autoscale.c */
void worker_autoscale_get(void *context, struct control_scale *out);
int worker_autoscale_set(void *context, int64_t max, int64_t min, struct error *err);
int64_t worker_autoscale_turn(struct worker *self);
/* How many processes there should be; the moment of *scale moves along.  Pure. */
int64_t worker_scale_choose(struct worker_scale *scale, int64_t n_children, int64_t n_tasks,
                            int64_t now_us);
