/* Views on bytes: comparing, trimming, finding and splitting without copying. */

#include <trawl/str.h>

#include <stdint.h>

int
str_compare(struct str a, struct str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

static char
fold_ascii(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool
str_equal_ignore_case(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (fold_ascii(a.ptr[i]) != fold_ascii(b.ptr[i]))
            return false;
    }
    return true;
}

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str
str_trim(struct str text)
{
    size_t from = 0;
    size_t to = text.len;

    while (from < to && is_space(text.ptr[from]))
        from++;
    while (to > from && is_space(text.ptr[to - 1]))
        to--;
    return str_slice(text, from, to);
}

size_t
str_find(struct str text, struct str needle)
{
    const char *hit;

    if (needle.len == 0)
        return 0;
    if (text.len < needle.len)
        return text.len;
    hit = memmem(text.ptr, text.len, needle.ptr, needle.len);
    return hit ? (size_t)(hit - text.ptr) : text.len;
}

size_t
str_find_last(struct str text, struct str needle)
{
    if (text.len < needle.len)
        return text.len;
    for (size_t at = text.len - needle.len + 1; at-- > 0;) {
        if (str_equal(str_slice(text, at, at + needle.len), needle))
            return at;
    }
    return text.len;
}

size_t
str_find_char(struct str text, char wanted)
{
    const char *hit = text.len ? memchr(text.ptr, wanted, text.len) : NULL;

    return hit ? (size_t)(hit - text.ptr) : text.len;
}

bool
str_split(struct str *rest, char separator, struct str *head)
{
    size_t at;

    if (!rest->ptr)
        return false;
    at = str_find_char(*rest, separator);
    *head = str_slice(*rest, 0, at);
    *rest = at < rest->len ? str_slice(*rest, at + 1, rest->len) : STR_NULL;
    return true;
}

size_t
str_distance(struct str a, struct str b)
{
    size_t row[65];

    if (a.len > 64 || b.len > 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t replace = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            size_t insert = row[j - 1] + 1;
            size_t delete = row[j] + 1;
            size_t best = replace < insert ? replace : insert;

            diagonal = row[j];
            row[j] = best < delete ? best : delete;
        }
    }
    return row[b.len];
}
