/* Three bytes are four characters of six bits:
 *
 *     aaaaaaaa bbbbbbbb cccccccc  ->  aaaaaa aabbbb bbbbcc cccccc
 *
 * "=" stands for the characters that a last group of one or two bytes does not need. */

#include "celery/codec_base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { NO_CHAR = 0xFF, SPACE = 0xFE, PAD = 0xFD };

/* clang-format off */
#define XX NO_CHAR
#define SP SPACE
static const unsigned char values[256] = {
    XX, XX, XX, XX, XX, XX, XX, XX, XX, SP, SP, XX, XX, SP, XX, XX, /* 00: tab, line breaks */
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, /* 10 */
    SP, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, 62, XX, XX, XX, 63, /* 20: space + / */
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, XX, XX, XX, PAD, XX, XX, /* 30: digits = */
    XX,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, /* 40 */
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, XX, XX, XX, XX, XX, /* 50 */
    XX, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, /* 60 */
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, XX, XX, XX, XX, XX, /* 70 */
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
};
#undef XX
#undef SP
/* clang-format on */

/* Whole groups without padding or space, from the front; returns the characters read. */
static size_t
decode_groups(struct str text, char *out)
{
    const unsigned char *in = (const unsigned char *)text.ptr;
    size_t at = 0;

    for (; text.len - at >= 4; at += 4) {
        unsigned a = values[in[at]];
        unsigned b = values[in[at + 1]];
        unsigned c = values[in[at + 2]];
        unsigned d = values[in[at + 3]];

        if ((a | b | c | d) >= PAD) /* those have the top bit, sextets have not */
            break;
        *out++ = (char)(a << 2 | b >> 4);
        *out++ = (char)(b << 4 | c >> 2);
        *out++ = (char)(c << 6 | d);
    }
    return at;
}

int
celery_base64_decode(struct str text, char *out, size_t *n_out, struct error *err)
{
    size_t at = decode_groups(text, out);
    size_t n = at / 4 * 3;
    size_t n_pads = 0;
    unsigned n_bits = 0;
    uint32_t bits = 0;

    for (; at < text.len; at++) {
        unsigned value = values[(unsigned char)text.ptr[at]];

        if (value == SPACE)
            continue;
        if (value == PAD && n_pads < 2) {
            n_pads++;
            continue;
        }
        if (value >= PAD || n_pads)
            return error_set(err, ERR_INVALID, "base64: unexpected byte 0x%02x at offset %zu",
                             (unsigned char)text.ptr[at], at);
        bits = bits << 6 | value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[n++] = (char)(bits >> n_bits & 0xFF);
        }
    }
    if (n_pads != n_bits / 2) /* 2 bits are over before one "=", 4 before two; never 6 */
        return error_set(err, ERR_INVALID, "base64: the text ends within a group of four");
    *n_out = n;
    return 0;
}

static void
encode_group(uint32_t bits, char to[4])
{
    to[0] = alphabet[bits >> 18 & 0x3F];
    to[1] = alphabet[bits >> 12 & 0x3F];
    to[2] = alphabet[bits >> 6 & 0x3F];
    to[3] = alphabet[bits & 0x3F];
}

void
celery_base64_append(struct buf *out, struct str bytes)
{
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    size_t n_groups = bytes.len / 3;
    size_t n_rest = bytes.len % 3;
    char *to = buf_reserve(out, (n_groups + 1) * 4);

    if (!to)
        return;
    for (size_t i = 0; i < n_groups; i++, in += 3, to += 4)
        encode_group((uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2], to);
    if (n_rest) {
        encode_group((uint32_t)in[0] << 16 | (n_rest == 2 ? (uint32_t)in[1] << 8 : 0), to);
        to[3] = '=';
        if (n_rest == 1)
            to[2] = '=';
    }
    buf_commit(out, (n_groups + (n_rest != 0)) * 4);
}
