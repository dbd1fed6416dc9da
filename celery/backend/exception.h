#pragma once

/* Exceptions on the wire: {"exc_type": "ValueError", "exc_message": ["bad"], "exc_module":
 * "builtins"}.
 *
 * A Python client rebuilds the class where its module is loaded, and makes one of that name up
 * where it is not.  Nothing is ever instantiated here: a foreign exception keeps its three texts.
 * Pure, any thread.  Source: Celery 5.2 and 5.7, backends/base.py (prepare_exception,
 * exception_to_python). */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json_writer.h"

struct exception {
    struct str type;   /* "ValueError", "Outer.Inner" */
    struct str args;   /* JSON: the array of the constructor's arguments, or a lone string as old
                          documents have it; STR_NULL is written as [] */
    struct str module; /* "builtins"; STR_NULL where it is not known */
};

/* What the worker itself says, beside the errors of tasks. */
/* clang-format off */
#define EXCEPTION_KINDS(X) \
    /* kind                     type                        module                 arguments */ \
    X(EXCEPTION_REVOKED,        "TaskRevokedError",         "celery.exceptions") /* one word */ \
    X(EXCEPTION_MAX_RETRIES,    "MaxRetriesExceededError",  "celery.exceptions") /* text */ \
    X(EXCEPTION_REJECT,         "Reject",                   "celery.exceptions") /* text */ \
    X(EXCEPTION_CHORD,          "ChordError",               "celery.exceptions") /* text */ \
    X(EXCEPTION_INVALID_TASK,   "InvalidTaskError",         "celery.exceptions") /* text */ \
    X(EXCEPTION_NOT_REGISTERED, "NotRegistered",            "celery.exceptions") /* name */ \
    X(EXCEPTION_SOFT_LIMIT,     "SoftTimeLimitExceeded",    "billiard.exceptions") /* nothing */ \
    X(EXCEPTION_HARD_LIMIT,     "TimeLimitExceeded",        "billiard.exceptions") /* seconds */ \
    X(EXCEPTION_WORKER_LOST,    "WorkerLostError",          "billiard.exceptions") /* text */
/* clang-format on */

enum exception_kind {
#define EXCEPTION_ENUM(kind, type, module) kind,
    EXCEPTION_KINDS(EXCEPTION_ENUM)
#undef EXCEPTION_ENUM
};

/* args: JSON array, borrowed. */
struct exception exception_of_kind(enum exception_kind kind, struct str args);

/* The exception of an error's code, its message as the one argument.  args gets the JSON that
 * out->args borrows.  Errors: those of the buffer. */
MUST_CHECK int exception_from_error(const struct error *error, struct buf *args,
                                    struct exception *out, struct error *err);

/* The way back: fill *err with the code whose exception this is (ERR_INVALID for a foreign one) and
 * "Type: argument, argument", and return the negative code. */
int exception_to_error(const struct exception *exception, struct arena *arena, struct error *err);

/* As one JSON value. */
void exception_write(struct json_writer *json, const struct exception *exception);

/* From the JSON of a document's result.  Views into json, or into the arena.  Errors: ERR_INVALID
 * (not an object, exc_type missing or not text), ERR_TOO_LARGE, ERR_NOMEM. */
MUST_CHECK int exception_read(struct str json, struct arena *arena, struct exception *out,
                              struct error *err);

/* The text of a document's traceback: where the error was raised, and "Type: message" as its last
 * line, where tools look for it.  Errors: those of the buffer. */
MUST_CHECK int exception_format_traceback(const struct error *error, struct buf *out,
                                          struct error *err);
