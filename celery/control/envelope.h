#pragma once

/* What carries control requests and replies: kombu's envelope of a virtual transport, with any JSON
 * in it.  Task messages have richer rules of their own (celery/message.h).  Pure, any thread.
 *
 *     {"body": base64, "content-encoding": "utf-8", "content-type": "application/json",
 *      "headers": {...}, "properties": {"delivery_mode": 1, "delivery_info": {"exchange": .,
 *      "routing_key": .}, "priority": 0, "body_encoding": "base64", "delivery_tag": .}}
 *
 * Source: kombu, transport/virtual/base.py; docs/control.md. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

/* Of a whole envelope, before anything is read. */
#define CONTROL_ENVELOPE_BYTES ((size_t)16 << 20)

struct control_envelope {
    struct json headers; /* an object */
    struct json body;    /* any value */
};

/* out lives as long as arena and bytes.  Only JSON is understood: pickle and the like are refused
 * unread.  Errors: ERR_INVALID, ERR_UNSUPPORTED (content type, encoding, compression),
 * ERR_TOO_LARGE, ERR_NOMEM. */
MUST_CHECK int control_envelope_decode(struct str bytes, struct arena *arena,
                                       struct control_envelope *out, struct error *err);

enum control_delivery_mode { CONTROL_TRANSIENT = 1, CONTROL_PERSISTENT = 2 };

/* Append one; headers and body are JSON text.  Errors: ERR_NOMEM, ERR_TOO_LARGE (out's). */
MUST_CHECK int control_envelope_encode(struct str headers, struct str body,
                                       enum control_delivery_mode mode, struct str exchange,
                                       struct str routing_key, struct buf *out, struct error *err);
