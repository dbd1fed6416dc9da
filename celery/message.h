#pragma once

/* A task message: Celery's wire format to a record and back.  No I/O: bytes in, a value or a
 * classified refusal out; shared by every broker, by tests and by fuzzers.  Pure, any thread.
 *
 * Two kinds of text live in the record.  Names and ids are unescaped (half a surrogate pair stands
 * as three bytes, see JSON_KEEP_SURROGATES).  What is only passed on (arguments, signatures,
 * stamps) is a slice of JSON, byte for byte as it came: big integers, NaN, -0.0, "\ud800" and type
 * tags survive.
 *
 * Source: Celery's documentation, "Message Protocol", versions 1 and 2; docs/celery-messages.md. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/buf.h"

#define CELERY_NO_TIME  INT64_MIN
#define CELERY_NO_INDEX (-1)

/* Longest text of celery_time_format, with its NUL. */
#define CELERY_TIME_TEXT_BYTES 48

enum celery_protocol {
    CELERY_PROTOCOL_1 = 1,  /* all in the body, an object */
    CELERY_PROTOCOL_2 = 2,  /* headers, and a body of three elements */
    CELERY_PROTOCOL_HYBRID, /* header `task`, and a body as in protocol 1 */
};

enum celery_flag { CELERY_UNSET, CELERY_FALSE, CELERY_TRUE };

struct celery_time {
    struct str text; /* as it came, and as it goes out again */
    int64_t us;      /* UTC, or CELERY_NO_TIME */
    bool is_local; /* us is a wall clock in the worker's zone (protocol 1, utc false, no offset) */
};

struct celery_limits {
    double hard_s; /* 0 = none */
    double soft_s;
};

/* A plain record of views; all lives as long as the bytes that were decoded and the arena. */
struct celery_message {
    enum celery_protocol protocol; /* that it came in; it goes out as 2 */

    /* Text; absent for null. */
    struct str task;
    struct str id;
    struct str root_id; /* of the workflow; the own id where a protocol 2 sender left it out */
    struct str parent_id;
    struct str group;
    int64_t group_index; /* or CELERY_NO_INDEX */
    struct str shadow;   /* a name for display; never for look-up */
    struct str lang;
    struct str origin;
    struct str argsrepr;   /* for display; absent going out: made from args */
    struct str kwargsrepr; /* may hide secrets: honour it, do not parse it */

    struct celery_time eta;
    struct celery_time expires;

    int64_t retries;
    int64_t replaced_task_nesting;
    struct celery_limits timelimit;
    enum celery_flag ignore_result; /* CELERY_UNSET: the task's own setting decides */

    /* JSON slices; absent for null. */
    struct str args;   /* array */
    struct str kwargs; /* object */
    struct str callbacks;
    struct str errbacks;
    struct str chain; /* the next task is the last element */
    struct str chord;
    struct str stamps;
    struct str stamped_headers;

    /* The whole objects, for the members that have no field here: celery_message_next_other. */
    struct str headers;
    struct str properties;
    struct str embed;

    /* Properties. */
    struct str correlation_id;
    struct str reply_to;
    struct str expiration; /* decimal text, milliseconds */
    int64_t delivery_mode; /* 2 = persistent, 1 = transient */
    int64_t priority;      /* 0 to 9 on Redis */
    struct str exchange;   /* of delivery_info */
    struct str routing_key;
    struct str delivery_tag; /* absent going out: a new random one */

    struct str content_type;
    struct str content_encoding;
    struct str compression; /* its name, celery_compression_find; the slices above are unpacked */
};

/* Why a message was refused; decides the reason in the dead set and what else is due. */
/* clang-format off */
#define CELERY_REFUSALS(X) \
    /* kind            reason                   error code        what a worker does beside */ \
    X(MALFORMED,       "malformed",             ERR_INVALID,      CELERY_DROP)   \
    X(BAD_UTF8,        "bad-utf8",              ERR_INVALID,      CELERY_DROP)   \
    X(TOO_LARGE,       "too-large",             ERR_TOO_LARGE,    CELERY_DROP)   \
    X(TOO_DEEP,        "too-deep",              ERR_TOO_LARGE,    CELERY_DROP)   \
    X(TOO_MANY,        "too-many-names",        ERR_TOO_LARGE,    CELERY_DROP)   \
    X(DUPLICATE,       "duplicate-name",        ERR_INVALID,      CELERY_DROP)   \
    X(MISSING,         "missing-field",         ERR_INVALID,      CELERY_DROP)   \
    X(WRONG_TYPE,      "wrong-type",            ERR_INVALID,      CELERY_DROP)   \
    X(FOREIGN_TYPE,    "foreign-content-type",  ERR_UNSUPPORTED,  CELERY_REJECT) \
    X(FOREIGN_CODING,  "foreign-encoding",      ERR_UNSUPPORTED,  CELERY_REJECT) \
    X(UNKNOWN_MESSAGE, "unknown-message",       ERR_INVALID,      CELERY_REJECT) \
    X(BAD_TIME,        "bad-time",              ERR_INVALID,      CELERY_REJECT) \
    X(BAD_BODY,        "bad-body",              ERR_INVALID,      CELERY_REJECT) \
    X(BAD_ARGUMENTS,   "bad-arguments",         ERR_INVALID,      CELERY_FAIL)
/* clang-format on */

