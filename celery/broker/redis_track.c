/* Being woken: the server tells a second connection when a key that a script of the main one has
 * read is written to (CLIENT TRACKING with REDIRECT), so nothing is polled and nothing popped that
 * could be lost.  Where the server refuses, queues are looked at every few milliseconds.
 * Source: redis.io, "Client-side caching reference". */

#include <stdio.h>

#include "celery/broker/redis_internal.h"

#define WAKE_RETRY_US US_PER_S

static void
start(struct redis_broker *self)
{
    static const struct str id[] = {STR_INIT("CLIENT"), STR_INIT("ID")};
    static const struct str subscribe[] = {STR_INIT("SUBSCRIBE"), STR_INIT("__redis__:invalidate")};
    struct redis_options options = {.client_name = STR("trawl-wake")};
    struct error err;
    int rc = redis_open(&self->address, &options, &self->wake.redis, &err);

    if (rc == 0)
        rc = redis_command(self->wake.redis, id, COUNT_OF(id), &err);
    if (rc == 0)
        rc = redis_command(self->wake.redis, subscribe, COUNT_OF(subscribe), &err);
    if (rc < 0)
        redis_track_close(self);
}

/* Until the next try, queues are looked at by the timer. */
void
redis_track_close(struct redis_broker *self)
{
    redis_close(self->wake.redis);
    self->wake.redis = NULL;
    self->wake.watched_fd = -1;
    if (self->tracking != TRACKING_REFUSED)
        self->tracking = TRACKING_NONE;
    self->wake_id = 0;
    self->wake_at_us = clock_mono_us(&clock_system) + WAKE_RETRY_US;
    self->look_at_us = redis_broker_mono_us(self);
}

static void
take_message(struct redis_broker *self, const struct redis_value *reply)
{
    struct str kind = STR_NULL;

    if (reply->kind == REDIS_INTEGER) {
        self->wake_id = reply->integer;
        return;
    }
    if (reply->kind == REDIS_ARRAY && reply->n_items >= 3)
        kind = reply->items[0].text;
    if (str_equal(kind, STR("subscribe")) && self->wake_id > 0) {
        self->tracking = TRACKING_KNOWN;
    } else if (str_equal(kind, STR("message"))) {
        self->may_be_ready = true;
        self->stats.n_wakeups++;
    } else if (reply->kind == REDIS_ERROR) {
        self->tracking = TRACKING_REFUSED;
    }
}

static void
ask(struct redis_broker *self)
{
    struct words words = {.arena = &self->round};

    words_add(&words, STR("CLIENT"));
    words_add(&words, STR("TRACKING"));
    words_add(&words, STR("ON"));
    words_add(&words, STR("REDIRECT"));
    words_add_i64(&words, self->wake_id);
    words_add(&words, STR("NOLOOP"));
    if (redis_link_ask(self, ASKED_TRACKING, &words))
        self->tracking = TRACKING_ASKED;
}

void
redis_track_run(struct redis_broker *self)
{
    const struct redis_value *reply;
    struct error err;

    if (self->n_queues == 0 || self->tracking == TRACKING_REFUSED)
        return;
    if (!self->wake.redis && self->is_greeted && clock_mono_us(&clock_system) >= self->wake_at_us)
        start(self);
    if (!self->wake.redis)
        return;
    if (redis_run(self->wake.redis, &err) < 0) {
        redis_track_close(self);
        return;
    }
    while (redis_take(self->wake.redis, &reply))
        take_message(self, reply);
    if (self->tracking == TRACKING_REFUSED)
        redis_track_close(self);
    if (self->tracking == TRACKING_KNOWN && self->is_greeted)
        ask(self);
}

/* From now on reads are remembered: the next claim makes them. */
void
redis_track_on_reply(struct redis_broker *self, const struct redis_value *reply)
{
    if (reply->kind != REDIS_ERROR) {
        self->tracking = TRACKING_ON;
        self->may_be_ready = true;
        return;
    }
    /* The second connection may just have been closed by the server; its own reader will tell. */
    if (str_find(reply->text, STR("client ID")) < reply->text.len) {
        redis_track_close(self);
        return;
    }
    self->tracking = TRACKING_REFUSED;
    redis_track_close(self);
}
