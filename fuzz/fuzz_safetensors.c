/* encoder/safetensors.h on any bytes: parse, then read what a model would read. */

#include <assert.h>
#include <stdint.h>

#include <trawl/attributes.h>

#include "encoder/fingerprint.h"
#include "encoder/safetensors.h"

#define ARENA_BYTES ((size_t)64 << 20)
#define READ_MAX    4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
    const struct str file = {(const char *)data, size};
    struct fingerprint fingerprint;
    struct safetensors out;
    float values[READ_MAX];

    if (safetensors_parse(file, &arena, &out, NULL) < 0)
        return 0;
    fingerprint_init(&fingerprint);
    for (size_t i = 0; i < out.n_tensors; i++) {
        const struct tensor *tensor = &out.tensors[i];
        size_t n = tensor->n_values < READ_MAX ? tensor->n_values : READ_MAX;

        assert(safetensors_find(&out, tensor->name) == tensor);
        if (tensor_value_bytes(tensor->type) == 0)
            continue;
        (void)fingerprint_add_tensor(&fingerprint, tensor);
        tensor_read_f32(tensor, tensor->n_values - n, n, values);
    }
    return 0;
}