enum celery_refusal_kind {
    CELERY_NOT_REFUSED, /* the call failed for lack of memory: the message is not to blame */
#define CELERY_REFUSAL_ENUM(kind, reason, code, verdict) CELERY_REFUSED_##kind,
    CELERY_REFUSALS(CELERY_REFUSAL_ENUM)
#undef CELERY_REFUSAL_ENUM
};

/* What Python workers do with such a message, and ours beside keeping it in the dead set. */
enum celery_verdict {
    CELERY_DROP,   /* acknowledge; no result, no event */
    CELERY_REJECT, /* reject without requeue; no result, no event */
    CELERY_FAIL,   /* store FAILURE InvalidTaskError for the id, event task-failed, acknowledge */
};

struct celery_refusal {
    enum celery_refusal_kind kind;
    struct celery_message
        partial; /* what was read before: the id, for a result and for the dead set */
};

const char *celery_refusal_reason(enum celery_refusal_kind kind);
enum celery_verdict celery_refusal_verdict(enum celery_refusal_kind kind);

struct celery_decode_policy {
    size_t max_message_bytes; /* envelope, or headers + properties + body */
    size_t max_body_bytes;    /* unpacked */
    size_t max_args_bytes;    /* args and kwargs as JSON */
    size_t max_name_bytes;    /* each of the texts that name something: task, ids, keys */
    size_t max_depth;         /* of brackets, at most JSON_SCAN_DEPTH_MAX */
    size_t max_names;         /* of headers, and of properties */
};

/* 32 MiB, 16 MiB, 4 MiB, 4096, 512, 1024. */
extern const struct celery_decode_policy celery_decode_policy_default;

/* Decode one element of a Redis list, or of any store that wraps messages as kombu's virtual
 * transports do: {"body": ..., "content-encoding": ..., "content-type": ..., "headers": {},
 * "properties": {}}.
 *
 * bytes    the element, borrowed by *out
 * policy   NULL = celery_decode_policy_default
 * arena    at most 4 * bytes.len + 16 KiB are taken, and twice the unpacked size of a compressed
 * body out      untouched when refused refusal  filled on failure; may be NULL
 *
 * Errors: by the table above, ERR_NOMEM. */
MUST_CHECK int celery_message_decode_envelope(struct str bytes,
                                              const struct celery_decode_policy *policy,
                                              struct arena *arena, struct celery_message *out,
                                              struct celery_refusal *refusal, struct error *err);

/* A message whose parts a broker carries apart (AMQP). */
struct celery_parts {
    struct str headers; /* a JSON object; absent = none */
    struct str
        properties;  /* a JSON object with the names of the virtual transport; absent = none */
    struct str body; /* bytes, not base64, still compressed where the headers say so */
    struct str content_type;
    struct str content_encoding;
};

/* As above; a delivery_tag is not asked for. */
MUST_CHECK int celery_message_decode(const struct celery_parts *parts,
                                     const struct celery_decode_policy *policy, struct arena *arena,
                                     struct celery_message *out, struct celery_refusal *refusal,
                                     struct error *err);

/* A message to send, with the defaults that Celery's own client has: no arguments, persistent, no
 * eta; lang "py", since Python monitors know no other.  Texts are borrowed. */
void celery_message_init(struct celery_message *out, struct str task, struct str id);

/* Start at eta_us.  Errors: ERR_NOMEM. */
MUST_CHECK int celery_message_set_eta(struct celery_message *message, int64_t eta_us,
                                      struct arena *arena, struct error *err);

/* Not to be started after expires_us; brokers are told the milliseconds that are left at now_us. */
MUST_CHECK int celery_message_set_expires(struct celery_message *message, int64_t expires_us,
                                          int64_t now_us, struct arena *arena, struct error *err);

/* Microseconds to "2026-11-23T12:26:56.633048+00:00", without a fraction where it is zero:
 * Celery 5.2 reads the fraction's digits as a count of microseconds, so they are six or none.
 * Returns text. */
const char *celery_time_format(int64_t time_us, char text[CELERY_TIME_TEXT_BYTES]);

/* Append the envelope, as protocol 2, with the names in the order in which Celery 5.3 to 5.7 write
 * them. What came in unknown headers, properties and embed members goes out again.
 *
 * Errors: ERR_ARGS (no task, id or routing_key), ERR_INVALID (a slice is not the JSON that it
 * should be), ERR_UNSUPPORTED (compression), ERR_TOO_LARGE and ERR_NOMEM (out's). */
MUST_CHECK int celery_message_encode_envelope(const struct celery_message *message, struct buf *out,
                                              struct error *err);

/* The same parts alone: the headers as a JSON object, and the body, compressed but not base64. */
MUST_CHECK int celery_message_encode_headers(const struct celery_message *message, struct buf *out,
                                             struct error *err);
MUST_CHECK int celery_message_encode_body(const struct celery_message *message, struct buf *out,
                                          struct error *err);

struct json_cursor;
struct json_slice;

enum celery_part { CELERY_HEADERS, CELERY_PROPERTIES, CELERY_EMBED };

/* The next member of message->headers (properties, embed) that has no field in the record: a user's
 * custom header.  members starts as json_cursor_open(message->headers).  False at the end. */
bool celery_message_next_other(enum celery_part part, struct json_cursor *members,
                               struct json_slice *out);
