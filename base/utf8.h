#pragma once

/* UTF-8: checking, decoding and encoding.  Pure functions, any thread. */

#include <stddef.h>
#include <stdint.h>

#include <trawl/str.h>

#define UTF8_REPLACEMENT 0xFFFDu

/* Bytes from the front of text that are valid UTF-8 (RFC 3629: no surrogates, no overlongs). */
size_t utf8_valid_prefix(struct str text);

static inline bool
utf8_is_valid(struct str text)
{
    return utf8_valid_prefix(text) == text.len;
}

/* The code point at the front of text (len > 0), and its size in bytes.  A maximal invalid subpart
 * counts as one U+FFFD.  Source: WHATWG Encoding Standard, "UTF-8 decoder". */
uint32_t utf8_decode(struct str text, size_t *n_bytes);

/* Write a scalar value; returns the bytes written, 1 to 4. */
size_t utf8_encode(uint32_t code_point, char out[4]);

/* The longest prefix of at most max_bytes that does not cut a code point. */
struct str utf8_cut(struct str text, size_t max_bytes);
