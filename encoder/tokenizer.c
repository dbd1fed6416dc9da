/* raw text -> added tokens cut out -> normalizer -> added tokens cut out -> words -> word pieces
 *
 * Normal vocabularies search no token in normalized text; then the normalizer fills a chunk, the
 * chunk is split into words at once, and an unfinished word moves to the chunk's front.  The walk
 * stops as soon as one id more than fits is known. */

#include "encoder/tokenizer.h"

#include <stdlib.h>

#include <trawl/encoder.h>

#include "base/utf8.h"
#include "encoder/unicode_table.h"

#define NORMALIZED_MAX_BYTES ((size_t)64 << 20)

struct tokenizer {
    struct normalizer normalizer;
    struct wordpiece wordpiece;
    struct added_tokens raw;        /* searched in the text as it came */
    struct added_tokens normalized; /* searched behind the normalizer */
    uint8_t ascii_classes[128];     /* UNICODE_SPACE, UNICODE_PUNCT */
    int32_t prefix_ids[TOKENIZER_SPECIALS_MAX];
    size_t n_prefix_ids;
    int32_t suffix_ids[TOKENIZER_SPECIALS_MAX];
    size_t n_suffix_ids;
    int32_t max_id;
    unsigned char digest[SHA256_BYTES];
};

/* One text on its way. */
struct walk {
    const struct tokenizer *self;
    struct tokenizer_scratch *scratch;
    int32_t *ids; /* [cap] */
    size_t cap;
    size_t n_ids;     /* counts one more than cap once the text is longer */
    bool is_too_long; /* the word that is being read has more characters than allowed */
    struct error *err;
};

void
tokenizer_scratch_init(struct tokenizer_scratch *self)
{
    self->run.n_marks = 0;
    buf_init(&self->normalized, NORMALIZED_MAX_BYTES);
}

void
tokenizer_scratch_fini(struct tokenizer_scratch *self)
{
    buf_fini(&self->normalized);
}

static bool
is_full(const struct walk *walk)
{
    return walk->n_ids > walk->cap;
}

static void
put_id(struct walk *walk, int32_t id)
{
    if (walk->n_ids < walk->cap)
        walk->ids[walk->n_ids] = id;
    if (walk->n_ids <= walk->cap)
        walk->n_ids++;
}

static bool
has_more_chars(struct str text, size_t max_chars)
{
    size_t n_chars = 0;

    if (text.len <= max_chars)
        return false;
    for (size_t i = 0; i < text.len; i++)
        n_chars += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    return n_chars > max_chars;
}

static void
put_word(struct walk *walk, struct str word)
{
    const struct wordpiece *wordpiece = &walk->self->wordpiece;
    int32_t *pieces = walk->scratch->pieces;
    size_t n_pieces;

    if (walk->is_too_long || has_more_chars(word, wordpiece->max_word_chars)) {
        walk->is_too_long = false;
        put_id(walk, wordpiece->unk_id);
        return;
    }
    if (word.len == 0)
        return;
    n_pieces = wordpiece_encode(wordpiece, word, pieces);
    for (size_t i = 0; i < n_pieces; i++)
        put_id(walk, pieces[i]);
}

static uint8_t
classes_at(const struct walk *walk, struct str text, size_t at, size_t *n_bytes)
{
    unsigned char c = (unsigned char)text.ptr[at];

    if (c < 0x80) {
        *n_bytes = 1;
        return walk->self->ascii_classes[c];
    }
    return unicode_find(utf8_decode(str_slice(text, at, text.len), n_bytes))->classes;
}

/* Split at white space and around punctuation.  Returns where the last, unfinished word begins. */
static size_t
put_words(struct walk *walk, struct str text)
{
    size_t start = 0;
    size_t n_bytes;

    for (size_t at = 0; at < text.len && !is_full(walk); at += n_bytes) {
        uint8_t classes = classes_at(walk, text, at, &n_bytes);

        if ((classes & (UNICODE_SPACE | UNICODE_PUNCT)) == 0)
            continue;
        put_word(walk, str_slice(text, start, at));
        if ((classes & UNICODE_SPACE) == 0)
            put_word(walk, str_slice(text, at, at + n_bytes));
        start = at + n_bytes;
    }
    return start;
}

