/* Digit loops with overflow checks; floating point goes through strtod on a bounded copy. */

#include "base/number.h"

#include <math.h>
#include <stdlib.h>

static bool
parse_i64(struct str text, int64_t *out)
{
    bool is_negative = text.len && text.ptr[0] == '-';
    size_t at = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+') ? 1 : 0;
    int64_t value = 0;

    if (at == text.len)
        return false;
    for (; at < text.len; at++) {
        int64_t digit = text.ptr[at] - '0';

        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, INT64_C(10), &value) ||
            __builtin_add_overflow(value, is_negative ? -digit : digit, &value))
            return false;
    }
    *out = value;
    return true;
}

static int
refuse(struct str text, const char *what, struct error *err)
{
    return error_set(err, ERR_INVALID, "'%.*s' is not %s", STR_ARG(str_slice(text, 0, 64)), what);
}

int
number_parse_i64(struct str text, int64_t *out, struct error *err)
{
    return parse_i64(text, out) ? 0 : refuse(text, "a whole number of 64 bits", err);
}

int
number_parse_whole(struct str text, int64_t *out, struct error *err)
{
    size_t point = str_find_char(text, '.');

    for (size_t i = point + 1; i < text.len; i++) {
        if (text.ptr[i] != '0')
            return refuse(text, "a whole number", err);
    }
    return number_parse_i64(str_slice(text, 0, point), out, err);
}

int
number_parse_f64(struct str text, double *out, struct error *err)
{
    char copy[64];
    char *end;
    double value;

    if (text.len == 0 || text.len >= sizeof(copy))
        return refuse(text, "a number", err);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (!((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || c == 'e' || c == 'E'))
            return refuse(text, "a number", err);
        copy[i] = c;
    }
    copy[text.len] = '\0';
    value = strtod(copy, &end); /* the program never calls setlocale: the point is a point */
    if (end != copy + text.len || !isfinite(value))
        return refuse(text, "a number", err);
    *out = value;
    return 0;
}
