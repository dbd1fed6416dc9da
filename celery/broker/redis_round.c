/* A round: read what came and tell it, then send what is due.  Nothing is waited for. */

#include <poll.h>

#include "celery/broker/redis_internal.h"

#define KEEP_ROUND_BYTES ((size_t)4 << 20)

static bool
may_ask(const struct redis_broker *self)
{
    return self->is_greeted && !self->is_resuming && !self->must_resume;
}

static bool
is_consumer(const struct redis_broker *self)
{
    return self->n_queues > 0 || self->membership != MEMBER_NO;
}

static bool
wants_messages(const struct redis_broker *self)
{
    return self->n_queues > 0 && self->credit > 0 && self->membership != MEMBER_NO &&
           !self->is_claiming;
}

/* When the next claim is due. */
static int64_t
claim_due_us(const struct redis_broker *self)
{
    int64_t at_us = self->look_at_us < self->eta_at_us ? self->look_at_us : self->eta_at_us;

    if (self->may_be_ready)
        at_us = INT64_MIN;
    return at_us > self->claim_at_us ? at_us : self->claim_at_us;
}

/* The batch that is under way comes first: it is of the consumer's old name. */
static void
resume(struct redis_broker *self)
{
    if (self->is_settling || self->is_claiming)
        return;
    if (self->outbox.running.head)
        redis_settle_send(self);
    else
        redis_consumer_resume(self);
}

static void
send_due(struct redis_broker *self)
{
    int64_t mono_us = redis_broker_mono_us(self);

    if (!self->is_greeted)
        return;
    if (self->must_resume && !self->is_resuming)
        resume(self);
    redis_bind_queues(self);
    if (!may_ask(self))
        return;
    redis_settle_send(self);
    if (is_consumer(self) && !self->is_tending && mono_us >= self->tend_at_us)
        redis_consumer_tend(self);
    if (wants_messages(self) && mono_us >= claim_due_us(self))
        redis_claim_send(self);
}

/* Most rounds are small; one big message must not stay in memory for ever. */
static void
reset_arena(struct redis_broker *self)
{
    if (self->round.used > KEEP_ROUND_BYTES)
        arena_fini(&self->round);
    else
        arena_reset(&self->round);
}

int
redis_round_run(struct broker *broker, struct error *err)
{
    struct redis_broker *self = redis_broker_from(broker);

    (void)err; /* whatever happens, time may heal it */
    redis_track_run(self);
    redis_link_run(self);
    send_due(self);
    redis_link_write(self);
    reset_arena(self);
    return 0;
}

static int64_t
earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void
redis_round_get_wait(const struct broker *broker, struct broker_wait *out)
{
    const struct redis_broker *self = (const struct redis_broker *)broker;
    int64_t at_us = redis_link_must_greet(self) ? INT64_MIN : redis_link_deadline(self);

    if (self->must_resume && self->is_greeted && !self->is_settling && !self->is_resuming &&
        !self->is_claiming)
        at_us = earlier(at_us, self->outbox.running.head ? self->settle_at_us : INT64_MIN);
    if (may_ask(self)) {
        bool has_work =
            self->outbox.running.head || (self->outbox.waiting.head && redis_bind_has_room(self));

        if (has_work && !self->is_settling)
            at_us = earlier(at_us, self->settle_at_us);
        if (is_consumer(self) && !self->is_tending)
            at_us = earlier(at_us, self->tend_at_us);
        if (wants_messages(self))
            at_us = earlier(at_us, claim_due_us(self));
    }
    *out = (struct broker_wait){
        .fd = self->epoll_fd,
        .events = POLLIN,
        .deadline_us = at_us > 0 ? at_us : 0, /* callers subtract */
    };
}
