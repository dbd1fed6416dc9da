#pragma once

/* What is refused before it reaches an outbox, and what options mean that are zero.  Shared by the
 * implementations. */

#include "celery/broker/outbox.h"
#include "celery/broker/window.h"

#define BROKER_MESSAGE_BYTES                                                                       \
    ((size_t)8 << 20) /* the greatest message, where no option says else                           \
                       */

/* The defaults that are the same for all; names and waits are each implementation's own. */
void check_fill_defaults(struct broker_options *options);

/* UTF-8 without NUL, 1 to BROKER_MAX_QUEUE_BYTES.  Errors: ERR_INVALID. */
MUST_CHECK int check_queue(struct str name, struct error *err);
MUST_CHECK int check_queues(const struct str *names, size_t n_names, struct error *err);

/* Errors: ERR_INVALID, ERR_TOO_LARGE. */
MUST_CHECK int check_message(const struct broker_message *message, size_t max_bytes,
                             struct error *err);

/* Ids to revoke: 1 to BROKER_MAX_ID_BYTES each.  Errors: ERR_INVALID. */
MUST_CHECK int check_ids(const struct str *ids, size_t n_ids, struct error *err);

/* broker_settle as far as it is the same for all: a known tag's first verdict goes into the outbox.
 */
MUST_CHECK int check_settle(struct outbox *outbox, struct window *window,
                            struct broker_stats *stats, uint64_t tag,
                            const struct broker_verdict *verdict, uint64_t *ticket,
                            struct error *err);

/* broker_admit, likewise: an open tag's question goes into the outbox. */
MUST_CHECK int check_admit(struct outbox *outbox, struct window *window, struct broker_stats *stats,
                           uint64_t tag, const struct broker_admission *admission, uint64_t *ticket,
                           struct error *err);

/* Errors: ERR_INVALID. */
MUST_CHECK int check_pause(const struct broker_pause *pause, struct error *err);
