/* Source: Python's Objects/unicodeobject.c, unicode_repr, and Python/pystrtod.c,
 * format_float_short, as documented for repr() and str.isprintable(). */

#include "celery/codec_repr_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

/* Beyond this many characters, a decimal's last digits are not looked at; no double needs more. */
#define DECIMAL_CHARS ((size_t)1100)

/* Beyond ASCII, what str.isprintable() denies: the categories C (without the unassigned) and Z of
 * Unicode 14. */
static const struct {
    uint32_t first;
    uint32_t last;
} hidden_ranges[] = {
    {0x0080, 0x00A0},   {0x00AD, 0x00AD},   {0x0600, 0x0605},     {0x061C, 0x061C},
    {0x06DD, 0x06DD},   {0x070F, 0x070F},   {0x0890, 0x0891},     {0x08E2, 0x08E2},
    {0x1680, 0x1680},   {0x180E, 0x180E},   {0x2000, 0x200F},     {0x2028, 0x202F},
    {0x205F, 0x2064},   {0x2066, 0x206F},   {0x3000, 0x3000},     {0xD800, 0xF8FF},
    {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD},   {0x110CD, 0x110CD},
    {0x13430, 0x13438}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A},   {0xE0001, 0xE0001},
    {0xE0020, 0xE007F}, {0xF0000, 0xFFFFD}, {0x100000, 0x10FFFD},
};

static bool
is_hidden(uint32_t c)
{
    if (c < 0x7F)
        return c < 0x20;
    if (c == 0x7F)
        return true;
    for (size_t i = 0; i < COUNT_OF(hidden_ranges); i++) {
        if (c >= hidden_ranges[i].first && c <= hidden_ranges[i].last)
            return true;
    }
    return false;
}

