#pragma once

/* Letters between nodes: broadcasts to everybody who listens now, and answers to one of them.
 * Nothing is kept for those who come later, nothing is acknowledged, and a letter may be lost:
 * remote control asks again.  Letters are bytes; what they say is of no concern here.
 *
 *     mailbox_listen(mailbox, exchange, queue)       hear the broadcasts of an exchange
 *     mailbox_receive(mailbox, address, queue)       hear what is sent to an address of ours
 *     mailbox_broadcast(mailbox, exchange, bytes)    to all who listen
 *     mailbox_send(mailbox, address, bytes)          to whoever receives there, or to nobody
 *
 * As brokers, a mailbox is a state machine for an event loop:
 *
 *     for (;;) {
 *         mailbox_get_wait(mailbox, &wait);
 *         poll wait.fd for wait.events, until wait.deadline_us at the latest
 *         rc = mailbox_run(mailbox, &err);            -> listener.received / sent
 *     }
 *
 * What was sent leaves in mailbox_run.  A mailbox that fails stays failed: close it, open another.
 *
 * An exchange may have topics: what is broadcast to "celeryev/worker.online" is heard by those who
 * listen to that, to "celeryev/worker.#" or to "celeryev/#".  A broadcast that nobody else hears
 * costs no transaction; whether a mailbox hears its own is not said.
 *
 * On Redis a broadcast is a PUBLISH and an address is a list, as kombu lays them out, so that
 * Python nodes hear us and we hear them.  On SQLite both are rows of a file beside the broker's,
 * named "BROKER-control": control has its own write lock and its own wake-ups there, and costs the
 * broker's path nothing.
 *
 * Threads and processes: one thread of one process; after fork the child calls mailbox_forget. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/clock.h"

#define MAILBOX_MAX_NAME_BYTES ((size_t)255)      /* of an exchange, a routing key, a queue */
#define MAILBOX_MAX_BYTES      ((size_t)16 << 20) /* of a letter */
#define MAILBOX_KEPT_US        (60 * US_PER_S) /* a letter that nobody has fetched by then goes */
#define MAILBOX_COUNT_UNKNOWN  SIZE_MAX
#define MAILBOX_PENDING_BYTES  ((size_t)64 << 20) /* that wait to leave */

struct mailbox_ops;

/* The first member of every implementation's handle. */
struct mailbox {
    const struct mailbox_ops *ops;
};

/* Where an answer goes. */
struct mailbox_address {
    struct str exchange;
    struct str routing_key;
};

/* Called inside mailbox_run.  A callback may broadcast and send; it must not run or close.  Each
 * may be NULL. */
struct mailbox_listener {
    void (*received)(void *context, struct str bytes); /* borrowed for the callback */
    /* A broadcast has left.  n_heard: how many listened, or MAILBOX_COUNT_UNKNOWN. */
    void (*sent)(void *context, size_t n_heard);
    void *context;
};

/* Zero means the default, everywhere. */
struct mailbox_options {
    struct mailbox_listener listener;
    struct str name;          /* of the node or program, for lists of connections; borrowed */
    int64_t max_open_us;      /* 1 s: how long opening, or connecting, may take */
    int64_t max_block_us;     /* 5 ms: how long mailbox_run may wait for another process */
    bool must_exist;          /* for commands: make nothing (SQLite) */
    const char *suffix;       /* "-control": of the file beside the broker's (SQLite); a literal */
    int64_t kept_us;          /* MAILBOX_KEPT_US */
    int64_t max_letters;      /* that are kept, whatever their age (SQLite); 0 = all */
    size_t max_pending_bytes; /* MAILBOX_PENDING_BYTES; with more, broadcast is ERR_BUSY */
};

struct mailbox_wait {
    int fd; /* -1: nothing to poll, the deadline only */
    short events;
    int64_t deadline_us; /* monotonic, of the machine's clock; in the past: run at once */
};

/* One implementation; the functions below say what each must do. */
struct mailbox_ops {
    const char *name;
    int (*open)(struct str broker_url, const struct mailbox_options *options, struct mailbox **out,
                struct error *err);
    void (*close)(struct mailbox *mailbox);
    void (*forget)(struct mailbox *mailbox);
    int (*listen)(struct mailbox *mailbox, struct str exchange, struct str queue,
                  struct error *err);
    int (*receive)(struct mailbox *mailbox, const struct mailbox_address *address, struct str queue,
                   struct error *err);
    int (*broadcast)(struct mailbox *mailbox, struct str exchange, struct str bytes,
                     struct error *err);
    int (*send)(struct mailbox *mailbox, const struct mailbox_address *address, struct str bytes,
                struct error *err);
    int (*run)(struct mailbox *mailbox, struct error *err);
    void (*get_wait)(const struct mailbox *mailbox, struct mailbox_wait *out);
    bool (*is_idle)(const struct mailbox *mailbox);
    bool (*is_listening)(const struct mailbox *mailbox);
};

