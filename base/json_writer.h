#pragma once

/* Writing JSON into a buffer: commas and quotes are the writer's business.
 *
 *     struct json_writer json = JSON_WRITER_INIT(&buf);
 *     json_begin_object(&json);
 *     json_name(&json, STR("n"));
 *     json_i64(&json, 3);
 *     json_end_object(&json);
 *
 * Output is compact, valid UTF-8 (bad bytes become U+FFFD).  Failures stick in the buffer. */

#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"

enum json_style {
    JSON_STYLE_COMPACT,
    JSON_STYLE_PYTHON, /* as Python's json.dumps: ", " and ": ", ASCII only, lone surrogates kept */
};

struct json_writer {
    struct buf *out; /* borrowed */
    enum json_style style;
    bool needs_comma; /* something stands before in the container being written */
};

/* clang-format off */
#define JSON_WRITER_INIT(buf_ptr)                                                                  \
    {.out = (buf_ptr), .style = JSON_STYLE_COMPACT, .needs_comma = false}
/* clang-format on */

/* One string with its quotes, at the end of a buffer. */
void json_append_quoted(struct buf *out, struct str text, enum json_style style);

void json_begin_object(struct json_writer *self);
void json_end_object(struct json_writer *self);
void json_begin_array(struct json_writer *self);
void json_end_array(struct json_writer *self);
void json_name(struct json_writer *self, struct str name);

void json_null(struct json_writer *self);
void json_bool(struct json_writer *self, bool value);
void json_i64(struct json_writer *self, int64_t value);
void json_f64(struct json_writer *self, double value);    /* shortest form; null when not finite */
void json_str(struct json_writer *self, struct str text); /* an absent text is null */
void json_value(struct json_writer *self, const struct json *value);

/* Text that already is one JSON value, or what stands between a name's quotes. */
void json_raw(struct json_writer *self, struct str text);
void json_raw_name(struct json_writer *self, struct str text);

/* Name and value in one call, the usual case. */
void json_member_str(struct json_writer *self, struct str name, struct str text);
void json_member_i64(struct json_writer *self, struct str name, int64_t value);
void json_member_f64(struct json_writer *self, struct str name, double value);
void json_member_bool(struct json_writer *self, struct str name, bool value);
