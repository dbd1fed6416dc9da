#pragma once

/* What the worker's files of events share. */

#include "base/uuid.h"
#include "celery/control/mailbox.h"
#include "celery/events/gossip.h"
#include "celery/worker_internal.h"

#define WORKER_EVENTS_BATCH_BYTES ((size_t)64 << 10) /* of task events, then they leave */
#define WORKER_EVENTS_HELD_BYTES  ((size_t)1 << 20)  /* gathered at most */

/* Asks the others what they have revoked, once, when the worker is ready. */
struct worker_mingle {
    struct mailbox *mailbox; /* NULL: not asking */
    struct loop_fd *fd;
    int watched_fd;
    bool is_ready;    /* its descriptor said so */
    bool is_done;     /* asked, or not to be asked */
    int64_t until_us; /* monotonic */
    size_t n_heard;   /* nodes that were asked, or MAILBOX_COUNT_UNKNOWN */
    size_t n_replies;
    size_t n_nodes; /* others that answered */
    char ticket[UUID_TEXT_BYTES];
};

struct worker_events {
    struct event_source source;
    char full_name[EVENT_MAX_NAME_BYTES + 32]; /* "node.pid" */
    bool is_enabled;                           /* events of tasks */
    struct mailbox *mailbox; /* NULL before the worker is ready, and between failure and next try */
    struct worker_pause pause;
    bool is_off; /* this broker has no mailbox */
    struct loop_fd *fd;
    int watched_fd;
    bool is_mailbox_ready;
    bool is_online;     /* worker-online was told; not after worker-offline */
    bool is_over;       /* worker-offline was told */
    int64_t beat_us;    /* monotonic: the next heartbeat */
    uint64_t n_started; /* since the worker began */
    struct buf tasks;   /* events of tasks, in a list without its end */
    size_t n_tasks;
    uint64_t n_dropped; /* that had no way out */
    uint64_t n_dropped_told;
    int64_t tell_us; /* monotonic: when that may be said again */
    struct gossip gossip;
    struct worker_mingle mingle;
};

/* The clock, one step on: for what leaves now. */
int64_t worker_events_tick(struct worker *self);
/* What others have told of theirs. */
void worker_events_adjust_clock(struct worker *self, int64_t clock);

/* Broadcast an event that a writer has filled; dropped and counted where it does not leave. */
void worker_events_send(struct worker *self, struct str type, const struct buf *event, size_t n);

/* worker_gossip.c: an event of a node, ours included. */
void worker_gossip_hear(struct worker *self, const struct event *event);
/* Elections that are decided by now.  Returns when it wants to be called again, monotonic. */
int64_t worker_gossip_turn(struct worker *self);

/* worker_mingle.c.  Returns when it wants to be called again, monotonic. */
int64_t worker_mingle_turn(struct worker *self);
void worker_mingle_close(struct worker *self);

/* worker_events_task.c: append the event to events->tasks. */
void worker_events_write_task(struct worker *self, const struct flight *flight,
                              const struct worker_note *note);
