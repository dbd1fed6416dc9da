#pragma once

/* What a task sends, on its way from the process that runs it to whoever publishes it: JSON objects
 * with commas between them, an array without its brackets, so that each is appended for itself.
 * Pure, any thread. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/buf.h"

struct send_record {
    struct str id; /* UUID text; of a replacement: the task's own */
    struct str task;
    struct str args;   /* JSON array */
    struct str kwargs; /* JSON object */
    struct str queue;  /* absent = the one that the task came from */
    int64_t priority;
    int64_t countdown_ms;
    int64_t expires_in_ms; /* 0 = never */
    bool is_replacement;
};

struct send_list {
    struct send_record *items;
    size_t n_items;
};

void send_record_append(const struct send_record *record, struct buf *out);

/* text is not trusted: everything is checked again.
 *
 * out  views into the arena alone
 *
 * Errors: ERR_INVALID, ERR_TOO_LARGE (more than CELERY_SUBTASKS_MAX), ERR_NOMEM. */
MUST_CHECK int send_list_decode(struct str text, struct arena *arena, struct send_list *out,
                                struct error *err);

/* What celery_call_send promises to refuse.  Errors: ERR_INVALID, ERR_ARGS. */
MUST_CHECK int send_record_check(const struct send_record *record, struct error *err);