/* Raw text without added tokens, where none is searched in normalized text either. */
static void
put_raw_in_chunks(struct walk *walk, struct str text)
{
    struct tokenizer_scratch *scratch = walk->scratch;
    size_t n_kept = 0; /* bytes of an unfinished word at the chunk's front */
    size_t at = 0;

    scratch->run.n_marks = 0;
    while (at < text.len && !is_full(walk)) {
        struct str chunk = {scratch->chunk, n_kept};
        size_t start;

        chunk.len += normalizer_step(&walk->self->normalizer, &scratch->run, text, &at,
                                     scratch->chunk + n_kept, sizeof(scratch->chunk) - n_kept);
        start = put_words(walk, chunk);
        n_kept = chunk.len - start;
        if (has_more_chars(str_slice(chunk, start, chunk.len),
                           walk->self->wordpiece.max_word_chars)) {
            walk->is_too_long = true;
            n_kept = 0;
        }
        (void)memmove(scratch->chunk, chunk.ptr + start, n_kept);
    }
    put_word(walk, (struct str){scratch->chunk, n_kept});
}

static int
normalize_all(struct walk *walk, struct str text)
{
    struct buf *out = &walk->scratch->normalized;
    size_t at = 0;

    buf_clear(out);
    walk->scratch->run.n_marks = 0;
    while (at < text.len) {
        char *room = buf_reserve(out, 2 * NORMALIZER_ROOM);

        if (!room)
            return error_wrap(walk->err, buf_status(out, walk->err), "cannot normalize a text");
        buf_commit(out, normalizer_step(&walk->self->normalizer, &walk->scratch->run, text, &at,
                                        room, 2 * NORMALIZER_ROOM));
    }
    return 0;
}

static void
put_normalized(struct walk *walk, struct str text)
{
    size_t start = put_words(walk, text);

    if (!is_full(walk))
        put_word(walk, str_slice(text, start, text.len));
}

/* Raw text without raw added tokens. */
static int
put_raw(struct walk *walk, struct str text)
{
    struct added_match match;
    struct str normalized;
    size_t at = 0;
    int rc;

    if (walk->self->normalized.n_tokens == 0) {
        put_raw_in_chunks(walk, text);
        return 0;
    }
    rc = normalize_all(walk, text);
    if (rc < 0)
        return rc;
    normalized = buf_str(&walk->scratch->normalized);
    while (!is_full(walk) && added_tokens_find(&walk->self->normalized, normalized, at, &match)) {
        put_normalized(walk, str_slice(normalized, at, match.from));
        put_id(walk, match.id);
        at = match.to;
    }
    if (!is_full(walk))
        put_normalized(walk, str_slice(normalized, at, normalized.len));
    return 0;
}

static int
put_text(struct walk *walk, struct str text)
{
    struct added_match match;
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && !is_full(walk) && added_tokens_find(&walk->self->raw, text, at, &match)) {
        rc = put_raw(walk, str_slice(text, at, match.from));
        put_id(walk, match.id);
        at = match.to;
    }
    if (rc == 0 && !is_full(walk))
        rc = put_raw(walk, str_slice(text, at, text.len));
    return rc;
}

int
tokenizer_encode(const struct tokenizer *self, struct tokenizer_scratch *scratch, struct str text,
                 size_t max_ids, int32_t *ids, size_t *n_ids, uint8_t *flags, struct error *err)
{
    struct walk walk = {
        .self = self,
        .scratch = scratch,
        .ids = ids + self->n_prefix_ids,
        .cap = max_ids - tokenizer_n_specials(self),
        .err = err,
    };
    int rc = put_text(&walk, text);

    if (rc < 0)
        return rc;
    *flags = 0;
    if (is_full(&walk)) {
        *flags |= ENCODER_TRUNCATED;
        walk.n_ids = walk.cap;
    }
    if (!utf8_is_valid(text))
        *flags |= ENCODER_INVALID_UTF8;
    (void)memcpy(ids, self->prefix_ids, self->n_prefix_ids * sizeof(*ids));
    (void)memcpy(walk.ids + walk.n_ids, self->suffix_ids, self->n_suffix_ids * sizeof(*ids));
    *n_ids = walk.n_ids + tokenizer_n_specials(self);
    return 0;
}

