#pragma once

/* The message's fields as tables: name on the wire, kind, place in the record; in the order in
 * which Celery writes them.  One loop reads them, one writes them. */

#include "base/json_scan.h"
#include "base/json_writer.h"
#include "celery/message.h"

enum celery_field_kind {
    CELERY_FIELD_NAME,   /* struct str: a string or null, at most max_name_bytes */
    CELERY_FIELD_SHOWN,  /* struct str: a string, for people only; another type counts as absent */
    CELERY_FIELD_TIME,   /* struct celery_time: ISO 8601 or null */
    CELERY_FIELD_COUNT,  /* int64_t: a whole number from 0, or null */
    CELERY_FIELD_LIMITS, /* struct celery_limits: [hard, soft] or null */
    CELERY_FIELD_FLAG,   /* enum celery_flag: a boolean or null */
    CELERY_FIELD_LIST,   /* struct str, JSON: an array or null */
    CELERY_FIELD_OBJECT, /* struct str, JSON: an object or null */
    CELERY_FIELD_ANY,    /* struct str, JSON: any value; only read */
    CELERY_FIELD_CODING, /* struct str: as NAME, of how the body is packed; only read */
};

struct celery_field {
    struct str name;
    enum celery_field_kind kind;
    size_t offset;
};

struct celery_fields {
    const char *where; /* for messages: "header" */
    const struct celery_field *items;
    size_t n_items; /* at most 32 */
};

extern const struct celery_fields celery_header_fields;
extern const struct celery_fields celery_property_fields; /* without delivery_info, body_encoding */
extern const struct celery_fields celery_delivery_fields; /* of delivery_info */
extern const struct celery_fields celery_embed_fields;

/* One decoding under way. */
struct celery_reader {
    const struct celery_decode_policy *policy;
    struct arena *arena;
    struct error *err;
    enum celery_refusal_kind kind;
    struct celery_message message;
};

/* Note why, fill the error, return the negative code. */
#define celery_refuse(reader, refusal_kind, ...)                                                   \
    ((reader)->kind = (refusal_kind),                                                              \
     error_set((reader)->err, celery_refusal_code(refusal_kind), __VA_ARGS__))

enum error_code celery_refusal_code(enum celery_refusal_kind kind);

/* Flags of Celery's JSON dialect. */
#define CELERY_JSON_FLAGS (JSON_ALLOW_NAN | JSON_STRICT_UTF8 | JSON_KEEP_SURROGATES)

/* Check a text as UTF-8 and JSON, within the policy's depth. */
MUST_CHECK int celery_reader_scan(struct celery_reader *self, const char *what, struct str text,
                                  struct str *out);

/* A JSON string's text. */
MUST_CHECK int celery_reader_unescape(struct celery_reader *self, struct str json, struct str *out);

/* Read the members that the table knows from a scanned object; null leaves the record's member
 * alone.  A known name that stands there twice is refused: two readers could see two messages. */
MUST_CHECK int celery_fields_read(struct celery_reader *self, struct str object,
                                  const struct celery_fields *fields, void *record);

/* Write the members of the record, each with its name. */
MUST_CHECK int celery_fields_write(struct json_writer *json, const struct celery_fields *fields,
                                   const void *record, struct error *err);

/* One JSON slice, or fallback where it is absent; refused when it is not one value of the type. */
MUST_CHECK int celery_write_slice(struct json_writer *json, struct str name, struct str slice,
                                  enum json_type type, struct str fallback, struct error *err);
