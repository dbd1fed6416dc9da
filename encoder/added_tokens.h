#pragma once

/* Added tokens: texts that are cut out before word pieces are made, such as "[SEP]". */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "encoder/normalizer.h"

struct added_token {
    struct str content; /* not empty, as it is written */
    int32_t id;
    bool special;
    bool normalized;  /* searched in the normalized text, else in the raw one */
    bool single_word; /* no word character may touch it */
    bool lstrip;      /* takes the white space before it along */
    bool rstrip;
};

/* The tokens that are searched for in one kind of text. */
struct added_tokens {
    struct added_token *tokens; /* heap, with its texts behind it; longest first */
    size_t n_tokens;
    bool is_first[256]; /* bytes that a token begins with */
};

/* Where a token stands; bytes. */
struct added_match {
    size_t from;
    size_t to;
    int32_t id;
};

/* Copy the tokens that are searched for in raw text (normalizer NULL), or those searched for in
 * normalized text, normalized.  Of equal contents the first counts.  Errors: ERR_NOMEM. */
MUST_CHECK int added_tokens_init(struct added_tokens *self, const struct added_token *tokens,
                                 size_t n_tokens, const struct normalizer *normalizer,
                                 struct error *err);
void added_tokens_fini(struct added_tokens *self);

/* The leftmost, and there longest, token at or after `at`; lstrip never reaches back over `at`.
 * Pure.  Source: Hugging Face tokenizers, AddedVocabulary. */
bool added_tokens_find(const struct added_tokens *self, struct str text, size_t at,
                       struct added_match *out);
