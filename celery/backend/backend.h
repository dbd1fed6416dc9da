#pragma once

/* Result backends behind one interface: the state of each task, for whoever asks by its id.
 *
 *     result_encode(&result, &document, err)         result.h: pure
 *     backend_store(backend, &record, 1, &outcome, err)
 *
 *     backend_watch(backend, ids, n_ids, err)
 *     for (;;) {
 *         backend_get_wait(backend, &wait);
 *         poll wait.fd for wait.events, until wait.deadline_us at the latest
 *         backend_take_changes(backend, &arena, &changes, err);
 *     }
 *
 * A document is stored as it is given and comes back byte for byte; the backend itself looks at the
 * record's other members only.  A store obeys result_may_replace: SUCCESS is final, and what a late
 * or retried store brings never undoes what a later state has said.  So a store may be repeated.
 *
 * A backend that is down must not cost a task its effect, nor cause it twice: the worker settles
 * the message when the task has ended, whatever became of the result, and keeps the record to store
 * it again.  backend_advise says how, until record.expires_us.
 *
 * Time: microseconds.  Expiries are UTC; deadlines are monotonic.  TIME_UNKNOWN means "none".
 * Threads and processes: a handle belongs to one thread of one process, opened after fork. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/clock.h"
#include "celery/backend/result.h"

#define BACKEND_MAX_ID_BYTES      ((size_t)255)
#define BACKEND_MAX_STATUS_BYTES  ((size_t)255)
#define BACKEND_MAX_WATCHED       ((size_t)1 << 20)
#define BACKEND_MAX_CHANGES       ((size_t)1000)     /* that one backend_take_changes brings */
#define BACKEND_MAX_ENCODED_BYTES ((size_t)64 << 20) /* ceiling of buffers for one document */

struct backend_chord_count;
struct backend_chord_part;
struct backend_ops;

/* The first member of every implementation's handle. */
struct backend {
    const struct backend_ops *ops;
};

/* One state document and what the backend has to know of it. */
struct backend_record {
    struct str task_id;
    struct str status;   /* its name, as in the document; result_state_of gives the state */
    int64_t run;         /* result_run, or 0: not known */
    struct str document; /* as result_encode writes it */
    int64_t expires_us;  /* UTC; for a store 0 = the backend's ttl from now; TIME_UNKNOWN = never */
};

struct backend_record_list {
    const struct backend_record *items;
    size_t n_items;
};

enum backend_outcome {
    BACKEND_STORED,
    BACKEND_KEPT, /* what is there counts more: done, nothing was changed */
};

/* What to do about a failure. */
enum backend_advice {
    BACKEND_RETRY,   /* the same call on the same handle, later */
    BACKEND_REOPEN,  /* close the handle; open and retry later: somebody may have to mend it */
    BACKEND_GIVE_UP, /* no retry helps: store a FAILURE that says why, or drop it */
};

/* Zero means the default, everywhere. */
struct backend_options {
    const struct clock *clock; /* the machine's; for expiries */
    int64_t ttl_us;            /* 1 day (result_expires); TIME_UNKNOWN = for ever */
    int64_t max_block_us;      /* 10 s: how long a call may wait for another process; an event
                                  loop takes 5 ms */
    size_t max_document_bytes; /* 8 MiB */
    bool must_exist;           /* for commands that look: make nothing */
};

/* What an event loop waits for; after backend_watch. */
struct backend_wait {
    int fd; /* -1: nothing to poll, the deadline only */
    short events;
    int64_t deadline_us; /* monotonic, of the machine's clock: look again then */
};

/* One implementation; the functions below say what each must do. */
struct backend_ops {
    const char *name; /* "sqlite" */
    int (*open)(struct str url, const struct backend_options *options, struct backend **out,
                struct error *err);
    void (*close)(struct backend *backend);
    void (*abandon)(struct backend *backend);
    int (*store)(struct backend *backend, const struct backend_record *records, size_t n_records,
                 enum backend_outcome *outcomes, struct error *err);
    int (*get)(struct backend *backend, const struct str *ids, size_t n_ids, struct arena *arena,
               struct backend_record_list *out, struct error *err);
    int (*watch)(struct backend *backend, const struct str *ids, size_t n_ids, struct error *err);
    void (*get_wait)(const struct backend *backend, struct backend_wait *out);
    int (*take_changes)(struct backend *backend, struct arena *arena,
                        struct backend_record_list *out, struct error *err);
    int (*forget)(struct backend *backend, const struct str *ids, size_t n_ids,
                  int64_t *n_forgotten, struct error *err);
    int (*clean)(struct backend *backend, size_t limit, size_t *n_removed, struct error *err);
    int (*chord_begin)(struct backend *backend, struct str group_id, int64_t size,
                       struct str saved, struct error *err); /* these three: chord.h */
    int (*chord_count)(struct backend *backend, const struct backend_chord_part *parts,
                       size_t n_parts, struct arena *arena, struct backend_chord_count *counts,
                       struct error *err);
    int (*chord_end)(struct backend *backend, struct str group_id, struct error *err);
};

extern const struct backend_ops backend_sqlite; /* sqlite:///path, or a plain path */
extern const struct backend_ops backend_redis;  /* celery/redis/redis.h, ?global_keyprefix=P */

/* Open by the URL's scheme.  clock must outlive the handle; the rest of options is copied.  Blocks
 * (SQLite: for max_block_us, and at least half a second, while another process checks the file
 * after a crash or holds it; Redis: never, it connects when it is first used).  Errors: ERR_CONFIG
 * (scheme, URL, a file of something else), ERR_NOT_FOUND (must_exist), ERR_IO, ERR_DISK_FULL,
 * ERR_BUSY, ERR_CORRUPT (with the way out), ERR_NETWORK, ERR_AUTH. */
