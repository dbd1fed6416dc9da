#pragma once

/* What the files of the Redis mailbox share. */

#include "base/arena.h"
#include "base/buf.h"
#include "celery/control/mailbox.h"
#include "celery/redis/redis.h"

#define REDIS_MAILBOX_STEPS 4 /* kombu's priority steps: a queue is so many lists */

/* What the speaker's next replies are about. */
enum said { SAID_BINDING, SAID_BROADCAST, SAID_LETTER };

struct redis_mailbox {
    struct mailbox base;
    struct mailbox_options options;
    struct arena arena; /* of the address and the names below */
    struct redis_address address;
    struct str key_prefix;
    struct str fanout_prefix;
    bool has_topics;      /* in the names of channels: kombu's fanout_patterns */
    struct str separator; /* between the parts of a binding, and before a priority step */
    struct redis *speaker;
    struct redis *hearer;
    struct buf said; /* enum said, one byte each */
    size_t said_at;
    bool must_run;      /* commands were added since the last run */
    bool is_subscribed; /* the server has said so */
    int epoll_fd;
    struct str binding_key; /* absent: hears nothing */
    struct str binding;
    struct str lists[REDIS_MAILBOX_STEPS]; /* absent: hears broadcasts */
};

static inline struct redis_mailbox *
redis_mailbox_from(struct mailbox *mailbox)
{
    return (struct redis_mailbox *)mailbox;
}

static inline bool
redis_mailbox_is_popper(const struct redis_mailbox *self)
{
    return self->lists[0].ptr != NULL;
}

/* mailbox_redis_talk.c: a command of the speaker, and what its reply will be about. */
MUST_CHECK int redis_mailbox_say(struct redis_mailbox *self, const struct str *words,
                                 size_t n_words, enum said said, struct error *err);
/* What stands before the topic of an exchange; all of it, where it has none. */
static inline struct str
redis_mailbox_exchange(struct str exchange)
{
    return str_slice(exchange, 0, str_find_char(exchange, '/'));
}

/* Wait on all lists of the queue, for a second. */
MUST_CHECK int redis_mailbox_pop(struct redis_mailbox *self, struct error *err);
int redis_mailbox_broadcast(struct mailbox *mailbox, struct str exchange, struct str bytes,
                            struct error *err);
int redis_mailbox_send(struct mailbox *mailbox, const struct mailbox_address *address,
                       struct str bytes, struct error *err);
int redis_mailbox_run(struct mailbox *mailbox, struct error *err);
void redis_mailbox_get_wait(const struct mailbox *mailbox, struct mailbox_wait *out);
bool redis_mailbox_is_idle(const struct mailbox *mailbox);
/* Until what is in flight has been answered, or then. */
void redis_mailbox_settle(struct redis_mailbox *self, int64_t until_us);
