#pragma once

/* Control requests and replies, as Celery's pidbox has them.  Pure, any thread.
 *
 *     request  headers {"clock": ., "expires": .}
 *              body    {"method": ., "arguments": {}, "destination": null or [node], "pattern": .,
 *                       "matcher": ., "ticket": ., "reply_to": {"exchange": ., "routing_key": .}}
 *     reply    headers {"ticket": ., "clock": .}
 *              body    {node: value}
 *
 * Source: kombu, pidbox.py; docs/control.md. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "celery/control/mailbox.h"

#define CONTROL_EXCHANGE       "celery.pidbox"
#define CONTROL_REPLY_EXCHANGE "reply.celery.pidbox"
#define CONTROL_QUEUE_SUFFIX   ".celery.pidbox" /* after the node's name */
#define CONTROL_REPLY_SUFFIX   ".reply.celery.pidbox"

#define CONTROL_METHOD_BYTES  ((size_t)128)
#define CONTROL_PATTERN_BYTES ((size_t)256)

/* Views into the bytes and the arena that it was decoded with. */
struct control_request {
    struct str method;
    struct json arguments;         /* an object */
    const struct json *recipients; /* an array of strings; NULL = by pattern, or all */
    struct str pattern;            /* absent = none */
    struct str matcher;
    struct str ticket;               /* absent = none */
    struct mailbox_address reply_to; /* routing_key absent: no reply is wanted */
    int64_t clock;                   /* 0 = not told */
};

/* Errors: those of control_envelope_decode; ERR_INVALID (a field is missing or of the wrong type:
 * named). */
MUST_CHECK int control_request_decode(struct str bytes, struct arena *arena,
                                      struct control_request *out, struct error *err);

/* Whether a node of that name is meant: by its exact name in the recipients; else by pattern and
 * matcher ("glob", or "pcre": anchored at the start); else always.  *out is true also with an
 * error, which the node then answers with. Errors: ERR_UNSUPPORTED (a matcher or an expression that
 * we do not read), ERR_NOMEM. */
MUST_CHECK int control_request_match(const struct control_request *request, struct str node,
                                     bool *out, struct error *err);

/* What a client sends; texts are borrowed for the call. */
struct control_call {
    struct str method;
    struct str arguments;         /* a JSON object; absent = none */
    const struct str *recipients; /* node names; none = all */
    size_t n_recipients;
    struct str ticket;      /* absent = no reply is wanted */
    struct str routing_key; /* of the reply */
    int64_t clock;
    double expires; /* UTC seconds: when the client stops to wait */
};

/* Append the envelope.  Errors: ERR_NOMEM, ERR_TOO_LARGE. */
MUST_CHECK int control_call_encode(const struct control_call *call, struct buf *out,
                                   struct error *err);

/* Append the envelope of a reply; value is JSON text.  Errors: as above. */
MUST_CHECK int control_reply_encode(const struct control_request *request, struct str node,
                                    struct str value, int64_t clock, struct buf *out,
                                    struct error *err);

struct control_reply {
    struct str ticket;
    struct str node;
    struct json value;
    int64_t clock;
};

/* Errors: as control_request_decode. */
MUST_CHECK int control_reply_decode(struct str bytes, struct arena *arena,
                                    struct control_reply *out, struct error *err);
