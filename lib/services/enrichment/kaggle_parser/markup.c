/* One pass over the text, one over the tag, code span or comment that begins at a '<' or '`'.
 *
 * What begins but never ends is no markup and stays.  Looking for such an end can be made to fail
 * over and over, so failed looks have a budget; past it, the rest is taken as it is.  The output is
 * never longer than the input: every replacement is shorter than what it replaces. */

#include "lib/services/enrichment/kaggle_parser/markup.h"

#include "base/utf8.h"
#include "lib/services/enrichment/kaggle_parser/markup_names.h"

#define TAG_BYTES    ((size_t)65536) /* an <img> may carry its picture */
#define CODE_BYTES   ((size_t)8192)
#define NAME_BYTES   ((size_t)12)
#define ENTITY_BYTES ((size_t)10)
#define LOOK_BUDGET  ((size_t)1 << 20) /* bytes looked at in vain */

enum markup_form { FORM_BLOCK, FORM_LINE };

struct stripper {
    struct str in;
    size_t pos;
    char *out; /* arena, [cap] */
    size_t len;
    size_t cap;
    size_t n_wasted; /* bytes looked at in vain */
    enum markup_form form;
    bool is_full;
};

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\n' && c != '\t') || c == 0x7F;
}

static void
put(struct stripper *self, char c)
{
    if (self->len == self->cap)
        self->is_full = true;
    else
        self->out[self->len++] = c;
}

static void
put_newline(struct stripper *self)
{
    while (self->len > 0 && (self->out[self->len - 1] == ' ' || self->out[self->len - 1] == '\t'))
        self->len--;
    if (self->len == 0)
        return;
    if (self->len >= 2 && self->out[self->len - 1] == '\n' && self->out[self->len - 2] == '\n')
        return;
    put(self, '\n');
}

/* One byte of text, white space and control characters settled. */
static void
emit(struct stripper *self, char c)
{
    if (self->form == FORM_LINE && is_space(c)) {
        if (self->len > 0 && self->out[self->len - 1] != ' ')
            put(self, ' ');
    } else if (c == '\n') {
        put_newline(self);
    } else if (!is_control(c)) {
        put(self, c);
    }
}

static void
emit_text(struct stripper *self, struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        emit(self, text.ptr[i]);
}

static struct str
rest_of(const struct stripper *self)
{
    return str_slice(self->in, self->pos, self->in.len);
}

/* Offset of the '>' that ends the tag at the front of text, or 0.  Attribute values may hold '>' in
 * quotes; an unquoted '<' says that this was no tag. */
static size_t
find_tag_end(struct str text)
{
    size_t n = text.len < TAG_BYTES ? text.len : TAG_BYTES;
    char quote = 0;

    for (size_t i = 1; i < n; i++) {
        char c = text.ptr[i];

        if (quote) {
            if (c == quote)
                quote = 0;
        } else if ((c == '"' || c == '\'') && text.ptr[i - 1] == '=') {
            quote = c;
        } else if (c == '>') {
            return i;
        } else if (c == '<') {
            return 0;
        }
    }
    return 0;
}

/* Offset of needle (lower case) in text, ASCII case ignored, or text.len. */
static size_t
find_ignore_case(struct str text, struct str needle)
{
    for (size_t i = 0; i + needle.len <= text.len; i++) {
        if (text.ptr[i] == needle.ptr[0] &&
            str_equal_ignore_case(str_slice(text, i, i + needle.len), needle))
            return i;
    }
    return text.len;
}

/* Past the closing tag of the element whose opening tag ends before pos; pos when there is none. */
static size_t
skip_raw_content(struct stripper *self, struct str name, size_t pos)
{
    struct str rest = str_slice(self->in, pos, self->in.len);
    char text[NAME_BYTES + 2] = "</";
    size_t from;
    size_t to;

    (void)memcpy(text + 2, name.ptr, name.len);
    from = find_ignore_case(rest, (struct str){text, name.len + 2});
    if (from == rest.len) {
        self->n_wasted += rest.len;
        return pos;
    }
    to = str_find_char(str_slice(rest, from, rest.len), '>');
    return from + to < rest.len ? pos + from + to + 1 : self->in.len;
}

/* Attributes hold a '=', so that "a <b and c> d" is no tag; closing tags have none. */
static bool
are_attributes(struct str text, bool is_closing, enum markup_kind kind)
{
    text = str_trim(text);
    if (text.len > 0 && text.ptr[text.len - 1] == '/')
        text = str_trim(str_slice(text, 0, text.len - 1));
    if (text.len == 0)
        return true;
    return !is_closing && (kind == MARKUP_RAW || str_find_char(text, '=') < text.len ||
                           text.ptr[0] == '-' || str_equal_ignore_case(text, STR("html")));
}

