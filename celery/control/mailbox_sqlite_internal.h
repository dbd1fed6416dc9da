#pragma once

/* What the files of the SQLite mailbox share. */

#include "base/database.h"
#include "celery/broker/sqlite_live.h"
#include "celery/control/mailbox.h"

/* One that has not left yet; the texts lie behind it. */
struct letter {
    struct letter *next;
    struct str exchange;
    struct str routing_key; /* absent: a broadcast */
    struct str bytes;
    int64_t due_us; /* monotonic: not worth sending any more */
    size_t n_heard;
};

struct sqlite_mailbox {
    struct mailbox base;
    struct mailbox_options options; /* with the defaults filled in */
    struct database *database;
    struct live_file live;
    struct letter *first; /* to leave */
    struct letter *last;
    size_t n_bytes;
    int64_t listener_id; /* 0 = hears nothing */
    int64_t seen_id;     /* the last letter */
    bool must_look;
    int64_t scan_at_us; /* monotonic */
    int64_t retry_at_us;
    char exchange[MAILBOX_MAX_NAME_BYTES]; /* what it hears */
    size_t n_exchange;
    char routing_key[MAILBOX_MAX_NAME_BYTES];
    size_t n_routing_key; /* 0 = all broadcasts */
};

static inline struct sqlite_mailbox *
sqlite_mailbox_from(struct mailbox *mailbox)
{
    return (struct sqlite_mailbox *)mailbox;
}

/* What is heard; the routing key is absent where it is all broadcasts. */
static inline struct str
sqlite_mailbox_exchange(const struct sqlite_mailbox *self)
{
    return (struct str){self->exchange, self->n_exchange};
}

static inline struct str
sqlite_mailbox_routing_key(const struct sqlite_mailbox *self)
{
    return self->n_routing_key ? (struct str){self->routing_key, self->n_routing_key} : STR_NULL;
}

/* mailbox_sqlite_listen.c: inside a write transaction, remove rows of listeners whose process is
 * gone, and letters that are old. */
MUST_CHECK int sqlite_mailbox_clean(struct sqlite_mailbox *self, struct error *err);
int sqlite_mailbox_listen(struct mailbox *mailbox, struct str exchange, struct str queue,
                          struct error *err);
int sqlite_mailbox_receive(struct mailbox *mailbox, const struct mailbox_address *address,
                           struct str queue, struct error *err);
/* For good; what fails is left to the kernel, which drops our lock, and to whoever writes next. */
void sqlite_mailbox_leave(struct sqlite_mailbox *self);

/* mailbox_sqlite_send.c */
int sqlite_mailbox_broadcast(struct mailbox *mailbox, struct str exchange, struct str bytes,
                             struct error *err);
int sqlite_mailbox_send(struct mailbox *mailbox, const struct mailbox_address *address,
                        struct str bytes, struct error *err);
/* All that waits, in one transaction; then the callbacks, which may add more. */
MUST_CHECK int sqlite_mailbox_send_letters(struct sqlite_mailbox *self, struct error *err);
void sqlite_mailbox_free_letters(struct sqlite_mailbox *self);
