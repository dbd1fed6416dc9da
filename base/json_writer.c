/* The only state is the style and whether a comma is due. */

#include "base/json_writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

static void
begin_value(struct json_writer *self)
{
    if (self->needs_comma)
        buf_append(self->out, self->style == JSON_STYLE_PYTHON ? STR(", ") : STR(","));
    self->needs_comma = true;
}

static void
open_container(struct json_writer *self, char c)
{
    begin_value(self);
    buf_append_char(self->out, c);
    self->needs_comma = false;
}

static void
close_container(struct json_writer *self, char c)
{
    buf_append_char(self->out, c);
    self->needs_comma = true;
}

void
json_begin_object(struct json_writer *self)
{
    open_container(self, '{');
}

void
json_end_object(struct json_writer *self)
{
    close_container(self, '}');
}

void
json_begin_array(struct json_writer *self)
{
    open_container(self, '[');
}

void
json_end_array(struct json_writer *self)
{
    close_container(self, ']');
}

static void
escape_char(struct buf *out, unsigned char c)
{
    static const char names[] = "\"\\\b\f\n\r\t";
    static const char escapes[] = "\"\\bfnrt";
    const char *hit = c ? strchr(names, c) : NULL;

    if (hit)
        buf_printf(out, "\\%c", escapes[hit - names]);
    else
        buf_printf(out, "\\u%04x", c);
}

static bool
is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

/* Half a surrogate pair in three bytes, as JSON_KEEP_SURROGATES makes them; 0 = none there. */
static uint32_t
lone_surrogate(struct str text)
{
    const unsigned char *bytes = (const unsigned char *)text.ptr;

    if (text.len < 3 || bytes[0] != 0xED || bytes[1] < 0xA0 || bytes[1] > 0xBF ||
        (bytes[2] & 0xC0) != 0x80)
        return 0;
    return 0xD000u | (bytes[1] & 0x3Fu) << 6 | (bytes[2] & 0x3Fu);
}

/* The character at the front of text as an escape (two, beyond U+FFFF); returns its bytes. */
static size_t
escape_code_point(struct buf *out, struct str text)
{
    uint32_t unit = lone_surrogate(text);
    size_t n_bytes = 3;

    if (unit == 0)
        unit = utf8_decode(text, &n_bytes);
    if (unit > 0xFFFF) {
        buf_printf(out, "\\u%04x", 0xD800u + ((unit - 0x10000) >> 10));
        unit = 0xDC00u + ((unit - 0x10000) & 0x3FFu);
    }
    buf_printf(out, "\\u%04x", unit);
    return n_bytes;
}

static size_t
copy_code_point(struct buf *out, struct str text)
{
    size_t n_bytes;
    char bytes[4];
    uint32_t code_point = utf8_decode(text, &n_bytes);

    buf_append_bytes(out, bytes, utf8_encode(code_point, bytes));
    return n_bytes;
}

void
json_append_quoted(struct buf *out, struct str text, enum json_style style)
{
    buf_append_char(out, '"');
    for (size_t at = 0; at < text.len;) {
        size_t from = at;

        while (at < text.len && is_plain((unsigned char)text.ptr[at]))
            at++;
        buf_append(out, str_slice(text, from, at));
        if (at == text.len)
            break;
        if ((unsigned char)text.ptr[at] < 0x80)
            escape_char(out, (unsigned char)text.ptr[at++]);
        else if (style == JSON_STYLE_PYTHON)
            at += escape_code_point(out, str_slice(text, at, text.len));
        else
            at += copy_code_point(out, str_slice(text, at, text.len));
    }
    buf_append_char(out, '"');
}

static void
end_name(struct json_writer *self)
{
    buf_append(self->out, self->style == JSON_STYLE_PYTHON ? STR(": ") : STR(":"));
    self->needs_comma = false;
}

void
json_name(struct json_writer *self, struct str name)
{
    begin_value(self);
    json_append_quoted(self->out, name, self->style);
    end_name(self);
}

void
json_raw_name(struct json_writer *self, struct str text)
{
    begin_value(self);
    buf_append_char(self->out, '"');
    buf_append(self->out, text);
    buf_append_char(self->out, '"');
    end_name(self);
}

void
json_raw(struct json_writer *self, struct str text)
{
    begin_value(self);
    buf_append(self->out, text);
}

void
json_null(struct json_writer *self)
{
    json_raw(self, STR("null"));
}

void
json_bool(struct json_writer *self, bool value)
{
    json_raw(self, value ? STR("true") : STR("false"));
}

void
json_i64(struct json_writer *self, int64_t value)
{
    begin_value(self);
    buf_printf(self->out, "%" PRId64, value);
}

void
json_f64(struct json_writer *self, double value)
{
    char text[32];

    if (!isfinite(value)) {
        json_null(self);
        return;
    }
    /* The shortest of the precisions that reads back as the same number. */
    for (int digits = 6; digits <= 17; digits++) {
        double back;

        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        back = strtod(text, NULL);
        if (back <= value && back >= value)
            break;
    }
    json_raw(self, str_from_cstr(text));
}

void
json_str(struct json_writer *self, struct str text)
{
    if (!text.ptr) {
        json_null(self);
        return;
    }
    begin_value(self);
    json_append_quoted(self->out, text, self->style);
}

void
json_value(struct json_writer *self, const struct json *value)
{
    switch (value->type) {
    case JSON_NULL:
        json_null(self);
        break;
    case JSON_BOOL:
        json_bool(self, value->boolean);
        break;
    case JSON_NUMBER:
        json_raw(self, value->text);
        break;
    case JSON_STRING:
        json_str(self, value->text.ptr ? value->text : STR(""));
        break;
    case JSON_ARRAY:
        json_begin_array(self);
        for (size_t i = 0; i < value->array.n_items; i++)
            json_value(self, &value->array.items[i]);
        json_end_array(self);
        break;
    case JSON_OBJECT:
        json_begin_object(self);
        for (size_t i = 0; i < value->object.n_members; i++) {
            json_name(self, value->object.members[i].name);
            json_value(self, &value->object.members[i].value);
        }
        json_end_object(self);
        break;
    }
}

void
json_member_str(struct json_writer *self, struct str name, struct str text)
{
    json_name(self, name);
    json_str(self, text);
}

void
json_member_i64(struct json_writer *self, struct str name, int64_t value)
{
    json_name(self, name);
    json_i64(self, value);
}

void
json_member_f64(struct json_writer *self, struct str name, double value)
{
    json_name(self, name);
    json_f64(self, value);
}

void
json_member_bool(struct json_writer *self, struct str name, bool value)
{
    json_name(self, name);
    json_bool(self, value);
}
