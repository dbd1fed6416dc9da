#pragma once

/* What the worker's two files of remote control share. */

#include "celery/control/control.h"
#include "celery/worker_internal.h"

/* What commands have changed about a task. */
struct task_state {
    const struct celery_task *task;
    uint64_t n_started;
    bool has_limits;
    int64_t soft_ms;
    int64_t hard_ms;
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
/* The revoked ids will be saved once more. */
void worker_control_mark_unsaved(struct worker_control *control);
