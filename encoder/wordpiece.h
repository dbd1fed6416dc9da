#pragma once

/* WordPiece: one normalized word to vocabulary ids, longest piece first. */

#include <stddef.h>
#include <stdint.h>

#include <trawl/str.h>

#include "encoder/trie.h"

/* Files may ask for less; a word with more characters is unknown in any case. */
#define WORDPIECE_CHARS_MAX 1000u

struct wordpiece {
    struct trie trie;
    int32_t unk_id;
    size_t max_word_chars; /* code points, at most WORDPIECE_CHARS_MAX */
};

/* Ids of a word of 1 to max_word_chars code points, valid UTF-8.
 *
 * ids  [WORDPIECE_CHARS_MAX]
 *
 * Returns how many, at least 1.  Where no piece fits the whole word is one unk_id.
 * Source: Schuster & Nakajima 2012; Hugging Face tokenizers, WordPiece. */
size_t wordpiece_encode(const struct wordpiece *self, struct str word, int32_t *ids);
