/* A loop instead of recursion: one bit per open container says whether it is an object.  Cursors
 * trust the check and look for quotes and brackets only. */

#include "base/json_scan.h"

#include "base/utf8.h"

#define DEPTH_DEFAULT ((size_t)64)

struct scanner {
    struct str text;
    size_t at;
    unsigned flags;
    size_t depth;
    size_t max_depth;
    uint64_t is_object[JSON_SCAN_DEPTH_MAX / 64]; /* bit depth - 1 */
    struct error *err;
};

static int
fail(const struct scanner *self, const char *what)
{
    return error_set(self->err, ERR_INVALID, "JSON: %s at byte %zu", what, self->at);
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char
peek(const struct scanner *self)
{
    return self->at < self->text.len ? self->text.ptr[self->at] : '\0';
}

static void
skip_space(struct scanner *self)
{
    while (is_space(peek(self)))
        self->at++;
}

static bool
take_word(struct scanner *self, struct str word)
{
    if (!str_starts_with(str_slice(self->text, self->at, self->text.len), word))
        return false;
    self->at += word.len;
    return true;
}

/* Four hex digits at offset at, or -1. */
static int32_t
hex4(struct str text, size_t at)
{
    int32_t value = 0;

    if (text.len < 4 || at > text.len - 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        char c = text.ptr[at + i];
        int digit = is_digit(c)            ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;

        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* After "\u". */
static int
check_unicode(struct scanner *self)
{
    int32_t unit = hex4(self->text, self->at);
    int32_t low = -1;

    if (unit < 0)
        return fail(self, "\\u must be followed by four hex digits");
    self->at += 4;
    if (unit < 0xD800 || unit > 0xDFFF)
        return 0;
    if (unit <= 0xDBFF &&
        str_starts_with(str_slice(self->text, self->at, self->text.len), STR("\\u")))
        low = hex4(self->text, self->at + 2);
    if (low >= 0xDC00 && low <= 0xDFFF)
        self->at += 6;
    else if ((self->flags & JSON_STRICT_UTF8) != 0 && (self->flags & JSON_KEEP_SURROGATES) == 0)
        return fail(self, "a string holds half a surrogate pair");
    return 0;
}

static int
check_string(struct scanner *self)
{
    int rc;

    self->at++; /* the opening quote */
    while (self->at < self->text.len) {
        unsigned char c = (unsigned char)self->text.ptr[self->at];

        if (c == '"') {
            self->at++;
            return 0;
        }
        if (c < 0x20)
            return fail(self, "a string holds a bare control character");
        self->at++;
        if (c != '\\')
            continue;
        c = (unsigned char)peek(self);
        if (c == '\0' || !strchr("\"\\/bfnrtu", c))
            return fail(self, "a string holds an invalid escape");
        self->at++;
        if (c == 'u') {
            rc = check_unicode(self);
            if (rc < 0)
                return rc;
        }
    }
    return fail(self, "a string is not closed");
}

static bool
take_digits(struct scanner *self)
{
    size_t from = self->at;

    while (is_digit(peek(self)))
        self->at++;
    return self->at > from;
}

static int
check_number(struct scanner *self)
{
    size_t from = self->at;

    if (peek(self) == '-')
        self->at++;
    if ((self->flags & JSON_ALLOW_NAN) != 0 &&
        (take_word(self, STR("Infinity")) || (self->at == from && take_word(self, STR("NaN")))))
        return 0;
    if (peek(self) == '0')
        self->at++;
    else if (!take_digits(self))
        return fail(self, "a value is expected");
    if (peek(self) == '.') {
        self->at++;
        if (!take_digits(self))
            return fail(self, "a digit must follow the decimal point");
    }
    if (peek(self) == 'e' || peek(self) == 'E') {
        self->at++;
        if (peek(self) == '+' || peek(self) == '-')
            self->at++;
        if (!take_digits(self))
            return fail(self, "a digit must follow the exponent");
    }
    return 0;
}

static int
check_scalar(struct scanner *self)
{
    if (peek(self) == '"')
        return check_string(self);
    if (take_word(self, STR("null")) || take_word(self, STR("true")) ||
        take_word(self, STR("false")))
        return 0;
    return check_number(self);
}

/* name : */
static int
check_name(struct scanner *self)
{
    int rc;

    skip_space(self);
    if (peek(self) != '"')
        return fail(self, "a name in quotes is expected");
    rc = check_string(self);
    if (rc < 0)
        return rc;
    skip_space(self);
    if (peek(self) != ':')
        return fail(self, "':' is expected");
    self->at++;
    return 0;
}

static bool
in_object(const struct scanner *self)
{
    return (self->is_object[(self->depth - 1) / 64] >> (self->depth - 1) % 64 & 1) != 0;
}

/* At a bracket.  *is_empty: it closed at once. */
static int
open_container(struct scanner *self, bool *is_empty)
{
    bool is_object = peek(self) == '{';
    uint64_t bit;

    if (self->depth == self->max_depth)
        return error_set(self->err, ERR_TOO_LARGE, "JSON: nested deeper than %zu at byte %zu",
                         self->max_depth, self->at);
    bit = UINT64_C(1) << self->depth % 64;
    if (is_object)
        self->is_object[self->depth / 64] |= bit;
    else
        self->is_object[self->depth / 64] &= ~bit;
    self->at++;
    skip_space(self);
    *is_empty = peek(self) == (is_object ? '}' : ']');
    if (*is_empty) {
        self->at++;
        return 0;
    }
    self->depth++;
    return is_object ? check_name(self) : 0;
}

/* After a value: close what ends here, up to the comma before the next value or the end of all. */
static int
close_containers(struct scanner *self)
{
    while (self->depth) {
        bool is_object = in_object(self);

        skip_space(self);
        if (peek(self) == ',') {
            self->at++;
            return is_object ? check_name(self) : 0;
        }
        if (peek(self) != (is_object ? '}' : ']'))
            return fail(self, is_object ? "',' or '}' is expected" : "',' or ']' is expected");
        self->at++;
        self->depth--;
    }
    return 0;
}

static int
check_value(struct scanner *self)
{
    int rc;

    do {
        bool is_closed = true;

        skip_space(self);
        if (peek(self) == '{' || peek(self) == '[')
            rc = open_container(self, &is_closed);
        else
            rc = check_scalar(self);
        if (rc == 0 && is_closed)
            rc = close_containers(self);
    } while (rc == 0 && self->depth);
    return rc;
}

int
json_scan(struct str text, const struct json_limits *limits, struct str *out, struct error *err)
{
    struct scanner self = {
        .text = text,
        .flags = limits ? limits->flags : 0,
        .max_depth = limits && limits->max_depth ? limits->max_depth : DEPTH_DEFAULT,
        .err = err,
    };
    size_t from;
    size_t to;
    int rc;

    if (self.max_depth > JSON_SCAN_DEPTH_MAX)
        self.max_depth = JSON_SCAN_DEPTH_MAX;
    if ((self.flags & JSON_STRICT_UTF8) != 0) {
        self.at = utf8_valid_prefix(text);
        if (self.at < text.len)
            return fail(&self, "the text is not valid UTF-8");
        self.at = 0;
    }
    skip_space(&self);
    from = self.at;
    rc = check_value(&self);
    if (rc < 0)
        return rc;
    to = self.at;
    skip_space(&self);
    if (self.at < text.len)
        return fail(&self, "more text follows the value");
    *out = str_slice(text, from, to);
    return 0;
}

/* Past the string whose opening quote stands at `at`. */
static size_t
skip_string(struct str text, size_t at)
{
    size_t from = at + 1;

    while (from < text.len) {
        const char *quote = memchr(text.ptr + from, '"', text.len - from);
        size_t end, n_slashes = 0;

        if (!quote)
            break;
        end = (size_t)(quote - text.ptr);
        while (end - n_slashes > from && text.ptr[end - n_slashes - 1] == '\\')
            n_slashes++;
        if (n_slashes % 2 == 0)
            return end + 1;
        from = end + 1; /* it was escaped */
    }
    return text.len;
}

static size_t
skip_container(struct str text, size_t at)
{
    size_t depth = 0;

    while (at < text.len) {
        char c = text.ptr[at];

        if (c == '"') {
            at = skip_string(text, at);
            continue;
        }
        at++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            break;
    }
    return at;
}

/* Past the value that begins at `at`. */
static size_t
skip_value(struct str text, size_t at)
{
    char c = at < text.len ? text.ptr[at] : '\0';

    if (c == '"')
        return skip_string(text, at);
    if (c == '{' || c == '[')
        return skip_container(text, at);
    while (at < text.len && !is_space(text.ptr[at]) && text.ptr[at] != ',' && text.ptr[at] != ']' &&
           text.ptr[at] != '}')
        at++;
    return at;
}

static void
skip_to_value(struct json_cursor *self)
{
    while (self->at < self->text.len &&
           (is_space(self->text.ptr[self->at]) || self->text.ptr[self->at] == ',' ||
            self->text.ptr[self->at] == ':'))
        self->at++;
}

struct json_cursor
json_cursor_open(struct str container)
{
    enum json_type type = json_slice_type(container);

    if (type != JSON_OBJECT && type != JSON_ARRAY)
        container = STR_NULL;
    return (struct json_cursor){container, 1, type == JSON_OBJECT};
}

bool
json_cursor_next(struct json_cursor *self, struct json_slice *out)
{
    size_t from;

    *out = (struct json_slice){STR_NULL, STR_NULL};
    skip_to_value(self);
    if (self->at + 1 >= self->text.len) /* the closing bracket is the last byte */
        return false;
    if (self->is_object) {
        from = self->at;
        self->at = skip_value(self->text, self->at);
        out->name = str_slice(self->text, from + 1, self->at - 1);
        skip_to_value(self);
    }
    from = self->at;
    self->at = skip_value(self->text, self->at);
    out->value = str_slice(self->text, from, self->at);
    return self->at > from;
}

/* The character of a checked escape whose backslash is behind *at, when it is ASCII; else -1. */
static int32_t
escaped_ascii(struct str text, size_t *at)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    char c = *at < text.len ? text.ptr[(*at)++] : '\0';
    const char *hit;
    int32_t unit;

    if (c == 'u') {
        unit = hex4(text, *at);
        *at += 4;
        return unit < 0x80 ? unit : -1;
    }
    hit = c ? strchr(names, c) : NULL;
    return hit ? values[hit - names] : -1;
}

bool
json_slice_is_named(const struct json_slice *member, struct str name)
{
    size_t n = 0;

    if (str_equal(member->name, name))
        return true;
    if (member->name.len <= name.len) /* an escape is longer than its character */
        return false;
    for (size_t at = 0; at < member->name.len; n++) {
        int32_t c = (unsigned char)member->name.ptr[at++];

        if (c == '\\')
            c = escaped_ascii(member->name, &at);
        if (n == name.len || c != (unsigned char)name.ptr[n])
            return false;
    }
    return n == name.len;
}

enum json_type
json_slice_type(struct str value)
{
    switch (value.len ? value.ptr[0] : 'n') {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}
