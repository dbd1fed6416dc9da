/* The grammar of RFC 4180, section 2, byte by byte, with every way to break it named. */

#include "base/csv_strict.h"

#include <string.h>

struct cursor {
    struct str text;
    size_t at;
    bool is_end;
    const struct csv_strict_rules *rules;
    struct csv_strict_record *out;
};

static enum csv_strict_result
refuse(struct cursor *cursor, enum csv_defect defect)
{
    cursor->out->defect = defect;
    return CSV_STRICT_DEFECT;
}

/* The bytes ended inside a field that begins at from. */
static enum csv_strict_result
run_out(struct cursor *cursor, size_t from)
{
    if (cursor->text.len - from > cursor->rules->max_field_bytes)
        return refuse(cursor, CSV_FIELD_TOO_LONG);
    if (cursor->text.len > cursor->rules->max_record_bytes)
        return refuse(cursor, CSV_RECORD_TOO_LONG);
    return CSV_STRICT_MORE;
}

/* At the opening quote; leaves the cursor on the separator, or at the end of the text. */
static enum csv_strict_result
read_quoted(struct cursor *cursor, struct str *field)
{
    struct str text = cursor->text;
    size_t from = cursor->at + 1;
    size_t at = from;

    for (;;) {
        const char *quote = at < text.len ? memchr(text.ptr + at, '"', text.len - at) : NULL;
        enum csv_strict_result result;

        if (!quote) {
            result = run_out(cursor, from);
            if (result == CSV_STRICT_MORE && cursor->is_end)
                result = refuse(cursor, CSV_UNTERMINATED);
            return result;
        }
        at = (size_t)(quote - text.ptr) + 1;
        if (at == text.len && !cursor->is_end)
            return run_out(cursor, from);
        if (at == text.len || text.ptr[at] != '"')
            break;
        at++;
    }
    *field = (struct str){text.ptr + from, at - 1 - from};
    if (field->len > cursor->rules->max_field_bytes)
        return refuse(cursor, CSV_FIELD_TOO_LONG);
    if (at < text.len && text.ptr[at] == '\r') {
        if (at + 1 == text.len && !cursor->is_end)
            return run_out(cursor, from);
        if (at + 1 == text.len || text.ptr[at + 1] == '\n')
            at++;
    }
    if (at < text.len && text.ptr[at] != ',' && text.ptr[at] != '\n')
        return refuse(cursor, CSV_TEXT_AFTER_QUOTE);
    cursor->at = at;
    return CSV_STRICT_RECORD;
}

/* As read_quoted, for a field without an opening quote. */
static enum csv_strict_result
read_bare(struct cursor *cursor, struct str *field)
{
    struct str text = cursor->text;
    size_t from = cursor->at;
    size_t at = from;

    while (at < text.len && text.ptr[at] != ',' && text.ptr[at] != '\n') {
        if (text.ptr[at] == '"') {
            if (!cursor->rules->is_bare_quote_text)
                return refuse(cursor, CSV_BARE_QUOTE);
            cursor->out->has_bare_quote = true;
        }
        at++;
    }
    if (at == text.len && !cursor->is_end)
        return run_out(cursor, from);
    *field = (struct str){text.ptr + from, at - from};
    if (field->len && (at == text.len || text.ptr[at] == '\n') && text.ptr[at - 1] == '\r')
        field->len--;
    if (field->len > cursor->rules->max_field_bytes)
        return refuse(cursor, CSV_FIELD_TOO_LONG);
    cursor->at = at;
    return CSV_STRICT_RECORD;
}

enum csv_strict_result
csv_strict_parse(struct str text, bool is_end, const struct csv_strict_rules *rules,
                 struct str *fields, struct csv_strict_record *out)
{
    struct cursor cursor = {.text = text, .is_end = is_end, .rules = rules, .out = out};

    *out = (struct csv_strict_record){0};
    for (;;) {
        bool is_quoted = cursor.at < text.len && text.ptr[cursor.at] == '"';
        enum csv_strict_result result;
        struct str field;

        if (out->n_fields == rules->max_columns)
            return refuse(&cursor, CSV_TOO_MANY_COLUMNS);
        result = is_quoted ? read_quoted(&cursor, &field) : read_bare(&cursor, &field);
        if (result != CSV_STRICT_RECORD)
            return result;
        if (cursor.at > rules->max_record_bytes)
            return refuse(&cursor, CSV_RECORD_TOO_LONG);
        if (fields)
            fields[out->n_fields] = field;
        out->n_fields++;
        if (cursor.at == text.len || text.ptr[cursor.at] == '\n') {
            out->is_blank = out->n_fields == 1 && !is_quoted && field.len == 0;
            out->n_bytes = cursor.at + (cursor.at < text.len);
            return CSV_STRICT_RECORD;
        }
        cursor.at++;
    }
}
