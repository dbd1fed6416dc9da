#pragma once

/* Tokenizer: text to the ids of a BERT vocabulary, bit-exact to the reference's fast tokenizer. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "encoder/added_tokens.h"
#include "encoder/normalizer.h"
#include "encoder/tokenizer_spec.h"
#include "encoder/wordpiece.h"

struct tokenizer; /* read-only once created: any number of threads, a scratch each */

/* One thread's working memory. */
struct tokenizer_scratch {
    struct normalizer_run run;
    struct buf normalized; /* used only with tokens that are searched in normalized text */
    int32_t pieces[WORDPIECE_CHARS_MAX];
    char chunk[4 * NORMALIZER_ROOM];
};

void tokenizer_scratch_init(struct tokenizer_scratch *self);
void tokenizer_scratch_fini(struct tokenizer_scratch *self);

/* Build from a description, which is only borrowed.
 * Errors: ERR_INVALID (the unknown token is not in the vocabulary), ERR_TOO_LARGE, ERR_NOMEM. */
MUST_CHECK int tokenizer_create(const struct tokenizer_spec *spec, struct tokenizer **out,
                                struct error *err);
void tokenizer_free(struct tokenizer *self);

/* Ids of one text, special tokens included.
 *
 * max_ids  at least tokenizer_n_specials; what does not fit is cut from the text's end
 * ids      [max_ids]
 * n_ids    how many were written
 * flags    enum encoder_flags
 *
 * Errors: ERR_NOMEM (only for vocabularies with tokens that are searched in normalized text). */
MUST_CHECK int tokenizer_encode(const struct tokenizer *self, struct tokenizer_scratch *scratch,
                                struct str text, size_t max_ids, int32_t *ids, size_t *n_ids,
                                uint8_t *flags, struct error *err);

/* Ids that every text gets around its own. */
size_t tokenizer_n_specials(const struct tokenizer *self);

/* The highest id that encode can give: the word table must have more rows. */
int32_t tokenizer_max_id(const struct tokenizer *self);

/* SHA-256 over all that decides ids, whatever file it came from; [SHA256_BYTES], borrowed. */
const unsigned char *tokenizer_digest(const struct tokenizer *self);
