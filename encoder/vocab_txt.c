/* vocab.txt, and the look-up that both loaders share. */

#include "base/utf8.h"
#include "encoder/tokenizer_spec.h"

#define MAX_WORD_CHARS 100 /* BertTokenizer's */

int32_t
tokenizer_spec_find(const struct tokenizer_spec *spec, struct str text)
{
    for (size_t i = spec->n_vocab; i-- > 0;) { /* the last of equal texts counts */
        if (str_equal(spec->vocab[i].text, text))
            return spec->vocab[i].id;
    }
    for (size_t i = 0; i < spec->n_added; i++) {
        if (str_equal(spec->added[i].content, text))
            return spec->added[i].id;
    }
    return -1;
}

/* The fast loader of the reference trims all white space at a line's end. */
static struct str
trim_end(struct str line)
{
    while (line.len > 0 && memchr(" \t\r\v\f", line.ptr[line.len - 1], 5))
        line.len--;
    return line;
}

static int
parse_lines(struct str text, struct arena *arena, struct tokenizer_spec *spec, struct error *err)
{
    struct vocab_entry *entries;
    struct str rest = text;
    struct str line;
    size_t n_lines = 1;

    if (!utf8_is_valid(text))
        return error_set(err, ERR_INVALID, "vocab.txt: byte %zu is not UTF-8",
                         utf8_valid_prefix(text));
    for (size_t i = 0; i < text.len; i++)
        n_lines += text.ptr[i] == '\n';
    if (n_lines > INT32_MAX || !(entries = arena_calloc(arena, n_lines, sizeof(*entries))))
        return error_set(err, ERR_NOMEM, "vocab.txt: cannot hold %zu lines", n_lines);
    while (rest.len > 0 && str_split(&rest, '\n', &line)) {
        entries[spec->n_vocab] = (struct vocab_entry){trim_end(line), (int32_t)spec->n_vocab};
        spec->n_vocab++;
    }
    spec->vocab = entries;
    return 0;
}

int
vocab_txt_parse(struct str text, const struct vocab_txt_names *names,
                struct normalizer_options normalizer, struct arena *arena,
                struct tokenizer_spec *out, struct error *err)
{
    const struct {
        struct str name;
        bool is_needed;
    } specials[] = {
        {names->pad, false}, {names->unk, true},   {names->cls, true},
        {names->sep, true},  {names->mask, false},
    };
    struct tokenizer_spec spec = {
        .normalizer = normalizer,
        .unk_token = names->unk,
        .continuing_prefix = STR("##"),
        .max_word_chars = MAX_WORD_CHARS,
    };
    struct added_token *added = arena_calloc(arena, COUNT_OF(specials), sizeof(*added));
    int rc;

    if (!added)
        return error_set(err, ERR_NOMEM, "vocab.txt: cannot hold the special tokens");
    spec.added = added;
    rc = parse_lines(text, arena, &spec, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < COUNT_OF(specials); i++) {
        int32_t id = tokenizer_spec_find(&spec, specials[i].name);

        if (id < 0 && specials[i].is_needed)
            return error_set(err, ERR_INVALID, "vocab.txt: the special token '%.*s' is missing",
                             STR_ARG(specials[i].name));
        if (id >= 0 && specials[i].name.len > 0)
            added[spec.n_added++] = (struct added_token){specials[i].name, id, .special = true};
    }
    spec.prefix_ids[spec.n_prefix_ids++] = tokenizer_spec_find(&spec, names->cls);
    spec.suffix_ids[spec.n_suffix_ids++] = tokenizer_spec_find(&spec, names->sep);
    *out = spec;
    return 0;
}
