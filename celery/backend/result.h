#pragma once

/* The state document of a task, as Celery writes and reads it on every result backend.
 *
 *     {"status": "SUCCESS", "result": 5, "traceback": null, "children": [],
 *      "date_done": "2026-11-23T12:29:46.314079+00:00", "task_id": "e48b..."}
 *
 * What a task has returned stays the text that it was (integers of any size, NaN, type tags, halves
 * of surrogate pairs): `result`, `children`, `args` and `kwargs` are slices of JSON.  Pure, any
 * thread.  Source: Celery 5.2 and 5.7, backends/base.py (Backend._get_result_meta) and states.py;
 * tests/fixtures/results/ holds what they write. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json_writer.h"

#define RESULT_MAX_DEPTH ((size_t)500) /* of a document's JSON; Python's own limit is near 1000 */

/* clang-format off */
#define RESULT_STATES(X) \
    /* state           name         rank  ready        exception                  may be stored */ \
    X(RESULT_PENDING,  "PENDING",    0,    false,       false,                      false) \
    X(RESULT_RECEIVED, "RECEIVED",   1,    false,       false,                      false) \
    X(RESULT_STARTED,  "STARTED",    2,    false,       false,                      true)  \
    X(RESULT_CUSTOM,   "PROGRESS",   3,    false,       false,                      true)  \
    X(RESULT_RETRY,    "RETRY",      4,    false,       true,                       true)  \
    X(RESULT_REJECTED, "REJECTED",   5,    false,       true,                       false) \
    X(RESULT_IGNORED,  "IGNORED",    5,    false,       false,                      false) \
    X(RESULT_FAILURE,  "FAILURE",    6,    true,        true,                       true)  \
    X(RESULT_REVOKED,  "REVOKED",    6,    true,        true,                       true)  \
    X(RESULT_SUCCESS,  "SUCCESS",    7,    true,        false,                      true)
/* clang-format on */

enum result_state {
#define RESULT_STATE_ENUM(state, name, rank, ready, exception, stored) state,
    RESULT_STATES(RESULT_STATE_ENUM)
#undef RESULT_STATE_ENUM
};

/* Any name that Celery does not know is RESULT_CUSTOM, PROGRESS among them. */
enum result_state result_state_of(struct str status);
struct str result_state_name(enum result_state state);
bool result_state_is_ready(enum result_state state);
bool result_state_is_exception(enum result_state state); /* or null */
bool result_state_is_stored(enum result_state state);

/* Which run of a task says it; of two runs the higher one is the newer.  attempt: the broker's,
 * from
 * 1.  Negative or huge numbers are clamped. */
int64_t result_run(int64_t retries, int64_t attempt);

/* Who says what: the state, and in which run (0 = not known). */
struct result_standing {
    enum result_state state;
    int64_t run;
};

/* May a record be replaced?
 *
 *     nothing replaces SUCCESS, and SUCCESS replaces everything else;
 *     a newer run replaces an older one, an older one never a newer one;
 *     within a run, or where a run is not known, the higher or equal rank wins.
 *
 * So a store that was held up and repeated undoes nothing; Celery has the first half of the first
 * line only. */
bool result_may_replace(struct result_standing old, struct result_standing fresh);

/* A field that is not there, or null: STR_NULL, RESULT_NO_RETRIES or TIME_UNKNOWN. */
#define RESULT_NO_RETRIES ((int64_t)-1)

/* A top-level field that Celery adds by configuration: stamped_headers and the stamps. */
struct result_extra {
    struct str name;
    struct str value; /* JSON */
};

struct result {
    struct str status;    /* "SUCCESS", any custom name */
    struct str result;    /* JSON: what was returned, an exception (exception.h), or a custom
                             state's meta; STR_NULL is written as null */
    struct str traceback; /* text */
    struct str children;  /* JSON: [[[id, parent], null], ...]; STR_NULL is written as [] */
    int64_t date_done_us; /* UTC; written where the state is ready */
    struct str task_id;
    struct str group_id;
    struct str parent_id;
    bool is_extended; /* result_extended: the six below are written */
    struct str name;
    struct str args;   /* JSON */
    struct str kwargs; /* JSON */
    struct str worker; /* node name */
    int64_t retries;
    struct str queue;
    const struct result_extra *extras;
    size_t n_extras;
};

/* clang-format off */
#define RESULT_INIT {.date_done_us = TIME_UNKNOWN, .retries = RESULT_NO_RETRIES}
/* clang-format on */

/* Append the document, its fields in Celery's order.  The JSON slices must each hold one value:
 * they are not looked into.  Errors: ERR_INVALID (no status or task_id), those of the buffer
 * (ERR_TOO_LARGE, ERR_NOMEM). */
MUST_CHECK int result_encode(const struct result *result, struct buf *out, struct error *err);

/* Read a document of 5.2 or later.
 *
 * text  hostile bytes; the caller has capped them
 * out   views into text, or into the arena where a text has escapes
 *
 * A null in a text field counts as absent, unknown fields become extras, of a repeated field the
 * last counts; a date_done that is none (or not ours to read) is TIME_UNKNOWN.
 * Errors: ERR_INVALID (not UTF-8, not a JSON object, no status or task_id, a field of another
 * type), ERR_TOO_LARGE (nested too deep), ERR_NOMEM (the arena's ceiling: about 64 bytes for each
 * value). */
MUST_CHECK int result_decode(struct str text, struct arena *arena, struct result *out,
                             struct error *err);

/* The results of the two states that have one shape, as JSON values. */
void result_write_started(struct json_writer *json, int64_t pid, struct str hostname);
void result_write_progress(struct json_writer *json, int64_t current, int64_t total);

/* current and total of a PROGRESS result; false where it has not both, as whole numbers. */
bool result_read_progress(struct str result, struct arena *arena, int64_t *current, int64_t *total);

/* One entry of children: a task that this one has sent. */
void result_write_child(struct json_writer *json, struct str task_id);
