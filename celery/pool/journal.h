#pragma once

/* The latest log lines of the request that a child runs, in memory that the worker can read after
 * the child's death.
 *
 * Two halves: one is filled, then the other is emptied and filled, so that between half and all of
 * JOURNAL_BYTES of the latest lines are there at any moment.  A line counts once it is whole, and
 * writing one is no system call.  At the end of a run the lines travel with its outcome; the worker
 * reads the journal itself only where there is no outcome, and trusts nothing in it: a task may
 * have written over it.
 *
 *     line: time_us 8, level 1, zero 1, length 2, text      little-endian, one after the other
 *
 * One writer, the thread that runs the task. */

#include <stdatomic.h>
#include <stdint.h>

#include <trawl/str.h>

#include "base/buf.h"
#include "base/log.h"

#define JOURNAL_BYTES      ((size_t)64 << 10)
#define JOURNAL_HALF_BYTES (JOURNAL_BYTES / 2)
#define JOURNAL_HEAD_BYTES ((size_t)12)   /* of a line */
#define JOURNAL_TEXT_BYTES ((size_t)2048) /* a longer text is cut */

struct journal_half {
    _Atomic uint32_t n_bytes;
    _Atomic uint32_t n_lines;
    char bytes[JOURNAL_HALF_BYTES];
};

struct journal {
    _Atomic uint64_t serial;    /* of the request whose lines these are */
    _Atomic uint32_t active;    /* the half that is being filled: 0 or 1 */
    _Atomic uint64_t n_dropped; /* lines that had to go */
    struct journal_half halves[2];
};

/* What is known of the lines of one request; bytes are as above. */
struct pool_log {
    struct str lines;
    uint64_t n_dropped;
};

/* Empty it, for the request with this serial; then add every line of this thread until
 * journal_end. */
void journal_begin(struct journal *journal, uint64_t serial);
void journal_end(void);

/* The lines of a request, into out (JOURNAL_BYTES at most), which log borrows.  False: there are
 * none, or not of this request, or what is there makes no sense. */
bool journal_read(const struct journal *journal, uint64_t serial, struct buf *out,
                  struct pool_log *log);

/* One line of bytes that came from a child. */
struct journal_line {
    int64_t time_us; /* UTC */
    enum log_level level;
    struct str text;
};

/* Take the first line off *lines; false at their end, and where they make no sense. */
bool journal_next_line(struct str *lines, struct journal_line *out);
