#pragma once

/* The safetensors container, from hostile bytes.
 *
 *     u64 N, little-endian | N bytes of JSON | data
 *
 * JSON: name -> {dtype, shape, data_offsets: [begin, end] from the data's start}.
 * Data is row-major, little-endian, packed, and may stand at any alignment.
 * Source: the safetensors format description. */

#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"

#define TENSOR_RANK_MAX 8

enum tensor_type {
    TENSOR_F32,
    TENSOR_F16,
    TENSOR_BF16,
    TENSOR_OTHER, /* known to the format, of no use as a weight */
    TENSOR_UNKNOWN,
};

struct tensor {
    struct str name;
    struct str type_name; /* as written */
    enum tensor_type type;
    size_t rank;
    size_t shape[TENSOR_RANK_MAX];
    size_t n_values;  /* product of the shape */
    struct str bytes; /* borrowed from the file */
};

struct safetensors {
    const struct tensor *tensors; /* sorted by name */
    size_t n_tensors;
};

/* Check the whole container: sizes without overflow, names unique, offsets a gapless cover of the
 * data, each tensor as large as its shape and type say.
 *
 * file   borrowed by the result
 * arena  holds the list
 *
 * Errors: ERR_INVALID (which tensor, which value), ERR_TOO_LARGE (a header over 1 MiB; the BERT
 * family's have some tens of KiB), ERR_NOMEM. */
MUST_CHECK int safetensors_parse(struct str file, struct arena *arena, struct safetensors *out,
                                 struct error *err);

/* NULL when absent. */
const struct tensor *safetensors_find(const struct safetensors *self, struct str name);

/* Values [from, from + n_values) as f32; F32, F16 and BF16 only.  Pure. */
void tensor_read_f32(const struct tensor *self, size_t from, size_t n_values, float *out);

/* Bytes per value of the types that tensor_read_f32 takes, else 0. */
size_t tensor_value_bytes(enum tensor_type type);
