#pragma once

/* A tokenizer as its files describe it, before it is built: what tokenizer.json and vocab.txt have
 * in common.  Everything lives in the loader's arena. */

#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "encoder/added_tokens.h"
#include "encoder/normalizer.h"

#define TOKENIZER_SPECIALS_MAX 8 /* that a template may put on either side */

struct vocab_entry {
    struct str text;
    int32_t id; /* >= 0 */
};

struct tokenizer_spec {
    struct normalizer_options normalizer;
    const struct vocab_entry *vocab; /* a text may come twice: the last one counts */
    size_t n_vocab;
    struct str unk_token;
    struct str continuing_prefix;    /* "##" */
    size_t max_word_chars;           /* longer words are unknown */
    const struct added_token *added; /* ids resolved */
    size_t n_added;
    int32_t prefix_ids[TOKENIZER_SPECIALS_MAX];
    size_t n_prefix_ids;
    int32_t suffix_ids[TOKENIZER_SPECIALS_MAX];
    size_t n_suffix_ids;
};

/* Read tokenizer.json.
 *
 * text   the whole file; the spec borrows from it
 * Errors: ERR_INVALID and ERR_UNSUPPORTED, naming the field and what was found; ERR_NOMEM.
 * Source: Hugging Face tokenizers, serialization version 1.0. */
MUST_CHECK int tokenizer_json_parse(struct str text, struct arena *arena,
                                    struct tokenizer_spec *out, struct error *err);

/* The special tokens' texts for a vocabulary without tokenizer.json. */
struct vocab_txt_names {
    struct str unk;
    struct str cls;
    struct str sep;
    struct str pad;
    struct str mask;
};

/* Read vocab.txt: a token per line, its id the line's number from 0.
 *
 * text   the whole file, borrowed by the spec
 * Errors: ERR_INVALID (no [UNK], [CLS] or [SEP]; not UTF-8), ERR_NOMEM. */
MUST_CHECK int vocab_txt_parse(struct str text, const struct vocab_txt_names *names,
                               struct normalizer_options normalizer, struct arena *arena,
                               struct tokenizer_spec *out, struct error *err);

/* The id of a text, -1 when absent; linear, for a handful of look-ups at load. */
int32_t tokenizer_spec_find(const struct tokenizer_spec *spec, struct str text);
