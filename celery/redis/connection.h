#pragma once

/* A connection from the inside.  Private to celery/redis/: redis.c says and hears, connect.c gets
 * to a server, greeting.c is what is said first. */

#include "celery/redis/stream.h"

#define REDIS_MAX_TARGETS 32
#define REDIS_MAX_STEPS   6
#define REDIS_NAME_BYTES  128

enum redis_stage { STAGE_NEXT, STAGE_CONNECTING, STAGE_GREETING, STAGE_READY };

/* What a reply of the greeting is to. */
enum redis_step { STEP_AUTH, STEP_SELECT, STEP_NAME, STEP_ROLE, STEP_PING, STEP_MASTER };

struct redis_targets {
    struct redis_target items[REDIS_MAX_TARGETS];
    size_t n_items;
    size_t n_tried;
};

/* Replies are numbered from 1 on in the order of what asked for them; a subscriber's messages have
 * no number. */
struct redis {
    const struct redis_address *address;
    struct redis_options options; /* with the defaults filled in */
    char client_name[REDIS_NAME_BYTES];
    enum redis_stage stage;
    struct error failure; /* code ERR_NONE: none */

    struct redis_targets hosts;  /* of the URL */
    struct redis_targets master; /* where a Sentinel says that it is */
    char master_host[256];
    bool is_sentinel;         /* whom the link is to */
    int64_t open_deadline_us; /* for all targets; 0: redis_run has not been called */
    int64_t deadline_us;      /* for the one being tried */
    enum redis_step steps[REDIS_MAX_STEPS];
    size_t n_steps;
    size_t n_steps_done;
    struct stream_output hello; /* the greeting */

    struct stream stream;
    struct stream_output out; /* the caller's commands */
    struct arena arena;       /* values that are lent */
    uint64_t n_asked;
    uint64_t n_answered;
    uint64_t n_taken;
    uint64_t ping; /* the number of the last PING of our own; 0: none */
    bool is_subscriber;
    bool is_unsaid;   /* what is due has not begun to be written */
    int64_t heard_us; /* the last bytes; or when, after them, the first reply became due */
};

/* Fill hosts.  Errors: ERR_NETWORK (none known), ERR_NOMEM. */
MUST_CHECK int redis_resolve_hosts(struct redis *redis, struct error *err);

/* Fill master, from what a Sentinel answered. */
MUST_CHECK int redis_resolve_master(struct redis *redis, struct str host, struct str port,
                                    struct error *err);

/* Go on towards STAGE_READY.  Errors: as redis_run, when no target is left. */
MUST_CHECK int redis_connect_run(struct redis *redis, int64_t now_us, struct error *err);

/* Write down what is said first to whom the link is to.  Errors: ERR_NOMEM. */
MUST_CHECK int redis_greeting_start(struct redis *redis, struct error *err);

/* Judge the answer to the next step.  Errors: as redis_run. */
MUST_CHECK int redis_greeting_hear(struct redis *redis, const struct redis_value *reply,
                                   struct error *err);
