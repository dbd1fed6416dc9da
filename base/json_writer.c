/* The only state is whether a comma is due. */

#include "base/json_writer.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void
begin_value(struct json_writer *self)
{
    if (self->needs_comma)
        buf_append_char(self->out, ',');
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

static void
append_quoted(struct buf *out, struct str text)
{
    buf_append_char(out, '"');
    for (size_t at = 0; at < text.len;) {
        size_t from = at;
        size_t n_bytes = 1;
        unsigned char c;

        while (at < text.len && is_plain((unsigned char)text.ptr[at]))
            at++;
        buf_append(out, str_slice(text, from, at));
        if (at == text.len)
            break;
        c = (unsigned char)text.ptr[at];
        if (c < 0x80) {
            escape_char(out, c);
        } else {
            char bytes[4];
            uint32_t code_point = utf8_decode(str_slice(text, at, text.len), &n_bytes);

            buf_append_bytes(out, bytes, utf8_encode(code_point, bytes));
        }
        at += n_bytes;
    }
    buf_append_char(out, '"');
}

void
json_name(struct json_writer *self, struct str name)
{
    begin_value(self);
    append_quoted(self->out, name);
    buf_append_char(self->out, ':');
    self->needs_comma = false;
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
    append_quoted(self->out, text);
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
