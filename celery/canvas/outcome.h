#pragma once

/* What the end of a task causes: callbacks and the next of the chain after success; after a failure
 * the same failure for those that come later, errbacks, and the part of a chord.  Pure, any thread.
 *
 * Source: Celery's user guide, "Canvas", and the behaviour of 5.2 to 5.7; docs/canvas.md. */

#include "celery/canvas/plan.h"

/* A document to be stored beside the task's own. */
struct canvas_failure {
    struct canvas_failure *next;
    struct str task_id;
    struct str group_id;
    bool is_chord_error;  /* else the exception of the task that has failed */
    struct str result;    /* JSON: the exception, for the caller to fill in */
    struct str traceback; /* likewise */
};

/* An end that reports to a chord. */
struct canvas_part {
    struct canvas_part *next;
    struct str group_id;
    struct str task_id;
    int64_t index;       /* or CELERY_NO_INDEX */
    struct str body;     /* JSON: the signature of the chord's body */
    bool is_chord_error; /* of whose failure it is */
    struct str state;    /* "SUCCESS"; for the caller */
    struct str result;   /* JSON; for the caller */
};

struct canvas_outcome {
    struct canvas_failure *failures;
    struct canvas_failure *last_failure;
    struct canvas_part *parts;
    struct canvas_part *last_part;
};

/* The task itself, where it is in a chord; otherwise nothing happens.  Errors: ERR_NOMEM. */
MUST_CHECK int canvas_add_own_part(struct canvas_plan *plan, const struct celery_message *message,
                                   struct canvas_outcome *out, struct error *err);

/* Callbacks and the chain, given what the task has returned (JSON).  Errors: as of canvas_apply and
 * canvas_parse: the task is then to fail. */
MUST_CHECK int canvas_succeed(struct canvas_plan *plan, const struct celery_message *message,
                              struct str result, struct error *err);

/* What comes later in the chain fails as well; then the errbacks.  Errors: as above; the failure
 * stands whatever comes of it. */
MUST_CHECK int canvas_fail(struct canvas_plan *plan, const struct celery_message *message,
                           struct canvas_outcome *out, struct error *err);

/* A chord whose last part has come.
 *
 * group_id  of its header
 * body      JSON: its signature
 * parts     [n_parts] JSON: [1, id, state, result], in the order of the group
 * saved     JSON: {"result": tuple} of a nested header; absent else
 * exception if a part has failed: the failed one's, JSON; else absent
 * reason    then: the text of a ChordError, in the plan's arena
 *
 * All went well: the body is in the plan.  Else: its errbacks are, and out has the documents. */
struct canvas_chord {
    struct str group_id;
    struct str body;
    const struct str *parts;
    size_t n_parts;
    struct str saved;
};
MUST_CHECK int canvas_end_chord(struct canvas_plan *plan, const struct canvas_chord *chord,
                                struct canvas_outcome *out, struct str *exception,
                                struct str *reason, struct error *err);

/* The body cannot be sent: as above, with that reason.  exception: JSON of what went wrong. */
MUST_CHECK int canvas_fail_chord(struct canvas_plan *plan, struct str body,
                                 struct canvas_outcome *out, struct error *err);
