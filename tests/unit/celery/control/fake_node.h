#pragma once

/* A node for tests: four messages, two queues, and a list of what it was told to do. */

#include "base/buf.h"
#include "base/clock.h"
#include "celery/control/control.h"

#define FAKE_MAX_QUEUES 8

struct fake_node {
    struct control_node node;
    struct buf told; /* "revoke a b; stop; ..." */
    struct str queues[FAKE_MAX_QUEUES];
    size_t n_queues;
    char names[FAKE_MAX_QUEUES][32];
    const char *fails; /* the operation that fails, or NULL */
    const char *rate;  /* of demo.greet, or NULL */
    struct control_scale scale;
    bool has_events;
};

void fake_node_init(struct fake_node *self);
void fake_node_leave_out_events(struct fake_node *self);
void fake_node_fini(struct fake_node *self);

/* The envelope of a request; body is JSON.  Borrowed until the next call. */
struct str fake_request(struct str body, int64_t clock);

/* Handle a request with that method and arguments (JSON); the value of the reply as JSON text in
 * the arena, or STR_NULL where there is none. */
struct str fake_ask(struct fake_node *self, const char *method, const char *arguments,
                    struct arena *arena);
