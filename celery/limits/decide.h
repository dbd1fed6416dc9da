#pragma once

/* From a message to what limits it: rules, the task's own, and the message's headers.
 *
 * Headers go before rules, rules before what the task says:
 *     trawl_unique      "queued", "running", "no", or a time
 *     trawl_unique_key  what is unique, instead of name and arguments
 *     trawl_key         the key, instead of an argument's value */

#include <trawl/task.h>

#include "base/arena.h"
#include "celery/limits/rules.h"

#define LIMIT_HEADER_UNIQUE     "trawl_unique"
#define LIMIT_HEADER_UNIQUE_KEY "trawl_unique_key"
#define LIMIT_HEADER_KEY        "trawl_key"

/* Slices as in struct celery_message; all borrowed. */
struct limit_subject {
    struct str task_name;
    struct str queue;
    struct str args;                /* JSON array, absent = none */
    struct str kwargs;              /* JSON object, absent = none */
    struct str headers;             /* JSON object, absent = none */
    const struct celery_task *task; /* NULL: not known here */
};

struct limit_decision {
    struct broker_lock lock; /* span NONE: not unique */
    struct broker_gate gates[BROKER_MAX_GATES];
    size_t n_gates;
};

/* Cheap: whether limit_decide could find anything by rules or headers.  rules may be NULL. */
bool limit_has_any(const struct limit_rules *rules, struct str headers);
bool limit_task_has_any(const struct celery_task *task); /* NULL is fine */

/* Keys live in the arena.  A header or an argument that makes no sense counts as not given: a
 * message must not be lost for it.  Errors: ERR_INVALID (arguments that are no JSON), ERR_NOMEM. */
MUST_CHECK int limit_decide(const struct limit_rules *rules, const struct limit_subject *subject,
                            struct arena *arena, struct limit_decision *out, struct error *err);

/* The key of a lock: of the task's name and its arguments, whatever order and spacing they have;
 * or of its name, or of a text of one's own (custom absent: none).  At most
 * BROKER_MAX_KEY_BYTES; in the arena. */
MUST_CHECK int limit_make_lock_key(const struct limit_subject *subject, enum limit_scope scope,
                                   struct str custom, struct arena *arena, struct str *out,
                                   struct error *err);
