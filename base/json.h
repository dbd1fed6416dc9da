#pragma once

/* JSON values in an arena, read from hostile bytes.
 *
 * Why not a library: answers and messages carry what the usual ones refuse or change (integers
 * beyond 64 bits, lone surrogates, NaN, broken UTF-8 in one field of one row), and one bad value
 * must not cost the batch that holds it.  Numbers keep their text, so nothing is rounded on the way
 * through.  Reading a value is declared in trawl/json.h. Source: RFC 8259. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/json.h>
#include <trawl/str.h>

#include "base/arena.h"

struct json_member;

struct json {
    enum json_type type;
    union {
        bool boolean;
        struct str text; /* the string, unescaped, UTF-8; or the number as it was written */
        struct {
            const struct json *items;
            size_t n_items;
        } array;
        struct {
            const struct json_member *members; /* in their order, duplicates kept */
            size_t n_members;
        } object;
    };
};

struct json_member {
    struct str name;
    struct json value;
};

enum json_flags {
    JSON_STRICT_UTF8 = 1, /* refuse invalid UTF-8 and lone surrogates, else they become U+FFFD */
    JSON_ALLOW_NAN = 2,   /* accept NaN, Infinity and -Infinity as numbers, as Python writes them */
    /* "\ud800" alone becomes three bytes, ED A0 80, as if it were a character (WTF-8), which the
     * writer turns back in JSON_STYLE_PYTHON.  Bytes of that kind in the text itself stay invalid
     * UTF-8. */
    JSON_KEEP_SURROGATES = 4,
};

struct json_limits {
    unsigned flags;   /* enum json_flags */
    size_t max_depth; /* 0 = 64 */
};

/* Parse the whole text (surrounding white space is fine).
 *
 * limits  NULL = lenient UTF-8, depth 64
 * out     lives as long as the arena AND text: strings without escapes point into text
 *
 * Errors: ERR_INVALID with the byte offset, ERR_TOO_LARGE (depth), ERR_NOMEM (also the arena's
 * ceiling; a value takes about 48 bytes). */
MUST_CHECK int json_parse(struct str text, const struct json_limits *limits, struct arena *arena,
                          struct json *out, struct error *err);
