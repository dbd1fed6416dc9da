#pragma once

/* Base64 with the standard alphabet and padding, as message bodies are wrapped for brokers that
 * carry text only.  Pure, any thread.  Source: RFC 4648 section 4. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/buf.h"

/* Bytes that n_chars characters decode to, at most. */
static inline size_t
celery_base64_decoded_max(size_t n_chars)
{
    return n_chars / 4 * 3 + 3;
}

/* Decode the whole text; spaces and line breaks between the characters are skipped.
 *
 * out    [celery_base64_decoded_max(text.len)], caller's; may be the text's own memory
 * n_out  bytes written
 *
 * Bits that the padding leaves over are ignored, as Python does.
 * Errors: ERR_INVALID, with the offset of the first character that does not belong; out is then
 * unspecified. */
MUST_CHECK int celery_base64_decode(struct str text, char *out, size_t *n_out, struct error *err);

/* Append the text of bytes, without line breaks. */
void celery_base64_append(struct buf *out, struct str bytes);