extern const struct mailbox_ops mailbox_redis;
extern const struct mailbox_ops mailbox_sqlite;

/* Open the mailbox that belongs to a broker.  Options are copied, the name is borrowed for the
 * mailbox's life.  SQLite: blocks up to max_open_us while another process has the file; Redis:
 * comes back at once, whether somebody answers is told by mailbox_run.  Errors: ERR_UNSUPPORTED (a
 * broker of that scheme has no mailbox: no retry helps), ERR_CONFIG (URL, schema), ERR_NOT_FOUND
 * (must_exist), ERR_BUSY, ERR_IO, ERR_DISK_FULL, ERR_CORRUPT, ERR_NETWORK, ERR_NOMEM. */
MUST_CHECK int mailbox_open(struct str broker_url, const struct mailbox_options *options,
                            struct mailbox **out, struct error *err);

/* Leaves: bindings and letters of ours go.  What was not sent yet is dropped.  NULL is fine. */
void mailbox_close(struct mailbox *mailbox);
void mailbox_closep(struct mailbox **mailbox);

/* In a forked child: close the inherited descriptors; the parent is not disturbed. */
static inline void
mailbox_forget(struct mailbox *mailbox)
{
    mailbox->ops->forget(mailbox);
}

/* Hear all broadcasts of the exchange from now on; queue is the name that lists show.  At most one
 * of listen and receive, once per mailbox.
 * Errors: ERR_INVALID (a name), ERR_BUSY, ERR_IO, ERR_DISK_FULL, ERR_NOMEM. */
MUST_CHECK static inline int
mailbox_listen(struct mailbox *mailbox, struct str exchange, struct str queue, struct error *err)
{
    return mailbox->ops->listen(mailbox, exchange, queue, err);
}

/* Hear what is sent to the address from now on.  Errors: as above. */
MUST_CHECK static inline int
mailbox_receive(struct mailbox *mailbox, const struct mailbox_address *address, struct str queue,
                struct error *err)
{
    return mailbox->ops->receive(mailbox, address, queue, err);
}

/* Put a letter out; bytes are copied.  Errors: ERR_INVALID (a name), ERR_TOO_LARGE, ERR_BUSY
 * (max_pending_bytes wait to leave), ERR_NOMEM. */
MUST_CHECK static inline int
mailbox_broadcast(struct mailbox *mailbox, struct str exchange, struct str bytes, struct error *err)
{
    return mailbox->ops->broadcast(mailbox, exchange, bytes, err);
}

/* The same, to one address; where nobody receives, it is dropped in silence. */
MUST_CHECK static inline int
mailbox_send(struct mailbox *mailbox, const struct mailbox_address *address, struct str bytes,
             struct error *err)
{
    return mailbox->ops->send(mailbox, address, bytes, err);
}

/* Send what waits, hear what has come.  Errors, all of them for good: ERR_NETWORK, ERR_TIMEOUT,
 * ERR_AUTH, ERR_CONFIG, ERR_IO, ERR_CORRUPT, ERR_NOMEM.  What time heals (SQLite: locked or full)
 * is tried again until a letter is MAILBOX_KEPT_US old; then it is dropped. */
MUST_CHECK static inline int
mailbox_run(struct mailbox *mailbox, struct error *err)
{
    return mailbox->ops->run(mailbox, err);
}

static inline void
mailbox_get_wait(const struct mailbox *mailbox, struct mailbox_wait *out)
{
    mailbox->ops->get_wait(mailbox, out);
}

/* All that was sent has left. */
static inline bool
mailbox_is_idle(const struct mailbox *mailbox)
{
    return mailbox->ops->is_idle(mailbox);
}

/* What is broadcast from now on will be heard (mailbox_listen takes effect in mailbox_run). */
static inline bool
mailbox_is_listening(const struct mailbox *mailbox)
{
    return mailbox->ops->is_listening(mailbox);
}

/* For commands: wait for what the mailbox waits for, at most until then (monotonic), and run it
 * once.  Errors: as mailbox_run. */
MUST_CHECK int mailbox_run_until(struct mailbox *mailbox, int64_t until_us, struct error *err);

/* ERR_INVALID unless it is 1 to MAILBOX_MAX_NAME_BYTES bytes without control characters. */
MUST_CHECK int mailbox_check_name(struct str name, const char *what, struct error *err);
