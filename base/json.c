/* Recursive descent with a depth limit.
 *
 * Elements of the array or object being read stand on one growing stack and are copied to the arena
 * when it closes, so every container is one contiguous block.  Strings are borrowed from the input
 * unless they hold an escape or a byte that must be replaced. */

#include "base/json.h"

#include <stdlib.h>

#include "base/number.h"
#include "base/utf8.h"

#define DEPTH_DEFAULT ((size_t)64)

struct json_parser {
    struct str text;
    size_t at;
    unsigned flags;
    size_t max_depth;
    size_t depth;
    struct arena *arena;
    struct json_member *stack; /* open containers' elements; arrays leave the name empty */
    size_t n_stack;
    size_t cap_stack;
    struct error *err;
};

static int parse_value(struct json_parser *self, struct json *out);

static int
fail(const struct json_parser *self, const char *what)
{
    return error_set(self->err, ERR_INVALID, "JSON: %s at byte %zu", what, self->at);
}

static int
fail_memory(const struct json_parser *self)
{
    return error_set(self->err, ERR_NOMEM, "JSON: out of memory at byte %zu", self->at);
}

static void
skip_space(struct json_parser *self)
{
    while (self->at < self->text.len) {
        char c = self->text.ptr[self->at];

        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return;
        self->at++;
    }
}

/* The next byte, or NUL at the end (a NUL in the text is no JSON either). */
static char
peek(const struct json_parser *self)
{
    return self->at < self->text.len ? self->text.ptr[self->at] : '\0';
}

static bool
take_word(struct json_parser *self, struct str word)
{
    struct str rest = str_slice(self->text, self->at, self->text.len);

    if (!str_starts_with(rest, word))
        return false;
    self->at += word.len;
    return true;
}

static size_t
skip_digits(struct json_parser *self)
{
    size_t from = self->at;

    while (peek(self) >= '0' && peek(self) <= '9')
        self->at++;
    return self->at - from;
}

static int
parse_number(struct json_parser *self, struct json *out)
{
    size_t from = self->at;

    if (peek(self) == '-')
        self->at++;
    if ((self->flags & JSON_ALLOW_NAN) != 0 &&
        (take_word(self, STR("Infinity")) || (self->at == from && take_word(self, STR("NaN"))))) {
        *out = (struct json){JSON_NUMBER, {.text = str_slice(self->text, from, self->at)}};
        return 0;
    }
    if (peek(self) == '0')
        self->at++;
    else if (skip_digits(self) == 0)
        return fail(self, "a value is expected");
    if (peek(self) == '.') {
        self->at++;
        if (skip_digits(self) == 0)
            return fail(self, "a digit must follow the decimal point");
    }
    if (peek(self) == 'e' || peek(self) == 'E') {
        self->at++;
        if (peek(self) == '+' || peek(self) == '-')
            self->at++;
        if (skip_digits(self) == 0)
            return fail(self, "a digit must follow the exponent");
    }
    *out = (struct json){JSON_NUMBER, {.text = str_slice(self->text, from, self->at)}};
    return 0;
}

