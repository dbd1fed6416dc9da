/* One walk down the trie per piece: the first piece from the words' root, the others from the
 * continuations', whose keys stand without their "##".  Keys are whole code points, so a piece
 * never ends inside one. */

#include "encoder/wordpiece.h"

size_t
wordpiece_encode(const struct wordpiece *self, struct str word, int32_t *ids)
{
    uint32_t root = TRIE_WORD_ROOT;
    size_t n_ids = 0;

    while (word.len > 0) {
        size_t n_bytes = 0;
        int32_t id = trie_find_longest(&self->trie, root, word, &n_bytes);

        if (id == TRIE_NO_VALUE) {
            ids[0] = self->unk_id;
            return 1;
        }
        ids[n_ids++] = id;
        word = str_slice(word, n_bytes, word.len);
        root = TRIE_CONTINUE_ROOT;
    }
    return n_ids;
}
