#pragma once

/* JSON object to struct by table: one row per field, one loop for all of them.
 *
 *     static const struct json_field hf_fields[] = {
 *         JSON_FIELD(STR, struct dataset, external_id, "id", JSON_REQUIRED),
 *         JSON_FIELD(TIME, struct dataset, source_updated_at_us, "lastModified", 0),
 *         JSON_FIELDS_END,
 *     };
 *
 * The macro refuses to compile when the member is not of the kind's C type.  Pure, any thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/attributes.h>
#include <trawl/error.h>
#include <trawl/str.h>

#include "base/json.h"

/* clang-format off */
#define JSON_FIELD_KINDS(X) \
    /* kind  member's type  what the JSON must hold */ \
    X(STR,   struct str,    "a string")             /* borrowed from the JSON */              \
    X(I64,   int64_t,       "a whole number")       /* "5.0" and "5e2" count, within int64 */ \
    X(F64,   double,        "a finite number")                                                \
    X(BOOL,  bool,          "a boolean")                                                      \
    X(TIME,  int64_t,       "a date in a string")   /* microseconds, by timestamp_parse */
/* clang-format on */

enum json_field_kind {
#define JSON_FIELD_ENUM(name, c_type, wanted) JSON_FIELD_##name,
    JSON_FIELD_KINDS(JSON_FIELD_ENUM)
#undef JSON_FIELD_ENUM
};

enum json_field_flags {
    JSON_REQUIRED = 1, /* absent, null or of another type is an error, not "not sent" */
};

struct json_field {
    enum json_field_kind kind;
    unsigned flags; /* enum json_field_flags */
    size_t offset;  /* of the member in the struct */
    struct str name;
};

#define JSON_FIELD_TYPE_STR  struct str
#define JSON_FIELD_TYPE_I64  int64_t
#define JSON_FIELD_TYPE_F64  double
#define JSON_FIELD_TYPE_BOOL bool
#define JSON_FIELD_TYPE_TIME int64_t

/* 0, or a compile error where the member has another type than the kind. */
#define JSON_FIELD_CHECK(kind, owner, member)                                                      \
    (0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((owner *)0)->member),                \
                                                  JSON_FIELD_TYPE_##kind)                          \
                         ? 1                                                                       \
                         : -1]))

/* clang-format off */
#define JSON_FIELD(kind, owner, member, name_literal, flag_bits)                                   \
    {JSON_FIELD_##kind, (flag_bits),                                                               \
     offsetof(owner, member) + JSON_FIELD_CHECK(kind, owner, member), STR_INIT(name_literal)}

#define JSON_FIELDS_END {JSON_FIELD_STR, 0, 0, {NULL, 0}}
/* clang-format on */

/* Fill a struct's members from an object's members of the same names.
 *
 * fields      up to JSON_FIELDS_END
 * out         the struct that the table is about; texts in it live as long as the JSON
 * n_mistyped  optional fields of another type, or that could not be read (a date that is none, a
 *             number beyond int64): they count as absent; may be NULL
 *
 * An absent or null optional field leaves its member alone, unknown fields are ignored, of a
 * repeated one the last counts.  On failure out is untouched. Errors: ERR_INVALID (not an object; a
 * required field is missing or of another type: both named). */
MUST_CHECK int json_fields_read(const struct json *object, const struct json_field *fields,
                                void *out, size_t *n_mistyped, struct error *err);