MUST_CHECK int backend_open(struct str url, const struct backend_options *options,
                            struct backend **out, struct error *err);
void backend_close(struct backend *backend); /* NULL is fine */
void backend_closep(struct backend **backend);

/* In a forked child: close the inherited descriptors.  The parent is not disturbed; the handle's
 * memory stays until the child's exit, and nothing else may be done with it. */
static inline void
backend_abandon(struct backend *backend)
{
    backend->ops->abandon(backend);
}

/* What a negative code from any of these functions means for a store that is to be kept. */
enum backend_advice backend_advise(int rc);

/* 1 to BACKEND_MAX_ID_BYTES bytes of UTF-8 without NUL.  Errors: ERR_INVALID. */
MUST_CHECK int backend_check_id(struct str id, struct error *err);

/* Would backend_store take this record?  Run it on each before it joins a batch: the batch is all
 * or nothing.  Pure.  Errors: ERR_INVALID (id, status, a state that is never stored),
 * ERR_TOO_LARGE. */
MUST_CHECK int backend_check_record(const struct backend_record *record, size_t max_document_bytes,
                                    struct error *err);

/* Store n records, in their order, in one transaction; then wake whoever waits for them.
 *
 * outcomes  [n_records], or NULL; of no meaning after a failure
 *
 * 0: each is durable, or was not needed.  On failure none is stored, and it may be said again.
 * Blocks for max_block_us and a sync of the disk.  Errors: those of backend_check_record, ERR_BUSY,
 * ERR_DISK_FULL, ERR_IO, ERR_CORRUPT, ERR_NETWORK; backend_advise tells them apart. */
MUST_CHECK static inline int
backend_store(struct backend *backend, const struct backend_record *records, size_t n_records,
              enum backend_outcome *outcomes, struct error *err)
{
    return backend->ops->store(backend, records, n_records, outcomes, err);
}

/* Encode one result and store it.  outcome may be NULL.  Errors: as of result_encode and
 * backend_store. */
MUST_CHECK int backend_store_result(struct backend *backend, const struct result *result,
                                    int64_t run, enum backend_outcome *outcome, struct error *err);

/* The records of these ids, in the ids' order; those that are not there or have expired (PENDING,
 * to a client) are left out.  They live in the arena.  Errors: ERR_NOMEM (the arena's ceiling),
 * ERR_IO, ERR_CORRUPT, ERR_NETWORK. */
MUST_CHECK static inline int
backend_get(struct backend *backend, const struct str *ids, size_t n_ids, struct arena *arena,
            struct backend_record_list *out, struct error *err)
{
    return backend->ops->get(backend, ids, n_ids, arena, out, err);
}

/* Watch these ids (copied) instead of those before; none: stop.  What is there already counts as a
 * change, so nothing falls between get and watch.  Errors: ERR_INVALID (an id), ERR_TOO_LARGE (more
 * than BACKEND_MAX_WATCHED), ERR_NOMEM, ERR_NETWORK. */
MUST_CHECK static inline int
backend_watch(struct backend *backend, const struct str *ids, size_t n_ids, struct error *err)
{
    return backend->ops->watch(backend, ids, n_ids, err);
}

static inline void
backend_get_wait(const struct backend *backend, struct backend_wait *out)
{
    backend->ops->get_wait(backend, out);
}

/* The newest record of each watched id that has changed since it was last told; often none.  States
 * that were passed through meanwhile are not told, nor is forgetting.  At most BACKEND_MAX_CHANGES
 * or what the arena holds: the deadline of backend_get_wait has then come already.  Never waits for
 * news.  Errors: as of backend_get; nothing is lost by them. */
MUST_CHECK static inline int
backend_take_changes(struct backend *backend, struct arena *arena, struct backend_record_list *out,
                     struct error *err)
{
    return backend->ops->take_changes(backend, arena, out, err);
}

/* Block until a watched id has changed.  For commands.  Errors: ERR_TIMEOUT, ERR_CANCELLED (a
 * signal came: look at its flag, then call again), and those of backend_take_changes. */
MUST_CHECK int backend_wait_changes(struct backend *backend, int64_t timeout_us,
                                    struct arena *arena, struct backend_record_list *out,
                                    struct error *err);

/* Block until every id is ready (SUCCESS, FAILURE or REVOKED), then get them all.  Replaces what is
 * watched.  Errors: as of backend_wait_changes. */
MUST_CHECK int backend_await(struct backend *backend, const struct str *ids, size_t n_ids,
                             int64_t timeout_us, struct arena *arena,
                             struct backend_record_list *out, struct error *err);

/* Remove the records of these ids, as AsyncResult.forget does; also before a finished task is sent
 * again under its old id.  n_forgotten may be NULL.  Errors: as of backend_store. */
MUST_CHECK static inline int
backend_forget(struct backend *backend, const struct str *ids, size_t n_ids, int64_t *n_forgotten,
               struct error *err)
{
    return backend->ops->forget(backend, ids, n_ids, n_forgotten, err);
}

/* Remove at most limit expired records, the oldest first; fewer than limit: none is left.  A worker
 * calls it from a timer until then, a few hundred at a time, so that no store waits long. */
MUST_CHECK static inline int
backend_clean(struct backend *backend, size_t limit, size_t *n_removed, struct error *err)
{
    return backend->ops->clean(backend, limit, n_removed, err);
}
