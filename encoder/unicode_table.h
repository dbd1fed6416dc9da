#pragma once

/* What BERT's normalizer and pre-tokenizer need to know of a code point, as the reference
 * implementation sees it.
 *
 * unicode_table.c is data, written by make_unicode_table.py from utf8proc 2.8.0 and a list of the
 * reference's exceptions, and committed: a library upgrade must not change token ids, and nothing
 * is computed at start-up.  Two stages: stage1 names a block of stage2, which names a record. Pure,
 * any thread. */

#include <stdint.h>

#define UNICODE_BLOCK 128u
#define UNICODE_SAME                                                                               \
    255 /* sequence_len: decomposing and stripping leave the code point as it is                   \
         */

enum unicode_class {
    UNICODE_DROP = 1,  /* clean_text removes it */
    UNICODE_SPACE = 2, /* White_Space */
    UNICODE_CJK = 4,   /* handle_chinese_chars puts spaces around it */
    UNICODE_PUNCT = 8, /* a word of its own */
    UNICODE_WORD = 16, /* \w of a regular expression, for single_word tokens */
};

struct unicode_record {
    uint8_t classes;      /* enum unicode_class */
    uint8_t combining;    /* canonical combining class */
    uint8_t sequence_len; /* code points after NFD without marks (Mn), or UNICODE_SAME */
    uint16_t sequence_at; /* in unicode_pool */
    int32_t lower_delta;  /* lower case minus the code point */
};

extern const uint16_t unicode_stage1[0x110000 / UNICODE_BLOCK];
extern const uint16_t unicode_stage2[];
extern const struct unicode_record unicode_records[];
extern const uint32_t unicode_pool[];

/* code_point < 0x110000 */
static inline const struct unicode_record *
unicode_find(uint32_t code_point)
{
    uint32_t block = unicode_stage1[code_point / UNICODE_BLOCK];

    return &unicode_records[unicode_stage2[block * UNICODE_BLOCK + code_point % UNICODE_BLOCK]];
}
