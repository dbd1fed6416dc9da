#pragma once

/* How exact and how fast a model is on this machine, in one precision. */

#include <stdint.h>

#include <trawl/encoder.h>

struct model_probe {
    bool is_available;                /* else the CPU lacks the instructions, the rest is zero */
    struct encoder_accuracy accuracy; /* to f32, over the built-in texts */
    double open_ms;
    double query_ms;    /* median of one short text */
    double texts_per_s; /* the built-in texts, all threads, the best of some rounds */
    double tokens_per_s;
    size_t n_threads;
    uint64_t memory_bytes; /* by which the process grew, the mapped word table included */
    char fingerprint[128];
};

/* Takes about a second.
 *
 * n_threads  0 = all that this process may use
 *
 * Errors: encoder_open's, but not of a precision that the CPU has not; a model whose shape the
 * precision does not support is ERR_UNSUPPORTED. */
MUST_CHECK int model_probe_run(const char *dir, enum encoder_precision precision, size_t n_threads,
                               struct model_probe *out, struct error *err);
