#pragma once

/* The state REVOKED for ids that were revoked before anybody has seen their messages. */

#include "celery/backend/backend.h"

#define REVOKED_STORE_MAX ((size_t)500) /* ids in one call */

enum revoked_store_over {
    REVOKED_OVER_WAITING, /* whoever has started a task tells its state */
    REVOKED_OVER_STARTED, /* nobody runs it any more */
};

/* Store REVOKED, reason "revoked", for those of at most REVOKED_STORE_MAX ids whose task has not
 * ended, nor, with REVOKED_OVER_WAITING, started.  Ids that no backend takes are passed over.
 *
 * worker  the node's name, for the document; absent = none
 *
 * Between the look and the store a task may start or end: SUCCESS is never replaced.  Blocks as
 * backend_get and backend_store do.  Errors: theirs.
 * Source: Celery 5.7, worker/control.py (_revoke). */
MUST_CHECK int revoked_store(struct backend *backend, const struct str *ids, size_t n_ids,
                             enum revoked_store_over over, struct str worker, struct error *err);
