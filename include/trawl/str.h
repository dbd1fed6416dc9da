#pragma once

/* Strings are views: by value, borrowed, UTF-8, not NUL-terminated.
 *
 * {NULL, 0} means "absent"; {"", 0} means "present and empty".  Pure functions, any thread. */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <trawl/attributes.h>

struct str {
    const char *ptr;
    size_t len; /* bytes */
};

/* A list of views; items and the bytes they point to have one owner, usually an arena. */
struct str_list {
    const struct str *items;
    size_t n_items;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    } /* in static tables */
#define STR_NULL ((struct str){NULL, 0})

/* For printf: "%.*s" with STR_ARG(view). */
#define STR_ARG(view) (int)(view).len, (view).ptr ? (view).ptr : ""

static inline struct str
str_from_cstr(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}

static inline bool
str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool
str_starts_with(struct str text, struct str prefix)
{
    return text.len >= prefix.len && str_equal((struct str){text.ptr, prefix.len}, prefix);
}

static inline bool
str_ends_with(struct str text, struct str suffix)
{
    return text.len >= suffix.len &&
           str_equal((struct str){text.ptr + (text.len - suffix.len), suffix.len}, suffix);
}

/* The bytes [from, to), both clamped to the length. */
static inline struct str
str_slice(struct str text, size_t from, size_t to)
{
    if (to > text.len)
        to = text.len;
    if (from > to)
        from = to;
    return (struct str){text.ptr ? text.ptr + from : NULL, to - from};
}

/* Byte order, the shorter first where one is a prefix of the other: <0, 0 or >0. */
TRAWL_API int str_compare(struct str a, struct str b);

/* ASCII case folded; other bytes compare as they are. */
TRAWL_API bool str_equal_ignore_case(struct str a, struct str b);

/* Without leading and trailing ASCII white space. */
TRAWL_API struct str str_trim(struct str text);

/* Offset of the first (last) occurrence, or text.len where there is none. */
TRAWL_API size_t str_find(struct str text, struct str needle);
TRAWL_API size_t str_find_last(struct str text, struct str needle);
TRAWL_API size_t str_find_char(struct str text, char wanted);

/* Cut *rest at the first separator: *head is what stood before it (all, when there is none).
 * Returns false once *rest is used up; "a,,b" gives three heads. */
TRAWL_API bool str_split(struct str *rest, char separator, struct str *head);

/* Edit distance in bytes (insert, delete, replace), for "did you mean".  Texts over 64 bytes
 * count as far away.  Source: Wagner & Fischer 1974. */
TRAWL_API size_t str_distance(struct str a, struct str b);