/* A tag at pos: true when it was one, and pos is behind it. */
static bool
take_tag(struct stripper *self)
{
    struct str rest = rest_of(self);
    bool is_closing = rest.len > 1 && rest.ptr[1] == '/';
    size_t from = is_closing ? 2 : 1;
    size_t to = from;
    enum markup_kind kind;
    struct str name;
    size_t end;

    while (to < rest.len && to - from <= NAME_BYTES && !is_space(rest.ptr[to]) &&
           rest.ptr[to] != '>' && rest.ptr[to] != '/')
        to++;
    name = str_slice(rest, from, to);
    kind = markup_element_kind(name);
    if (kind == MARKUP_NONE)
        return false;
    end = find_tag_end(rest);
    if (end == 0)
        self->n_wasted += rest.len < TAG_BYTES ? rest.len : TAG_BYTES;
    if (end == 0 || !are_attributes(str_slice(rest, to, end), is_closing, kind))
        return false;

    self->pos += end + 1;
    if (kind == MARKUP_RAW && !is_closing)
        self->pos = skip_raw_content(self, name, self->pos);
    if (kind == MARKUP_LINE)
        emit(self, '\n');
    else if (kind == MARKUP_CELL && self->len > 0 && !is_space(self->out[self->len - 1]))
        emit(self, ' ');
    return true;
}

static bool
take_comment(struct stripper *self)
{
    struct str rest = rest_of(self);
    size_t end;

    if (!str_starts_with(rest, STR("<!--")))
        return false;
    end = str_find(rest, STR("-->"));
    if (end == rest.len) {
        self->n_wasted += rest.len;
        return false;
    }
    self->pos += end + 3;
    return true;
}

static bool
take_entity(struct stripper *self)
{
    struct str rest = rest_of(self);
    struct str window = str_slice(rest, 1, ENTITY_BYTES + 2);
    size_t end = str_find_char(window, ';');
    uint32_t code_point = end < window.len ? markup_entity(str_slice(window, 0, end)) : 0;
    char bytes[4];

    if (code_point == 0)
        return false;
    emit_text(self, (struct str){bytes, utf8_encode(code_point, bytes)});
    self->pos += end + 2;
    return true;
}

static size_t
count_run(struct str text, char c)
{
    size_t n = 0;

    while (n < text.len && text.ptr[n] == c)
        n++;
    return n;
}

/* A run of backticks up to the next run of the same length: Markdown's code, as it is. */
static void
take_code(struct stripper *self)
{
    struct str rest = str_slice(rest_of(self), 0, CODE_BYTES);
    size_t n_ticks = count_run(rest, '`');
    size_t pos = n_ticks;
    size_t n = 0;

    while (pos < rest.len && self->n_wasted < LOOK_BUDGET) {
        pos += str_find_char(str_slice(rest, pos, rest.len), '`');
        n = count_run(str_slice(rest, pos, rest.len), '`');
        pos += n;
        if (n == n_ticks)
            break;
    }
    if (n != n_ticks) {
        self->n_wasted += rest.len;
        pos = n_ticks;
    }
    emit_text(self, str_slice(rest, 0, pos));
    self->pos += pos;
}

static void
strip(struct stripper *self)
{
    while (self->pos < self->in.len && !self->is_full) {
        char c = self->in.ptr[self->pos];
        bool may_look = self->n_wasted < LOOK_BUDGET;

        if (c == '`') {
            take_code(self);
            continue;
        }
        if (c == '<' && may_look && (take_comment(self) || take_tag(self)))
            continue;
        if (c == '&' && take_entity(self))
            continue;
        emit(self, c);
        self->pos++;
    }
}

/* Whether the pass would change anything but the ends. */
static bool
is_plain(struct str text, enum markup_form form)
{
    char before = 0;
    char before_that = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '<' || c == '&' || is_control(c))
            return false;
        if (form == FORM_LINE && is_space(c) && (c != ' ' || before == ' '))
            return false;
        if (c == '\n' &&
            (before == ' ' || before == '\t' || (before == '\n' && before_that == '\n')))
            return false;
        before_that = before;
        before = c;
    }
    return true;
}

static struct str
strip_form(struct str text, size_t max_bytes, enum markup_form form, struct arena *arena, bool *ok)
{
    struct stripper self = {.form = form};

    if (!text.ptr)
        return STR_NULL;
    self.in = str_trim(text);
    if (is_plain(self.in, form))
        return str_trim(utf8_cut(self.in, max_bytes));
    self.cap = self.in.len < max_bytes + 4 ? self.in.len : max_bytes + 4;
    self.out = arena_alloc(arena, self.cap);
    if (!self.out) {
        *ok = false;
        return STR_NULL;
    }
    strip(&self);
    return str_trim(utf8_cut((struct str){self.out, self.len}, max_bytes));
}

struct str
kaggle_markup_strip(struct str text, size_t max_bytes, struct arena *arena, bool *ok)
{
    return strip_form(text, max_bytes, FORM_BLOCK, arena, ok);
}

struct str
kaggle_markup_strip_line(struct str text, size_t max_bytes, struct arena *arena, bool *ok)
{
    return strip_form(text, max_bytes, FORM_LINE, arena, ok);
}
