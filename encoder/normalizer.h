#pragma once

/* BERT's text normalizer: clean, space CJK, strip accents, lower-case; bit-exact to the reference.
 *
 * Works in steps on a caller's buffer, so a long text costs no memory and its tail, past the token
 * limit, no time. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/str.h>

struct normalizer_options {
    bool clean_text;           /* drop control and format characters, white space becomes U+0020 */
    bool handle_chinese_chars; /* spaces around ideographs */
    bool strip_accents;        /* NFD, then drop Mn */
    bool lowercase;            /* one code point at a time, no context */
};

struct normalizer {
    struct normalizer_options options;
    uint8_t ascii[128]; /* what a byte becomes, or NORMALIZER_DROP */
};

#define NORMALIZER_DROP 0xFFu

/* Marks that survive stripping wait here until the next starter, to be sorted by combining class.
 * A longer run is cut: its word has more characters than any vocabulary allows. */
#define NORMALIZER_RUN_MAX 1024u

struct normalizer_run {
    size_t n_marks;
    uint32_t marks[NORMALIZER_RUN_MAX];
};

/* Room that one step needs at least: a full run, and one code point's expansion. */
#define NORMALIZER_ROOM (NORMALIZER_RUN_MAX * 4 + 64)

void normalizer_init(struct normalizer *self, struct normalizer_options options);

/* Normalize from text.ptr + *at until the text ends or less than NORMALIZER_ROOM is left of out.
 *
 * run  n_marks 0 at a text's start; carries marks from step to step
 * at   moved on; text.len when done, and then the run is empty
 * out  [cap]  cap >= NORMALIZER_ROOM; gets UTF-8 of whole code points
 *
 * Invalid bytes count as U+FFFD.  Returns the bytes written.
 * Source: Hugging Face tokenizers, BertNormalizer; Unicode 15 chapter 3.11 (canonical order). */
size_t normalizer_step(const struct normalizer *self, struct normalizer_run *run, struct str text,
                       size_t *at, char *out, size_t cap);
