/* Files have five tokens or so: a set of first bytes skips nearly everything, the rest is compared
 * one by one, longest first. */

#include "encoder/added_tokens.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "encoder/unicode_table.h"

static int
compare_longest_first(const void *a, const void *b)
{
    const struct added_token *x = a;
    const struct added_token *y = b;

    if (x->content.len != y->content.len)
        return x->content.len > y->content.len ? -1 : 1;
    return str_compare(x->content, y->content);
}

static bool
has_content(const struct added_tokens *self, struct str content)
{
    for (size_t i = 0; i < self->n_tokens; i++) {
        if (str_equal(self->tokens[i].content, content))
            return true;
    }
    return false;
}

/* Room for a content: normalizing makes a code point's bytes at most four times as many (Hangul 3
 * to 9, ideographs get two spaces). */
static size_t
content_room(struct str content)
{
    return content.len * 4 + NORMALIZER_ROOM;
}

/* The content as it is searched for, at `text`. */
static struct str
write_content(struct str content, const struct normalizer *normalizer, char *text)
{
    struct normalizer_run run = {.n_marks = 0};
    size_t at = 0;

    if (normalizer)
        return (struct str){
            text, normalizer_step(normalizer, &run, content, &at, text, content_room(content))};
    (void)memcpy(text, content.ptr, content.len);
    return (struct str){text, content.len};
}

int
added_tokens_init(struct added_tokens *self, const struct added_token *tokens, size_t n_tokens,
                  const struct normalizer *normalizer, struct error *err)
{
    size_t n_bytes = 0;
    char *text;

    *self = (struct added_tokens){0};
    for (size_t i = 0; i < n_tokens; i++)
        n_bytes += sizeof(*tokens) + content_room(tokens[i].content);
    if (n_bytes == 0)
        return 0;
    self->tokens = malloc(n_bytes);
    if (!self->tokens)
        return error_set(err, ERR_NOMEM, "cannot hold %zu added tokens", n_tokens);
    text = (char *)(self->tokens + n_tokens);
    for (size_t i = 0; i < n_tokens; i++) {
        struct str content;

        if (tokens[i].normalized != (normalizer != NULL))
            continue;
        content = write_content(tokens[i].content, normalizer, text);
        if (content.len == 0 || has_content(self, content))
            continue;
        self->tokens[self->n_tokens] = tokens[i];
        self->tokens[self->n_tokens++].content = content;
        self->is_first[(unsigned char)text[0]] = true;
        text += content.len;
    }
    qsort(self->tokens, self->n_tokens, sizeof(*self->tokens), compare_longest_first);
    return 0;
}

void
added_tokens_fini(struct added_tokens *self)
{
    free(self->tokens);
    *self = (struct added_tokens){0};
}

/* The first byte of the code point that ends before `at`. */
static size_t
previous_start(struct str text, size_t at)
{
    size_t start = at - 1;

    while (start > 0 && at - start < 4 && ((unsigned char)text.ptr[start] & 0xC0) == 0x80)
        start--;
    return start;
}

static uint8_t
classes_at(struct str text, size_t from, size_t *n_bytes)
{
    return unicode_find(utf8_decode(str_slice(text, from, text.len), n_bytes))->classes;
}

static bool
is_between_words(struct str text, size_t from, size_t to)
{
    size_t n_bytes;

    if (from > 0 && (classes_at(text, previous_start(text, from), &n_bytes) & UNICODE_WORD) != 0)
        return false;
    return to >= text.len || (classes_at(text, to, &n_bytes) & UNICODE_WORD) == 0;
}

/* Widen the match over white space, as the token's flags ask. */
static void
strip_around(const struct added_token *token, struct str text, size_t at, struct added_match *match)
{
    size_t n_bytes;

    while (token->lstrip && match->from > at) {
        size_t start = previous_start(text, match->from);

        if (start < at || (classes_at(text, start, &n_bytes) & UNICODE_SPACE) == 0)
            break;
        match->from = start;
    }
    while (token->rstrip && match->to < text.len) {
        if ((classes_at(text, match->to, &n_bytes) & UNICODE_SPACE) == 0)
            break;
        match->to += n_bytes;
    }
}

/* The longest token that stands at `from`, or NULL. */
static const struct added_token *
token_at(const struct added_tokens *self, struct str text, size_t from)
{
    struct str rest = str_slice(text, from, text.len);

    if (!self->is_first[(unsigned char)text.ptr[from]])
        return NULL;
    for (size_t i = 0; i < self->n_tokens; i++) {
        if (str_starts_with(rest, self->tokens[i].content))
            return &self->tokens[i];
    }
    return NULL;
}

bool
added_tokens_find(const struct added_tokens *self, struct str text, size_t at,
                  struct added_match *out)
{
    if (self->n_tokens == 0)
        return false;
    for (size_t from = at; from < text.len; from++) {
        const struct added_token *token = token_at(self, text, from);
        size_t to;

        if (!token)
            continue;
        to = from + token->content.len;
        if (token->single_word && !is_between_words(text, from, to)) {
            from = to - 1; /* the candidate is used up, as in the reference */
            continue;
        }
        *out = (struct added_match){from, to, token->id};
        strip_around(token, text, at, out);
        return true;
    }
    return false;
}
