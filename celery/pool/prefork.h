#pragma once

/* The worker's half of prefork, shared by its three files:
 *
 *   prefork.c         the pool: who gets a request, how many children there are
 *   prefork_flight.c  requests under way: what children send, limits, the ends of requests
 *   prefork_spawn.c   processes: fork, death, signals */

#include "base/clock.h"
#include "celery/pool/board.h"
#include "celery/pool/frame.h"
#include "celery/pool/pool.h"

#define PREFORK_MAX_KEEP_FDS 8

/* Why the worker kills a running request. */
enum flight_end { FLIGHT_RUNS, FLIGHT_TERMINATED, FLIGHT_STOPPED, FLIGHT_TIMED_OUT };

/* A request in a child: flights[0] is the oldest, and the only one that may be running. */
struct flight {
    uint64_t id;
    uint64_t serial;
    const struct celery_task *task;
    int64_t soft_us; /* spans from the start; 0 = none */
    int64_t hard_us;
    int64_t queued_us;   /* monotonic, as all below */
    int64_t started_us;  /* 0 = not seen to start */
    int64_t kill_us;     /* SIGTERM was sent: when SIGKILL follows; 0 = was not */
    int64_t progress_us; /* when the progress is looked at again */
    uint64_t progress_seen;
    bool is_soft_sent;
    enum flight_end end;
};

enum child_phase { CHILD_STARTING, CHILD_READY, CHILD_LEAVING };

struct prefork_child {
    struct prefork *pool;
    pid_t pid;
    int pidfd;
    int fd;
    struct loop_fd *death;
    struct loop_fd *io;
    struct board *board;
    enum child_phase phase;
    int64_t born_us;
    int64_t leave_by_us; /* LEAVING and idle: killed then; 0 = still busy */
    uint64_t n_done;
    uint64_t next_serial;
    int64_t peak_rss_kib;
    bool is_alive;  /* not waited for yet: its number is its own */
    bool is_killed; /* by us: death needs no other reason */
    bool is_dead;   /* all that it will ever send is in the socket */
    bool is_deaf;   /* nothing more is read from it */
    bool has_told;  /* why it cannot start */
    bool is_waiting_to_write;
    struct frame_reader in;
    struct buf out;
    size_t n_sent; /* of out */
    size_t n_flights;
    struct flight flights[1 + POOL_MAX_PREFETCH];
};

enum prefork_phase { PREFORK_NEW, PREFORK_RUNNING, PREFORK_ENDING, PREFORK_STOPPED };

struct prefork {
    struct pool base;
    struct pool_options options;
    int keep_fds[PREFORK_MAX_KEEP_FDS];
    enum prefork_phase phase;
    size_t n_wanted;
    size_t n_children;
    struct prefork_child
        *children[2 * POOL_MAX_CHILDREN]; /* leaving ones beside their successors */
    struct loop_timer *timer;
    int64_t timer_due_us; /* INT64_MAX = at rest */
    struct loop_hook *hook;
    bool has_output;
    unsigned n_start_failures; /* in a row */
    int64_t respawn_us;        /* not before */
    int64_t oom_kills;         /* proc_oom_kills when last looked */
    int64_t oom_score;         /* ours before pool_start lowered it */
    bool has_oom_score;
};

/* prefork.c */
void prefork_wake_at(struct prefork *self, int64_t due_us);
void prefork_refill(struct prefork *self);
void prefork_retire(struct prefork_child *child);
void prefork_note_end(struct prefork *self); /* emits stopped once nothing is left */
void prefork_trouble(struct prefork *self, const struct error *err);
void prefork_flush(struct prefork_child *child);
size_t prefork_n_idle(const struct prefork *self);

/* prefork_flight.c */
void prefork_receive(struct prefork_child *child);
/* Give back what has not started.  At most n_most requests; returns how many. */
size_t prefork_return_queued(struct prefork_child *child, size_t n_most);
/* False: there is none of that id. */
bool prefork_terminate_flight(struct prefork *self, uint64_t id, int64_t grace_ms);
/* Look at a child's clock; returns when to look again. */
int64_t prefork_watch_child(struct prefork_child *child, int64_t now_us);

/* How a process ended. */
struct prefork_death {
    int status; /* of wait */
    int64_t peak_rss_kib;
    enum pool_oom oom;
};

/* Every request that is left in a dead child comes to its end. */
void prefork_bury_flights(struct prefork_child *child, const struct prefork_death *death);

/* prefork_spawn.c */
MUST_CHECK int prefork_spawn(struct prefork *self, struct error *err);
void prefork_kill(struct prefork_child *child, int signal_number); /* SIGKILL: its group too */
/* Kill, wait, release: no events. */
void prefork_destroy_child(struct prefork_child *child);
