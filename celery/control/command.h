#pragma once

/* What the files with commands share. */

#include "base/json_writer.h"
#include "celery/control/control.h"

/* One request under way. */
struct control_run {
    struct control_node *node;
    const struct json *arguments; /* an object; unknown members are ignored, as Celery does */
    struct json_writer *json;     /* takes the answer: exactly one value */
    struct arena *arena;
    bool is_silent;        /* nothing is answered, not even null */
    const char *exception; /* a failure's, where it is not that of its code */
};

/* 0, or an error that is answered as {"error": "Type('message')"}. */
typedef int (*control_fn)(struct control_run *run, struct error *err);

struct control_command {
    struct str name;
    struct str alias; /* absent = none */
    control_fn run;
};

/* Lists, ended by an absent name; one per file. */
extern const struct control_command control_event_commands[];
extern const struct control_command control_inspect_commands[];
extern const struct control_command control_memory_commands[];
extern const struct control_command control_revoke_commands[];
extern const struct control_command control_stats_commands[];
extern const struct control_command control_task_commands[];
extern const struct control_command control_worker_commands[];

/* {"ok": text} or {"error": text}, the whole answer. */
void control_write_ok(struct control_run *run, struct str text);
void control_write_nok(struct control_run *run, struct str text);

/* Arguments by name.  Absent and null give the fallback.
 * Errors: ERR_ARGS (missing, or not of that type). */
MUST_CHECK int control_get_text(const struct control_run *run, struct str name, struct str *out,
                                struct error *err); /* STR_NULL */
MUST_CHECK int control_need_text(const struct control_run *run, struct str name, struct str *out,
                                 struct error *err);
MUST_CHECK int control_get_i64(const struct control_run *run, struct str name, int64_t fallback,
                               int64_t *out, struct error *err);
/* Seconds; INT64_MIN where it is absent; 0 = none. */
MUST_CHECK int control_get_span_ms(const struct control_run *run, struct str name, int64_t *out,
                                   struct error *err);
bool control_get_flag(const struct control_run *run, struct str name);
/* A string, or a list of them. */
MUST_CHECK int control_get_texts(const struct control_run *run, struct str name, size_t max_items,
                                 struct str_list *out, struct error *err);

/* The request object of Celery's documentation.  is_safe: args and kwargs as Python shows them. */
void control_write_task(struct control_run *run, const struct control_task *task, bool is_safe);

/* A URL without its password. */
void control_write_url(struct json_writer *json, struct str url);

/* The argument `signal`: a name with or without "SIG", a number, or null for SIGTERM.
 * Errors: ERR_ARGS, ERR_NOT_FOUND, ERR_INVALID, in Python's words. */
MUST_CHECK int control_get_signal(struct control_run *run, int *out, struct error *err);

/* Of those that the node holds; *position starts as NULL. */
static inline bool
control_next_task(const struct control_run *run, const void **position, struct control_task *out)
{
    return run->node->ops->next_task(run->node->context, position, out);
}
