#pragma once

/* The scalars of codec_repr.h: characters of a string, floating point numbers. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/str.h>

#include "base/buf.h"

/* The characters of a text, or of what stands between the quotes of a JSON string. */
struct celery_repr_chars {
    struct str text;
    size_t at;
    bool is_json; /* resolve escapes */
};

/* False at the end.  Halves of surrogate pairs come as they are; bad bytes as U+FFFD. */
bool celery_repr_next_char(struct celery_repr_chars *self, uint32_t *out);

/* All of them, quoted and escaped by the rules of Python's repr(). */
void celery_repr_append_chars(struct buf *out, struct celery_repr_chars chars);

/* A JSON number as Python shows it: integers by their digits, others as the shortest decimal that
 * reads back the same, with an exponent below 1e-4 and from 1e16. scratch  [64], holds the text
 * where it is not the number's own; returns the text */
struct str celery_repr_number(struct str number, char scratch[64]);
