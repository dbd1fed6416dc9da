#pragma once

/* Publishing that blocks, for clients and for programs with threads.
 *
 * Threads that publish at the same time share one transaction and one sync of the disk: the first
 * one carries out what all of them have brought, the others wait for it. */

#include "celery/broker/broker.h"

struct publisher;

/* As broker_open; options' listener is not used. */
MUST_CHECK int publisher_open(struct str url, const struct broker_options *options,
                              struct publisher **out, struct error *err);
void publisher_close(struct publisher *publisher); /* when no thread is in publisher_send */
void publisher_closep(struct publisher **publisher);

/* Publish n messages; 0 when every one is durable.  Otherwise *n_done (may be NULL) are, and the
 * first failure is told.  After ERR_TIMEOUT nobody knows: the messages may still go out.
 * Any thread.  Errors: those of broker_publish and broker_flush; ERR_DISK_FULL; ERR_DUPLICATE
 * (another task has a message's lock: it was not sent). */
MUST_CHECK int publisher_send(struct publisher *publisher, const struct broker_message *messages,
                              size_t n_messages, int64_t timeout_us, size_t *n_done,
                              struct error *err);

/* One message with a lock; with ERR_DUPLICATE, holder gets the id of the task that has it. */
MUST_CHECK int publisher_send_unique(struct publisher *publisher,
                                     const struct broker_message *message, int64_t timeout_us,
                                     char holder[BROKER_MAX_ID_BYTES + 1], struct error *err);
