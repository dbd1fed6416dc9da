#pragma once

/* Identity of what vectors depend on.
 *
 * Weights are hashed as they are loaded: open reads every one of them anyway, to pack it and to
 * refuse NaN, so a 64-bit hash over all bytes costs a few milliseconds where SHA-256 over 90 MB
 * costs tenths of a second.  Nothing less would be sound: names and shapes are the same for every
 * fine-tuned copy, and times or inodes change without the content.  It guards against mistakes, not
 * against forgery. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>

#include "encoder/safetensors.h"

#define FINGERPRINT_LANES 8

struct fingerprint {
    uint64_t lanes[FINGERPRINT_LANES];
    uint64_t n_bytes;
};

void fingerprint_init(struct fingerprint *self);

/* Hash a tensor's bytes; the order of calls counts.  False if a value is infinite or NaN; the type
 * is F32, F16 or BF16. */
bool fingerprint_add_tensor(struct fingerprint *self, const struct tensor *tensor);

/* Sixteen hex digits over the weights and `settings` (whatever else decides), NUL-terminated. */
MUST_CHECK int fingerprint_finish(const struct fingerprint *self, struct str settings, char out[17],
                                  struct error *err);
