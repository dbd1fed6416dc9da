#pragma once

/* The process that writes one worker's history down, so that no disk and no lock ever holds the
 * worker up.
 *
 * The worker sends encoded records (record.h) through a socket and never waits: where the store is
 * busy or full, the writer keeps what it has, stops reading, and the worker drops what the socket
 * does not take.  The writer ends when the worker's end of the socket is closed, by whatever: what
 * has been sent until then is written.  It belongs to init, not to the worker: nobody has to reap
 * it, and it is none of the worker's children. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

/* Borrowed for the worker's life. */
struct history_settings {
    struct str url;     /* where; history.h */
    struct str exclude; /* names and patterns (* ?) of tasks whose successes are not kept, separated
                           by blanks or commas */
    int64_t sample;     /* of the other successes one in so many is kept; 0 and 1 = all */
    int64_t max_rate;   /* more successes a second are kept only in bursts, the rest is counted in
                           the log; 0 = all */
    int64_t keep_days;  /* 0 = for ever */
    int64_t max_rows;   /* 0 = no limit */
};

/* Start a writer; *out is our end of its socket, non-blocking.  Its end is at hand when the other
 * side reads end-of-file.  Forks: not while threads run.  Errors: of the system. */
MUST_CHECK int history_writer_start(const struct history_settings *settings, int *out,
                                    struct error *err);
