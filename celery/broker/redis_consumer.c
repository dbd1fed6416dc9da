/* The lease: joining, beating, coming back after a lost connection, leaving.
 *
 * A consumer is a name with a number that is never given twice.  It gets a new one whenever a
 * connection was lost, so that what the old connection left in the server's buffer reaches nobody,
 * and when its lease was. */

#include <stdio.h>
#include <string.h>

#include "celery/broker/redis_internal.h"

#define RETRY_US       (500 * US_PER_MS)
#define CLOSE_WAIT_US  US_PER_S
#define RESTORE_MIN_US US_PER_S
#define RESTORE_MAX_US (30 * US_PER_S)
#define LEASE_MARGIN   10 /* a tenth of the lease is kept for those who notice its end */

/* Kombu's own rule looks every 100 s; sooner where messages come back sooner. */
static int64_t
restore_span_us(const struct redis_broker *self)
{
    int64_t span_us = self->layout.visibility_s * US_PER_S / 4;

    if (span_us > RESTORE_MAX_US)
        return RESTORE_MAX_US;
    return span_us < RESTORE_MIN_US ? RESTORE_MIN_US : span_us;
}

void
redis_consumer_tend(struct redis_broker *self)
{
    struct words words = {.arena = &self->round};
    int64_t mono_us = redis_broker_mono_us(self);
    bool must_restore = self->n_queues > 0 && mono_us >= self->restore_at_us;

    redis_call_begin(self, &words, SCRIPT_TEND);
    words_add_i64(&words, self->options.lease_us - self->options.lease_us / LEASE_MARGIN);
    words_add(&words, self->membership == MEMBER_NO ? STR("1") : STR("0"));
    words_add_i64(&words, must_restore ? self->layout.visibility_s : 0);
    words_add(&words, self->layout.unacked_mutex);
    words_add(&words, self->layout.binding);
    words_add(&words, self->layout.steps_down);
    if (!redis_link_ask(self, ASKED_TEND, &words))
        return;
    self->is_tending = true;
    if (self->membership == MEMBER_NO)
        self->membership = MEMBER_ASKED;
    if (must_restore)
        self->restore_at_us = mono_us + restore_span_us(self);
}

/* Somebody took us for dead and has our messages. */
void
redis_consumer_note_lost(struct redis_broker *self)
{
    tell_note_lost(redis_teller(self));
    redis_call_rename(self, self->consumer);
    self->membership = MEMBER_NO;
    self->must_resume = false;
    self->tend_at_us = redis_broker_mono_us(self);
}

void
redis_consumer_on_tended(struct redis_broker *self, const struct redis_value *reply)
{
    int64_t mono_us = redis_broker_mono_us(self);
    int64_t end_us;

    self->is_tending = false;
    if (reply->kind != REDIS_ARRAY || reply->n_items < 5) {
        redis_link_log_refusal(self, "renew the lease", reply);
        self->tend_at_us = mono_us + RETRY_US;
        if (self->membership == MEMBER_ASKED)
            self->membership = MEMBER_NO;
        return;
    }
    self->stats.n_recovered += (uint64_t)reply->items[3].integer;
    self->tend_at_us = mono_us + self->options.lease_us * 3 / 10;
    if (reply->items[2].kind == REDIS_INTEGER && reply->items[2].integer >= 0) {
        end_us = mono_us + reply->items[2].integer + 1;
        if (end_us < self->tend_at_us)
            self->tend_at_us = end_us;
    }
    if (reply->items[4].integer > 0)
        self->tend_at_us = mono_us;
    if (reply->items[3].integer > 0)
        self->may_be_ready = true; /* what our own script wrote wakes the others only */
    if (str_equal(reply->items[0].text, STR("lost"))) {
        redis_consumer_note_lost(self);
        tell_lost(redis_teller(self));
    } else if (self->membership == MEMBER_ASKED) {
        self->membership = MEMBER_YES;
        self->may_be_ready = true;
    }
}

/* Tell the server what we know of; the rest goes back to its queues. */
void
redis_consumer_resume(struct redis_broker *self)
{
    struct words words = {.arena = &self->round};
    char next[REDIS_CONSUMER_BYTES];

    redis_call_rename(self, next);
    redis_call_begin(self, &words, SCRIPT_LEAVE);
    words_add(&words, str_from_cstr(next));
    for (size_t i = 0; i < self->window.n_slots; i++)
        if (self->window.slots[i].state != HELD_FREE && !self->window.slots[i].is_lost)
            words_add(&words, str_from_cstr(self->window.slots[i].name));
    if (!redis_link_ask(self, ASKED_RESUME, &words))
        return;
    self->is_resuming = true;
    (void)memcpy(self->next_consumer, next, sizeof(next));
}

void
redis_consumer_on_resumed(struct redis_broker *self, const struct redis_value *reply)
{
    self->is_resuming = false;
    if (reply->kind != REDIS_ARRAY || reply->n_items < 3) {
        redis_link_log_refusal(self, "go on with the lease", reply);
        return; /* again with the next round */
    }
    if (str_equal(reply->items[0].text, STR("lost"))) {
        redis_consumer_note_lost(self);
        tell_lost(redis_teller(self));
        return;
    }
    if (reply->items[2].integer > 0)
        return; /* more of it */
    (void)memcpy(self->consumer, self->next_consumer, sizeof(self->consumer));
    self->must_resume = false;
    self->membership = MEMBER_YES;
    self->may_be_ready = true;
    self->tend_at_us = redis_broker_mono_us(self);
}

/* Closing: all that is not settled goes back at once.  What fails is left to the lease. */
void
redis_consumer_leave(struct redis_broker *self)
{
    int64_t until_us = clock_mono_us(&clock_system) + CLOSE_WAIT_US;
    const struct redis_value *reply;
    struct error err;

    if (self->membership == MEMBER_NO)
        return;
    do {
        struct words words = {.arena = &self->round};

        redis_admin_begin(self, &words, self->scripts[SCRIPT_LEAVE].text);
        words_add(&words, STR(""));
        if (redis_admin_call(self, &words, CLOSE_WAIT_US, &reply, &err) < 0)
            return;
        if (reply->n_items < 3)
            return;
        self->stats.n_released += (uint64_t)reply->items[1].integer;
    } while (reply->items[2].integer > 0 && clock_mono_us(&clock_system) < until_us);
}
