/* Eight independent lanes of xor, multiply, rotate, one 8-byte word each per step: a changed word
 * always changes its lane, and the rotation carries high bits (signs) down.  Blocks of 4 KiB are
 * hashed and checked while they are in the first-level cache. */

#include "encoder/fingerprint.h"

#include <string.h>

#include "base/buf.h"
#include "base/digest.h"

#define BLOCK_BYTES ((size_t)4096)
#define STEP_BYTES  (FINGERPRINT_LANES * sizeof(uint64_t))
#define MULTIPLIER  UINT64_C(0x9E3779B97F4A7C15) /* 2^64 / golden ratio, odd */

void
fingerprint_init(struct fingerprint *self)
{
    for (size_t i = 0; i < FINGERPRINT_LANES; i++)
        self->lanes[i] = (i + 1) * MULTIPLIER;
    self->n_bytes = 0;
}

static void
hash_block(uint64_t lanes[FINGERPRINT_LANES], const char *bytes, size_t n_bytes)
{
    for (size_t at = 0; at < n_bytes; at += STEP_BYTES) {
        uint64_t words[FINGERPRINT_LANES] = {0};

        if (n_bytes - at >= STEP_BYTES)
            (void)memcpy(words, bytes + at, STEP_BYTES);
        else
            (void)memcpy(words, bytes + at, n_bytes - at);
        for (size_t i = 0; i < FINGERPRINT_LANES; i++) {
            uint64_t mixed = (lanes[i] ^ words[i]) * MULTIPLIER;

            lanes[i] = mixed << 31 | mixed >> 33;
        }
    }
}

/* No exponent of all ones.  For halves two at a time would be faster; such files are half as long.
 */
static bool
is_finite_block(const char *bytes, size_t n_bytes, enum tensor_type type)
{
    uint32_t n_bad = 0;

    if (type == TENSOR_F32) {
        for (size_t i = 0; i + 4 <= n_bytes; i += 4) {
            uint32_t bits;

            (void)memcpy(&bits, bytes + i, sizeof(bits));
            n_bad += (bits & 0x7F800000u) == 0x7F800000u;
        }
        return n_bad == 0;
    }
    for (size_t i = 0; i + 2 <= n_bytes; i += 2) {
        uint16_t exponent = type == TENSOR_F16 ? 0x7C00 : 0x7F80;
        uint16_t bits;

        (void)memcpy(&bits, bytes + i, sizeof(bits));
        n_bad += (bits & exponent) == exponent;
    }
    return n_bad == 0;
}

bool
fingerprint_add_tensor(struct fingerprint *self, const struct tensor *tensor)
{
    uint64_t lanes[FINGERPRINT_LANES];
    struct str rest = tensor->bytes;
    bool is_finite = true;

    (void)memcpy(lanes, self->lanes, sizeof(lanes));
    lanes[0] ^= (uint64_t)tensor->type + 1;
    lanes[1] ^= tensor->bytes.len;
    while (rest.len > 0) {
        size_t n_bytes = rest.len < BLOCK_BYTES ? rest.len : BLOCK_BYTES;

        hash_block(lanes, rest.ptr, n_bytes);
        is_finite &= is_finite_block(rest.ptr, n_bytes, tensor->type);
        rest = str_slice(rest, n_bytes, rest.len);
    }
    (void)memcpy(self->lanes, lanes, sizeof(lanes));
    self->n_bytes += tensor->bytes.len;
    return is_finite;
}

int
fingerprint_finish(const struct fingerprint *self, struct str settings, char out[17],
                   struct error *err)
{
    CLEANUP(buf_fini) struct buf all = BUF_INIT((size_t)1 << 20);
    char text[SHA256_TEXT_BYTES];
    int rc;

    buf_append_bytes(&all, self, sizeof(*self));
    buf_append(&all, settings);
    rc = buf_status(&all, err);
    if (rc == 0)
        rc = digest_sha256_text(buf_str(&all), text, err);
    if (rc < 0)
        return rc;
    (void)memcpy(out, text, 16);
    out[16] = '\0';
    return 0;
}