/* Four hex digits at offset at; -1 when they are not. */
static int32_t
hex4(struct str text, size_t at)
{
    int32_t value = 0;

    if (text.len < 4 || at > text.len - 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        char c = text.ptr[at + i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;

        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* The code point of the \u escape whose digits begin at *at; moves past it (and its pair).
 * *is_lone: half a pair, which is no code point. */
static int32_t
unescape_unicode(struct str text, size_t *at, bool *is_lone)
{
    int32_t unit = hex4(text, *at);
    int32_t low;

    if (unit < 0)
        return -1;
    *at += 4;
    if (unit < 0xD800 || unit > 0xDFFF)
        return unit;
    if (unit <= 0xDBFF && str_starts_with(str_slice(text, *at, text.len), STR("\\u"))) {
        low = hex4(text, *at + 2);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            *at += 6;
            return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    *is_lone = true;
    return unit;
}

/* One escape after its backslash into out (room for 4 bytes); returns bytes written or 0. */
static size_t
unescape(struct str raw, size_t *at, char *out, bool *is_lone)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    const char *hit;
    int32_t code_point;

    if (*at >= raw.len || raw.ptr[*at] == '\0')
        return 0;
    if (raw.ptr[*at] == 'u') {
        (*at)++;
        code_point = unescape_unicode(raw, at, is_lone);
        return code_point < 0 ? 0 : utf8_encode((uint32_t)code_point, out);
    }
    hit = strchr(names, raw.ptr[*at]);
    if (!hit)
        return 0;
    (*at)++;
    out[0] = values[hit - names];
    return 1;
}

/* Copy raw (between the quotes) with escapes resolved and bad bytes replaced.  An escape is never
 * shorter than what it stands for; a replaced byte grows to three. */
static int
copy_string(struct json_parser *self, struct str raw, struct str *out)
{
    char *copy;
    size_t n = 0;
    size_t max;

    if (__builtin_mul_overflow(raw.len, (size_t)(utf8_is_valid(raw) ? 1 : 3), &max) ||
        !(copy = arena_alloc_aligned(self->arena, max + 4, 1)))
        return fail_memory(self);
    for (size_t at = 0; at < raw.len;) {
        bool is_lone = false;
        size_t n_bytes;

        if (raw.ptr[at] == '\\') {
            at++;
            n_bytes = unescape(raw, &at, copy + n, &is_lone);
            if (n_bytes == 0)
                return fail(self, "a string holds an invalid escape, before the one that ends");
            if (is_lone && (self->flags & JSON_KEEP_SURROGATES) == 0) {
                if ((self->flags & JSON_STRICT_UTF8) != 0)
                    return fail(self,
                                "a string holds half a surrogate pair, before the one that ends");
                n_bytes = utf8_encode(UTF8_REPLACEMENT, copy + n);
            }
            n += n_bytes;
            continue;
        }
        n += utf8_encode(utf8_decode(str_slice(raw, at, raw.len), &n_bytes), copy + n);
        at += n_bytes;
    }
    *out = (struct str){copy, n};
    return 0;
}

static int
parse_string(struct json_parser *self, struct str *out)
{
    size_t from = ++self->at; /* past the opening quote */
    bool has_escape = false;
    bool is_ascii = true;
    struct str raw;

    for (; self->at < self->text.len; self->at++) {
        unsigned char c = (unsigned char)self->text.ptr[self->at];

        if (c == '"')
            break;
        if (c < 0x20)
            return fail(self, "a string holds a bare control character");
        is_ascii = is_ascii && c < 0x80;
        if (c == '\\') {
            has_escape = true;
            self->at++;
        }
    }
    if (self->at >= self->text.len)
        return fail(self, "a string is not closed");
    raw = str_slice(self->text, from, self->at);
    self->at++;
    if (!has_escape && (is_ascii || utf8_is_valid(raw))) {
        *out = raw;
        return 0;
    }
    if ((self->flags & JSON_STRICT_UTF8) != 0 && !utf8_is_valid(raw))
        return fail(self, "a string is not valid UTF-8, before the one that ends");
    return copy_string(self, raw, out);
}

static int
push(struct json_parser *self, const struct json_member *element)
{
    if (self->n_stack == self->cap_stack) {
        size_t cap = self->cap_stack ? self->cap_stack * 2 : 64;
        struct json_member *stack;

        if (cap > self->arena->max_bytes / sizeof(*stack) + 64) /* it would not fit there either */
            return fail_memory(self);
        stack = reallocarray(self->stack, cap, sizeof(*stack));
        if (!stack)
            return fail_memory(self);
        self->stack = stack;
        self->cap_stack = cap;
    }
    self->stack[self->n_stack++] = *element;
    return 0;
}

static int
close_array(struct json_parser *self, size_t base, struct json *out)
{
    size_t n = self->n_stack - base;
    struct json *items = arena_calloc(self->arena, n, sizeof(*items));

    if (!items)
        return fail_memory(self);
    for (size_t i = 0; i < n; i++)
        items[i] = self->stack[base + i].value;
    *out = (struct json){JSON_ARRAY, {.array = {items, n}}};
    return 0;
}

static int
close_object(struct json_parser *self, size_t base, struct json *out)
{
    size_t n = self->n_stack - base;
    struct json_member *members = arena_calloc(self->arena, n, sizeof(*members));

    if (!members)
        return fail_memory(self);
    if (n)
        (void)memcpy(members, self->stack + base, n * sizeof(*members));
    *out = (struct json){JSON_OBJECT, {.object = {members, n}}};
    return 0;
}

/* One element: [name :] value. */
static int
parse_element(struct json_parser *self, bool is_object)
{
    struct json_member element = {0};
    int rc;

    skip_space(self);
    if (is_object) {
        if (peek(self) != '"')
            return fail(self, "a name in quotes is expected");
        rc = parse_string(self, &element.name);
        if (rc < 0)
            return rc;
        skip_space(self);
        if (peek(self) != ':')
            return fail(self, "':' is expected");
        self->at++;
        skip_space(self);
    }
    rc = parse_value(self, &element.value);
    return rc < 0 ? rc : push(self, &element);
}

static int
parse_container(struct json_parser *self, struct json *out)
{
    bool is_object = peek(self) == '{';
    char end = is_object ? '}' : ']';
    size_t base = self->n_stack;
    int rc;

    if (++self->depth > self->max_depth)
        return error_set(self->err, ERR_TOO_LARGE, "JSON: nested deeper than %zu at byte %zu",
                         self->max_depth, self->at);
    self->at++;
    skip_space(self);
    while (peek(self) != end) {
        rc = parse_element(self, is_object);
        if (rc < 0)
            return rc;
        skip_space(self);
        if (peek(self) == end)
            break;
        if (peek(self) != ',')
            return fail(self, is_object ? "',' or '}' is expected" : "',' or ']' is expected");
        self->at++;
        skip_space(self);
        if (peek(self) == end)
            return fail(self, "a value must follow the comma");
    }
    self->at++;
    self->depth--;
    rc = is_object ? close_object(self, base, out) : close_array(self, base, out);
    self->n_stack = base;
    return rc;
}

static int
parse_value(struct json_parser *self, struct json *out)
{
    switch (peek(self)) {
    case '{':
    case '[':
        return parse_container(self, out);
    case '"':
        *out = (struct json){.type = JSON_STRING};
        return parse_string(self, &out->text);
    case 't':
        if (take_word(self, STR("true"))) {
            *out = (struct json){JSON_BOOL, {.boolean = true}};
            return 0;
        }
        break;
    case 'f':
        if (take_word(self, STR("false"))) {
            *out = (struct json){JSON_BOOL, {.boolean = false}};
            return 0;
        }
        break;
    case 'n':
        if (take_word(self, STR("null"))) {
            *out = (struct json){.type = JSON_NULL};
            return 0;
        }
        break;
    default:
        return parse_number(self, out);
    }
    return fail(self, "a value is expected");
}

int
json_parse(struct str text, const struct json_limits *limits, struct arena *arena, struct json *out,
           struct error *err)
{
    struct json_parser self = {
        .text = text,
        .flags = limits ? limits->flags : 0,
        .max_depth = limits && limits->max_depth ? limits->max_depth : DEPTH_DEFAULT,
        .arena = arena,
        .err = err,
    };
    struct json value;
    int rc;

    skip_space(&self);
    rc = parse_value(&self, &value);
    if (rc == 0) {
        skip_space(&self);
        if (self.at < text.len)
            rc = fail(&self, "more text follows the value");
    }
    free(self.stack);
    if (rc == 0)
        *out = value;
    return rc;
}