/* The four digits of a checked \u escape. */
static uint32_t
take_hex4(struct celery_repr_chars *self)
{
    uint32_t unit = 0;

    for (size_t n = 0; n < 4 && self->at < self->text.len; n++) {
        char c = self->text.ptr[self->at++];

        unit = unit * 16 + (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return unit & 0xFFFF;
}

static uint32_t
take_escape(struct celery_repr_chars *self)
{
    static const char names[] = "bfnrt";
    static const char values[] = "\b\f\n\r\t";
    char c = self->at < self->text.len ? self->text.ptr[self->at++] : '\\';
    const char *hit = c ? strchr(names, c) : NULL;
    uint32_t unit;
    uint32_t low;
    size_t before_low;

    if (c != 'u')
        return (unsigned char)(hit ? values[hit - names] : c);
    unit = take_hex4(self);
    if (unit < 0xD800 || unit > 0xDBFF ||
        !str_starts_with(str_slice(self->text, self->at, self->text.len), STR("\\u")))
        return unit;
    before_low = self->at;
    self->at += 2;
    low = take_hex4(self);
    if (low >= 0xDC00 && low <= 0xDFFF)
        return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    self->at = before_low;
    return unit;
}

/* Half a surrogate pair in three bytes, or 0. */
static uint32_t
take_surrogate(struct celery_repr_chars *self)
{
    const unsigned char *bytes = (const unsigned char *)self->text.ptr + self->at;

    if (self->text.len - self->at < 3 || bytes[0] != 0xED || bytes[1] < 0xA0 || bytes[1] > 0xBF ||
        (bytes[2] & 0xC0) != 0x80)
        return 0;
    self->at += 3;
    return 0xD000u | (bytes[1] & 0x3Fu) << 6 | (bytes[2] & 0x3Fu);
}

bool
celery_repr_next_char(struct celery_repr_chars *self, uint32_t *out)
{
    unsigned char c;
    size_t n_bytes;

    if (self->at >= self->text.len)
        return false;
    c = (unsigned char)self->text.ptr[self->at];
    if (c == '\\' && self->is_json) {
        self->at++;
        *out = take_escape(self);
    } else if (c < 0x80) {
        self->at++;
        *out = c;
    } else {
        *out = take_surrogate(self);
        if (*out == 0) {
            *out = utf8_decode(str_slice(self->text, self->at, self->text.len), &n_bytes);
            self->at += n_bytes;
        }
    }
    return true;
}

/* Python prefers single quotes, unless there are only single ones inside. */
static char
choose_quote(struct celery_repr_chars chars)
{
    bool has_single = false;
    uint32_t c;

    while (celery_repr_next_char(&chars, &c)) {
        if (c == '"')
            return '\'';
        has_single = has_single || c == '\'';
    }
    return has_single ? '"' : '\'';
}

static void
append_char(struct buf *out, uint32_t c, char quote)
{
    static const char names[] = "tnr";
    static const char values[] = "\t\n\r";
    const char *hit = c && c < 0x20 ? strchr(values, (int)c) : NULL;
    char bytes[4];

    if (hit)
        buf_printf(out, "\\%c", names[hit - values]);
    else if (c == '\\' || c == (unsigned char)quote)
        buf_printf(out, "\\%c", (char)c);
    else if (!is_hidden(c))
        buf_append_bytes(out, bytes, utf8_encode(c, bytes));
    else if (c < 0x100)
        buf_printf(out, "\\x%02x", c);
    else if (c < 0x10000)
        buf_printf(out, "\\u%04x", c);
    else
        buf_printf(out, "\\U%08x", c);
}

void
celery_repr_append_chars(struct buf *out, struct celery_repr_chars chars)
{
    char quote = choose_quote(chars);
    uint32_t c;

    buf_append_char(out, quote);
    while (celery_repr_next_char(&chars, &c))
        append_char(out, c, quote);
    buf_append_char(out, quote);
}

/* "d.ddde+xx" into its digits and its exponent; returns the count of digits. */
static int
split_decimal(const char *text, char digits[20], int *exponent)
{
    const char *at = text;
    int n = 0;

    for (; *at && *at != 'e'; at++) {
        if (*at != '.' && n < 19)
            digits[n++] = *at;
    }
    *exponent = (int)strtod(*at ? at + 1 : "0", NULL);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    return n;
}

/* The shortest decimal that reads back as value (finite, not negative). */
static void
format_shortest(double value, char *out, size_t out_bytes)
{
    char text[40];
    char digits[20];
    int exponent;
    int n;

    for (int precision = 0; precision <= 16; precision++) {
        double back;

        (void)snprintf(text, sizeof(text), "%.*e", precision, value);
        back = strtod(text, NULL);
        if (back <= value && back >= value)
            break;
    }
    n = split_decimal(text, digits, &exponent);
    if (exponent < -4 || exponent >= 16)
        (void)snprintf(out, out_bytes, "%c%s%se%c%02d", digits[0], n > 1 ? "." : "", digits + 1,
                       exponent < 0 ? '-' : '+', abs(exponent));
    else if (exponent < 0)
        (void)snprintf(out, out_bytes, "0.%.*s%s", -exponent - 1, "0000", digits);
    else if (n <= exponent + 1)
        (void)snprintf(out, out_bytes, "%s%.*s.0", digits, exponent + 1 - n, "0000000000000000");
    else
        (void)snprintf(out, out_bytes, "%.*s.%s", exponent + 1, digits, digits + exponent + 1);
}

static bool
is_integer(struct str number)
{
    for (size_t i = 0; i < number.len; i++) {
        if (number.ptr[i] == '.' || number.ptr[i] == 'e' || number.ptr[i] == 'E')
            return false;
    }
    return true;
}

struct str
celery_repr_number(struct str number, char scratch[64])
{
    char copy[DECIMAL_CHARS + 1];
    double value;

    if (str_equal(number, STR("-0")))
        return STR("0");
    if (str_equal(number, STR("NaN")))
        return STR("nan");
    if (str_ends_with(number, STR("Infinity")))
        return number.ptr[0] == '-' ? STR("-inf") : STR("inf");
    if (is_integer(number) || number.len > DECIMAL_CHARS)
        return number;
    (void)memcpy(copy, number.ptr, number.len);
    copy[number.len] = '\0';
    value = strtod(copy, NULL);
    if (isinf(value))
        return value < 0 ? STR("-inf") : STR("inf");
    scratch[0] = '-';
    format_shortest(fabs(value), scratch + 1, 63);
    return str_from_cstr(signbit(value) ? scratch : scratch + 1);
}
