#pragma once

/* The second half of decoding: a body, unwrapped but packed, behind headers that were read. */

#include "celery/message_fields.h"

/* Check content type and encoding, unpack, and read arguments and canvas by the protocol that
 * headers and body show.  self->message has its headers. */
MUST_CHECK int celery_body_read(struct celery_reader *self, struct str packed);
