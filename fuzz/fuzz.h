#pragma once

/* What every target defines: read bytes, crash only on a bug of ours.  Returns 0. */

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