size_t
tokenizer_n_specials(const struct tokenizer *self)
{
    return self->n_prefix_ids + self->n_suffix_ids;
}

int32_t
tokenizer_max_id(const struct tokenizer *self)
{
    return self->max_id;
}

const unsigned char *
tokenizer_digest(const struct tokenizer *self)
{
    return self->digest;
}

/* -- Building ------------------------------------------------------------------------------ */

/* A vocabulary entry with its place in the file, so that the last of equal texts wins. */
struct sorted_entry {
    struct str text;
    int32_t id;
    size_t order;
};

static int
compare_entries(const void *a, const void *b)
{
    const struct sorted_entry *x = a;
    const struct sorted_entry *y = b;
    int order = str_compare(x->text, y->text);

    if (order != 0)
        return order;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Texts in byte order without their first `skip` bytes, duplicates resolved; returns how many. */
static size_t
sort_keys(const struct sorted_entry *entries, size_t n_entries, size_t skip, struct trie_key *keys)
{
    size_t n = 0;

    for (size_t i = 0; i < n_entries; i++) {
        struct str text = str_slice(entries[i].text, skip, entries[i].text.len);

        if (text.len == 0) /* never looked up */
            continue;
        if (n > 0 && str_equal(keys[n - 1].text, text))
            n--;
        keys[n++] = (struct trie_key){text, entries[i].id};
    }
    return n;
}

/* The entries that begin with the prefix stand together in the sorted list. */
static size_t
find_prefixed(const struct sorted_entry *entries, size_t n_entries, struct str prefix,
              size_t *first)
{
    size_t n = 0;

    *first = 0;
    for (size_t i = 0; i < n_entries; i++) {
        if (!str_starts_with(entries[i].text, prefix))
            continue;
        if (n++ == 0)
            *first = i;
    }
    return n;
}

static int
build_trie(struct tokenizer *self, const struct sorted_entry *entries, size_t n_entries,
           struct str prefix, struct error *err)
{
    size_t first;
    size_t n_prefixed = find_prefixed(entries, n_entries, prefix, &first);
    struct trie_key *keys = calloc(n_entries + n_prefixed + 1, sizeof(*keys));
    size_t n_words;
    size_t n_continuations;
    int rc;

    if (!keys)
        return error_set(err, ERR_NOMEM, "cannot hold %zu vocabulary entries", n_entries);
    n_words = sort_keys(entries, n_entries, 0, keys);
    n_continuations = sort_keys(entries + first, n_prefixed, prefix.len, keys + n_words);
    rc = trie_build(keys, n_words, keys + n_words, n_continuations, &self->wordpiece.trie, err);
    free(keys);
    return rc;
}

static void
hash_number(struct buf *content, uint64_t number)
{
    buf_append_bytes(content, &number, sizeof(number));
}

static void
hash_text(struct buf *content, struct str text)
{
    hash_number(content, text.len);
    buf_append(content, text);
}

/* Everything that decides ids, in one canonical order. */
static int
digest_content(struct tokenizer *self, const struct tokenizer_spec *spec,
               const struct sorted_entry *entries, size_t n_entries, struct error *err)
{
    CLEANUP(buf_fini) struct buf content = BUF_INIT((size_t)256 << 20);
    int rc;

    for (size_t i = 0; i < n_entries; i++) {
        hash_text(&content, entries[i].text);
        hash_number(&content, (uint64_t)entries[i].id);
    }
    for (size_t i = 0; i < spec->n_added; i++) {
        const struct added_token *token = &spec->added[i];

        hash_text(&content, token->content);
        hash_number(&content, (uint64_t)token->id);
        hash_number(&content, (uint64_t)(token->normalized | token->single_word << 1 |
                                         token->lstrip << 2 | token->rstrip << 3));
    }
    hash_number(&content,
                (uint64_t)(spec->normalizer.clean_text |
                           spec->normalizer.handle_chinese_chars << 1 |
                           spec->normalizer.strip_accents << 2 | spec->normalizer.lowercase << 3));
    hash_text(&content, spec->continuing_prefix);
    hash_number(&content, (uint64_t)self->wordpiece.unk_id);
    hash_number(&content, self->wordpiece.max_word_chars);
    for (size_t i = 0; i < spec->n_prefix_ids; i++)
        hash_number(&content, (uint64_t)spec->prefix_ids[i]);
    hash_number(&content, UINT64_MAX);
    for (size_t i = 0; i < spec->n_suffix_ids; i++)
        hash_number(&content, (uint64_t)spec->suffix_ids[i]);
    rc = buf_status(&content, err);
    return rc < 0 ? rc : digest_sha256(buf_str(&content), self->digest, err);
}

static int
build_vocab(struct tokenizer *self, const struct tokenizer_spec *spec, struct error *err)
{
    struct sorted_entry *entries = calloc(spec->n_vocab + 1, sizeof(*entries));
    int rc;

    if (!entries)
        return error_set(err, ERR_NOMEM, "cannot hold %zu vocabulary entries", spec->n_vocab);
    for (size_t i = 0; i < spec->n_vocab; i++) {
        entries[i] = (struct sorted_entry){spec->vocab[i].text, spec->vocab[i].id, i};
        if (spec->vocab[i].id > self->max_id)
            self->max_id = spec->vocab[i].id;
    }
    qsort(entries, spec->n_vocab, sizeof(*entries), compare_entries);
    rc = build_trie(self, entries, spec->n_vocab, spec->continuing_prefix, err);
    if (rc == 0)
        rc = digest_content(self, spec, entries, spec->n_vocab, err);
    free(entries);
    return rc;
}

static int
build(struct tokenizer *self, const struct tokenizer_spec *spec, struct error *err)
{
    int rc;

    normalizer_init(&self->normalizer, spec->normalizer);
    for (uint32_t c = 0; c < COUNT_OF(self->ascii_classes); c++)
        self->ascii_classes[c] = unicode_find(c)->classes & (UNICODE_SPACE | UNICODE_PUNCT);
    self->wordpiece.unk_id = tokenizer_spec_find(spec, spec->unk_token);
    if (self->wordpiece.unk_id < 0)
        return error_set(err, ERR_INVALID, "the unknown token '%.*s' is not in the vocabulary",
                         STR_ARG(spec->unk_token));
    self->wordpiece.max_word_chars = spec->max_word_chars;
    self->n_prefix_ids = spec->n_prefix_ids;
    self->n_suffix_ids = spec->n_suffix_ids;
    (void)memcpy(self->prefix_ids, spec->prefix_ids, sizeof(self->prefix_ids));
    (void)memcpy(self->suffix_ids, spec->suffix_ids, sizeof(self->suffix_ids));
    for (size_t i = 0; i < spec->n_added; i++) {
        if (spec->added[i].id > self->max_id)
            self->max_id = spec->added[i].id;
    }
    rc = added_tokens_init(&self->raw, spec->added, spec->n_added, NULL, err);
    if (rc == 0)
        rc = added_tokens_init(&self->normalized, spec->added, spec->n_added, &self->normalizer,
                               err);
    return rc < 0 ? rc : build_vocab(self, spec, err);
}

int
tokenizer_create(const struct tokenizer_spec *spec, struct tokenizer **out, struct error *err)
{
    struct tokenizer *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "cannot hold a tokenizer");
    rc = build(self, spec, err);
    if (rc < 0) {
        tokenizer_free(self);
        return rc;
    }
    *out = self;
    return 0;
}

void
tokenizer_free(struct tokenizer *self)
{
    if (!self)
        return;
    trie_fini(&self->wordpiece.trie);
    added_tokens_fini(&self->raw);
    added_tokens_fini(&self->normalized);
    free(self);
}
