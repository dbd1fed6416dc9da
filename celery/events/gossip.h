#pragma once

/* What a node knows of the others from their events: who lives, and who was elected.
 *
 * An election: all nodes are told to hold it (control command `election`); each broadcasts
 * worker-elect with its clock, and worker-elect-ack for every worker-elect that it hears, its own
 * included.  The lowest (clock, "node.pid") wins, and runs the action.  Nobody says so: every node
 * works it out by itself from what it has heard.
 *
 * Celery's workers decide as soon as there are as many acks as other live nodes, and one that has
 * heard of a single candidate by then dies of it.  So our own candidature is told at once, while
 * acks are held until every live node has told its own, GOSSIP_ACK_US at most; and the decision
 * waits for all of them as well, GOSSIP_ELECTION_US at most.
 *
 * No I/O, no clock of its own: times are monotonic and come from the caller.  Not thread-safe.
 * Source: celery/worker/consumer/gossip.py of 5.2 and 5.7; docs/events.md. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "celery/events/event.h"

#define GOSSIP_MAX_NODES     ((size_t)4096)
#define GOSSIP_MAX_ELECTIONS ((size_t)16) /* at a time */
#define GOSSIP_MAX_ACTION    ((size_t)256 << 10)
#define GOSSIP_FREQ_US       (2 * US_PER_S) /* between two heartbeats, where it is not told */
#define GOSSIP_ELECTION_US   US_PER_S
#define GOSSIP_ACK_US        (300 * US_PER_MS)
#define GOSSIP_FORGET_US     (10 * US_PER_S) /* an election that was not decided by then */

struct gossip_node;
struct gossip_election;

struct gossip {
    struct str full_name; /* "node.pid", ours; borrowed */
    struct gossip_node *nodes;
    size_t n_nodes;
    struct gossip_election *elections;
    size_t n_elections;
};

/* Takes no memory yet; full_name is borrowed for its life. */
void gossip_init(struct gossip *self, struct str full_name);
void gossip_fini(struct gossip *self); /* safe twice */

/* A node of which something was heard.  False: it was not known to live before.  Without memory,
 * or with GOSSIP_MAX_NODES, it is not remembered. */
bool gossip_note_node(struct gossip *self, struct str name, int64_t freq_us, int64_t mono_us);
/* It has said that it ends. */
void gossip_drop_node(struct gossip *self, struct str name);
/* Other nodes whose last word is not older than twice their frequency. */
size_t gossip_count_alive(const struct gossip *self, int64_t mono_us);

/* We hold it.  Errors: ERR_INVALID (no id, too long), ERR_BUSY (too many at a time), ERR_NOMEM. */
MUST_CHECK int gossip_begin_election(struct gossip *self, struct str id, int64_t mono_us,
                                     struct error *err);
/* A candidate; a second word of the same one counts nothing.
 * Errors: ERR_INVALID, ERR_TOO_LARGE, ERR_BUSY, ERR_NOMEM. */
MUST_CHECK int gossip_add_candidate(struct gossip *self, const struct event *event, int64_t mono_us,
                                    struct error *err);
void gossip_count_ack(struct gossip *self, struct str id);

/* How many acks of the election *id (borrowed until the next call) are to be sent now; they are
 * counted as sent and as heard.  0: none of any. */
size_t gossip_take_acks(struct gossip *self, int64_t mono_us, struct str *id);

/* Who won; texts are borrowed until the next call. */
struct gossip_result {
    struct str id;
    struct str leader; /* "node.pid" */
    bool is_ours;
    struct str topic;
    struct str action; /* JSON text */
};

/* The next election that is decided by now; it is forgotten.  False: none. */
bool gossip_next_result(struct gossip *self, int64_t mono_us, struct gossip_result *out);
/* When these two are to be asked again, monotonic; INT64_MAX = nothing is under way. */
int64_t gossip_due_us(const struct gossip *self);
