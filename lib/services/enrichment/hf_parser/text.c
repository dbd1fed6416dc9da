/* One pass over the code points; a pending gap is written before the next one that stays, so
 * nothing is trimmed afterwards and output is never longer than input. */

#include "lib/services/enrichment/hf_parser/text.h"

#include "base/utf8.h"

enum char_class { CHAR_KEEP, CHAR_DROP, CHAR_SPACE, CHAR_BREAK };

/* What stands between two words: more breaks count as two. */
enum gap { GAP_NONE, GAP_SPACE, GAP_LINE, GAP_PARAGRAPH };

static const struct str gap_texts[] = {
    [GAP_NONE] = STR_INIT(""),
    [GAP_SPACE] = STR_INIT(" "),
    [GAP_LINE] = STR_INIT("\n"),
    [GAP_PARAGRAPH] = STR_INIT("\n\n"),
};

/* clang-format off */
static const struct {
    uint32_t first;
    uint32_t last;
    enum char_class class;
} char_ranges[] = {
    {0x00,   0x08,   CHAR_DROP},
    {0x09,   0x09,   CHAR_SPACE},
    {0x0A,   0x0A,   CHAR_BREAK},
    {0x0B,   0x0D,   CHAR_SPACE},
    {0x0E,   0x1F,   CHAR_DROP},
    {0x20,   0x20,   CHAR_SPACE},
    {0x7F,   0x84,   CHAR_DROP},
    {0x85,   0x85,   CHAR_BREAK}, /* next line */
    {0x86,   0x9F,   CHAR_DROP},
    {0xA0,   0xA0,   CHAR_SPACE}, /* no-break space */
    {0x200B, 0x200B, CHAR_DROP},  /* zero-width space */
    {0x2028, 0x2029, CHAR_BREAK}, /* line and paragraph separator */
    {0x202A, 0x202E, CHAR_DROP},  /* direction overrides: they let a text read as another */
    {0x2066, 0x2069, CHAR_DROP},
    {0x3000, 0x3000, CHAR_SPACE}, /* ideographic space */
    {0xFEFF, 0xFEFF, CHAR_DROP},  /* byte order mark */
};
/* clang-format on */

static enum char_class
classify(uint32_t code_point)
{
    if (code_point > 0x20 && code_point < 0x7F)
        return CHAR_KEEP;
    for (size_t i = 0; i < COUNT_OF(char_ranges) && code_point >= char_ranges[i].first; i++) {
        if (code_point <= char_ranges[i].last)
            return char_ranges[i].class;
    }
    return CHAR_KEEP;
}

static enum gap
widen(enum gap gap, enum char_class class)
{
    if (class == CHAR_BREAK)
        return gap >= GAP_LINE ? GAP_PARAGRAPH : GAP_LINE;
    return gap == GAP_NONE ? GAP_SPACE : gap;
}

static int
clean(struct str text, enum gap widest, size_t max_bytes, struct arena *arena, struct str *out,
      struct error *err)
{
    size_t room = text.len < max_bytes ? text.len : max_bytes;
    enum gap gap = GAP_NONE;
    char *copy;
    size_t n = 0;

    if (!text.ptr) {
        *out = STR_NULL;
        return 0;
    }
    copy = arena_alloc_aligned(arena, room + 1, 1);
    if (!copy)
        return error_set(err, ERR_NOMEM, "no memory for a text of %zu bytes", room);
    for (size_t at = 0, n_bytes; at < text.len; at += n_bytes) {
        enum char_class class = classify(utf8_decode(str_slice(text, at, text.len), &n_bytes));
        struct str space;

        if (class == CHAR_DROP)
            continue;
        if (class != CHAR_KEEP) {
            gap = widen(gap, class);
            continue;
        }
        space = gap_texts[n == 0 ? GAP_NONE : gap < widest ? gap : widest];
        if (space.len + n_bytes > room - n)
            break;
        (void)memcpy(copy + n, space.ptr, space.len);
        (void)memcpy(copy + n + space.len, text.ptr + at, n_bytes);
        n += space.len + n_bytes;
        gap = GAP_NONE;
    }
    *out = (struct str){copy, n};
    return 0;
}

int
hf_text_clean(struct str text, size_t max_bytes, struct arena *arena, struct str *out,
              struct error *err)
{
    return clean(text, GAP_PARAGRAPH, max_bytes, arena, out, err);
}

int
hf_text_clean_line(struct str text, size_t max_bytes, struct arena *arena, struct str *out,
                   struct error *err)
{
    return clean(text, GAP_SPACE, max_bytes, arena, out, err);
}

static bool
has_space(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ')
            return true;
    }
    return false;
}

struct str
hf_text_strip_tail(struct str description)
{
    static const struct str ellipsis = STR_INIT("\xE2\x80\xA6");
    static const struct str words = STR_INIT("See the full description on the dataset page: ");
    struct str text = str_trim(description);
    size_t at = str_find_last(text, words);
    struct str head = str_trim(str_slice(text, 0, at));
    struct str url = str_slice(text, at + words.len, text.len);

    if (at == text.len || !str_ends_with(head, ellipsis) || !str_starts_with(url, STR("http")) ||
        str_find(url, STR("/datasets/")) == url.len || !str_ends_with(url, STR(".")) ||
        has_space(url))
        return description;
    return str_trim(str_slice(head, 0, head.len - ellipsis.len));
}

bool
hf_text_is_placeholder(struct str description)
{
    static const struct str words =
        STR_INIT("dataset hosted on Hugging Face and contributed by the HF Datasets community");
    struct str text = str_trim(description);

    if (str_ends_with(text, STR(".")))
        text = str_slice(text, 0, text.len - 1);
    if (!str_ends_with(text, words))
        return false;
    return !has_space(str_trim(str_slice(text, 0, text.len - words.len)));
}
