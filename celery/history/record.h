#pragma once

/* One run of a task, as the history keeps it, and its way from a worker to the process that writes
 * it down.  Pure, any thread. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/buf.h"

/* Longer texts are cut when a record is made; HISTORY_CUT says so where it matters. */
#define HISTORY_ARGUMENT_BYTES  ((size_t)8 << 10) /* args and kwargs, each */
#define HISTORY_RESULT_BYTES    ((size_t)8 << 10)
#define HISTORY_ERROR_BYTES     ((size_t)1 << 10)
#define HISTORY_TRACEBACK_BYTES ((size_t)16 << 10)
#define HISTORY_NAME_BYTES      ((size_t)512) /* ids too */
#define HISTORY_LINES_MAX       200
#define HISTORY_LINES_BYTES     ((size_t)72 << 10) /* JOURNAL_BYTES, with dates as text */

/* What a whole encoded record may have. */
#define HISTORY_RECORD_BYTES ((size_t)160 << 10)

enum history_flag {
    HISTORY_CUT = 1,      /* args or kwargs were longer */
    HISTORY_REDACTED = 2, /* args and kwargs are the sender's own text for display, no JSON */
};

/* clang-format off */
#define HISTORY_TEXTS(X) \
    X(task_id) X(name) X(queue) X(worker) X(state) X(root_id) X(parent_id) X(group_id) \
    X(args) X(kwargs) X(result) X(error) X(traceback) X(lines)
#define HISTORY_NUMBERS(X) \
    X(at_us) X(received_at_us) X(started_at_us) X(runtime_us) X(pid) X(retries) X(attempt) \
    X(flags) X(n_dropped)
/* clang-format on */

struct history_record {
#define HISTORY_TEXT_MEMBER(member) struct str member;
    HISTORY_TEXTS(HISTORY_TEXT_MEMBER)
#undef HISTORY_TEXT_MEMBER
#define HISTORY_NUMBER_MEMBER(member) int64_t member; /* INT64_MIN = not known */
    HISTORY_NUMBERS(HISTORY_NUMBER_MEMBER)
#undef HISTORY_NUMBER_MEMBER
};

/* Append: total length 4, numbers 8 each, lengths of texts 4 each (all ones: absent), texts. */
void history_record_encode(const struct history_record *record, struct buf *out);

/* Take one record off bytes: 1 with *out as views into them and *n_taken set, 0 when more bytes
 * are needed.  Errors: ERR_INVALID (lengths that make no sense). */
MUST_CHECK int history_record_decode(struct str bytes, struct history_record *out, size_t *n_taken,
                                     struct error *err);
