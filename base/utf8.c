/* One decoder serves checking and reading; the ASCII run in front is skipped eight bytes at a time.
 */

#include "base/utf8.h"

/* Length of the valid sequence at the front, or 0; *n_invalid is the maximal invalid subpart. */
static size_t
sequence_length(const unsigned char *bytes, size_t len, size_t *n_invalid)
{
    unsigned char first = bytes[0];
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    size_t need;

    *n_invalid = 1;
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        need = 2;
    else if (first >= 0xE0 && first <= 0xEF)
        need = 3;
    else if (first >= 0xF0 && first <= 0xF4)
        need = 4;
    else
        return 0;
    if (first == 0xE0)
        low = 0xA0;
    else if (first == 0xED)
        high = 0x9F;
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F;
    for (size_t i = 1; i < need; i++) {
        if (i >= len || bytes[i] < low || bytes[i] > high) {
            *n_invalid = i;
            return 0;
        }
        low = 0x80;
        high = 0xBF;
    }
    return need;
}

size_t
utf8_valid_prefix(struct str text)
{
    const unsigned char *bytes = (const unsigned char *)text.ptr;
    size_t at = 0;

    while (at < text.len) {
        size_t n_invalid;
        size_t n;
        uint64_t word;

        if (text.len - at >= sizeof(word)) {
            (void)memcpy(&word, bytes + at, sizeof(word));
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof(word);
                continue;
            }
        }
        n = sequence_length(bytes + at, text.len - at, &n_invalid);
        if (n == 0)
            return at;
        at += n;
    }
    return at;
}

uint32_t
utf8_decode(struct str text, size_t *n_bytes)
{
    static const unsigned char mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    const unsigned char *bytes = (const unsigned char *)text.ptr;
    size_t n_invalid;
    size_t n = sequence_length(bytes, text.len, &n_invalid);
    uint32_t code_point;

    if (n == 0) {
        *n_bytes = n_invalid;
        return UTF8_REPLACEMENT;
    }
    code_point = bytes[0] & mask[n];
    for (size_t i = 1; i < n; i++)
        code_point = code_point << 6 | (bytes[i] & 0x3Fu);
    *n_bytes = n;
    return code_point;
}

size_t
utf8_encode(uint32_t code_point, char out[4])
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xC0 | code_point >> 6);
        out[1] = (char)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (char)(0xE0 | code_point >> 12);
        out[1] = (char)(0x80 | (code_point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code_point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code_point >> 18);
    out[1] = (char)(0x80 | (code_point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code_point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code_point & 0x3F));
    return 4;
}

struct str
utf8_cut(struct str text, size_t max_bytes)
{
    size_t end = text.len < max_bytes ? text.len : max_bytes;

    if (end == text.len)
        return text;
    while (end > 0 && ((unsigned char)text.ptr[end] & 0xC0) == 0x80)
        end--;
    return str_slice(text, 0, end);
}
