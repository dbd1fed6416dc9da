/* From what a person asks to FTS5 expressions. */

#include "base/json_writer.h"
#include "base/utf8.h"
#include "lib/repositories/dataset_sqlite.h"

#define WORDS_MAX  ((size_t)32)
#define WORD_BYTES ((size_t)128)
#define CJK_FIRST  0x2E80u

/* ASCII letters and digits make words, and so does all beyond ASCII: the tokenizer judges that. */
static bool
is_word_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (unsigned char)c >= 0x80;
}

/* Cut the next word from *rest; false at the end. */
static bool
next_word(struct str *rest, struct str *word)
{
    size_t from = 0;
    size_t to;

    while (from < rest->len && !is_word_byte(rest->ptr[from]))
        from++;
    to = from;
    while (to < rest->len && is_word_byte(rest->ptr[to]))
        to++;
    *word = utf8_cut(str_slice(*rest, from, to), WORD_BYTES);
    *rest = str_slice(*rest, to, rest->len);
    return to > from;
}

/* Words that tell nothing about a dataset; left out unless the query has no others. */
static bool
is_stop_word(struct str word)
{
    static const struct str words[] = {
        STR_INIT("a"),    STR_INIT("an"),   STR_INIT("and"),  STR_INIT("are"),  STR_INIT("as"),
        STR_INIT("at"),   STR_INIT("by"),   STR_INIT("for"),  STR_INIT("from"), STR_INIT("how"),
        STR_INIT("in"),   STR_INIT("into"), STR_INIT("is"),   STR_INIT("it"),   STR_INIT("of"),
        STR_INIT("on"),   STR_INIT("or"),   STR_INIT("that"), STR_INIT("the"),  STR_INIT("their"),
        STR_INIT("this"), STR_INIT("to"),   STR_INIT("what"), STR_INIT("with"),
    };

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (str_equal_ignore_case(words[i], word))
            return true;
    return false;
}

static bool
has_word(const struct str *words, size_t n_words, struct str word)
{
    for (size_t i = 0; i < n_words; i++)
        if (str_equal_ignore_case(words[i], word))
            return true;
    return false;
}

/* Writing without spaces gives one long token per run: a word of it is found as the run's
 * beginning. */
static bool
is_unspaced(struct str word)
{
    size_t n_bytes;

    return utf8_decode(word, &n_bytes) >= CJK_FIRST;
}

/* The distinct words of text, with or without those that tell nothing. */
static size_t
collect_words(struct str text, bool with_stop_words, struct str words[WORDS_MAX])
{
    struct str rest = text;
    struct str word;
    size_t n_words = 0;

    while (n_words < WORDS_MAX && next_word(&rest, &word))
        if (word.len && !has_word(words, n_words, word) && (with_stop_words || !is_stop_word(word)))
            words[n_words++] = word;
    return n_words;
}

size_t
keyword_query_format(struct str text, enum keyword_match match, struct buf *out)
{
    struct str words[WORDS_MAX];
    size_t n_words = collect_words(text, false, words);

    if (n_words == 0)
        n_words = collect_words(text, true, words);
    if (n_words)
        buf_append(out, STR("{title description owner tags columns} : ("));
    for (size_t i = 0; i < n_words; i++) {
        if (i > 0)
            buf_append(out, match == MATCH_ALL_WORDS ? STR(" AND ") : STR(" OR "));
        buf_append_char(out, '"');
        buf_append(out, words[i]);
        buf_append_char(out, '"');
        if (is_unspaced(words[i]))
            buf_append_char(out, '*');
    }
    if (n_words)
        buf_append_char(out, ')');
    return n_words;
}

/* One facet, as the view dataset_texts writes it: kind, the value's bytes in hex, "x". */
static void
append_facet(struct buf *out, char kind, struct str value)
{
    if (!value.len)
        return;
    if (out->len)
        buf_append(out, STR(" AND "));
    buf_printf(out, "facets : %c", kind);
    for (size_t i = 0; i < value.len; i++)
        buf_printf(out, "%02x", (unsigned)(unsigned char)value.ptr[i]);
    buf_append_char(out, 'x');
}

/* A member of a list: its bytes within the list's JSON text. */
static void
append_member(struct buf *out, char kind, struct str value)
{
    CLEANUP(buf_fini) struct buf json = BUF_INIT(EXPRESSION_BYTES);
    struct json_writer writer = JSON_WRITER_INIT(&json);

    if (!value.len)
        return;
    json_str(&writer, value);
    if (buf_status(&json, NULL) == 0)
        append_facet(out, kind, str_slice(buf_str(&json), 1, json.len - 1));
    else if (out->rc == 0)
        out->rc = json.rc;
}

void
dataset_filter_format(const struct dataset_filter *filter, struct buf *out)
{
    CLEANUP(buf_fini) struct buf license = BUF_INIT(EXPRESSION_BYTES);

    for (size_t i = 0; i < filter->license.len; i++) {
        char c = filter->license.ptr[i];

        buf_append_char(&license, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
    }
    if (license.rc < 0 && out->rc == 0)
        out->rc = license.rc;
    append_facet(out, 's', filter->source_name);
    append_facet(out, 'l', buf_str(&license));
    append_member(out, 'f', filter->file_format);
    append_member(out, 't', filter->tag);
}

void
dataset_filter_bind(const struct dataset_filter *filter, struct statement *statement)
{
    statement_bind_i64(statement, 1, filter->with_inactive);
    statement_bind_i64(statement, 2, filter->min_size_bytes);
    statement_bind_i64(statement, 3, filter->max_size_bytes);
    statement_bind_i64(statement, 4, filter->updated_since_us);
}
