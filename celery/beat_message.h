#pragma once

/* An entry as the message that beat sends: an ordinary one, as Celery's beat writes it. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/buf.h"
#include "celery/broker/broker.h"
#include "celery/schedule.h"

/* Room for args and kwargs of the greatest size, twice: as values and as shown. */
#define BEAT_MESSAGE_BYTES ((size_t)1 << 20)

/* row     checked (celery_schedule_check)
 * id      of the task, a UUID; borrowed by *out
 * origin  "gen1234@host"
 * now_us  when it is sent, UTC: expiry counts from here
 * bytes   empty; *out points into it
 *
 * Errors: ERR_INVALID, ERR_TOO_LARGE, ERR_NOMEM. */
MUST_CHECK int beat_message_encode(const struct celery_schedule *row, struct str id,
                                   struct str origin, int64_t now_us, struct buf *bytes,
                                   struct broker_message *out, struct error *err);
