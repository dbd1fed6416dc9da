#pragma once

/* Asking nodes: one request to all of them, or to some, and their replies.
 *
 * Python's workers are asked and answer like ours.  A node that is busy answers all the same; one
 * that is stopped or gone does not, and nobody can tell which of the two.
 *
 * Threads and processes: a client belongs to one thread of one process. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/json.h"

#define CONTROL_TIMEOUT_US    (1000000) /* Celery's own */
#define CONTROL_MAX_REPLIES   ((size_t)10000)
#define CONTROL_REPLIES_BYTES ((size_t)512 << 20)

/* What is asked; texts are borrowed for the call. */
struct control_question {
    struct str method;
    struct str arguments;         /* a JSON object; absent = none */
    const struct str *recipients; /* exact node names; none = all */
    size_t n_recipients;
    int64_t timeout_us; /* after the last reply; 0 = CONTROL_TIMEOUT_US */
    bool has_reply;     /* false: nobody answers, nobody is waited for */
};

struct control_node_reply {
    struct str node;
    struct json value;
};

struct control_replies {
    const struct control_node_reply *items; /* by node name */
    size_t n_items;
    size_t n_heard; /* nodes that were listening, or MAILBOX_COUNT_UNKNOWN */
};

/* Ask, and gather replies: until as many have come as nodes were named or were listening, or none
 * came for timeout_us.  No reply at all is no error here.
 *
 * broker_url  the broker whose nodes are asked; one that nobody ever made has none
 * arena       replies live there
 * is_cancelled  asked four times a second; may be NULL
 *
 * A broker that is away or paused is an error within two seconds.
 * Errors: ERR_UNSUPPORTED, ERR_CONFIG, ERR_NETWORK, ERR_TIMEOUT, ERR_AUTH, ERR_BUSY, ERR_IO,
 * ERR_CANCELLED, ERR_TOO_LARGE, ERR_NOMEM. */
MUST_CHECK int control_ask(struct str broker_url, const struct control_question *question,
                           bool (*is_cancelled)(void *context), struct arena *arena,
                           struct control_replies *out, struct error *err);
