#pragma once

/* Sending tasks and waiting for what becomes of them, as Celery's own client does: one message of
 * protocol 2 through the broker, one state document from the result backend.
 *
 * Nothing here knows which tasks there are or what they take: the caller checks that.
 *
 * Threads and processes: a client belongs to one thread of one process.  Broker and backend are
 * opened when they are first needed.
 * Source: Celery's documentation, "Message Protocol", version 2; "Calling Tasks". */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "celery/backend/result.h"

#define CELERY_DEFAULT_QUEUE     "celery"
#define CELERY_CLIENT_TIMEOUT_US (2 * US_PER_S)

struct celery_client;
struct celery_task;
struct limit_rules;

/* Texts are borrowed for the client's life.  Zero means the default. */
struct celery_client_options {
    struct str broker_url;
    struct str backend_url;
    const struct clock *clock;        /* the machine's; for eta and expires */
    const struct limit_rules *limits; /* NULL = none */
    int64_t timeout_us;               /* half to open the broker, half for it to take a message:
                                         CELERY_CLIENT_TIMEOUT_US */
};

/* What is sent; texts are borrowed for the call. */
struct celery_request {
    struct str task;
    struct str args;       /* JSON array; absent = none */
    struct str kwargs;     /* JSON object; absent = none */
    struct str queue;      /* absent = CELERY_DEFAULT_QUEUE */
    int priority;          /* 0 to 9; 0 is served first */
    int64_t eta_us;        /* UTC, not before; TIME_UNKNOWN = at once */
    int64_t countdown_us;  /* instead of eta_us: from now; 0 = at once */
    int64_t expires_in_us; /* from now; 0 = never */
    struct str id;         /* absent = a new one */
    struct str root_id;    /* of the workflow that it belongs to; absent = its own */
    struct str parent_id;  /* the task that sends it; absent = none */

    /* Limits (docs/limits.md); what is absent is left to the rules. */
    struct str unique;                    /* limit_parse_unique's words */
    struct str unique_key;                /* what is unique, instead of name and arguments */
    struct str key;                       /* whose limits hold, instead of an argument's value */
    const struct celery_task *definition; /* for what it says itself; NULL = not known */
};

/* clang-format off */
#define CELERY_REQUEST_INIT {.eta_us = TIME_UNKNOWN}
/* clang-format on */

/* Who listens during a wait.  Each may be NULL. */
struct celery_client_hooks {
    void (*progress)(void *context, int64_t current, int64_t total);
    bool (*is_cancelled)(void *context); /* asked at least four times a second */
    void *context;
};

/* Opens nothing yet.  Errors: ERR_NOMEM. */
MUST_CHECK int celery_client_create(const struct celery_client_options *options,
                                    struct celery_client **out, struct error *err);
void celery_client_free(struct celery_client *client); /* NULL is fine */
void celery_client_freep(struct celery_client **client);

/* Send a task; 0 when the broker has it for good.  id gets the new task's id, also when the broker
 * did not answer (ERR_TIMEOUT) and nobody knows whether the message will still go out; untouched
 * when nothing was sent.  ERR_DUPLICATE: a unique task waits or runs already, nothing was sent, and
 * id gets that one's, where it is a UUID.
 * Errors: ERR_ARGS (args, kwargs or both times given), ERR_INVALID (queue, priority),
 * ERR_TOO_LARGE, those of opening the broker, ERR_TIMEOUT, ERR_BUSY, ERR_DISK_FULL. */
MUST_CHECK int celery_client_send(struct celery_client *client,
                                  const struct celery_request *request, char id[UUID_TEXT_BYTES],
                                  struct error *err);

/* What is known of a task now; views into the arena.  A task that the backend does not know, or has
 * forgotten, is PENDING, as Celery says.  Makes no backend.
 * Errors: ERR_INVALID (the id, a document that is none), those of the backend, ERR_NOMEM. */
MUST_CHECK int celery_client_get(struct celery_client *client, struct str id, struct arena *arena,
                                 struct result *out, struct error *err);

/* Block until the task is ready (SUCCESS, FAILURE or REVOKED); PROGRESS on the way is told.
 *
 * timeout_us  0 = for ever
 *
 * Errors: ERR_TIMEOUT (with the last state), ERR_CANCELLED, and as of celery_client_get. */
MUST_CHECK int celery_client_wait(struct celery_client *client, struct str id, int64_t timeout_us,
                                  const struct celery_client_hooks *hooks, struct arena *arena,
                                  struct result *out, struct error *err);
