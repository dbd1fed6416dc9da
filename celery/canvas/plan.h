#pragma once

/* What a worker has to send when a signature is applied: messages, sizes of chords, and the list of
 * children for the sender's own document.
 *
 *     plan = {.arena, .parent_id, .root_id, .seed, ...};
 *     canvas_apply(&plan, node, &(struct canvas_extra){.prefix = result}, err);
 *     plan.messages, plan.begins, plan.children
 *
 * Ids that a signature does not bring are made from the seed and their place in the plan: the same
 * signature applied again, after a crash, gives the same ids.  Pure, any thread.
 *
 * Source: Celery's user guide, "Canvas"; docs/canvas.md has the rules and where they are from. */

#include "celery/canvas/signature.h"
#include "celery/message.h"

/* One message to be sent. */
struct canvas_message {
    struct canvas_message *next;
    struct celery_message message; /* of views into the plan's arena */
    struct str queue;
    int64_t eta_us; /* UTC, or TIME_UNKNOWN */
    int64_t expires_us;
};

/* A chord's size, to be stored before the messages of its header are sent. */
struct canvas_begin {
    struct canvas_begin *next;
    struct str group_id;
    int64_t size;     /* of the ends that will report */
    struct str saved; /* JSON: the group's results where they are nested; absent else */
};

struct canvas_plan {
    struct arena *arena;
    struct str parent_id; /* of what is sent: the task that sends it */
    struct str root_id;
    struct str seed; /* of made up ids */
    struct str origin;
    struct str reply_to;      /* of messages whose signature has none */
    struct str default_queue; /* of signatures that name none */
    int64_t now_us;

    uint64_t n_ids;
    struct canvas_message *messages;
    struct canvas_message *last_message;
    size_t n_messages;
    struct canvas_begin *begins;
    struct canvas_begin *last_begin;
    struct buf children; /* JSON: result tuples, comma between; no brackets around; heap */
    size_t n_quiet;      /* > 0: what is sent is told by the group that it belongs to */
};

/* What is given to a signature that is applied, beside what it has. */
struct canvas_extra {
    struct str prefix; /* JSON values, comma between: arguments in front of its own */
    struct str kwargs; /* JSON: an object, given to each; or absent */
    struct str chain;  /* JSON: the list of what comes after, the next one last; or absent */
    struct str chord;  /* JSON: the body of the chord that it is in; or absent */
    const struct canvas_options *options; /* that count more than its own; or NULL */
};

/* Apply it.  The tree is changed.  Errors: ERR_INVALID (an option of a wrong type, a body that is
 * missing), ERR_NOMEM, ERR_TOO_LARGE. */
MUST_CHECK int canvas_apply(struct canvas_plan *plan, struct canvas_node *node,
                            const struct canvas_extra *extra, struct error *err);

/* plan_task.c: the message of a plain task, at the plan's end.  The node is frozen. */
MUST_CHECK int canvas_send_task(struct canvas_plan *plan, const struct canvas_node *node,
                                const struct canvas_extra *extra, struct error *err);

/* plan_freeze.c: what a signature is to be given before it is sent or stored. */
struct canvas_place {
    struct str id;       /* of its end, where it has none; absent: one is made */
    struct str group_id; /* that its end belongs to; absent: none */
    int64_t group_index; /* CELERY_NO_INDEX: none */
    struct str chord;    /* JSON: the body that its end reports to; absent: none */
};

/* Give ids and places to a branch, flatten chains inside chains and groups inside groups, make
 * chords of groups that something follows.  Idempotent but for the place. */
MUST_CHECK int canvas_freeze(struct canvas_plan *plan, struct canvas_node *node,
                             const struct canvas_place *place, struct error *err);

/* Put the steps of a chain in order: nested ones unrolled, empty groups gone, a group that
 * something follows turned into a chord. */
MUST_CHECK int canvas_order_steps(struct canvas_plan *plan, struct canvas_node *chain,
                                  struct error *err);

/* Give link or link_error (a JSON list) to a signature, to each member of a group. */
MUST_CHECK int canvas_link(struct canvas_node *node, struct str link, struct arena *arena,
                           struct error *err);
MUST_CHECK int canvas_link_error(struct canvas_node *node, struct str link, struct arena *arena,
                                 struct error *err);

/* An option of a chain, group or chord that is meant for its tasks: a queue, a priority. */
bool canvas_is_passed_on(const struct canvas_option *option);

/* The result tuple of a frozen branch, appended: [["id", null], null].  parent: a tuple, or absent
 * for null. */
void canvas_write_result(const struct canvas_node *node, struct str parent, struct buf *out);

/* A new id, quoted as JSON. */
MUST_CHECK int canvas_make_id(struct canvas_plan *plan, struct str *out, struct error *err);
