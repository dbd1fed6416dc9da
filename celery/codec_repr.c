/* A walk over the JSON text.  Everything goes through emit(), which counts characters and, once the
 * limit is met, writes ", ..." and lets nothing pass but the brackets that are still to be closed.
 */

#include "celery/codec_repr.h"

#include "base/json_scan.h"
#include "base/utf8.h"
#include "celery/codec_repr_text.h"

struct formatter {
    struct buf *out;
    bool is_limited; /* else repr() */
    bool is_cut;
    size_t n_left; /* characters, when limited */
};

struct brackets {
    struct str open;
    struct str close;
    struct str hidden; /* below the last level */
};

static const struct brackets list_brackets = {STR_INIT("["), STR_INIT("]"), STR_INIT("[...]")};
static const struct brackets tuple_brackets = {STR_INIT("("), STR_INIT(")"), STR_INIT("(...)")};
static const struct brackets single_brackets = {STR_INIT("("), STR_INIT(",)"), STR_INIT("(...)")};
static const struct brackets dict_brackets = {STR_INIT("{"), STR_INIT("}"), STR_INIT("{...}")};

static void append_value(struct formatter *self, struct str json, size_t level,
                         enum celery_repr_form form);

/* Whether one more piece may be written; writes the mark of the cut when not. */
static bool
has_room(struct formatter *self)
{
    if (self->is_cut)
        return false;
    if (!self->is_limited || self->n_left)
        return true;
    self->is_cut = true;
    buf_append(self->out, STR(", ..."));
    return false;
}

static void
count(struct formatter *self, size_t n_chars)
{
    self->n_left -= n_chars < self->n_left ? n_chars : self->n_left;
}

/* Punctuation, never cut within. */
static bool
emit(struct formatter *self, struct str ascii)
{
    if (!has_room(self))
        return false;
    buf_append(self->out, ascii);
    count(self, ascii.len);
    return true;
}

/* A number or a word: longer than what is left, it is cut. */
static void
emit_scalar(struct formatter *self, struct str ascii)
{
    if (!has_room(self))
        return;
    if (self->is_limited && ascii.len >= self->n_left) {
        buf_append(self->out, str_slice(ascii, 0, self->n_left));
        buf_append(self->out, STR("..."));
        self->n_left = 0;
        return;
    }
    buf_append(self->out, ascii);
    count(self, ascii.len);
}

/* How many characters of a string to show: all, or those before the last space within the limit. */
static size_t
chars_to_show(struct celery_repr_chars chars, size_t limit, bool *is_cut)
{
    size_t n = 0;
    size_t last_space = limit;
    uint32_t c;

    while (n < limit && celery_repr_next_char(&chars, &c)) {
        if (c == ' ')
            last_space = n;
        n++;
    }
    *is_cut = n == limit;
    return *is_cut ? last_space : n;
}

static void
emit_string(struct formatter *self, struct str raw)
{
    struct celery_repr_chars chars = {raw, 0, true};
    bool is_cut;
    size_t n_show;
    size_t n_written = 2; /* the quotes */
    uint32_t c;

    if (!has_room(self))
        return;
    if (!self->is_limited) {
        celery_repr_append_chars(self->out, chars);
        return;
    }
    n_show = chars_to_show(chars, self->n_left, &is_cut);
    buf_append_char(self->out, '\'');
    for (; n_show && celery_repr_next_char(&chars, &c); n_show--, n_written++) {
        char bytes[4];

        if (c == '\'') {
            buf_append_char(self->out, '\\');
            n_written++;
        }
        buf_append_bytes(self->out, bytes, utf8_encode(c, bytes));
    }
    if (is_cut)
        buf_append(self->out, STR("..."));
    buf_append_char(self->out, '\'');
    count(self, n_written + (is_cut ? 3 : 0));
}

static bool
has_one_element(struct str container)
{
    struct json_cursor cursor = json_cursor_open(container);
    struct json_slice slice;

    return json_cursor_next(&cursor, &slice) && !json_cursor_next(&cursor, &slice);
}

static const struct brackets *
choose_brackets(struct str container, enum celery_repr_form form)
{
    if (json_slice_type(container) == JSON_OBJECT)
        return &dict_brackets;
    if (form != CELERY_REPR_SAFE_TUPLE)
        return &list_brackets;
    return has_one_element(container) ? &single_brackets : &tuple_brackets;
}

static void
append_elements(struct formatter *self, struct str container, size_t level)
{
    struct json_cursor cursor = json_cursor_open(container);
    struct json_slice slice;
    bool is_first = true;

    while (!self->is_cut && json_cursor_next(&cursor, &slice)) {
        if (!is_first)
            (void)emit(self, STR(", "));
        is_first = false;
        if (cursor.is_object) {
            emit_string(self, slice.name);
            (void)emit(self, STR(": "));
        }
        append_value(self, slice.value, level, CELERY_REPR_SAFE);
    }
}

static void
append_container(struct formatter *self, struct str container, size_t level,
                 enum celery_repr_form form)
{
    const struct brackets *brackets = choose_brackets(container, form);

    if (self->is_limited && level == CELERY_REPR_LEVELS) {
        (void)emit(self, brackets->hidden);
        return;
    }
    if (!emit(self, brackets->open)) /* opened after the cut: not shown */
        return;
    append_elements(self, container, level + 1);
    buf_append(self->out, brackets->close);
    count(self, brackets->close.len);
}

static void
append_value(struct formatter *self, struct str json, size_t level, enum celery_repr_form form)
{
    char scratch[64];

    switch (json_slice_type(json)) {
    case JSON_NULL:
        emit_scalar(self, STR("None"));
        break;
    case JSON_BOOL:
        emit_scalar(self, json.ptr[0] == 't' ? STR("True") : STR("False"));
        break;
    case JSON_NUMBER:
        emit_scalar(self, celery_repr_number(json, scratch));
        break;
    case JSON_STRING:
        emit_string(self, str_slice(json, 1, json.len - 1));
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        append_container(self, json, level, form);
        break;
    }
}

void
celery_repr_append(struct buf *out, struct str json, enum celery_repr_form form)
{
    struct formatter formatter = {
        .out = out,
        .is_limited = form != CELERY_REPR_PYTHON,
        .n_left = CELERY_REPR_CHARS,
    };

    append_value(&formatter, json, 0, form);
}

void
celery_repr_append_text(struct buf *out, struct str text)
{
    celery_repr_append_chars(out, (struct celery_repr_chars){text, 0, false});
}
