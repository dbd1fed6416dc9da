#pragma once

/* JSON text, checked and cut without building values: nothing is allocated, and what is cut out is
 * byte for byte what stood there (big integers, -0.0, "1.10", escapes, white space).
 *
 *     struct json_cursor members = json_cursor_open(object);
 *     struct json_slice member;
 *
 *     while (json_cursor_next(&members, &member))
 *         if (json_slice_is_named(&member, STR("id"))) ...
 *
 * json_parse turns a slice into a value.  Pure, any thread. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/json.h"

/* max_depth of the limits is cut to this. */
#define JSON_SCAN_DEPTH_MAX ((size_t)1024)

/* One element of a container. */
struct json_slice {
    struct str name;  /* between its quotes, escapes and all; absent in an array */
    struct str value; /* the text of one value, without the white space around it */
};

/* Walks a container's elements; plain, may be copied. */
struct json_cursor {
    struct str text; /* of the container */
    size_t at;
    bool is_object;
};

/* Check that the whole text is one JSON value by the rules of json_parse, the same flags included.
 *
 * limits  NULL = lenient UTF-8, depth 64
 * out     the value in text, without the white space around it
 *
 * Errors: ERR_INVALID with the byte offset, ERR_TOO_LARGE (depth). */
MUST_CHECK int json_scan(struct str text, const struct json_limits *limits, struct str *out,
                         struct error *err);

/* Before the first element of a container that json_scan has seen (as a whole or as a part); other
 * values have no elements.  On unchecked text the slices are meaningless but lie inside it. */
struct json_cursor json_cursor_open(struct str container);

/* False after the last element. */
bool json_cursor_next(struct json_cursor *self, struct json_slice *out);

/* Whether the member has that name, ASCII, after escapes are resolved. */
bool json_slice_is_named(const struct json_slice *member, struct str name);

/* By the first byte. */
enum json_type json_slice_type(struct str value);
